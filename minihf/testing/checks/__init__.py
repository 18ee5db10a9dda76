"""The checks: for each kind of thing its ladder."""

from minihf.testing.checks.network import check_layer, check_network
from minihf.testing.checks.op import check_op
from minihf.testing.checks.parts import check_adjoint, check_taylor

__all__ = ["check_adjoint", "check_layer", "check_network", "check_op", "check_taylor"]
