"""What tests use, ours and others: exact derivatives, and a strict stand-in for a device."""

from minihf.testing.complex_step import derivative, jacobian, relative_error
from minihf.testing.strict import StrictArray, install, strict

__all__ = ["StrictArray", "derivative", "install", "jacobian", "relative_error", "strict"]
