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
from minihf.optim.batches import Batch, by_worker, n_cases
from minihf.parallel import each
from minihf.params import Params
from minihf.train.looks import Pair
from minihf.train.progress import Progress, in_one_line

__all__ = ["Run"]

AT_ONCE = 250
"""Cases that a look holds at once: few, so that a forward pass stays in the cache."""


@dataclass
class Run:
    """What does not change while a run goes on, and `now`, which does.

    Looks measure `seen`, a part of the training and of the test data, or all of them, and the last
    one `seen_at_end` as well, where these are others.
    """

    net: Any
    loss: Any
    opt: Any
    metric: Callable[[Any, Any], Any]
    train: Batch
    seen: Pair
    seen_at_end: Pair
    now: Progress

    @property
    def N(self) -> int:
        """Cases of the training set."""
        return n_cases(self.train)

    @property
    def done(self) -> dict[str, float]:
        """What has been spent, of each kind of budget."""
        return self.now.done(self.N)

    @property
    def _sees_more_at_end(self) -> bool:
        pairs = zip(self.seen, self.seen_at_end, strict=True)
        return any(along is not at_end for along, at_end in pairs)

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

    def look(self, ended: str) -> dict[str, Any]:
        """Measure, off the clock, and return the record."""
        now, began = self.now, perf_counter()
        shown, at_end = now.shown, {}
        train, test, objective = self._errors(shown, *self.seen)
        if ended and self._sees_more_at_end:
            all_train, all_test, objective = self._errors(shown, *self.seen_at_end)
            at_end = {"train_at_end": all_train, "test_at_end": all_test}
        if ended and shown is not now.params:
            (objective,) = self._means(now.params, self.seen[0], self.loss.value)
        if math.isfinite(objective) and (ended or shown is now.params):
            now.good = now.params  # the metric may be finite all the same
        now.take_best(train, test)
        now.looking += perf_counter() - began
        blocks = {} if now.report is None else now.report.as_dict()["blocks"]
        record = now.record(train, test, self.N) | at_end | {"blocks": blocks, "ended": ended}
        now.records.append(record)
        return record

    def in_one_line(self) -> str:
        """Say where the run stands, for the progress bar: errors are those of the last look."""
        last = self.now.records[-1]
        return in_one_line(self.now.record(last["train"], last["test"], self.N))

    def _errors(
        self, params: Params, train: Batch, test: Batch | None
    ) -> tuple[float, float | None, float]:
        """Return the metric of both, and the objective of the training cases."""
        of_train, objective = self._means(params, train, self.metric, self.loss.value)
        of_test = None if test is None else self._means(params, test, self.metric)[0]
        return of_train, of_test, objective

    def _means(
        self, params: Params, batch: Batch, *measures: Callable[[Any, Any], Any]
    ) -> list[float]:
        """Return the means over the cases of functions of (output, y), in one forward pass."""

        def of_chunk(piece: tuple[Batch, float]) -> list[float]:
            (x, y), share = piece
            with np.errstate(over="ignore", invalid="ignore"):
                output = self.net(params, x)
                return [share * float(to_host(measure(output, y))) for measure in measures]

        pieces = prefetched(by_worker(batch, AT_ONCE))
        found = [means for some in pieces for means in each(of_chunk, some)]
        return [sum(shares) for shares in zip(*found, strict=True)]
