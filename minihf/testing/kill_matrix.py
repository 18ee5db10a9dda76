"""The kill matrix: which planted bug is found by which rung, and which by the checks people use.

The rows are the bugs, the columns the rungs of the ladders and three weaker checks, each as often
seen in tests of derivatives:

    ones            the sum of all outputs, along all tangents at once: a cotangent of ones
    differences     a random cotangent, one tangent at a time, central differences with a step of
                    1e-5, and "close" in the sense of |a - b| <= 1e-5 + 1e-3 |b|
    in float32      the same in float32, "close" as widely as lets right rules pass: 0.2 + 0.2 |b|

Called by the book, which draws it, and by tests.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

from minihf.backend import Array
from minihf.testing.bug import Bug
from minihf.testing.builtin import Row
from minihf.testing.cases import plan
from minihf.testing.checks.factors import FACTORS
from minihf.testing.checks.op_case import OpCase, an_op
from minihf.testing.checks.targets import draw_targets
from minihf.testing.derivatives import central_difference_jvp
from minihf.testing.failure import CheckFailure
from minihf.testing.planted import BUGS
from minihf.testing.shapes import names_of, shape

__all__ = ["WEAK", "KillMatrix", "as_row", "kill_matrix", "sees"]

STEP = 1e-5
Pairs = Iterator[tuple[Any, Any]]


@dataclass(frozen=True)
class KillMatrix:
    """What `kill_matrix` gives.

    Attributes
    ----------
    bugs : tuple of str
        The rows.
    columns : tuple of str
        The rungs that break, in the order in which they are climbed, and the weaker checks.
    killed : numpy.ndarray of bool, shape (bugs, columns)
        A bug is killed by the first rung that breaks, and by each weaker check that sees it.
    asked : numpy.ndarray of bool, shape (bugs,)
        Whether the weaker checks were asked: they look at derivatives of ops and losses.
    """

    bugs: tuple[str, ...]
    columns: tuple[str, ...]
    killed: np.ndarray
    asked: np.ndarray

    def missed_by(self, check: str) -> list[str]:
        """Return the bugs that a weaker check was asked about, and does not see."""
        missed = self.asked & ~self.killed[:, self.columns.index(check)]
        return [bug for bug, miss in zip(self.bugs, missed, strict=True) if miss]

    def __str__(self) -> str:
        width = max(map(len, self.bugs))
        lines = [f"{'':{width}}  {'  '.join(self.columns)}"]
        for bug, row, asked in zip(self.bugs, self.killed, self.asked, strict=True):
            marks = []
            for name, hit in zip(self.columns, row, strict=True):
                mark = "x" if hit else " " if name in WEAK and not asked else "."
                marks.append(f"{mark:^{len(name)}}")
            lines.append(f"{bug:{width}}  {'  '.join(marks)}".rstrip())
        return "\n".join(lines)


def kill_matrix(bugs: Sequence[Bug] = BUGS) -> KillMatrix:
    """Let the ladder and the weaker checks loose on every bug; a few seconds for all.

    Examples
    --------
    >>> from minihf.testing.planted import BUGS
    >>> matrix = kill_matrix([bug for bug in BUGS if bug.name.startswith("log")])
    >>> [name for name, hit in zip(matrix.columns, matrix.killed[0]) if hit]
    ['complex step', 'ones']
    >>> matrix.missed_by("differences")
    ['log: epsilon in the slope']
    """
    rungs: list[str] = []
    hits: list[set[str]] = []
    asked: list[bool] = []
    for bug in bugs:
        try:
            ladder = list(bug.check().worst)
            hit = set()
        except CheckFailure as failure:
            ladder, hit = [*failure.passed, failure.rung], {failure.rung}
        rungs += [name for name in ladder if name not in rungs]
        row = None if bug.rung == FACTORS.name else bug.row
        if bug.on == "loss" and bug.rung == "complex step":
            row = as_row(bug.planted)
        asked.append(row is not None)
        hits.append(hit | {name for name in WEAK if row is not None and sees(name, row)})
    columns = (*(name for name in rungs if any(name in hit for hit in hits)), *WEAK)
    killed = np.array([[name in hit for name in columns] for hit in hits])
    return KillMatrix(tuple(bug.name for bug in bugs), columns, killed, np.array(asked))


# The weaker checks --------------------------------------------------------------------------


def sees(name: str, row: Row) -> bool:
    """Return whether a weaker check accuses an op, in any of the cases that the ladder looks at."""
    compare, relative, absolute = WEAK[name]
    inputs = [shape(text) for text in row.shapes]

    def fails(at: OpCase) -> bool:
        return any(
            not np.allclose(found, expected, relative, absolute) for found, expected in compare(at)
        )

    for case in plan(names_of(inputs)):
        try:
            if fails(OpCase(an_op(row.op, case.sizes), inputs, case, row.domain)):
                return True
        except Exception:  # an error is seen by everybody
            return True
    return False


def as_row(loss: Any) -> Row:
    """Return a loss as if it were an op with one number as its output."""
    return Row(lambda: LossAsOp(loss()), ("N M",))


class LossAsOp:
    """The value of a loss, its gradient, its Hessian, under an op's names."""

    def __init__(self, loss: Any) -> None:
        self.loss = loss

    def forward(self, z: Array) -> tuple[Array, Any]:
        """Return the value."""
        y = draw_targets(self.loss, z, np.random.default_rng(0))
        return self.loss.value(z, y), (z, y)

    def rop(self, residuals: Any, Rz: Array) -> Array:
        """Return <grad, R{z}>."""
        return (self.loss.grad(*residuals) * Rz).sum()

    def vjp(self, residuals: Any, u: Array, needs: Sequence[bool]) -> tuple[Array]:
        """Return u times the gradient."""
        return (u * self.loss.grad(*residuals),)

    def rvjp(
        self, residuals: Any, Rinputs: Sequence[Any], u: Array, Ru: Any, needs: Sequence[bool]
    ) -> tuple[Array]:
        """Return u H R{z} + R{u} times the gradient."""
        z, _ = residuals
        (Rz,) = Rinputs
        curved = 0 * z if Rz is None else u * self.loss.hvp(*residuals, Rz)
        return (curved if Ru is None else curved + Ru * self.loss.grad(*residuals),)


