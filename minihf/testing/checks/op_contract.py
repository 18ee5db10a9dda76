"""What an op's rules owe whoever calls them, before anybody asks whether they are right.

Results have the right shapes and dtypes, nothing that is given is written into, no later call
writes into a result, and the same call gives the same bits. Called by `check_op`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import numpy as np

from minihf.backend import Array, to_host
from minihf.testing.checks.op_case import OpCase
from minihf.testing.failure import Finding, holds
from minihf.testing.ladder import Rung

__all__ = ["CONTRACT"]


def _contract(at: OpCase) -> Iterator[Finding]:
    given = {name: at.x[i] for i, name in at.inputs}
    given |= {f"the tangent of {name}": at.R[i] for i, name in at.inputs}
    given |= {"u": at.u, "R{u}": at.Ru}
    before = {label: to_host(array).copy() for label, array in given.items()}
    before |= {name: at.before[i] for i, name in at.inputs}

    def intact(rule: str) -> Iterator[Finding]:
        for label, array in given.items():
            yield holds(
                f"{label}, after {rule} ran", _same_bits(array, before[label]),
                f"{rule} writes into {label}, which it was given; work on a copy",
            )  # fmt: skip

    yield from intact("forward")
    kept = []
    for rule, how, call in _calls(at):
        result = call()
        yield from intact(rule)
        for finding, array in _results(at, rule, how, result):
            yield finding
            kept.append((finding.where, array, None if array is None else to_host(array).copy()))
    for where, array, copy in kept:
        yield holds(
            where, _same_bits(array, copy),
            "a later call wrote into this result; return a fresh array, or a copy",
        )  # fmt: skip
    again = [pair for rule, how, call in _calls(at) for pair in _results(at, rule, how, call())]
    for (where, _, copy), (_, array) in zip(kept, again, strict=True):
        yield holds(
            where, _same_bits(array, copy),
            "not deterministic: the same call gave other numbers the second time",
        )  # fmt: skip


def _same_bits(array: Array | None, copy: np.ndarray | None) -> bool:
    if array is None or copy is None:
        return array is copy
    return np.array_equal(to_host(array), copy, equal_nan=True)


def _calls(at: OpCase) -> list[tuple[str, str, Callable[[], Any]]]:
    """Every rule in every way: its name, the way in words, the call."""
    ways = [("", at.R)]
    if len(at.inputs) > 1:
        ways += [(f" with the tangent of {name} alone", at.alone(i)) for i, name in at.inputs]
    none: list[Array | None] = [None] * len(at.x)
    return [
        ("forward", "", partial(at.output, *at.x)),
        *(("rop", words, partial(at.rop, R)) for words, R in ways),
        ("vjp", "", partial(at.vjp, at.u)),
        ("rvjp", "", partial(at.rvjp, at.R, at.Ru)),
        ("rvjp", " without R{u}", partial(at.rvjp, at.R, None)),
        ("rvjp", " with R{u} alone", partial(at.rvjp, none, at.Ru)),
    ]


def _results(
    at: OpCase, rule: str, how: str, result: Any
) -> Iterator[tuple[Finding, Array | None]]:
    """Look at the shapes and dtypes of what a rule gave: (finding, array)."""
    if rule in ("forward", "rop"):
        yield _fits("forward's output" if rule == "forward" else rule + how, result, at.y.shape)
        return
    count = len(result) if isinstance(result, tuple) else type(result).__name__
    yield holds(
        rule + how, count == len(at.x), f"it must return a tuple of {len(at.x)} cotangents, one "
        f"per input, and returned {count}",
    ), None  # fmt: skip
    for i, name in at.inputs if count == len(at.x) else []:
        where = f"the cotangent of {name} in {rule}{how}"
        if result[i] is not None:
            yield _fits(where, result[i], at.x[i].shape)
        elif rule == "vjp":
            why = f"the cotangent of `{name}` is None, but was asked for"
            yield holds(where, False, why), None


def _fits(where: str, result: Any, wanted: tuple[int, ...]) -> tuple[Finding, Array | None]:
    found = tuple(getattr(result, "shape", ()))
    if not hasattr(result, "dtype"):
        return holds(where, False, f"it is {type(result).__name__}, expected an array"), None
    if found != tuple(wanted):
        hint = ": transposed" if found == tuple(wanted)[::-1] else ""
        return holds(where, False, f"it has shape {found}, expected {tuple(wanted)}{hint}"), None
    if result.dtype != np.float64:
        return holds(where, False, f"float64 came in, {result.dtype} came out"), None
    return holds(where, True, ""), result


CONTRACT = Rung("contract", "shapes, dtypes, the same bits again, nothing written into", _contract)
"""The first rung of every op."""
