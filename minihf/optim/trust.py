"""How far the quadratic model can be trusted: the reduction ratio, of the step and of each block.

    rho = (f(theta + p) - f(theta)) / (g'p + 1/2 p'(C + l2 I)p)

is the change that came over the change that was promised, damping left out, for the step p before
its line search. C is the whole curvature, off-diagonal blocks included. A damping rule makes the
next lam of it.

J. Martens, ICML 2010, section 4.1. Called by `minihf.HessianFree`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import NamedTuple

from minihf.backend import Array, array_module, to_host
from minihf.optim.damping import Damping
from minihf.optim.steps import Outlook, Step
from minihf.solvers import CGResult

__all__ = ["Trust", "promised", "trust"]


class Trust(NamedTuple):
    """The reduction ratio rho, and the one that each block's damping is told."""

    rho: float
    of_blocks: Mapping[str, float]


def promised(here: Outlook, step: Step) -> float:
    """Return the model's change of the objective for the whole direction, damping left out."""
    if step.predicted is not None:
        return step.predicted
    p, xp = step.direction, array_module(step.direction)
    bend = here.C.quadratic_form(p) + here.l2 * xp.vdot(p, p)
    return float(to_host(xp.vdot(here.g, p) + 0.5 * bend))


def trust(
    here: Outlook,
    step: Step,
    predicted: float,
    solves: Mapping[str, CGResult],
    damping: Damping,
    on_chunk: Callable[[Array], float] | None,
    accepted: bool,
) -> Trust:
    """Measure rho, if the update is accepted and the damping looks at it; else it is NaN.

    With `per_block` only the blocks that were solved are told one; else all are. `predicted` is
    what was `promised`.

    `on_chunk` is the objective after a step, on the curvature batch. Without it the objective is
    that of the gradient batch, whose values the step rule knows.
    """
    p, xp = step.direction, array_module(step.direction)
    told = solves if damping.per_block else here.C.partition
    if not damping.adaptive or not accepted:
        return Trust(math.nan, dict.fromkeys(told, math.nan))
    if on_chunk is None:
        f, before, after = here.objective_at, here.objective, step.whole
    else:
        f, before, after = on_chunk, math.nan, math.nan
        if damping.per_block or predicted < 0:
            after, before = f(p), f(xp.zeros_like(p))
    rho = _ratio(after - before, predicted)
    if not damping.per_block or len(solves) == 1:
        return Trust(rho, dict.fromkeys(told, rho))
    return Trust(
        rho, {name: _of_block(here, name, solve, f, before) for name, solve in solves.items()}
    )


def _of_block(
    here: Outlook, name: str, solve: CGResult, f: Callable[[Array], float], before: float
) -> float:
    """Return rho for moving by one block's solution alone."""
    alone = array_module(solve.x).zeros_like(here.g)
    alone[here.C.partition[name].index] = solve.x
    return _ratio(f(alone) - before, _promised_by_block(here, name, solve))


def _promised_by_block(here: Outlook, name: str, solve: CGResult) -> float:
    """Return the model's change for one block's solution alone, damping left out.

    The solver's own quadratic has it, if that was made from products with the unweighted block.
    """
    x, xp = solve.x, array_module(solve.x)
    square = xp.vdot(x, x)
    if solve.n_products and here.weight == 1:
        return solve.quadratics[-1] - 0.5 * here.lam[name] * float(to_host(square))
    bend = here.C.block(name).quadratic_form(x) + here.l2 * square
    return float(to_host(xp.vdot(here.g[here.C.partition[name].index], x) + 0.5 * bend))


def _ratio(change: float, predicted: float) -> float:
    """Return actual over promised change: NaN without a promise, or where there is no number."""
    rho = change / predicted if predicted < 0 else math.nan
    return rho if math.isfinite(rho) else math.nan
