"""Is it right? Checks for derivatives and curvature, for our own parts and for yours."""

from minihf.testing.cases import PROFILES, Profile, profile, use_profile
from minihf.testing.checks import (
    check_adjoint,
    check_ggn,
    check_layer,
    check_loss,
    check_network,
    check_op,
    check_operator,
    check_optimizer,
    check_solver,
    check_taylor,
    draw_targets,
)
from minihf.testing.counting import Counts, Gemms, count_gemms, counted
from minihf.testing.derivatives import (
    central_difference_jvp,
    complex_step_jvp,
    dense_matrix,
    jacobian,
    relative_error,
    taylor_remainders,
)
from minihf.testing.failure import CheckFailure, Verdict
from minihf.testing.problem import Batch, Problem
from minihf.testing.properties import minihf_property
from minihf.testing.replay import load, replay
from minihf.testing.spd import SPD, spd_matrix
from minihf.testing.strict import StrictArray, install, strict

__all__ = [
    "PROFILES",
    "SPD",
    "Batch",
    "CheckFailure",
    "Counts",
    "Gemms",
    "Problem",
    "Profile",
    "StrictArray",
    "Verdict",
    "central_difference_jvp",
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
    "complex_step_jvp",
    "count_gemms",
    "counted",
    "dense_matrix",
    "draw_targets",
    "install",
    "jacobian",
    "load",
    "minihf_property",
    "profile",
    "relative_error",
    "replay",
    "spd_matrix",
    "strict",
    "taylor_remainders",
    "use_profile",
]
