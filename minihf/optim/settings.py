"""Settings of a frozen configuration: plain Python numbers, within their ranges, and parts.

A NumPy scalar such as a learning rate out of ``np.logspace`` would silently turn float32 parameters
into float64, so every float setting becomes a Python float. Called by every configuration of this
folder when it is made, so that a wrong value is refused before any work.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import fields
from typing import Any

__all__ = ["must_be_a_part", "settle"]

RANGES: dict[str, Callable[[float], bool]] = {
    "positive": lambda value: value > 0,
    "0 or more": lambda value: value >= 0,
    "1 or more": lambda value: value >= 1,
    "in [0, 1)": lambda value: 0 <= value < 1,
    "in (0, 1]": lambda value: 0 < value <= 1,
    "in (0, 1)": lambda value: 0 < value < 1,
}


def settle(config: Any, **ranges: str) -> None:
    """Make a configuration's float fields Python floats, and check the named fields' ranges.

    Raises
    ------
    TypeError
        If a field that is to be a float is no number.
    ValueError
        If a field is out of its range, with its name, the range and the value.
    """
    kind = type(config).__name__
    for setting in fields(config):
        value = getattr(config, setting.name)
        if setting.type == "float":
            try:
                object.__setattr__(config, setting.name, float(value))
            except (TypeError, ValueError):
                raise TypeError(f"{kind}: {setting.name} is {value!r}, not a number") from None
    for name, wanted in ranges.items():
        if not RANGES[wanted](getattr(config, name)):
            raise ValueError(f"{kind}: {name} must be {wanted}, got {getattr(config, name)}")


def must_be_a_part(
    config: Any, name: str, method: str, example: str, of_a_type: str = ""
) -> None:
    """Refuse a part without the method that it is there for.

    None will do where the example says so; a type only where objects of it are asked for a method
    `of_a_type`.

    Raises
    ------
    TypeError
        With the part's name, what stands there, and an example of what might.
    """
    part = getattr(config, name)
    if part is None and example.endswith("None"):
        return
    wanted = of_a_type if isinstance(part, type) else method
    if not wanted or not hasattr(part, wanted):
        raise TypeError(
            f"{type(config).__name__}: {name} is {part!r}; expected something like {example}, "
            f"with a method {wanted or method!r}"
        )
