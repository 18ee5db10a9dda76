"""Linear solvers for curvature."""

from minihf.solvers.cg import CGResult, Reason, RelativeProgress, RelativeResidual, cg, martens_grid

__all__ = ["CGResult", "Reason", "RelativeProgress", "RelativeResidual", "cg", "martens_grid"]
