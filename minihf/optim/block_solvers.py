"""How a block's system A d = b is solved: by conjugate gradients, or the preconditioner alone.

Called by `minihf.HessianFree`, block by block.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any, Protocol

from minihf.backend import Array, array_module, to_host
from minihf.optim.settings import settle
from minihf.solvers import CGResult, Reason, RelativeProgress, cg

__all__ = ["BlockSolver", "ConjugateGradients", "PreconditionerOnly"]


class BlockSolver(Protocol):
    """What the optimizer asks of a solver."""

    def __call__(self, A: Any, b: Array, previous: Array | None, M: Any) -> CGResult:
        """Solve A x = b; `previous` is the block's last solution, M its preconditioner or None."""


@dataclass(frozen=True)
class ConjugateGradients:
    """The settings of `minihf.cg`.

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
class PreconditionerOnly:
    """x = M b, without a product: the preconditioner is taken for the inverse.

    Its length is arbitrary, and wants a step rule that finds one, as `Subspace` does. The value
    reported for the quadratic, -1/2 b'Mb, is the one that holds if M is the inverse.
    """

    def __call__(self, A: Any, b: Array, previous: Array | None, M: Any) -> CGResult:
        """Return M b, or zero where that is not finite."""
        xp = array_module(b)
        x = b.copy() if M is None else M @ b
        promise = -0.5 * float(to_host(xp.vdot(b, x)))
        if promise == 0 or not math.isfinite(promise):
            reason = Reason.ZERO_RHS if promise == 0 else Reason.NON_FINITE
            zero = xp.zeros_like(b)
            return CGResult(zero, [(0, zero)], [0.0], [1.0], 0, reason)
        return CGResult(x, [(1, x)], [0.0, promise], [1.0, math.nan], 0, Reason.MAX_ITERATIONS)
