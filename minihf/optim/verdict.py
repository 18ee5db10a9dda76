"""Whether an update is to be made, and in one line what is wrong, if anything is.

Called by `minihf.HessianFree`.
"""

from __future__ import annotations

from collections.abc import Mapping

from minihf.backend import Array, array_module
from minihf.optim.steps import Step
from minihf.solvers import CGResult, Reason

__all__ = ["all_finite", "verdict"]

FAULTS = {
    Reason.NON_FINITE: "a product was not finite",
    Reason.NOT_POSITIVE_DEFINITE: "the matrix was not positive definite",
}
"""Of the reasons for which a solver can stop, those worth a line in the report."""


def verdict(step: Step, solves: Mapping[str, CGResult]) -> tuple[bool, str]:
    """Tell whether to move, and in one line what is wrong, if anything is."""
    problem = "; ".join(
        f"{what} in block {', '.join(failed)}"
        for reason, what in FAULTS.items()
        if (failed := [name for name, solve in solves.items() if solve.reason is reason])
    )
    if not bool((step.direction != 0).any()):
        return False, f"update rejected: {problem or 'the gradient is zero, or CG found no way'}"
    if not step.length:
        return False, f"update rejected: {problem or step.problem}"
    return True, problem


def all_finite(value: Array, g: Array) -> bool:
    """Tell whether an objective and its gradient are numbers."""
    xp = array_module(g)
    return bool(xp.isfinite(value)) and bool(xp.isfinite(g).all())
