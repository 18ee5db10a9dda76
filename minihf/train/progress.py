"""Where a run stands: all that changes from update to update, and nothing else.

A checkpoint is this and no more, so that a run that goes on from one goes on as if it had never
stopped. Called by `minihf.train.run`, which moves it on.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from numbers import Integral, Real
from typing import Any

from minihf.optim.report import Report
from minihf.params import Params
from minihf.train.averaging import RunningMean

__all__ = ["Best", "Progress", "in_one_line", "whole_progress"]


@dataclass(frozen=True)
class Best:
    """The parameters with the smallest training error that a look has seen, and where that was.

    Of equal ones the last, for looks may measure a part of the cases.
    By the training error, not the test error: who chooses by test data trains on them.
    """

    params: Params
    updates: int
    train: float
    test: float | None


@dataclass
class Progress:
    """Where a run stands.

    Attributes
    ----------
    params : Params
        The last ones.
    state : object
        The optimizer's.
    good : Params
        The last parameters whose objective was seen to be finite.
    mean : RunningMean or None
        The mean of the parameters over the last updates, if that is what is looked at.
    best : Best or None
    report : Report or None
        What the last update told.
    place : mapping or None
        Where in the order of the cases the next batch begins (`minihf.train.feed`).
    seconds, looking : float
        Time of the updates, and of the looks.
    cases : int
        Of the gradients so far.
    records : list of dict
    """

    params: Params
    state: Any
    good: Params
    mean: RunningMean | None = None
    best: Best | None = None
    report: Report | None = None
    place: Mapping[str, Any] | None = None
    updates: int = 0
    seconds: float = 0.0
    looking: float = 0.0
    products: int = 0
    cases: int = 0
    rejected: int = 0
    rose: int = 0
    rejected_in_a_row: int = 0
    records: list[dict[str, Any]] = field(default_factory=list)

    @property
    def shown(self) -> Params:
        """The parameters that are looked at: the last ones, or their mean."""
        if self.mean is None or self.mean.params is None:
            return self.params
        return self.mean.params

    def done(self, N: int) -> dict[str, float]:
        """Return what has been spent, of each kind of budget, on a training set of N cases."""
        passes = self.cases / N
        return {"updates": self.updates, "seconds": self.seconds, "data_passes": passes}

    def move_on(self, params: Params, state: Any, report: Report, seconds: float, N: int) -> None:
        """Take in one more update, of a training set of N cases."""
        before, self.params, self.state = self.params, params, state
        self.seconds += seconds
        self.updates += 1
        self.cases += report.cases
        self.products += report.products
        self.rejected += not report.accepted
        self.rose += self._rose(report, N)
        self.rejected_in_a_row = 0 if report.accepted else self.rejected_in_a_row + 1
        self.report = report
        if math.isfinite(report.objective):
            self.good = before

    def _rose(self, report: Report, N: int) -> bool:
        """Tell whether the objective rose: by this update, or, unmeasured, since the last one."""
        if report.new_objective is not None:
            return report.new_objective > report.objective
        same_cases = self.report is not None and report.cases == N
        return same_cases and self.report is not None and report.objective > self.report.objective

    def take_best(self, train: float, test: float | None) -> None:
        """Keep the parameters that are shown if no training error so far was smaller."""
        if not train <= (math.inf if self.best is None else self.best.train):
            return
        params = self.shown
        if params is not self.params:  # a mean is written into
            params = params.with_vector(params.vector.copy())
        self.best = Best(params, self.updates, train, test)

    def record(self, train: float | None, test: float | None, N: int) -> dict[str, Any]:
        """Return where the run stands as plain values, with errors that were measured."""
        report = self.report
        return {
            **self.done(N),
            "products": self.products,
            "looking": self.looking,
            "train": train,
            "test": test,
            "rejected": self.rejected,
            "rose": self.rose,
            "objective": None if report is None else report.objective,
            "lam": None if report is None else report.lam,
            "rho": None if report is None else report.rho,
            "iterations": 0 if report is None else report.iterations,
            "problem": "" if report is None else report.problem,
        }


KINDS = {
    "params": Params, "good": Params, "mean": RunningMean | None, "best": Best | None,
    "report": Report | None, "place": Mapping | None, "records": list,
    **dict.fromkeys(("updates", "products", "cases"), Integral),
    **dict.fromkeys(("rejected", "rejected_in_a_row", "rose"), Integral),
    **dict.fromkeys(("seconds", "looking"), Real),
}  # fmt: skip
"""What the fields of a `Progress` hold, but for the optimizer's own state."""


def whole_progress(value: Any) -> Progress:
    """Return what was read from a file, if a run can go on from it.

    Raises
    ------
    ValueError
        If it is no `Progress`, or a field of it holds something else than it should.
    """
    if not isinstance(value, Progress):
        raise ValueError(f"expected where a run stands, got {type(value).__name__}")
    for name, kind in KINDS.items():
        part = getattr(value, name)
        if not isinstance(part, kind):
            raise ValueError(f"its {name!r} is {type(part).__name__}")
    return value


def in_one_line(record: Mapping[str, Any]) -> str:
    """Say where a run stands, for a progress bar: first what a window of 80 columns has room for.

    Examples
    --------
    >>> in_one_line({"updates": 3, "objective": 2.51, "train": 2.5, "test": None, "lam": 0.1,
    ...              "iterations": 8, "products": 30, "seconds": 2.0, "rose": 0, "problem": ""})
    'loss 2.51, lam 0.1, 15 products/s, update 3, train 2.5, cg 8'
    """

    def told(name: str, key: str, form: str) -> str:
        return "" if record[key] is None else f"{name} {record[key]:{form}}"

    speed = record["products"] / max(record["seconds"], 1e-9)
    parts = [
        told("loss", "objective", ".4g"),
        told("lam", "lam", ".2g"),
        f"{speed:.0f} products/s" if speed else "",
        f"update {record['updates']}",
        told("train", "train", ".4g"),
        told("test", "test", ".4g"),
        f"cg {record['iterations']}" if speed else "",
        f"rose {record['rose']}x" if record["rose"] else "",
        record["problem"],
    ]
    return ", ".join(filter(None, parts))
