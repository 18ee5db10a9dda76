"""Linear solvers for curvature."""

from minihf.solvers.cg import (
    CGResult,
    Reason,
    RelativeProgress,
    RelativeResidual,
    cg,
    every_iterate,
    martens_grid,
)
from minihf.solvers.dense import cholesky

__all__ = [
    "CGResult",
    "Reason",
    "RelativeProgress",
    "RelativeResidual",
    "cg",
    "cholesky",
    "every_iterate",
    "martens_grid",
]
