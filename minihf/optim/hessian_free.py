"""Hessian-free optimization as one composition of parts; with several blocks, block-diagonal.

    g = gradient on the gradient batch                                   objective and l2 included
    C = curvature on the curvature batch, a part of it
    for each block b:   d_b = CG( [C]_b + (lam_b + l2) I,  -g_b )        independent of each other
    step rule:          theta += length * direction, out of CG's iterates
    damping rule:       lam from the reduction ratio rho

With ``update="sequential"`` all of that is done for one block after the other.

One block is classical Hessian-free optimization (Martens 2010); the encoder and the decoder as
blocks, a fixed step and no damping are block-diagonal Hessian-free optimization (Zhang, Xiong,
Bradbury & Socher 2017, arXiv 1712.07296). `minihf.optim.papers` has them as compositions.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from time import perf_counter
from typing import Any

from minihf.backend import array_module
from minihf.curvature import GGN
from minihf.optim.batches import Batch, generator, n_cases, resume, rows, with_noise
from minihf.optim.block_solvers import BlockSolver, PreconditionerOnly, must_be_solvable
from minihf.optim.curvatures import Curvature
from minihf.optim.damping import Damping, LevenbergMarquardt, StructuralDamping
from minihf.optim.needs import must_meet
from minihf.optim.orders import ORDERS
from minihf.optim.preconditioners import Kronecker, Preconditioner
from minihf.optim.projections import Projection
from minihf.optim.report import Report, joined
from minihf.optim.sampling import Prefix, Sampling
from minihf.optim.schedules import resolved
from minihf.optim.settings import must_be_a_part, settle
from minihf.optim.state import HessianFreeState
from minihf.optim.steps import StepRule, Subspace
from minihf.optim.turn import Turn, preconditioned
from minihf.params import Params
from minihf.partition import Partition
from minihf.tape import linearize

__all__ = ["HessianFree", "HessianFreeState"]

PARTS = {
    "curvature": ("__call__", "hf.GGN, or PositiveCurvature('clip')"),
    "solver": ("__call__", "ConjugateGradients()"),
    "preconditioner": ("__call__", "Kronecker(), or None"),
    "damping": ("update", "Constant(0.1)"),
    "step_rule": ("__call__", "FixedStep(0.1)"),
    "sampling": ("draw", "Prefix(0.25)"),
    "structural": ("__call__", "StructuralDamping(), or None"),
    "projection": ("__call__", "MaxNorm(), or None"),
}
"""What a composition is made of: the method that each part is there for, and examples of it."""


@dataclass(frozen=True)
class HessianFree:
    """Hessian-free optimization, block by block: a frozen composition.

    Parameters
    ----------
    blocks : what `Partition.of` takes
        ``"network"`` (classical), ``"layer"``, ``"param"``, or block name to glob(s).
    curvature : Curvature
        `GGN`, `Hessian` or `PCH`, the type itself; or, with settings, `PositiveCurvature`.
    solver : BlockSolver
        `ConjugateGradients`, `PreconditionerOnly` or `Cholesky`.
    preconditioner : Preconditioner, optional
        `SquaredGradients`, `Jacobi` or `Kronecker`.
    damping : Damping
        `Constant`, `LevenbergMarquardt` or `ConvexMix`.
    step_rule : StepRule
        `FixedStep`, `BacktrackingArmijo` or `Subspace`; `Scaled` around one of them.
    sampling : Sampling
        `Prefix`, `CycledChunks` or `Independent`: the curvature batch, where `step` is not given
        one. Its activations are held at once, however many its cases are: memory grows with it,
        where that of the gradient is bounded by a chunk of 500 cases.
    l2 : float
        Coefficient of 1/2 |theta|^2, in objective, gradient and curvature alike.
    rho_on : "curvature" or "gradient"
        The batch on which the objective's change is measured for the reduction ratio. On the
        gradient batch it is known from the step rule and costs nothing.
    structural : StructuralDamping, optional
        A further damping, of recurrent networks: how far their hidden states may move.
    update : "simultaneous" or "sequential"
        Whether all blocks are solved at the same parameters and move together (block Jacobi), or
        each moves before gradient and curvature are evaluated anew for the next (block
        Gauss-Seidel): as many gradients as blocks. With sequential, every turn is an update to the
        preconditioner and to a damping that is shared.
    projection : Projection, optional
        `MaxNorm`: where the parameters are brought back to after an update. One that has to do so
        costs one more evaluation of the objective.

    Notes
    -----
    A number, of the composition or of its parts, may be a schedule (`minihf.optim.schedules`).

    Without arguments it is the house method. Each layer is a block, and its direction is what CG
    would begin with: the inverse of the layer's Kronecker factors, which are averaged over updates,
    times the gradient, and, in recurrent and convolutional networks, as long as the exact block
    wants it. The step is the exact minimiser of the
    whole damped quadratic over the sum of these directions and the previous update, so that there
    is neither a learning rate nor a momentum constant. lam follows the reduction ratio on the
    gradient batch. It wants batches of some hundred cases: the experiments use 1,000 on dense
    networks, and 250 on convolutions and LSTMs, whose factors cost little beside a gradient.

    More CG iterations, ``solver=ConjugateGradients(2, warm_start=0.0)``, make an update a little
    better and dearer; `docs/systems/minihf.md` has what they are worth.

    Memory beside what gradients and products take, in vectors (n,): parameters stay, the solution
    where the solver begins at it, and the last update where the step rule has momentum; about seven
    more come and go; and CG (`minihf.cg`) and the preconditioner have their own. For a solver that
    iterates, `GGN.planned` may hold 512 MiB of factors during an update.

    Examples
    --------
    >>> import numpy as np, minihf as hf
    >>> rng = np.random.default_rng(0)
    >>> x = rng.standard_normal((64, 4)).astype(np.float32)
    >>> batch = (x, x[:, :2] * x[:, 2:])
    >>> net = hf.Sequential(hf.Dense(4, 16), hf.Tanh(), hf.Dense(16, 2))
    >>> params, opt = net.init(0), hf.HessianFree()
    >>> state = opt.init(params)
    >>> for _ in range(10):
    ...     params, state, report = opt.step(net, hf.SquaredError(), params, state, batch)
    >>> report.accepted, report.new_objective < report.objective
    (True, True)
    """

    blocks: Any = "layer"
    curvature: Curvature = GGN
    solver: BlockSolver = field(default_factory=PreconditionerOnly)
    preconditioner: Preconditioner | None = field(default_factory=Kronecker)
    damping: Damping = field(
        default_factory=lambda: LevenbergMarquardt(initial=0.1, minimum=1e-4)
    )
    step_rule: StepRule = field(default_factory=Subspace)
    sampling: Sampling = field(default_factory=lambda: Prefix(0.25))
    l2: float = 1e-5
    rho_on: str = "gradient"
    structural: StructuralDamping | None = None
    update: str = "simultaneous"
    projection: Projection | None = None

    def __post_init__(self) -> None:
        settle(self, l2="0 or more")
        if self.rho_on not in ("curvature", "gradient"):
            raise ValueError(
                f"HessianFree: rho_on must be 'curvature' or 'gradient', got {self.rho_on!r}"
            )
        if self.update not in ORDERS:
            raise ValueError(
                f"HessianFree: update must be {' or '.join(map(repr, ORDERS))}, "
                f"got {self.update!r}"
            )
        for name, (method, example) in PARTS.items():
            must_be_a_part(self, name, method, example, "product" if name == "curvature" else "")
        if self.structural is not None and not getattr(self.solver, "looks_at_A", True):
            raise ValueError(
                "HessianFree: structural damping is in the matrix of the systems, which solver="
                f"{type(self.solver).__name__}() does not look at; take solver=ConjugateGradients()"
            )
        if self.structural is not None and (self.damping.per_block or self.curvature is not GGN):
            raise ValueError(
                "HessianFree: structural damping goes with curvature=hf.GGN, and a damping that is "
                "the same for all blocks (per_block=False)"
            )

    def init(self, params: Params, seed: int = 0) -> HessianFreeState:
        """Return the first state. Refuses blocks that fit neither the parameters nor the solver."""
        partition = Partition.of(params, self.blocks)
        must_be_solvable(partition, self.solver)
        lam = dict.fromkeys(partition, resolved(self.damping, 0).initial)
        return HessianFreeState(0, lam, None, generator(seed))

    def must_suit(self, net: Callable[..., Any], loss: Any, params: Params, batch: Batch) -> None:
        """Refuse what the parts cannot treat, with the reason, as the first update would.

        Blocks, curvature, preconditioner and structural damping are made on two cases of the batch,
        and let go. `minihf.fit` asks this before it trains or writes anything.
        """
        now = resolved(self, 0)
        must_meet(loss, now.curvature, now.preconditioner)
        two, state = with_noise(net, params, rows(batch, slice(0, 2)), self.init(params))
        x, y, *noise = two
        with warnings.catch_warnings(action="ignore"):  # the first update is not spared them
            C = now.curvature(linearize(net, params, x, *noise), loss, y, self.blocks)
            preconditioned(now, C, array_module(params.vector).ones_like(params.vector), state)
        if now.structural is not None:
            now.structural(C, now.damping.initial)

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
        began, t = perf_counter(), state.update
        now = resolved(self, t)
        if now.damping is not self.damping and not now.damping.adaptive:  # lam is on a schedule
            state = replace(state, lam=dict.fromkeys(state.lam, now.damping.initial))
        batch, state = with_noise(net, params, batch, state)
        if curvature_batch is not None:
            curvature_batch, state = with_noise(net, params, curvature_batch, state)
        chunk, state = now._curvature_batch(batch, curvature_batch, state)
        reports, solution = [], state.solution
        for group in ORDERS[now.update](state.lam):
            turn = Turn(now, net, loss, batch, chunk, group)
            params, state, report = turn(params, state, solution)
            reports.append(report)
        if not getattr(self.solver, "warm_start", True):  # at no update, a schedule being true
            state = replace(state, solution=None)
        report = replace(joined(reports), seconds=perf_counter() - began)
        return params, replace(state, update=t + 1), report

    def _curvature_batch(
        self, batch: Batch, given: Batch | None, state: HessianFreeState
    ) -> tuple[Batch, HessianFreeState]:
        N = n_cases(batch)
        if given is None:
            rng = resume(state.rng)
            part = self.sampling.draw(batch, state.update, rng)
            if len(part) != len(batch):
                raise ValueError(
                    f"{type(self.sampling).__name__}.draw lost the noise of the batch "
                    "(x, y, noise); take cases by minihf.optim.batches.rows"
                )
            return part, replace(state, rng=rng.bit_generator.state)
        if n_cases(given) > N:
            raise ValueError(
                f"the curvature batch has {n_cases(given)} cases, the gradient batch {N}; "
                "the curvature is measured on at most as many cases as the gradient"
            )
        return given, state
