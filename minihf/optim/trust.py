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

__all__ = ["Trust", "trust"]


class Trust(NamedTuple):
    """The model's change for the step, rho, and the rho that each block's damping is told."""

    predicted: float
    rho: float
    of_blocks: Mapping[str, float]


def trust(
    here: Outlook,
    step: Step,
    solves: Mapping[str, CGResult],
    damping: Damping,
    on_chunk: Callable[[Array], float] | None,
) -> Trust:
    """Measure rho, if the damping looks at it; else it is NaN.

    With `per_block` only the blocks that were solved are told one; else all are.

    `on_chunk` is the objective after a step, on the curvature batch. Without it the objective is
    that of the gradient batch, whose values the step rule knows.
    """
    p, xp, C = step.direction, array_module(step.direction), here.C
    predicted = step.predicted
    if predicted is None:
        bend = C.quadratic_form(p) + here.l2 * xp.vdot(p, p)
        predicted = float(to_host(xp.vdot(here.g, p) + 0.5 * bend))
    told = solves if damping.per_block else C.partition
    if not damping.adaptive or not step.length:
        return Trust(predicted, math.nan, dict.fromkeys(told, math.nan))
    if on_chunk is None:
        f, before, after = here.objective_at, here.objective, step.whole
    else:
        f, before, after = on_chunk, math.nan, math.nan
        if damping.per_block or predicted < 0:
            after, before = f(p), f(xp.zeros_like(p))
    rho = (after - before) / predicted if predicted < 0 else math.nan
    if not damping.per_block or len(solves) == 1:
        return Trust(predicted, rho, dict.fromkeys(told, rho))
    rhos = {name: _of_block(here, name, solve, f, before) for name, solve in solves.items()}
    return Trust(predicted, rho, rhos)


def _of_block(
    here: Outlook, name: str, solve: CGResult, f: Callable[[Array], float], before: float
) -> float:
    """Return rho for moving by one block's solution alone."""
    xp = array_module(solve.x)
    square = float(to_host(xp.vdot(solve.x, solve.x)))
    predicted = solve.quadratics[-1] - 0.5 * here.lam[name] * square
    alone = xp.zeros_like(here.g)
    alone[here.C.partition[name].index] = solve.x
    return (f(alone) - before) / predicted if predicted < 0 else math.nan
