"""A task ready to run: its data loaded, its network built, the same for every method.

Called by the runner, the demo and the race.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from minihf.backend import asarray
from minihf.data import Dataset, first
from minihf.data.places import GIVEN
from minihf.experiments.methods import Method
from minihf.experiments.tasks import Task
from minihf.layers import Layer
from minihf.train import History, fit
from minihf.train.feed import train_of

__all__ = ["Experiment"]

FEW = 64
"""Cases of a rehearsal."""


@dataclass(frozen=True, eq=False)
class Experiment:
    """A task with its data and its network.

    Examples
    --------
    >>> from minihf.experiments.methods import METHODS
    >>> from minihf.experiments.tasks import TASKS
    >>> digits = Experiment.of(TASKS["classifier-digits"])
    >>> digits.train(METHODS["sgd"], {"updates": 3}, seed=0, progress=False).ended
    '3 updates'
    """

    task: Task
    data: Dataset
    net: Layer

    @classmethod
    def of(
        cls, task: Task, data_path: Path | None = None, cases: int | None = None
    ) -> Experiment:
        """Load the data, the embedded ones or a file's, and build the network for them.

        With `cases` only the first so many are kept, of the training and of the test data.
        """
        data = task.load(data_path)
        if cases is not None:
            data = first(data, cases)
        return cls(task, data, task.network(data))

    @property
    def facts(self) -> str:
        """The number of parameters, the source of the data and how it was found, one line."""
        found = f" ({self.data.where})" if self.data.where not in ("", GIVEN) else ""
        return f"{self.net.init(0).size:,} parameters, {self.data.source}{found}"

    def must_suit(self, method: Method) -> None:
        """Refuse a method that cannot treat the network, as `minihf.fit` would.

        Raises
        ------
        ValueError
            If the method cannot treat the network.
        """
        if hasattr(method.opt, "must_suit"):
            x, y = train_of(self.data)
            two = asarray(x[:2]), asarray(y[:2])
            method.opt.must_suit(self.net, self.task.loss, self.net.init(0), two)

    def train(
        self, method: Method, budget: Mapping[str, Any], seed: int, **options: Any
    ) -> History:
        """Train by `minihf.fit`: initial parameters and the order of cases are the seed's alone.

        `budget` is one of its three, such as ``{"seconds": 25.0}``; `options` are others of its
        keywords. A batch that is larger than the data is all of them.
        """
        N, size = len(self.data.x_train), method.batch_size
        return fit(
            self.net, self.task.loss, method.opt, self.data, seed=seed, metric=self.task.metric,
            batch_size=None if size is None else min(size, N), averaging=method.averaging,
            **{"name": method.label, "looks": self.task.looks, **options}, **budget,
        )  # fmt: skip

    def rehearse(self, method: Method) -> None:
        """Make one update on a few cases; a method that cannot treat the network refuses it here.

        It also compiles and allocates what the first update would otherwise pay for.

        Raises
        ------
        ValueError
            If the method cannot treat the network.
        KeyboardInterrupt
            If it was interrupted.
        """
        x, y = train_of(self.data)
        few = x[:FEW], y[:FEW]
        history = fit(
            self.net, self.task.loss, method.opt, few, updates=1, looks=0, progress=False
        )
        if history.ended == "interrupted":
            raise KeyboardInterrupt
