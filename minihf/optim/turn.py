"""One turn of an update: a group of blocks is solved at the same parameters, and moves together.

Gradient and curvature, the blocks' systems, a step, where it leads, and how far the model can be
trusted next time. An update is one turn of all blocks, or one of each. Called by
`minihf.HessianFree`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from time import perf_counter
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from minihf.backend import Array, floats, to_host
from minihf.curvature import CurvatureOperator, Shifted
from minihf.optim.batches import Batch, gradient, n_cases, objective, resume
from minihf.optim.joining import candidates, join, within
from minihf.optim.projections import projected
from minihf.optim.report import BlockReport, Report
from minihf.optim.state import HessianFreeState
from minihf.optim.steps import Outlook, Step
from minihf.optim.trust import promised, trust
from minihf.optim.verdict import all_finite, dead_end, nowhere, refusal, remark
from minihf.parallel import each
from minihf.params import Params
from minihf.solvers import CGResult
from minihf.tape import linearize

if TYPE_CHECKING:
    from minihf.optim.hessian_free import HessianFree

__all__ = ["Turn", "preconditioned"]

Result = tuple[Params, HessianFreeState, Report]


class Landing(NamedTuple):
    """Where a step leads: the parameters, the way there, and the objective there.

    With a problem the step is not made: the parameters and the objective are the old ones.
    """

    params: Params
    move: Array
    objective: float
    problem: str = ""


@dataclass(frozen=True)
class Turn:
    """What a turn is made of, beside the parameters and the state that it begins with.

    Attributes
    ----------
    opt : HessianFree
        The composition, its schedules resolved.
    net, loss
    batch, chunk : tuples (x, y) or (x, y, noise)
        Of the gradient and of the curvature.
    group : sequence of str
        The blocks that move.
    """

    opt: HessianFree
    net: Callable[..., Any]
    loss: Any
    batch: Batch
    chunk: Batch
    group: Sequence[str]

    def __call__(
        self, params: Params, state: HessianFreeState, solution: Array | None
    ) -> Result:
        """Make the turn. `solution` is all blocks' of the last update, for the warm start."""
        began, opt = perf_counter(), self.opt
        value, g = gradient(self.net, self.loss, params, self.batch, opt.l2)
        old, finite = floats(value, all_finite(g))
        if not (finite and math.isfinite(old)):
            problem = "the objective or its gradient is not finite"
            return self._stay(params, state, old, problem, self.group, {}, began)
        x, y, *noise = self.chunk
        C = opt.curvature(linearize(self.net, params, x, *noise), self.loss, y, opt.blocks)
        M, state = preconditioned(opt, C, g, state)
        lam = {name: state.lam[name] for name in self.group}
        solves, blocks = self._solve(C, g, lam, solution, M)
        found = join(C, {name: solve.x for name, solve in solves.items()})
        problem, at_fault = dead_end(solves, found)
        if problem:
            return self._stay(params, state, old, problem, at_fault, blocks, began)

        with np.errstate(over="ignore", invalid="ignore"):  # a bad step is rejected, with a reason
            last = None if state.move is None else within(C, self.group, state.move)

            def after(step: Array, on: Batch = self.batch) -> float:
                return self._objective(params.with_vector(params.vector + step), on)

            here = Outlook(g, old, after, C, lam, opt.l2, last, opt.damping.weight)
            step = opt.step_rule(candidates(C, solves), here)
            predicted = promised(here, step)
            landing = self._land(params, step, predicted, here)
            accepted = not landing.problem
            on_chunk = None if opt.rho_on == "gradient" else lambda step: after(step, self.chunk)
            rho, rhos = trust(here, step, predicted, solves, opt.damping, on_chunk, accepted)

        new_state = replace(
            state,
            lam=self._damped(state, rhos, accepted),
            solution=within(C, self.group, found, state.solution),
        )
        if accepted and opt.step_rule.momentum:
            move = within(C, self.group, landing.move, state.move)
            new_state = replace(new_state, move=move)
        report = Report(
            objective=old,
            new_objective=landing.objective,
            accepted=accepted,
            problem=(
                remark(solves, old, landing.objective)
                if accepted
                else f"update rejected: {landing.problem}"
            ),
            cases=n_cases(self.batch),
            products=sum(block.products for block in blocks.values()),
            seconds=perf_counter() - began,
            step_length=step.length if accepted else 0.0,
            lam=max(lam.values()),
            predicted=predicted,
            rho=rho,
            blocks={name: replace(block, rho=rhos[name]) for name, block in blocks.items()},
        )
        return landing.params, new_state, report

    def _objective(self, params: Params, batch: Batch) -> float:
        return float(to_host(objective(self.net, self.loss, params, batch, self.opt.l2)))

    def _solve(
        self,
        C: CurvatureOperator,
        g: Array,
        lam: Mapping[str, float],
        solution: Array | None,
        M: Mapping[str, Any],
    ) -> tuple[dict[str, CGResult], dict[str, BlockReport]]:
        """Solve (weight [C]_b + (lam_b + l2) I) d_b = -g_b for each block b of the group."""
        opt = self.opt
        if opt.structural is not None:
            damped = opt.structural(C, max(lam.values()))  # they are all equal
        else:
            damped = C.planned(getattr(opt.solver, "products", 0), self.group)

        def solved(name: str) -> tuple[CGResult, BlockReport]:
            began, block = perf_counter(), C.partition[name]
            previous = None if solution is None else solution[block.index]
            A = Shifted(damped.block(name), lam[name] + opt.l2, opt.damping.weight)
            solve = opt.solver(A, -g[block.index], previous, M.get(name))
            return solve, BlockReport(
                iterations=solve.n_iterations,
                products=solve.n_products,
                reason=solve.reason.name,
                lam=lam[name],
                predicted=solve.quadratics[-1],
                seconds=perf_counter() - began,
            )

        of_blocks = dict(zip(self.group, each(solved, self.group), strict=True))
        solves = {name: solve for name, (solve, _) in of_blocks.items()}
        return solves, {name: report for name, (_, report) in of_blocks.items()}

    def _land(self, params: Params, step: Step, predicted: float, here: Outlook) -> Landing:
        """Move by a step, and project; or refuse to."""
        move = step.length * step.direction
        problem = refusal(step, predicted, params)
        if not problem:
            moved = params.with_vector(params.vector + move)
            new, after = projected(self.opt.projection, moved), step.objective
            if new is not moved:
                move, after = new.vector - params.vector, self._objective(new, self.batch)
            problem = nowhere(params, new, after)
        if problem:
            return Landing(params, move, here.objective, problem)
        return Landing(new, move, after)

    def _stay(
        self,
        params: Params,
        state: HessianFreeState,
        value: float,
        problem: str,
        at_fault: Sequence[str],
        blocks: Mapping[str, BlockReport],
        began: float,
    ) -> Result:
        """Look for no step, and raise lam: of the blocks at fault, if each is judged alone."""
        report = Report(
            objective=value,
            new_objective=value,
            accepted=False,
            problem=f"update rejected: {problem}",
            cases=n_cases(self.batch),
            products=sum(block.products for block in blocks.values()),
            seconds=perf_counter() - began,
            lam=max(state.lam[name] for name in self.group),
            step_length=0.0,
            blocks=blocks,
        )
        told = at_fault if self.opt.damping.per_block else state.lam
        raised = self._damped(state, dict.fromkeys(told, math.nan), accepted=False)
        return params, replace(state, lam=raised), report

    def _damped(
        self, state: HessianFreeState, rhos: Mapping[str, float], accepted: bool
    ) -> dict[str, float]:
        """Return the next lam of every block; one that is told no rho keeps its own."""
        told = {
            name: self.opt.damping.update(state.lam[name], rho, accepted)
            for name, rho in rhos.items()
        }
        return {**state.lam, **told}


def preconditioned(
    opt: HessianFree, C: CurvatureOperator, g: Array, state: HessianFreeState
) -> tuple[Mapping[str, Any], HessianFreeState]:
    """Return an operator for each block, and the state with what is remembered of it."""
    if opt.preconditioner is None:
        return {}, state
    shift = {name: lam + opt.l2 for name, lam in state.lam.items()}
    rng = resume(state.rng)
    M, memory = opt.preconditioner(C, g, shift, state.memory, rng)
    return M, replace(state, memory=memory, rng=rng.bit_generator.state)
