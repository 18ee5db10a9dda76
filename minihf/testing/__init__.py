"""What tests use, ours and other people's: the strict stand-in for a device."""

from minihf.testing.strict import StrictArray, install, strict

__all__ = ["StrictArray", "install", "strict"]
