"""A run: what is trained, by what, on what, and how it makes an update and takes a look.

Called by `minihf.fit`, which decides when to do which, and when to end.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from time import perf_counter
from typing import Any

import numpy as np

from minihf.backend import prefetched, to_host
from minihf.optim.batches import Batch, chunks, n_cases
from minihf.params import Params
from minihf.train.progress import Progress, in_one_line

__all__ = ["LOOKING", "Run"]

LOOKING = 0.25
"""Under a budget of seconds: the time that looks may have taken, as a share of the updates'."""


@dataclass
class Run:
    """What does not change while a run goes on, and `now`, which does."""

    net: Any
    loss: Any
    opt: Any
    metric: Callable[[Any, Any], Any]
    train: Batch
    test: Batch | None
    now: Progress

    @property
    def N(self) -> int:
        """Cases of the training set."""
        return n_cases(self.train)

    @property
    def done(self) -> dict[str, float]:
        """What has been spent, of each kind of budget."""
        now = self.now
        passes = now.cases / self.N
        return {"updates": now.updates, "seconds": now.seconds, "data_passes": passes}

    def update(self, batch: Batch) -> None:
        """Make one update, on the clock."""
        now, began = self.now, perf_counter()
        with np.errstate(over="ignore", invalid="ignore"):  # reported as a rejected update
            params, state, report = self.opt.step(
                self.net, self.loss, now.params, now.state, batch
            )
            if now.mean is not None:
                now.mean.add(params)
        now.move_on(params, state, report, perf_counter() - began, self.N)

    def gave_up(self, patience: int) -> str:
        """Say why there is no point in going on, or nothing."""
        if self.now.rejected_in_a_row < patience or self.now.report is None:
            return ""
        return f"gave up after {patience} rejected updates in a row: {self.now.report.problem}"

    def may_look(self) -> bool:
        """Tell whether looking has kept to its share of the time so far."""
        return self.now.looking <= LOOKING * self.now.seconds

    def look(self, ended: str) -> dict[str, Any]:
        """Measure, off the clock, and return the record."""
        now, began = self.now, perf_counter()
        shown = now.shown
        train, objective = self._means(shown, self.train, self.metric, self.loss.value)
        test = None if self.test is None else self._means(shown, self.test, self.metric)[0]
        if ended and shown is not now.params:
            (objective,) = self._means(now.params, self.train, self.loss.value)
        if math.isfinite(objective) and (ended or shown is now.params):
            now.good = now.params  # the metric may be finite all the same
        now.take_best(train, test)
        now.looking += perf_counter() - began
        blocks = {} if now.report is None else now.report.as_dict()["blocks"]
        now.records.append(now.record(train, test, self.N) | {"blocks": blocks, "ended": ended})
        return now.records[-1]

    def in_one_line(self) -> str:
        """Say where the run stands, for the progress bar: errors are those of the last look."""
        last = self.now.records[-1]
        return in_one_line(self.now.record(last["train"], last["test"], self.N))

    def _means(
        self, params: Params, batch: Batch, *measures: Callable[[Any, Any], Any]
    ) -> list[float]:
        """Return the means over the cases of functions of (output, y), in one forward pass."""
        means = [0.0] * len(measures)
        with np.errstate(over="ignore", invalid="ignore"):
            for (x, y), share in prefetched(chunks(batch)):
                output = self.net(params, x)
                for i, measure in enumerate(measures):
                    means[i] += share * float(to_host(measure(output, y)))
        return means
