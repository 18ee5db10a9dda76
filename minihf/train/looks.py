"""When a run is looked at, and on how many cases.

Called by `minihf.fit`.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from numbers import Integral
from typing import TypeAlias

import numpy as np

from minihf.backend import asarray
from minihf.optim.batches import Batch, leaves_of, n_cases, rows
from minihf.train.budget import Budget
from minihf.train.progress import Progress

__all__ = ["Looks", "Pair"]

Pair: TypeAlias = tuple[Batch, Batch | None]
"""Training data, and test data if there are any."""


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
        Training cases, and test cases, that are measured; without it, all. They are drawn at
        random, and are the same at every look and in every run on the same data, so that errors
        can be compared.
    at_end : int, optional
        Likewise, what the end is measured on besides, if there are `cases`; without it, all. The
        last record has both (`minihf.History.final`).

    Raises
    ------
    ValueError
        If `often` or `share` is negative, `at` not of whole numbers, `cases` not positive, or
        `at_end` without `cases`, or no more.

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
    at_end: int | None = None

    def __post_init__(self) -> None:
        """Refuse what makes no sense."""
        if not self.often >= 0:
            raise ValueError(f"looks: often must be 0 or more, got {self.often}")
        if not self.share >= 0:
            raise ValueError(f"looks: share must be 0 or more, got {self.share}")
        if not isinstance(self.at, tuple) or not all(map(_is_whole, self.at)):
            raise ValueError(f"looks: at must be a tuple of whole numbers, got {self.at!r}")
        for name, n in ("cases", self.cases), ("at_end", self.at_end):
            if n is not None and not (_is_whole(n) and n > 0):
                raise ValueError(f"looks: {name} must be a whole number above 0, got {n!r}")
        if self.at_end is not None and (self.cases is None or self.at_end <= self.cases):
            raise ValueError(
                f"looks: at_end is {self.at_end}, which must be more than cases, {self.cases}"
            )

    def are_due(self, now: Progress, done: Mapping[str, float], budget: Budget) -> bool:
        """Tell whether there is to be a look where a run stands, with so much done."""
        if not now.records or now.updates in self.at:
            return True
        spent, before = budget.spent(done), budget.spent(now.records[-1])
        if math.floor(self.often * spent) == math.floor(self.often * before):
            return False
        return budget.kind != "seconds" or now.looking <= self.share * now.seconds

    def along_the_way(self, train: Batch, test: Batch | None) -> Pair:
        """Return the training and test cases that every look measures."""
        return _drawn(self.cases, train), None if test is None else _drawn(self.cases, test)

    def of_the_end(self, train: Batch, test: Batch | None) -> Pair:
        """Return those that the last look measures besides; the same objects, if the same."""
        return _drawn(self.at_end, train), None if test is None else _drawn(self.at_end, test)

    def in_words(self, N: int) -> str:
        """Say how many of N cases are measured.

        Examples
        --------
        >>> import minihf as hf
        >>> hf.Looks(cases=500).in_words(5000), hf.Looks(cases=500).in_words(200)
        ('500 cases, all at the end', 'all cases')
        """
        if self.cases is None or self.cases >= N:
            return "all cases"
        at_end = "all" if self.at_end is None or self.at_end >= N else self.at_end
        return f"{self.cases} cases, {at_end} at the end"


def _is_whole(value: object) -> bool:
    return isinstance(value, Integral)


def _drawn(n: int | None, data: Batch) -> Batch:
    """Return n cases, always the same of as many; the data themselves if there are no more."""
    N = n_cases(data)
    if n is None or n >= N:
        return data
    index = np.sort(np.random.default_rng(0).permutation(N)[:n])
    on_host = all(isinstance(array, np.ndarray) for array in leaves_of(data))
    return rows(data, index if on_host else asarray(index))
