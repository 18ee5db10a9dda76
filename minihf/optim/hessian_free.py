"""Hessian-free optimization as one composition of parts; with several blocks, block-diagonal.

    g = gradient on the gradient batch                                   objective and l2 included
    C = curvature on the curvature batch, a part of it
    for each block b:   d_b = CG( [C]_b + (lam + l2) I,  -g_b )          independent of each other
    step rule:          theta += length * direction, out of CG's iterates
    damping rule:       lam from the reduction ratio rho

One block is classical Hessian-free optimization (Martens 2010); the encoder and the decoder as
blocks, a fixed step and no damping are block-diagonal Hessian-free optimization (Zhang, Xiong,
Bradbury & Socher 2017, arXiv 1712.07296). `minihf.optim.papers` has them as compositions.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from time import perf_counter
from typing import Any

import numpy as np

from minihf.backend import Array, array_module, to_host
from minihf.curvature import GGN, CurvatureOperator, Shifted
from minihf.optim.batches import Batch, generator, gradient, n_cases, objective, with_noise
from minihf.optim.damping import Constant, Damping
from minihf.optim.preconditioners import Preconditioner
from minihf.optim.report import BlockReport, Report
from minihf.optim.sampling import Prefix, Sampling
from minihf.optim.settings import settle
from minihf.optim.steps import FixedStep, Step, StepRule
from minihf.params import Params
from minihf.partition import Partition
from minihf.solvers import CGResult, Reason, RelativeProgress, cg
from minihf.tape import linearize

__all__ = ["ConjugateGradients", "HessianFree", "HessianFreeState"]


@dataclass(frozen=True)
class ConjugateGradients:
    """How each block's system is solved: the settings of `minihf.cg`.

    `warm_start` times the block's previous solution is where CG begins; 0 begins at zero.
    """

    max_iters: int = 30
    stop: Any = field(default_factory=RelativeProgress)
    warm_start: float = 0.95
    check_every: int = 1

    def __post_init__(self) -> None:
        settle(self, max_iters="1 or more", check_every="1 or more", warm_start="0 or more")

    def __call__(self, A: Any, b: Array, previous: Array | None, M: Any) -> CGResult:
        """Solve A x = b."""
        x0 = None
        if previous is not None and self.warm_start:
            x0 = self.warm_start * previous
        return cg(A, b, x0, M, self.max_iters, self.stop, check_every=self.check_every)


@dataclass(frozen=True)
class HessianFreeState:
    """What is carried from update to update: plain arrays and numbers.

    Attributes
    ----------
    update : int
        Updates tried so far.
    lam : float
        The damping of the next one.
    solution : array, shape (n,), or None
        CG's last iterate of every block, for the warm start.
    rng : dict
        State of the `numpy.random.Generator` that noise layers draw from.
    """

    update: int
    lam: float
    solution: Array | None
    rng: Mapping[str, Any]


@dataclass(frozen=True)
class HessianFree:
    """Hessian-free optimization, block by block: a frozen composition.

    Parameters
    ----------
    blocks : what `Partition.of` takes
        ``"network"`` (classical), ``"layer"``, ``"param"``, or block name to glob(s).
    curvature : type of CurvatureOperator
        `GGN`, or `Hessian`.
    solver : ConjugateGradients
    preconditioner : Preconditioner, optional
        `SquaredGradients`, for one.
    damping : Damping
        `Constant` or `LevenbergMarquardt`.
    step_rule : StepRule
        `FixedStep` or `BacktrackingArmijo`.
    sampling : Sampling
        `Prefix` or `CycledChunks`: the curvature batch, where `step` is not given one.
    l2 : float
        Coefficient of 1/2 |theta|^2, in objective, gradient and curvature alike.

    Notes
    -----
    Without arguments it is `papers.zhang2017` with layers as blocks.

    Examples
    --------
    >>> import numpy as np, minihf as hf
    >>> rng = np.random.default_rng(0)
    >>> x = rng.standard_normal((64, 4)).astype(np.float32)
    >>> batch = (x, x[:, :2] * x[:, 2:])
    >>> net = hf.Sequential(hf.Dense(4, 16), hf.Tanh(), hf.Dense(16, 2))
    >>> params, opt = net.init(0), hf.papers.martens2010(lam=1.0)
    >>> state = opt.init(params)
    >>> for _ in range(10):
    ...     params, state, report = opt.step(net, hf.SquaredError(), params, state, batch)
    >>> report.accepted, report.new_objective < report.objective
    (True, True)
    """

    blocks: Any = "layer"
    curvature: type[CurvatureOperator] = GGN
    solver: ConjugateGradients = field(default_factory=ConjugateGradients)
    preconditioner: Preconditioner | None = None
    damping: Damping = field(default_factory=Constant)
    step_rule: StepRule = field(default_factory=FixedStep)
    sampling: Sampling = field(default_factory=Prefix)
    l2: float = 0.0

    def __post_init__(self) -> None:
        settle(self, l2="0 or more")
        parts = {
            "curvature": ("product", "hf.GGN"),
            "solver": ("__call__", "ConjugateGradients()"),
            "damping": ("update", "Constant(0.1)"),
            "step_rule": ("__call__", "FixedStep(0.1)"),
            "sampling": ("draw", "Prefix(0.25)"),
        }
        for name, (method, example) in parts.items():
            if not hasattr(getattr(self, name), method):
                raise TypeError(
                    f"HessianFree: {name} is {getattr(self, name)!r}; expected something like "
                    f"{example}, with a method {method!r}"
                )

    def init(self, params: Params, seed: int = 0) -> HessianFreeState:
        """Return the first state. Refuses blocks that do not fit the parameters."""
        Partition.of(params, self.blocks)
        return HessianFreeState(0, self.damping.initial, None, generator(seed))

    def step(
        self,
        net: Callable[..., Any],
        loss: Any,
        params: Params,
        state: HessianFreeState,
        batch: Batch,
        curvature_batch: Batch | None = None,
    ) -> tuple[Params, HessianFreeState, Report]:
        """Make one update.

        Parameters
        ----------
        net, loss
            As for `minihf.linearize` and `minihf.GGN`.
        params : Params
        state : HessianFreeState
            From `init` or the last update.
        batch : tuple (x, y)
            The gradient batch; objective values are on it.
        curvature_batch : tuple (x, y), optional
            Without it, the sampling rule takes a part of `batch`.

        Noise layers draw once for the whole update: gradient, curvature, reduction ratio and line
        search see the same noise. A curvature batch of its own has noise of its own.

        Returns
        -------
        params : Params
            New ones; the same if the update was rejected.
        state : HessianFreeState
        report : Report

        Raises
        ------
        ValueError
            If a batch is empty or torn, or the curvature batch is larger than the gradient batch.
        """
        began = perf_counter()
        batch, state = with_noise(net, params, batch, state)
        if curvature_batch is not None:
            curvature_batch, state = with_noise(net, params, curvature_batch, state)
        chosen = self._curvature_batch(batch, curvature_batch, state.update)

        def f(step: Array, on: Batch) -> float:
            moved = params.with_vector(params.vector + step)
            return float(to_host(objective(net, loss, moved, on, self.l2)))

        value, g = gradient(net, loss, params, batch, self.l2)
        old = float(to_host(value))
        if not _all_finite(value, g):
            return self._reject(params, state, batch, old, began)
        x, y, *noise = chosen
        C = self.curvature(linearize(net, params, x, *noise), loss, y, self.blocks)
        solves, blocks = self._solve(C, g, state)
        with np.errstate(over="ignore", invalid="ignore"):  # a bad step is rejected, with a reason
            step = self.step_rule(_candidates(C, solves), g, old, lambda step: f(step, batch))
            predicted, rho = self._trust(C, g, step, lambda step: f(step, chosen))

        accepted, problem = _verdict(step, old, solves)
        report = Report(
            objective=old,
            new_objective=step.objective if accepted else old,
            accepted=accepted,
            problem=problem,
            cases=n_cases(batch),
            products=sum(block.products for block in blocks.values()),
            seconds=perf_counter() - began,
            step_length=step.length if accepted else 0.0,
            lam=state.lam,
            predicted=predicted,
            rho=rho,
            blocks=blocks,
        )
        new_state = replace(
            state,
            update=state.update + 1,
            lam=self.damping.update(state.lam, rho),
            solution=_join(C, {name: solve.x for name, solve in solves.items()}),
        )
        if not accepted:
            return params, new_state, report
        moved = params.vector + step.length * step.direction
        return params.with_vector(moved), new_state, report

    def _solve(
        self, C: CurvatureOperator, g: Array, state: HessianFreeState
    ) -> tuple[dict[str, CGResult], dict[str, BlockReport]]:
        """Solve ([C]_b + (lam + l2) I) d_b = -g_b for each block b, independently."""
        shift = state.lam + self.l2
        M: Mapping[str, Any] = {}
        if self.preconditioner is not None:
            M = self.preconditioner(C.lin, C.loss, C.y, C.partition, shift)
        solves, reports = {}, {}
        for name, block in C.partition.items():
            began = perf_counter()
            previous = None if state.solution is None else state.solution[block.index]
            A = Shifted(C.block(name), shift)
            solves[name] = solve = self.solver(A, -g[block.index], previous, M.get(name))
            reports[name] = BlockReport(
                iterations=solve.n_iterations,
                products=solve.n_products,
                reason=solve.reason.name,
                lam=state.lam,
                predicted=solve.quadratics[-1],
                seconds=perf_counter() - began,
            )
        return solves, reports

    def _curvature_batch(self, batch: Batch, given: Batch | None, update: int) -> Batch:
        N = n_cases(batch)
        if given is None:
            part = self.sampling.draw(batch, update)
            if len(part) != len(batch):
                raise ValueError(
                    f"{type(self.sampling).__name__}.draw lost the noise of the batch "
                    "(x, y, noise); take cases by minihf.optim.batches.rows"
                )
            return part
        if n_cases(given) > N:
            raise ValueError(
                f"the curvature batch has {n_cases(given)} cases, the gradient batch {N}; "
                "the curvature is measured on at most as many cases as the gradient"
            )
        return given

    def _trust(
        self, C: CurvatureOperator, g: Array, step: Step, f: Callable[[Array], float]
    ) -> tuple[float, float]:
        """Return the model's change and rho for the step before its line search, without damping.

        rho = (f(theta + p) - f(theta)) / (g'p + 1/2 p'(C + l2 I)p), f on the curvature batch and C
        with its off-diagonal blocks. Only an adaptive damping needs rho; else it is NaN.
        """
        p = step.direction
        xp = array_module(p)
        bend = C.quadratic_form(p) + self.l2 * xp.vdot(p, p)
        predicted = float(to_host(xp.vdot(g, p) + 0.5 * bend))
        if not self.damping.adaptive or not step.length or not predicted < 0:
            return predicted, math.nan
        return predicted, (f(p) - f(xp.zeros_like(p))) / predicted

    def _reject(
        self, params: Params, state: HessianFreeState, batch: Batch, value: float, began: float
    ) -> tuple[Params, HessianFreeState, Report]:
        """Keep the parameters and raise lam: the objective or its gradient is not finite."""
        report = Report(
            objective=value,
            accepted=False,
            problem="update rejected: the objective or its gradient is not finite",
            cases=n_cases(batch),
            seconds=perf_counter() - began,
            lam=state.lam,
            step_length=0.0,
        )
        lam = self.damping.update(state.lam, math.nan)
        return params, replace(state, update=state.update + 1, lam=lam), report


def _candidates(
    C: CurvatureOperator, solves: Mapping[str, CGResult]
) -> list[Callable[[], Array]]:
    """Join the blocks' kept iterates, last to first; a block with fewer repeats its first."""
    depth = max(len(solve.iterates) for solve in solves.values())

    def joined(back: int) -> Callable[[], Array]:
        chosen = {
            name: solve.iterates[max(len(solve.iterates) - 1 - back, 0)][1]
            for name, solve in solves.items()
        }
        return lambda: _join(C, chosen)

    return [joined(back) for back in range(depth)]


def _join(C: CurvatureOperator, parts: Mapping[str, Array]) -> Array:
    whole = array_module(C.lin.params.vector).empty_like(C.lin.params.vector)
    for name, block in C.partition.items():
        whole[block.index] = parts[name]
    return whole


def _verdict(step: Step, old: float, solves: Mapping[str, CGResult]) -> tuple[bool, str]:
    """Tell whether to move, and in one line what is wrong, if anything is."""
    failed = [name for name, solve in solves.items() if solve.reason is Reason.NON_FINITE]
    problem = f"a product was not finite in block {', '.join(failed)}" if failed else ""
    if not bool((step.direction != 0).any()):
        return False, f"update rejected: {problem or 'the gradient is zero, or CG found no way'}"
    if not step.length:
        return False, f"update rejected: {problem or step.problem}"
    return True, problem or ("the objective rose" if step.objective > old else "")


def _all_finite(value: Array, g: Array) -> bool:
    xp = array_module(g)
    return bool(xp.isfinite(value)) and bool(xp.isfinite(g).all())
