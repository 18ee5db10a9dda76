"""Known mistakes: a wrong result, looked up among those of the planted bugs.

A user's own op with the forward of one of the library's, and the wrong result of one of the bugs
planted there, has the same mistake, whatever its code looks like. So a student's LSTM that takes
the old cell state is told just that.

Called by `check_op`, once something is wrong.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from minihf.backend import Array, to_host
from minihf.op import Op
from minihf.testing.builtin import BUILTIN
from minihf.testing.checks.op_case import an_op
from minihf.testing.measure import same
from minihf.testing.planted import BUGS
from minihf.testing.planting import planted_in

__all__ = ["known_bugs"]

SAME = 1e-9  # relative: two results of the same formula; bugs differ in more


def known_bugs(
    x: Sequence[Any],
    y: np.ndarray,
    sizes: Mapping[str, int],
    result: Callable[[Any], Any],
    found: np.ndarray,
) -> list[str]:
    """Return the diagnoses of the known bugs that give `found` where another op does.

    Parameters
    ----------
    x, y, sizes
        Inputs and output of the op in question, and the sizes of the case: only ops with the same
        forward are asked, and these may have optional inputs more.
    result : callable of an op
        What is wrong in the op in question, from an op with a bug.
    found : numpy.ndarray
        What is wrong in the op in question.
    """
    said: list[str] = []
    with np.errstate(all="ignore"):
        for op in _with_the_same_forward(x, y, sizes):
            home = f"{type(op).__module__}:{type(op).__name__}."
            for bug in BUGS:
                if bug.known and bug.target.startswith(home) and bug.diagnosis not in said:
                    try:
                        other = result(Shortened(planted_in(op, bug.planted), len(x)))
                    except Exception:  # other shapes; or the library's source is not at hand
                        continue
                    if other is not None and same(np.asarray(to_host(other)), found, SAME):
                        said.append(bug.diagnosis)
    return said


def _with_the_same_forward(
    x: Sequence[Any], y: np.ndarray, sizes: Mapping[str, int]
) -> Iterator[Any]:
    seen = []
    for row in BUILTIN.values():
        try:
            op = an_op(row.op, sizes)
            if repr(op) in seen or not _takes(op, len(x)):
                continue
            seen.append(repr(op))
            output = np.asarray(to_host(Shortened(op, len(x)).forward(*x)[0]))
        except Exception:  # these are no inputs of that op
            continue
        if same(output, y, SAME):
            yield op


def _takes(op: Op, n: int) -> bool:
    try:
        inspect.signature(op.forward).bind(*range(n))
    except TypeError:
        return False
    return True


class Shortened:
    """An op with the first n of its inputs; the others, None, are no part of it."""

    def __init__(self, op: Op, n: int) -> None:
        parameters = inspect.signature(op.forward).parameters
        self.op, self.n = op, n
        self.more = max(0, len(parameters) - n) if "inputs" not in parameters else 0

    def _padded(self, things: Sequence[Any], by: Any = None) -> tuple[Any, ...]:
        return (*things, *(by,) * self.more)

    def forward(self, *inputs: Any) -> tuple[Array, Any]:
        """Run forward with None for the others."""
        return self.op.forward(*self._padded(inputs))

    def rop(self, residuals: Any, *Rinputs: Any) -> Array:
        """Apply rop."""
        return self.op.rop(residuals, *self._padded(Rinputs))

    def vjp(self, residuals: Any, u: Array, needs: Sequence[bool]) -> tuple[Array | None, ...]:
        """Apply vjp."""
        return self.op.vjp(residuals, u, self._padded(needs, False))[: self.n]

    def rvjp(
        self,
        residuals: Any,
        Rinputs: Sequence[Any],
        u: Array,
        Ru: Array | None,
        needs: Sequence[bool],
    ) -> tuple[Array | None, ...]:
        """Apply rvjp."""
        R, for_all = self._padded(Rinputs), self._padded(needs, False)
        return self.op.rvjp(residuals, R, u, Ru, for_all)[: self.n]