def ones(at: OpCase) -> Pairs:
    """Compare the slope and the curvature of the sum of all outputs, along all tangents at once."""
    u = np.ones_like(at.u)

    def slope(*x: Array) -> Array:
        return _dot(at.op.vjp(at.op.forward(*x)[1], u, at.all), at.R)

    along = central_difference_jvp(lambda *x: at.output(*x).sum(), at.x, at.R).jvp
    yield at.rop(at.R).sum(), along
    yield slope(*at.x), along
    curvature = central_difference_jvp(slope, at.x, at.R).jvp
    yield _dot(at.op.rvjp(at.residuals, at.R, u, None, at.all), at.R), curvature


def differences(at: OpCase, dtype: Any = np.float64) -> Pairs:
    """Compare rop, vjp and rvjp with central differences, one tangent at a time."""
    h, op = dtype(STEP), at.op

    def cast(arrays: Sequence[Any]) -> list[Any]:
        return [None if array is None else array.astype(dtype) for array in arrays]

    def slopes(f: Callable[..., Sequence[Any]], x: Sequence[Any], R: Sequence[Any]) -> list[Any]:
        there, back = (
            f(*(a if d is None else a + s * h * d for a, d in zip(x, R, strict=True)))
            for s in (1, -1)
        )
        return [(a - b) / (2 * h) for a, b in zip(there, back, strict=True)]

    def vjp(u: Array, *x: Array) -> tuple[Any, ...]:
        return op.vjp(op.forward(*x)[1], u, at.all)

    x, R, (u, Ru) = cast(at.x), cast(at.R), cast([at.u, at.Ru])
    residuals = op.forward(*x)[1]
    cotangents = op.vjp(residuals, u, at.all)
    for i, _ in at.inputs:
        alone = at.alone(i, R)
        (Ry,) = slopes(lambda *x: [op.forward(*x)[0]], x, alone)
        yield op.rop(residuals, *alone), Ry
        yield np.vdot(cotangents[i], R[i]), np.vdot(u, Ry)
        found = op.rvjp(residuals, alone, u, None, at.all)
        expected = slopes(vjp, [u, *x], [None, *alone])
        yield from ((0 if a is None else a, b) for a, b in zip(found, expected, strict=True))
    found = op.rvjp(residuals, [None] * len(x), u, Ru, at.all)
    expected = slopes(vjp, [u, *x], [Ru, *[None] * len(x)])
    yield from ((0 if a is None else a, b) for a, b in zip(found, expected, strict=True))


def _dot(cotangents: Sequence[Any], R: Sequence[Any]) -> Any:
    return sum(np.vdot(c, d) for c, d in zip(cotangents, R, strict=True) if c is not None)


WEAK: Mapping[str, tuple[Callable[[OpCase], Pairs], float, float]] = {
    "ones": (ones, 1e-6, 1e-8),
    "differences": (differences, 1e-3, 1e-5),
    "in float32": (partial(differences, dtype=np.float32), 0.2, 0.2),
}
"""By name: what is compared, and what is close, relative and absolute: right rules pass all."""
