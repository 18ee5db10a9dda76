"""What several runs of a method say together: medians and ranges over the seeds.

Nothing is made up between records: at any x a run has the value of its last record at or before x,
and a curve ends where the first of its runs does. A value that is not a number counts as infinite,
the worst there is: a run that blew up stays in the median. Called by the table and the figure.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Any, TypeAlias

import numpy as np

from minihf.train import History

__all__ = [
    "Curve",
    "Runs",
    "Spread",
    "around",
    "cost_to",
    "curve",
    "ends",
    "final",
    "final_error",
    "short",
    "target_of",
]

Runs: TypeAlias = Mapping[str, Mapping[int, History]]
"""Runs by method and by seed."""


@dataclass(frozen=True)
class Spread:
    """Median, smallest and largest of a number over the seeds.

    Examples
    --------
    >>> Spread.of([3.0, 1.0, None])
    Spread(median=3.0, low=1.0, high=inf)
    """

    median: float
    low: float
    high: float

    @classmethod
    def of(cls, values: Iterable[Any]) -> Spread:
        """Take them of numbers, of which None and NaN count as infinite."""
        numbers = [_number(value) for value in values]
        return cls(median(numbers), min(numbers), max(numbers))

    def words(self, infinite: str = "inf") -> str:
        """Return them as a table has them.

        Examples
        --------
        >>> Spread(1234.5, 0.03, 1e6).words(), Spread(2.0, 2.0, 2.0).words()
        ('1,234 (0.03 to 1,000,000)', '2')
        """
        middle, low, high = (short(n, infinite) for n in (self.median, self.low, self.high))
        return middle if low == high else f"{middle} ({low} to {high})"


def short(value: float, infinite: str = "inf") -> str:
    """Return a number with three digits, or as a whole one."""
    if not math.isfinite(value):
        return infinite
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"


def _number(value: Any) -> float:
    return math.inf if value is None or math.isnan(value) else float(value)


def final(runs: Mapping[int, History], column: str) -> Spread:
    """Return the spread of a column's last values."""
    return Spread.of(history.last[column] for history in runs.values())


def final_error(runs: Mapping[int, History], error: str) -> Spread:
    """Return the spread of the errors at the end, of all cases that were measured then."""
    return Spread.of(history.final(error) for history in runs.values())


def target_of(runs: Runs, first_order: Collection[str] = ()) -> float | None:
    """Return a training error of which it is worth asking how long each method took to reach it.

    That is the final median of the best of the first-order methods, which are to be named: products
    do not tell, since a method may use the curvature without a solver that makes any. Without
    first-order methods, or without others, it is the second best of all, which two methods have
    reached. None for a single method, or if no such median is finite.
    """
    ends = {name: final(seeds, "train").median for name, seeds in runs.items()}
    ends = {name: end for name, end in ends.items() if math.isfinite(end)}
    baselines = [end for name, end in ends.items() if name in first_order]
    if 0 < len(baselines) < len(ends):
        return min(baselines)
    return sorted(ends.values())[1] if len(ends) > 1 else None


def ends(history: History) -> tuple[float, float]:
    """Return a run's training error where it began, and at its end."""
    return _number(history.records[0]["train"]), _number(history.last["train"])


def cost_to(runs: Mapping[int, History], target: float, cost: str = "seconds") -> Spread:
    """Return what was spent until a training error of at most `target` was first measured.

    Infinite for a run in which it never was.
    """
    return Spread.of(
        next((r[cost] for r in history if _number(r["train"]) <= target), None)
        for history in runs.values()
    )


@dataclass(frozen=True, eq=False)
class Curve:
    """Median, smallest and largest value over the seeds, at each x; arrays (K,)."""

    x: np.ndarray
    median: np.ndarray
    low: np.ndarray
    high: np.ndarray


def curve(runs: Mapping[int, History], x: str, y: str) -> Curve:
    """Return column `y` over column `x`: between two of the grid's points nothing changes.

    The grid has every x at which a run was looked at, up to the end of the shortest.
    """
    end = min(history.last[x] for history in runs.values())
    grid = np.array(sorted({at for h in runs.values() for at in h.column(x) if at <= end}))
    values = np.stack([_held(history, x, y, grid) for history in runs.values()])
    return Curve(grid, np.median(values, axis=0), values.min(axis=0), values.max(axis=0))


def around(history: History, x: str, y: str, at: float) -> tuple[float, float]:
    """Return a run's values at the looks before and after one x; at a look, or its end, it is both.

    Examples
    --------
    >>> import minihf as hf
    >>> run = hf.History([{"updates": 0, "train": 9.0}, {"updates": 100, "train": 1.0}])
    >>> [around(run, "updates", "train", at) for at in (50, 100, 150)]
    [(9.0, 1.0), (1.0, 1.0), (1.0, 1.0)]
    """
    column = history.column(x)
    before = int(np.searchsorted(column, at, side="right")) - 1
    after = before if column[before] == at else min(before + 1, len(column) - 1)
    return _number(history.records[before][y]), _number(history.records[after][y])


def _held(history: History, x: str, y: str, grid: np.ndarray) -> np.ndarray:
    """Return a run's value at each x: that of its last record at or before it."""
    last = np.searchsorted(history.column(x), grid, side="right") - 1
    values: Sequence[float] = [_number(value) for value in history.column(y)]
    return np.array(values)[last]
