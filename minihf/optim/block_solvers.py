"""How a block's system A d = b is solved: conjugate gradients, the preconditioner alone, Cholesky.

Called by `minihf.HessianFree`, block by block.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Protocol

from minihf.backend import Array, array_module, to_host
from minihf.optim.settings import must_be_a_part, settle
from minihf.partition import Partition
from minihf.solvers import CGResult, Reason, RelativeProgress, cg, cholesky, martens_grid

__all__ = [
    "BlockSolver",
    "Cholesky",
    "ConjugateGradients",
    "PreconditionerOnly",
    "must_be_solvable",
]


class BlockSolver(Protocol):
    """What the optimizer asks of a solver.

    What else it says of itself, it may leave out: `max_size`, the parameters that a block may have
    at most; `warm_start`, 0 if it never looks at `previous`, which is not kept then; `looks_at_A`,
    False if it does without; `products`, how many it may make with A, which is then made ready for
    them (`minihf.GGN.planned`).
    """

    def __call__(self, A: Any, b: Array, previous: Array | None, M: Any) -> CGResult:
        """Solve A x = b; `previous` is the block's last solution, M its preconditioner or None."""


@dataclass(frozen=True)
class ConjugateGradients:
    """The settings of `minihf.cg`.

    `warm_start` times the block's previous solution is where CG begins; 0 begins at zero. `record`
    tells which iterates are kept, for a step rule that goes back along them.
    """

    max_iters: int = 30
    stop: Any = field(default_factory=RelativeProgress)
    warm_start: float = 0.95
    check_every: int = 1
    record: Callable[[int], bool] = martens_grid

    def __post_init__(self) -> None:
        settle(self, max_iters="1 or more", check_every="1 or more", warm_start="0 or more")
        must_be_a_part(self, "stop", "__call__", "RelativeResidual(1e-3)")
        must_be_a_part(self, "record", "__call__", "martens_grid")

    @property
    def products(self) -> int:
        """One an iteration."""
        return self.max_iters

    def __call__(self, A: Any, b: Array, previous: Array | None, M: Any) -> CGResult:
        """Solve A x = b."""
        x0 = None
        if previous is not None and self.warm_start:
            x0 = self.warm_start * previous
        return cg(A, b, x0, M, self.max_iters, self.stop, self.record, self.check_every)


@dataclass(frozen=True)
class PreconditionerOnly:
    """x = M b, without a product: the preconditioner is taken for the inverse.

    Its length is arbitrary, and wants a step rule that finds one, as `Subspace` does. The value
    reported for the quadratic, -1/2 b'Mb, is the one that holds if M is the inverse.
    """

    warm_start = 0.0
    looks_at_A = False

    def __call__(self, A: Any, b: Array, previous: Array | None, M: Any) -> CGResult:
        """Return M b, or zero and the reason where that is no way to go."""
        xp = array_module(b)
        x = b.copy() if M is None else M @ b
        promise = -0.5 * float(to_host(xp.vdot(b, x)))
        if promise == 0 or not math.isfinite(promise):
            zero = xp.zeros_like(b)
            return CGResult(zero, [(0, zero)], [0.0], [1.0], 0, _why_nothing(b, promise))
        return CGResult(x, [(1, x)], [0.0, promise], [1.0, math.nan], 0, Reason.MAX_ITERATIONS)


def _why_nothing(b: Array, promise: float) -> Reason:
    """Return the reason for a promise -1/2 b'Mb that is zero or not finite."""
    if not math.isfinite(promise):
        return Reason.NON_FINITE
    return Reason.NEGATIVE_CURVATURE if bool((b != 0).any()) else Reason.ZERO_RHS


@dataclass(frozen=True)
class Cholesky:
    """The exact solution: the block is written down and factored; `previous` and M are not used.

    For blocks of at most `max_size` parameters. A Gauss-Newton block is written down by way of its
    Jacobian (`minihf.curvature.jacobian`), any other operator column by column.
    """

    max_size: int = 2000
    warm_start = 0.0

    def __post_init__(self) -> None:
        settle(self, max_size="1 or more")

    def __call__(self, A: Any, b: Array, previous: Array | None, M: Any) -> CGResult:
        """Return the solution, or zero and the reason."""
        matrix, n_products = A.written()
        return cholesky(matrix, b, n_products)


def must_be_solvable(partition: Partition, solver: BlockSolver) -> None:
    """Refuse a block that is too large for its solver."""
    most = getattr(solver, "max_size", math.inf)
    for block in partition.values():
        if block.size > most:
            raise ValueError(
                f"block {block.name!r} has {block.size:,} parameters, and "
                f"{type(solver).__name__} takes {most:,} at most: as a matrix it has "
                f"{8 * block.size**2 / 1e9:,.2g} GB; raise max_size=, take smaller blocks "
                "(partial(k_units, k=4) of minihf.curvature.partitions), or "
                "solver=ConjugateGradients()"
            )
