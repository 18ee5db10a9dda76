"""The checks: for each kind of thing its ladder."""

from minihf.testing.checks.curvature import check_ggn
from minihf.testing.checks.loss import check_loss
from minihf.testing.checks.network import check_layer, check_network
from minihf.testing.checks.op import check_op
from minihf.testing.checks.operator import check_operator
from minihf.testing.checks.optimizer import check_optimizer
from minihf.testing.checks.parts import check_adjoint, check_taylor
from minihf.testing.checks.solver import check_solver
from minihf.testing.checks.targets import draw_targets

__all__ = [
    "check_adjoint",
    "check_ggn",
    "check_layer",
    "check_loss",
    "check_network",
    "check_op",
    "check_operator",
    "check_optimizer",
    "check_solver",
    "check_taylor",
    "draw_targets",
]
