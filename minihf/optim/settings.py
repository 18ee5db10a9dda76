"""Settings of a frozen configuration: Python numbers within their ranges, schedules, and parts.

A NumPy scalar such as a learning rate out of ``np.logspace`` would silently turn float32 parameters
into float64, so every number becomes a Python float or int. Called by every configuration of this
folder when it is made, so that a wrong value is refused before any work.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import fields
from typing import TYPE_CHECKING, Any

__all__ = ["Schedule", "must_be_a_part", "settle", "settled"]

if TYPE_CHECKING:
    number = Any  # to a type checker a schedule is the number that a part will see in its place
else:
    number = object


class Schedule(number):
    """A setting that changes from update to update.

    Where a number is expected, a schedule may stand: the optimizer puts its value there at the
    beginning of each update (`minihf.optim.schedules.resolved`), so that no part knows of it.
    """

    def at(self, update: int) -> float:
        """Return the value at the update of that number, counted from 0."""
        raise NotImplementedError(f"{type(self).__name__} lacks at(update)")

    @property
    def ends(self) -> tuple[float, float]:
        """The first value and the last; all others lie between them."""
        raise NotImplementedError(f"{type(self).__name__} lacks ends")


RANGES: dict[str, Callable[[float], bool]] = {
    "positive": lambda value: 0 < value < math.inf,
    "0 or more": lambda value: 0 <= value < math.inf,
    "1 or more": lambda value: 1 <= value < math.inf,
    "in [0, 1)": lambda value: 0 <= value < 1,
    "in (0, 1]": lambda value: 0 < value <= 1,
    "in (0, 1)": lambda value: 0 < value < 1,
}


NUMBERS: dict[str, tuple[Callable[[Any], float], str]] = {
    "float": (float, "a number"),
    "float | None": (float, "a number"),
    "int": (int, "a whole number"),
}
"""By the annotation of a field: the Python number that it holds, in code and in words."""


def settle(config: Any, **ranges: str) -> None:
    """Make a configuration's numbers Python floats and ints, and check the named fields' ranges.

    A schedule must begin and end in the range. Where that is "positive" it may end at 0: a rate
    does, and then nothing moves any more. No range has an infinity in it.

    Raises
    ------
    TypeError
        If a field that is to be a number is none, or one that is to be whole is not.
    ValueError
        If a field is out of its range, with its name, the range and the value.
    """
    kind = type(config).__name__
    for setting in fields(config):
        name, value = setting.name, getattr(config, setting.name)
        if setting.type in NUMBERS and not _stands_for_itself(value, setting.type):
            object.__setattr__(config, name, _number(kind, name, value, setting.type))
    for name, wanted in ranges.items():
        _must_be_within(kind, name, getattr(config, name), wanted)


def settled(owner: str, name: str, value: Any, annotation: str, wanted: str) -> Any:
    """Return one number as `settle` would make it, of a function that has no fields.

    Raises
    ------
    TypeError, ValueError
        As `settle` does.
    """
    number = _number(owner, name, value, annotation)
    _must_be_within(owner, name, number, wanted)
    return number


def _stands_for_itself(value: Any, annotation: str) -> bool:
    return isinstance(value, Schedule) or (value is None and annotation.endswith("None"))


def _number(owner: str, name: str, value: Any, annotation: str) -> float:
    make, what = NUMBERS[annotation]
    try:
        number = make(value)
        if not isinstance(value, str) and (make is float or number == value):
            return number
    except (TypeError, ValueError, OverflowError):
        pass
    raise TypeError(f"{owner}: {name} is {value!r}, not {what}")


def _must_be_within(owner: str, name: str, value: Any, wanted: str) -> None:
    if value is not None and not _within(value, wanted):
        raise ValueError(f"{owner}: {name} must be {wanted}, got {value}")


def _within(value: Any, wanted: str) -> bool:
    if not isinstance(value, Schedule):
        return RANGES[wanted](value)
    first, last = value.ends
    return RANGES[wanted](first) and RANGES["0 or more" if wanted == "positive" else wanted](last)


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
