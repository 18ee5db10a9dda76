"""A part of the way that a step rule found: the step is scaled after its line search.

Called by `minihf.HessianFree`, as a step rule.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

from minihf.optim.settings import must_be_a_part, settle
from minihf.optim.steps import Candidates, Outlook, Step, StepRule

__all__ = ["Scaled"]


@dataclass(frozen=True)
class Scaled:
    """`factor` times the step that `rule` found.

    With a factor that goes down, steps become small in the end, as in stochastic gradient descent:
    what lowers the objective of one batch is not right for the others. Kiros 2013 multiplies it by
    0.998 an epoch. The reduction ratio is that of the rule's own step.

    Parameters
    ----------
    rule : StepRule
    factor : float
        In (0, 1]; with 1 the step is the rule's own, to the bit.
    """

    rule: StepRule
    factor: float = 1.0

    def __post_init__(self) -> None:
        settle(self, factor="in (0, 1]")
        must_be_a_part(self, "rule", "__call__", "BacktrackingArmijo()")

    @property
    def momentum(self) -> bool:
        """Whether the rule looks at the previous update."""
        return self.rule.momentum

    def __call__(self, candidates: Candidates, here: Outlook) -> Step:
        """Return the scaled step, with the objective there: one more evaluation."""
        step = self.rule(candidates, here)
        if self.factor == 1 or not step.length:
            return step
        length = self.factor * step.length
        after = here.objective_at(length * step.direction)
        if not math.isfinite(after):
            problem = "the objective is not finite after the scaled step"
            return replace(step, length=0.0, objective=here.objective, problem=problem)
        return replace(step, length=length, objective=after)
