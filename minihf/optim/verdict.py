"""Whether an update is to be made, and in one line what is wrong, if anything is.

It is asked three times: of the solves, before a step is looked for; of the step that was found; and
of where it leads. Called by `minihf.HessianFree`.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping

from minihf.backend import Array, array_module, floats
from minihf.optim.steps import Step, no_way
from minihf.params import Params
from minihf.solvers import CGResult, Reason

__all__ = ["all_finite", "dead_end", "nowhere", "refusal", "remark"]

FAULTS = {Reason.NOT_POSITIVE_DEFINITE: "the matrix was not positive definite"}
"""Of the reasons for which a solver can stop, those worth a line where other blocks move."""

DEAD_ENDS = {
    **FAULTS,
    Reason.NON_FINITE: "a product was not finite",
    Reason.ZERO_RHS: "the gradient is zero",
    Reason.NEGATIVE_CURVATURE: "p'Ap <= 0 or r'Mr <= 0 from the start (NEGATIVE_CURVATURE)",
}
"""What to say of a solver that found nothing."""


def dead_end(solves: Mapping[str, CGResult], found: Array) -> tuple[str, list[str]]:
    """Tell why there is no step to look for, or nothing, and the blocks at fault.

    A number that is not finite, in one block, is enough; that nothing was found is a matter of all.
    `found` (n,) is what the solves found, joined.
    """
    finite, moves = floats(all_finite(found), (found != 0).any())
    if not finite or any(s.reason is Reason.NON_FINITE for s in solves.values()):
        bad = [
            name for name, solve in solves.items()
            if solve.reason is Reason.NON_FINITE or not bool(all_finite(solve.x))
        ]
        return _in_blocks(DEAD_ENDS[Reason.NON_FINITE], bad), bad
    if not moves:
        return _told(solves, dict.fromkeys(solve.reason for solve in solves.values())), [*solves]
    return "", []


def refusal(step: Step, predicted: float, params: Params) -> str:
    """Tell why a step is not to be made, or nothing."""
    if not step.length:
        whole = params.with_vector(params.vector + step.direction)
        return step.problem if bool(_differ(params, whole)) else _too_small(params)
    if not math.isfinite(predicted):
        return "the quadratic model is not finite along the step"
    return ""


def nowhere(params: Params, new: Params, after: float) -> str:
    """Tell why the parameters cannot go where the step leads, or nothing; `after` is the objective.

    A finite objective does not vouch for the parameters: a unit may be out of use.
    """
    if not math.isfinite(after):
        return no_way([after])
    finite, differ = floats(all_finite(new.vector), _differ(params, new))
    if not finite:
        return "a parameter is not finite after the step"
    return "" if differ else _too_small(params)


def remark(solves: Mapping[str, CGResult], before: float, after: float) -> str:
    """Tell what is wrong about an update that is made, or nothing."""
    rose = ["the objective rose"] if after > before else []
    return "; ".join([*filter(None, [_told(solves, FAULTS)]), *rose])


def all_finite(array: Array) -> Array:
    """Tell whether there are only numbers in the array, by an array without axes."""
    return array_module(array).isfinite(array).all()


def _told(solves: Mapping[str, CGResult], reasons: Iterable[Reason]) -> str:
    """Say which of the reasons ended which block's solve."""
    blocks = {
        reason: [name for name, solve in solves.items() if solve.reason is reason]
        for reason in reasons
    }
    return "; ".join(
        _in_blocks(DEAD_ENDS.get(reason, f"the solver found nothing ({reason.name})"), names)
        for reason, names in blocks.items()
        if names
    )


def _in_blocks(what: str, names: list[str]) -> str:
    return f"{what} in block {', '.join(names)}"


def _differ(one: Params, other: Params) -> Array:
    return (one.vector != other.vector).any()


def _too_small(params: Params) -> str:
    return (
        f"the step is too small to change a parameter in {params.dtype}: "
        "converged, or lam is too large"
    )
