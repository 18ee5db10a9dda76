"""From a CG direction to a step: how far to go, and whether to go at all.

A step rule sees the candidates that CG left (the kept iterates of every block, joined from the last
to the first), the slope along them, and the objective as a function of the parameters. Called by
`minihf.HessianFree`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from minihf.backend import Array, array_module, to_host
from minihf.optim.settings import settle

__all__ = ["BacktrackingArmijo", "FixedStep", "Step", "StepRule"]


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
    """

    direction: Array
    length: float
    objective: float
    problem: str = ""


class StepRule(Protocol):
    """What the optimizer asks of a step rule."""

    def __call__(
        self,
        candidates: Sequence[Callable[[], Array]],
        g: Array,
        objective: float,
        objective_at: Callable[[Array], float],
    ) -> Step:
        """Choose a step.

        `candidates` make directions, CG's last iterates first; `g` is the gradient; `objective` is
        the present value and ``objective_at(step)`` the value after a step.
        """


@dataclass(frozen=True)
class FixedStep:
    """alpha times CG's result, whatever the objective says, unless that is not finite."""

    alpha: float = 0.1

    def __post_init__(self) -> None:
        settle(self, alpha="positive")

    def __call__(
        self,
        candidates: Sequence[Callable[[], Array]],
        g: Array,
        objective: float,
        objective_at: Callable[[Array], float],
    ) -> Step:
        """Return the step; reject it where the objective is not finite."""
        direction = self.alpha * candidates[0]()
        after = objective_at(direction)
        if not math.isfinite(after):
            return Step(direction, 0.0, objective, "the objective is not finite after the step")
        return Step(direction, 1.0, after)


@dataclass(frozen=True)
class BacktrackingArmijo:
    """Back along CG's iterates while the objective improves, then Armijo's line search.

    Martens 2010, section 4.6, and the author's code: c = 0.01, factor 0.8, at most 60 tries; if
    none gives f(theta + rate d) <= f(theta) + c rate g'd, the step is rejected.
    """

    c: float = 0.01
    factor: float = 0.8
    max_tries: int = 60

    def __post_init__(self) -> None:
        settle(self, c="0 or more", factor="in (0, 1)", max_tries="1 or more")

    def __call__(
        self,
        candidates: Sequence[Callable[[], Array]],
        g: Array,
        objective: float,
        objective_at: Callable[[Array], float],
    ) -> Step:
        """Return the step; the objective never rises by it."""
        direction, after = self._backtrack(candidates, objective_at)
        slope = float(to_host(array_module(g).vdot(g, direction)))
        if not math.isfinite(slope):
            return Step(direction, 0.0, objective, "the slope along the step is not finite")
        for attempt in range(self.max_tries):
            rate = self.factor**attempt
            if attempt:
                after = objective_at(rate * direction)
            if after <= min(objective + self.c * rate * slope, objective):
                return Step(direction, rate, after)
        return Step(direction, 0.0, objective, "no step lowered the objective")

    @staticmethod
    def _backtrack(
        candidates: Sequence[Callable[[], Array]], objective_at: Callable[[Array], float]
    ) -> tuple[Array, float]:
        best = candidates[0]()
        best_objective = objective_at(best)
        for make in candidates[1:]:
            direction = make()
            value = objective_at(direction)
            if not value < best_objective and math.isfinite(best_objective):
                break
            best, best_objective = direction, value
        return best, best_objective
