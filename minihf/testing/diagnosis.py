"""From a wrong result to a sentence: simple relations between what was found and what is right.

A mistake in a derivative is seldom arbitrary. A term is forgotten, or has the wrong sign; a mean
stands where a sum should; a matrix is transposed; only the last time step counts. Each of these is
a relation between two arrays, and a relation that holds in all failing cases is the diagnosis.

Called by the ladder, with everything that failed in the same place.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from itertools import combinations_with_replacement
from math import prod

import numpy as np

from minihf.testing.failure import Evidence
from minihf.testing.measure import SAME, same

__all__ = ["diagnose"]



def diagnose(evidence: Sequence[Evidence]) -> str:
    """Return the first relation that holds in all failing cases as a sentence, or nothing."""
    telling = [e for e in evidence if e.found.size and not same(e.found, e.expected)]
    if not telling:
        return ""
    relations: list[Callable[[Sequence[Evidence]], str]] = [
        not_complex_safe, not_finite, absent, wrong_sign, known_mistake, factor, transposed,
        partly_right, shifted,
    ]  # fmt: skip
    return next((said for relation in relations if (said := relation(telling))), "")


def not_complex_safe(evidence: Sequence[Evidence]) -> str:
    """Ask central differences, which need no complex numbers, who is right."""
    asked = [e for e in evidence if e.differences is not None]
    if asked and all(same(e.found, e.differences(), 1e-6) for e in asked if e.differences):
        return (
            "not complex-safe: central differences agree with the rule, the complex step does not; "
            "use plain transposes, x * x for abs(x) ** 2, and compare and branch on x.real"
        )
    return ""


def not_finite(evidence: Sequence[Evidence]) -> str:
    if all(not np.isfinite(e.found).all() for e in evidence):
        return f"{evidence[0].term} is not finite"
    return ""


def absent(evidence: Sequence[Evidence]) -> str:
    return evidence[0].absent if all(not e.found.any() for e in evidence) else ""


def wrong_sign(evidence: Sequence[Evidence]) -> str:
    if all(same(e.found, -e.expected) for e in evidence):
        return f"{evidence[0].term} has the wrong sign"
    return ""


def known_mistake(evidence: Sequence[Evidence]) -> str:
    """Look the result up among those of mistakes that others made before: the first for all."""
    said = [e.known(e.found) if e.known else None for e in evidence]
    names = [[one] if isinstance(one, str) else one or [] for one in said]
    return next((name for name in names[0] if all(name in others for others in names)), "")


def factor(evidence: Sequence[Evidence]) -> str:
    """Find a number that explains all: a size, a product of two, one over them, or a constant."""
    ratios = [ratio for e in evidence if (ratio := _ratio(e)) is not None]
    if len(ratios) < len(evidence):
        return ""
    first, term = ratios[0], evidence[0].term
    for name, factors in _size_factors(evidence):
        if np.allclose(ratios, factors, rtol=SAME, atol=0):
            value = f"{first:.4g}" if first >= 1 else f"1/{1 / first:.4g}"
            return f"{term} is off by {value} = {name}: mean and sum mixed up"
    if np.allclose(ratios, first, rtol=SAME, atol=0):
        return f"{term} is off by a factor of {first:.6g}"
    return f"{term} is a multiple of what is right, by a factor that varies"


def _ratio(e: Evidence) -> float | None:
    square = np.vdot(e.expected, e.expected)
    ratio = float(np.vdot(e.expected, e.found) / square) if square else 0.0
    return ratio if ratio > 0 and same(e.found, ratio * e.expected) else None


def _size_factors(evidence: Sequence[Evidence]) -> Iterator[tuple[str, list[float]]]:
    """Yield what a size, or a product of two, or one over them is in every case, with its name."""
    names = list(evidence[0].case.sizes)
    for parts in [(name,) for name in names] + list(combinations_with_replacement(names, 2)):
        products = [float(prod(e.case.sizes[name] for name in parts)) for e in evidence]
        text = " ".join(parts)
        yield text, products
        yield f"1/{text}" if len(parts) == 1 else f"1/({text})", [1 / p for p in products]


def transposed(evidence: Sequence[Evidence]) -> str:
    def is_transposed(e: Evidence) -> bool:
        if e.found.ndim < 2:
            return e.found.size == 1
        turned = e.expected.swapaxes(-1, -2)
        again = turned.reshape(e.found.shape)               # as it comes into the right shape
        return any(same(e.found, t) for t in (again, turned) if t.shape == e.found.shape)

    if any(min(e.found.shape[-2:], default=1) > 1 for e in evidence):
        return f"{evidence[0].term} is transposed" if all(map(is_transposed, evidence)) else ""
    return ""


def partly_right(evidence: Sequence[Evidence]) -> str:
    """Find an axis along which only the first, or only the last, place is right, or wrong."""
    ndim = evidence[0].found.ndim
    if any(e.found.ndim != ndim for e in evidence):
        return ""
    patterns = {
        "right only at the last {}": lambda right: right[-1] and not right[:-1].any(),
        "right only at the first {}": lambda right: right[0] and not right[1:].any(),
        "wrong only at the last {}": lambda right: not right[-1] and right[:-1].all(),
        "wrong only at the first {}": lambda right: not right[0] and right[1:].all(),
    }
    for axis in range(ndim):
        rights = [_right_along(e, axis) for e in evidence if e.found.shape[axis] > 1]
        for words, fits in patterns.items():
            if rights and all(fits(right) for right in rights):
                return f"{evidence[0].term} is {words.format(_place(evidence[0], axis))}"
    return ""


def _right_along(e: Evidence, axis: int) -> np.ndarray:
    pairs = zip(np.moveaxis(e.found, axis, 0), np.moveaxis(e.expected, axis, 0), strict=True)
    return np.array([same(found, expected) for found, expected in pairs])


def shifted(evidence: Sequence[Evidence]) -> str:
    """Find an axis along which everything stands one place too late, or too early."""
    for axis in range(evidence[0].found.ndim):
        long = [e for e in evidence if e.found.ndim > axis and e.found.shape[axis] > 2]
        for words, late in (("late", True), ("early", False)):
            if long and all(_is_shifted(e, axis, late) for e in long):
                return f"{evidence[0].term} is one {_place(evidence[0], axis)} too {words}"
    return ""


def _is_shifted(e: Evidence, axis: int, late: bool) -> bool:
    found, expected = (np.moveaxis(array, axis, 0) for array in (e.found, e.expected))
    return same(found[1:], expected[:-1]) if late else same(found[:-1], expected[1:])


def _place(e: Evidence, axis: int) -> str:
    name = e.axes[axis] if axis < len(e.axes) else ""
    if not name and axis == 1 and e.found.ndim > 2 and e.case.sizes.get("T") == e.found.shape[1]:
        name = "T"
    words = {"T": "time step", "N": "case"}
    return words.get(name, f"place of axis {name or axis}")
