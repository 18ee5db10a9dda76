"""The contract: what every check asks first, of whatever it looks at.

What comes out has the right shape and dtype, the same call gives the same bits, nothing that was
given is written into, and no later call writes into an earlier result.

Called by the first rung of the checks.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from minihf.backend import Array, to_host
from minihf.testing.failure import Finding, holds

__all__ = ["Call", "fits", "keeps", "leaves"]


class Call(NamedTuple):
    """A call to make twice: its name, how to make it, and what must come out.

    `other` makes it with other arguments, in between: a result in a workspace is then written over.
    """

    where: str
    make: Callable[[], Any]
    shape: tuple[int, ...]
    dtype: Any = np.dtype(np.float64)
    other: Callable[[], Any] | None = None


def keeps(calls: Sequence[Call], given: Mapping[str, Array]) -> Iterator[Finding]:
    """Make every call twice, and look at what comes out and at what was `given`, by name."""
    before = {label: to_host(array).copy() for label, array in given.items()}
    results = []
    for call in calls:
        result = call.make()
        finding = fits(call.where, result, call.shape, call.dtype)
        yield finding
        results.append(None if finding.broken else result)
    kept = [None if result is None else to_host(result).copy() for result in results]
    for call in calls:
        if call.other is not None:
            call.other()
    lasting = [
        copy is None or np.array_equal(copy, to_host(result), equal_nan=True)
        for result, copy in zip(results, kept, strict=True)
    ]
    again = [call.make() for call in calls]
    for label, array in given.items():
        same = np.array_equal(to_host(array), before[label], equal_nan=True)
        why = f"{label} was given, and is written into; work on a copy"
        yield holds(f"{label}, afterwards", same, why)
    for call, copy, second, lasts in zip(calls, kept, again, lasting, strict=True):
        yield holds(
            call.where, lasts,
            "a later call wrote into this result; return a fresh array, or a copy",
        )  # fmt: skip
        yield holds(
            call.where,
            copy is None or np.array_equal(copy, to_host(second), equal_nan=True),
            "not deterministic: the same call gave other numbers the second time",
        )  # fmt: skip


def fits(where: str, result: Any, shape: tuple[int, ...], dtype: Any) -> Finding:
    """Ask whether a result is an array of that shape and dtype."""
    found = tuple(getattr(result, "shape", ()))
    if not hasattr(result, "dtype"):
        return holds(where, False, f"it is {type(result).__name__}, expected an array")
    if found != tuple(shape):
        hint = ": transposed" if found == tuple(shape)[::-1] else ""
        return holds(where, False, f"it has shape {found}, expected {tuple(shape)}{hint}")
    why = f"{np.dtype(dtype)} came in, {result.dtype} came out"
    return holds(where, result.dtype == dtype, why)


def leaves(label: str, arrays: Any) -> dict[str, Array]:
    """Return an array, or a tuple of arrays, by name: ``y``, or ``y[0]`` and ``y[1]``."""
    if not isinstance(arrays, tuple):
        return {label: arrays}
    return {f"{label}[{i}]": array for i, array in enumerate(arrays)}
