"""Linear solvers for curvature."""

from minihf.solvers.cg import CGResult, Reason, RelativeProgress, RelativeResidual, cg, martens_grid
from minihf.solvers.dense import cholesky

__all__ = [
    "CGResult",
    "Reason",
    "RelativeProgress",
    "RelativeResidual",
    "cg",
    "cholesky",
    "martens_grid",
]
