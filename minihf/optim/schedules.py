"""Schedules: settings that change from update to update, such as a rate that goes down to zero.

    geometric     start * factor^(update // every), up or down to a limit
    linear        from start to end in a number of updates, and there it stays

They are functions of the update's number alone. An optimizer's state has that, so that a run goes
on from a checkpoint as if it had never stopped. With `every` the updates of an epoch, a value
changes once an epoch.

Called by the optimizers, at the beginning of ``step``; the parts of an optimizer never see one.
"""

from __future__ import annotations

import sys
from copy import copy
from dataclasses import dataclass, fields, is_dataclass
from typing import TypeVar

from minihf.optim.settings import Schedule, settle

__all__ = ["Geometric", "Linear", "Schedule", "resolved"]

Part = TypeVar("Part")


@dataclass(frozen=True)
class Geometric(Schedule):
    """``start * factor ** (update // every)``, but not beyond `limit`.

    Parameters
    ----------
    start, factor : float
        Positive.
    limit : float, optional
        Where it stops: at most this if the factor is above 1, at least this if it is below.
    every : int
        Updates for which a value stays, such as those of an epoch.

    Examples
    --------
    >>> warm_start = Geometric(0.5, 1.01, limit=0.99, every=60)
    >>> [round(warm_start.at(update), 4) for update in (0, 59, 60, 120, 60 * 500)]
    [0.5, 0.5, 0.505, 0.5101, 0.99]
    """

    start: float
    factor: float
    limit: float | None = None
    every: int = 1

    def __post_init__(self) -> None:
        settle(self, start="positive", factor="positive", every="1 or more")
        first, last = self.ends
        if (last - first) * (self.factor - 1) < 0:
            raise ValueError(
                f"Geometric: from {first} by a factor of {self.factor} never comes to the limit "
                f"{last}"
            )

    def at(self, update: int) -> float:
        """Return the value at that update."""
        bound = min if self.factor > 1 else max
        try:
            return bound(self.start * self.factor ** (update // self.every), self.ends[1])
        except OverflowError:
            return self.ends[1]

    @property
    def ends(self) -> tuple[float, float]:
        """The start and the limit; without one, the smallest or the largest float."""
        if self.factor == 1:
            return self.start, self.start
        extreme = sys.float_info.max if self.factor > 1 else sys.float_info.min
        return self.start, extreme if self.limit is None else float(self.limit)


@dataclass(frozen=True)
class Linear(Schedule):
    """From `start` at update 0 to `end` at update number `updates`, and from then on `end`.

    Examples
    --------
    >>> import minihf as hf
    >>> opt = hf.Adam(lr=Linear(1e-3, 0.0, updates=5000))
    >>> [opt.lr.at(update) for update in (0, 2500, 5000, 9999)]
    [0.001, 0.0005, 0.0, 0.0]
    """

    start: float
    end: float
    updates: int

    def __post_init__(self) -> None:
        settle(self, updates="1 or more")

    def at(self, update: int) -> float:
        """Return the value at that update."""
        done = min(update / self.updates, 1.0)
        return (1 - done) * self.start + done * self.end

    @property
    def ends(self) -> tuple[float, float]:
        """Start and end."""
        return self.start, self.end


def resolved(part: Part, update: int) -> Part:
    """Return a part with each schedule, its own or of its parts, replaced by the value it has now.

    A part is a frozen dataclass; anything else, and a part without schedules, is returned as it is.
    A value becomes a Python float, lest it change the parameters' dtype, or, where a whole number
    is expected, the int next to it.
    """
    if not is_dataclass(part) or isinstance(part, type):
        return part
    now = {}
    for setting in fields(part):
        value = getattr(part, setting.name)
        if isinstance(value, Schedule):
            number = float(value.at(update))
            now[setting.name] = round(number) if setting.type == "int" else number
        elif (inner := resolved(value, update)) is not value:
            now[setting.name] = inner
    if not now:
        return part
    changed = copy(part)  # not `replace`, which would refuse the 0 at which a rate may end
    for name, value in now.items():
        object.__setattr__(changed, name, value)
    return changed
