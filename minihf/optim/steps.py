"""From CG's directions to a step: how far to go, and whether to go at all.

A step rule sees the candidates that CG left (the kept iterates of every block, joined from the last
to the first), and an `Outlook`: the objective, its gradient and the quadratic model around the
present parameters. Called by `minihf.HessianFree`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from minihf.backend import Array, array_module, to_host
from minihf.curvature import CurvatureOperator
from minihf.curvature.operator import pairwise_sums
from minihf.optim.settings import settle
from minihf.partition import Block

__all__ = [
    "BacktrackingArmijo",
    "FixedStep",
    "Outlook",
    "Step",
    "StepRule",
    "Subspace",
    "SumThenMean",
]

Candidates = Sequence[Callable[[], Array]]
"""Functions that make directions (n,): CG's last iterates first."""


@dataclass(frozen=True)
class Step:
    """What a step rule decided.

    Attributes
    ----------
    direction : array, shape (n,)
        The step before any line search: what the reduction ratio is asked about.
    length : float
        The parameters move by ``length * direction``; 0 rejects the step.
    objective : float
        At the new parameters; at the old ones after a rejection.
    problem : str
        Why it was rejected.
    whole : float
        The objective after the whole direction, on the gradient batch.
    predicted : float, optional
        The model's change for the whole direction, damping left out, where the rule knows it.
    """

    direction: Array
    length: float
    objective: float
    problem: str = ""
    whole: float = math.nan
    predicted: float | None = None


@dataclass(frozen=True)
class Outlook:
    """What can be known around the present parameters theta.

    Attributes
    ----------
    g : array, shape (n,)
        The gradient.
    objective : float
        The present value.
    objective_at : callable
        ``objective_at(step)`` is the value at theta + step, on the gradient batch.
    C : CurvatureOperator
        The curvature, without damping and L2.
    lam : dict of str to float
        The damping of each block that is to move.
    l2 : float
    previous : array, shape (n,), or None
        The last update that was accepted, if the rule asks for it.
    weight : float
        What the damping rule multiplies the curvature by; 1 mostly.
    """

    g: Array
    objective: float
    objective_at: Callable[[Array], float]
    C: CurvatureOperator
    lam: Mapping[str, float]
    l2: float = 0.0
    previous: Array | None = None
    weight: float = 1.0

    @property
    def blocks(self) -> Mapping[str, Block]:
        """The blocks that are to move."""
        return {name: self.C.partition[name] for name in self.lam}

    def slope(self, direction: Array) -> float:
        """Return g'd."""
        return float(to_host(array_module(self.g).vdot(self.g, direction)))


class StepRule(Protocol):
    """What the optimizer asks of a step rule."""

    @property
    def momentum(self) -> bool:
        """Whether it looks at the previous update."""

    def __call__(self, candidates: Candidates, here: Outlook) -> Step:
        """Choose a step."""


@dataclass(frozen=True)
class FixedStep:
    """alpha times CG's result, whatever the objective says, unless that is not finite."""

    alpha: float = 0.1
    momentum = False

    def __post_init__(self) -> None:
        settle(self, alpha="positive")

    def __call__(self, candidates: Candidates, here: Outlook) -> Step:
        """Return the step; reject it where the objective is not finite."""
        direction = self.alpha * candidates[0]()
        after = here.objective_at(direction)
        if not math.isfinite(after):
            return Step(direction, 0.0, here.objective, no_way([after]), after)
        return Step(direction, 1.0, after, whole=after)


@dataclass(frozen=True)
class BacktrackingArmijo:
    """Back along CG's iterates while the objective improves, then Armijo's line search.

    Martens 2010, section 4.6, and the author's code: c = 0.01, factor 0.8, at most 60 tries; if
    none gives f(theta + rate d) <= f(theta) + c rate g'd, the step is rejected.
    """

    c: float = 0.01
    factor: float = 0.8
    max_tries: int = 60
    momentum = False

    def __post_init__(self) -> None:
        settle(self, c="0 or more", factor="in (0, 1)", max_tries="1 or more")

    def __call__(self, candidates: Candidates, here: Outlook) -> Step:
        """Return the step; the objective never rises by it."""
        direction, whole = self._backtrack(candidates, here.objective_at)
        slope = here.slope(direction)
        if not math.isfinite(slope):
            return Step(direction, 0.0, here.objective, "the slope along the step is not finite")
        tried = [whole]
        for attempt in range(self.max_tries):
            rate = self.factor**attempt
            if attempt:
                tried.append(here.objective_at(rate * direction))
            most = min(here.objective + self.c * rate * slope, here.objective)
            if _at_most(most, tried[-1]):
                return Step(direction, rate, tried[-1], whole=whole)
        return Step(direction, 0.0, here.objective, no_way(tried), whole)

    @staticmethod
    def _backtrack(
        candidates: Candidates, objective_at: Callable[[Array], float]
    ) -> tuple[Array, float]:
        best = candidates[0]()
        best_objective = objective_at(best)
        for make in candidates[1:]:
            direction = make()
            value = objective_at(direction)
            better = math.isfinite(value) and value < best_objective
            if not better and math.isfinite(best_objective):
                break
            best, best_objective = direction, value
        return best, best_objective


