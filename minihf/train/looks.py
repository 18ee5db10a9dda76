"""When a run is looked at, and on how many cases.

Called by `minihf.fit`.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from minihf.backend import asarray
from minihf.optim.batches import Batch, leaves_of, n_cases, rows
from minihf.train.budget import Budget
from minihf.train.progress import Progress

__all__ = ["Looks"]


@dataclass(frozen=True)
class Looks:
    """When a run is looked at, and on how many cases.

    A look measures training and test error and makes a record, off the clock. Start and end are
    always looked at.

    Attributes
    ----------
    often : int
        About how many looks there are beside the start, evenly over the budget. 0: only start and
        end.
    at : tuple of int
        Updates after which there is a look besides, whatever it takes.
    share : float
        Under a budget of seconds: a look that is due is put off for as long as all looks so far
        have taken more than this share of the updates' time. Those of `at` are not put off. Under
        other budgets nothing depends on a clock.
    cases : int, optional
        Training cases, and test cases, that are measured; without it, all. They are spread evenly
        over the data and are the same at every look, so that errors along a run, and of several
        runs, can be compared. The last record has the errors of all cases as well
        (`minihf.History.final`).

    Raises
    ------
    ValueError
        If `often` or `share` is negative, or `cases` not positive.

    Examples
    --------
    >>> import minihf as hf
    >>> digits = hf.data.load("digits")
    >>> net = hf.Sequential(hf.Dense(64, 32), hf.Tanh(), hf.Dense(32, 10))
    >>> looks = hf.Looks(often=2, at=(1, 2), cases=100)
    >>> history = hf.fit(net, hf.SoftmaxCrossEntropy(), hf.Adam(), digits, updates=10, looks=looks,
    ...                  progress=False)
    >>> history.column("updates")
    [0, 1, 2, 5, 10]
    """

    often: int = 60
    at: tuple[int, ...] = ()
    share: float = 0.25
    cases: int | None = None

    def __post_init__(self) -> None:
        """Refuse what makes no sense."""
        if not self.often >= 0:
            raise ValueError(f"looks must be 0 or more, got {self.often}")
        if not self.share >= 0:
            raise ValueError(f"Looks: share must be 0 or more, got {self.share}")
        if self.cases is not None and not (isinstance(self.cases, int) and self.cases > 0):
            raise ValueError(f"Looks: cases must be a whole number above 0, got {self.cases!r}")

    def are_due(self, now: Progress, done: Mapping[str, float], budget: Budget) -> bool:
        """Tell whether there is to be a look where a run stands, with so much done."""
        if not now.records or now.updates in self.at:
            return True
        spent, before = budget.spent(done), budget.spent(now.records[-1])
        if math.floor(self.often * spent) == math.floor(self.often * before):
            return False
        return budget.kind != "seconds" or now.looking <= self.share * now.seconds

    def part_of(self, data: Batch) -> Batch:
        """Return the cases that are measured, all of them if they are no more than `cases`."""
        N = n_cases(data)
        if self.cases is None or self.cases >= N:
            return data
        index = np.arange(self.cases) * N // self.cases
        on_host = all(isinstance(array, np.ndarray) for array in leaves_of(data))
        return rows(data, index if on_host else asarray(index))