@dataclass(frozen=True)
class SumThenMean:
    """The sum of the blocks' steps if the objective falls by it, else their mean, else none.

    The mean is 1 / B of the sum, for B blocks that move together. With exact block solves it never
    raises the quadratic model, since C <= B blkdiag(C); the sum may. For one block both are the
    block's step. The reduction ratio is that of the one taken.
    """

    momentum = False

    def __call__(self, candidates: Candidates, here: Outlook) -> Step:
        """Return the step; the objective falls by it."""
        total, tried = candidates[0](), []
        for count in dict.fromkeys((1, len(here.lam))):
            direction = total / count
            after = here.objective_at(direction)
            if math.isfinite(after) and after < here.objective:
                return Step(direction, 1.0, after, whole=after)
            tried.append(after)
        return Step(direction, 0.0, here.objective, no_way(tried), after)


COLLINEAR = 1e-5
"""Directions of unit length in the model's own norm count as one below this eigenvalue of their
inner products: what single precision can tell from rounding, with a margin."""


@dataclass(frozen=True)
class Subspace:
    """The exact minimiser of the whole damped quadratic over the span of a few directions.

    The blocks' directions d_b are found without knowing of each other. With D = [d, p], their sum d
    and the previous update p, the step is s = D c,

        (D' (w C + L) D) c = -D' g,    L = lam_b + l2 on the diagonal of block b,

    w the weight that the damping leaves to C, mostly 1, and C whole, off-diagonal blocks included:
    it takes one tangent forward for each direction and a small dense solve, and gives both the
    length of d and the momentum. Then s shrinks by `factor` while the objective on the gradient
    batch rises, and is rejected after `max_tries`.

    Parameters
    ----------
    one_by_one : bool
        Give every block's direction a length of its own: as many columns as blocks, each held as a
        vector (n,).
    momentum : bool
        Whether p takes part.
    factor, max_tries : float, int
        Of the line search.

    Notes
    -----
    Directions that are collinear in the norm of the damped model are taken for one.
    """

    one_by_one: bool = False
    momentum: bool = True
    factor: float = 0.5
    max_tries: int = 10

    def __post_init__(self) -> None:
        settle(self, factor="in (0, 1)", max_tries="1 or more")

    def __call__(self, candidates: Candidates, here: Outlook) -> Step:
        """Return the step; the objective never rises by it."""
        joined = candidates[0]()
        directions = _by_block(joined, here) if self.one_by_one else [joined]
        if self.momentum and here.previous is not None:
            directions.append(here.previous)
        slopes, model, damped = _projected(directions, here)
        if not (np.isfinite(slopes).all() and np.isfinite(damped).all()):
            return Step(joined, 0.0, here.objective, "the model along the step is not finite")
        c = _minimiser(damped, slopes)
        step = _combined(c, directions)
        predicted = float(slopes @ c + 0.5 * c @ model @ c)
        tried = [here.objective_at(step)]
        for attempt in range(self.max_tries):
            rate = self.factor**attempt
            if attempt:
                tried.append(here.objective_at(rate * step))
            if _at_most(here.objective, tried[-1]):
                return Step(step, rate, tried[-1], whole=tried[0], predicted=predicted)
        return Step(step, 0.0, here.objective, no_way(tried), tried[0], predicted)


def no_way(tried: Sequence[float]) -> str:
    """Say why none of the steps will do, by the objective after each of them."""
    finite = [math.isfinite(value) for value in tried]
    if not any(finite):
        return "the objective is not finite after the step"
    if not all(finite):
        return "no step lowered the objective, and after some it is not finite"
    return "no step lowered the objective"


def _at_most(most: float, value: float) -> bool:
    return math.isfinite(value) and value <= most


def _by_block(joined: Array, here: Outlook) -> list[Array]:
    """Return each block's part of the vector, zeros elsewhere."""
    parts = []
    for block in here.blocks.values():
        part = array_module(joined).zeros_like(joined)
        part[block.index] = joined[block.index]
        parts.append(part)
    return parts


def _projected(
    directions: Sequence[Array], here: Outlook
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return D'g, D'(C + l2)D and D'(weight C + L)D on the host, in double precision."""
    k, sums = len(directions), [pairwise_sums([here.g], directions), here.C.gram(directions)]
    for block in here.blocks.values():
        parts = [direction[block.index] for direction in directions]
        sums.append(pairwise_sums(parts, parts))
    host = to_host(array_module(here.g).concatenate(sums)).astype(np.float64)  # one transfer
    slopes, model, inner = host[0], host[1 : k + 1], host[k + 1 :].reshape(-1, k, k)
    damped = here.weight * model
    for lam, of_block in zip(here.lam.values(), inner, strict=True):
        model += here.l2 * of_block
        damped += (here.l2 + lam) * of_block
    return slopes, model, damped


def _minimiser(Q: np.ndarray, slopes: np.ndarray) -> np.ndarray:
    """Return c that minimises slopes'c + 1/2 c'Qc, away from what is collinear or not convex.

    Among collinear directions the one with the smallest coefficients is taken.
    """
    convex = np.diag(Q) > 0
    scale = np.where(convex, 1 / np.sqrt(np.where(convex, np.diag(Q), 1)), 0)
    values, vectors = np.linalg.eigh(scale[:, None] * Q * scale)
    kept = values > COLLINEAR
    V = scale[:, None] * vectors[:, kept]
    return -V @ ((V.T @ slopes) / values[kept])


def _combined(c: np.ndarray, directions: Sequence[Array]) -> Array:
    step = float(c[0]) * directions[0]
    for factor, direction in zip(c[1:], directions[1:], strict=True):
        step += float(factor) * direction
    return step
