"""The training loop: one for every optimizer, so that a race between two is fair.

Only updates are on the clock; looking at the training and test error is not. Where the budget is
seconds, looking may take a share of them on top and no more: looks at a slow network, or at much
data, become fewer. Every record carries all the axes a figure could want.

Called by users, examples, the experiments and the command line.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np

from minihf.backend import prefetched, to_host
from minihf.optim.batches import Batch, chunks, n_cases
from minihf.optim.report import Report
from minihf.params import Params
from minihf.train.averaging import RunningMean
from minihf.train.console import interruptible, progress_bar
from minihf.train.feed import batches_of, first_of, test_of, train_of, upload
from minihf.train.history import History, log_file

__all__ = ["fit"]

LOOKING = 0.25
"""Under a budget of seconds: the time that looks may have taken, as a share of the updates'."""


def fit(
    net: Any,
    loss: Any,
    opt: Any,
    data: Any,
    *,
    updates: int | None = None,
    seconds: float | None = None,
    epochs: float | None = None,
    batch_size: int | None = None,
    test: Batch | None = None,
    params: Params | None = None,
    state: Any = None,
    seed: int = 0,
    metric: Callable[[Any, Any], Any] | None = None,
    averaging: float | None = None,
    looks: int = 60,
    log: str | Path | None = None,
    progress: bool = True,
    name: str = "",
    give_up_after: int = 10,
) -> History:
    """Train until a budget is spent.

    Parameters
    ----------
    net : Layer or callable of (params, x)
        A bare callable needs `params`.
    loss : Loss
    opt : HessianFree, SGD, Adam, or anything with their ``init`` and ``step``
        One that cannot treat every network has a method ``must_suit(net, loss, params, batch)``,
        and refuses there, before anything is trained or written.
    data : Dataset, or a tuple (x, y)
        Training data; a `Dataset` brings its test data along. To a device they are uploaded once,
        or batch by batch where they are many (`minihf.train.feed`).
    updates, seconds, epochs : number
        The budget: one of the three, positive. Seconds are those of the updates; the last update
        is finished.
    batch_size : int, optional
        Cases per update, drawn without replacement epoch by epoch (a rest too small for a batch is
        left out of its epoch); without it, all. Gradients run through them in chunks, but
        `HessianFree` holds the activations of its curvature batch, a part of them, at once.
    test : tuple (x, y), optional
    params : Params, optional
        Where to start, another optimizer's ``history.params`` for example; without,
        ``net.init(seed)``.
    state : object, optional
        The optimizer's own state to go on from, a ``history.state``; without, ``opt.init``. One
        that may not fit has a method ``must_suit(params, fresh)``, and refuses there what it cannot
        go on with; `fresh` is what ``opt.init`` gives.
    seed : int
        Of the initial parameters, the order of the cases, and the optimizer.
    metric : callable of (output, y), optional
        What is looked at, a mean over cases; without it, ``loss.value``.
    averaging : float, optional
        Look at the mean of the parameters over about this share of the updates so far, in (0, 1],
        instead of the last ones; `minihf.train.averaging` has the equation.
    looks : int
        How often, about, training and test error are measured and a record is made, beside the
        start; the end is always looked at. 0: only start and end. Under a budget of seconds a look
        that is due is put off for as long as the looks before it have taken more than a quarter of
        the updates' time; under `updates` and `epochs` nothing depends on a clock, and the same
        call makes its records at the same updates.
    log : path, optional
        A file to which each record goes at once, as a line of JSON. An existing one is replaced,
        and its folder is made if it is not there.
    progress : bool
        Whether to show a progress bar.
    name : str
        What the progress bar calls this run.
    give_up_after : int
        Rejected updates in a row after which the run ends, with the last good parameters.

    Returns
    -------
    History
        With ``.params``, ``.state``, ``.mean``, ``.ended`` and the records. Ctrl-C finishes the
        update at hand and returns likewise.

    Raises
    ------
    ValueError
        If there is not exactly one budget, the data hold NaN or Inf, sizes do not fit, `opt` cannot
        treat the network, `state` is of other blocks or of another network, `looks` is negative or
        `give_up_after` not positive.
    TypeError
        If `opt`, `loss` or `net` are not what they should be (a class, say, not an object), or
        `state` is another optimizer's; or if `loss` lacks a method that `opt` needs.

    Examples
    --------
    >>> import minihf as hf
    >>> digits = hf.data.load("digits")
    >>> net = hf.Sequential(hf.Dense(64, 32), hf.Tanh(), hf.Dense(32, 10))
    >>> history = hf.fit(net, hf.SoftmaxCrossEntropy(), hf.papers.martens2010(lam=1.0), digits,
    ...                  updates=5, progress=False)
    >>> history.ended, history.last["train"] < history.records[0]["train"]
    ('5 updates', True)
    """
    _must_be_trainable(net, loss, opt, params)
    budget = _Budget.of(updates, seconds, epochs)
    for count, value, least in (("looks", looks, 0), ("give_up_after", give_up_after, 1)):
        if value < least:
            raise ValueError(f"fit: {count} must be {least} or more, got {value}")
    if averaging is not None and not 0 < averaging <= 1:
        raise ValueError(f"fit: averaging must be in (0, 1], or None, got {averaging}")
    train = upload("train", train_of(data), in_parts=batch_size is not None)
    held_out = test_of(data, test)
    batches = batches_of(train, batch_size, np.random.default_rng(seed))
    params = net.init(seed) if params is None else params
    if hasattr(opt, "must_suit"):
        opt.must_suit(net, loss, params, first_of(train, batch_size))
    fresh = opt.init(params, seed)
    state = fresh if state is None else _must_go_on(opt, state, params, fresh)
    run = _Run(
        net, loss, opt, params, state, metric or loss.value, train,
        None if held_out is None else upload("test", held_out),
        None if averaging is None else RunningMean(averaging),
    )  # fmt: skip

    with ExitStack() as stack:
        write = stack.enter_context(log_file(log))
        show = stack.enter_context(progress_bar(name or "fit", progress))
        interrupted = stack.enter_context(interruptible())
        next_look = 0
        while True:
            spent = budget.spent(run)
            ended = run.gave_up(give_up_after) or (budget.name if spent >= 1 else "")
            ended = ended or ("interrupted" if interrupted() else "")
            due = looks * spent >= next_look and (budget.kind != "seconds" or run.may_look())
            if ended or due:
                write(run.look(ended))
                next_look = math.floor(looks * spent) + 1
            show(min(spent, 1.0), run.summary())
            if ended:
                break
            run.update(next(batches))
    return History(run.records, run.good, run.state, ended, run.shown)


def _must_be_trainable(net: Any, loss: Any, opt: Any, params: Any) -> None:
    for what, it, methods, example in (
        ("opt", opt, ("init", "step"), "hf.Adam(lr=1e-3)"),
        ("loss", loss, ("value", "grad"), "hf.SquaredError()"),
    ):
        if isinstance(it, type) or not all(hasattr(it, method) for method in methods):
            raise TypeError(f"fit: {what} is {it!r}; expected an object such as {example}")
    if isinstance(net, type) or not callable(net):
        raise TypeError(f"fit: net is {net!r}; expected a layer or a function of (params, x)")
    if params is None and not hasattr(net, "init"):
        raise TypeError("fit: net is a function without initial parameters; pass params=")


def _must_go_on(opt: Any, state: Any, params: Params, fresh: Any) -> Any:
    if fresh is not None and type(state) is not type(fresh):
        raise TypeError(
            f"fit: state is {type(state).__name__}, {type(opt).__name__} goes on from "
            f"{type(fresh).__name__}; from another optimizer's parameters go on by params= alone"
        )
    if hasattr(state, "must_suit"):
        state.must_suit(params, fresh)
    return state


@dataclass
class _Run:
    """A run in progress: what changes from update to update."""

    net: Any
    loss: Any
    opt: Any
    params: Params
    state: Any
    metric: Callable[[Any, Any], Any]
    train: Batch
    test: Batch | None
    mean: RunningMean | None
    good: Params = field(init=False)  # the last parameters whose objective was seen to be finite
    report: Report | None = None
    updates: int = 0
    seconds: float = 0.0
    looking: float = 0.0
    products: int = 0
    cases: int = 0
    rejected: int = 0
    rose: int = 0
    rejected_in_a_row: int = 0
    records: list[dict[str, Any]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.good = self.params

    @property
    def shown(self) -> Params:
        """The parameters that are looked at: the last ones, or their mean."""
        if self.mean is None or self.mean.params is None:
            return self.params
        return self.mean.params

    @property
    def data_passes(self) -> float:
        return self.cases / n_cases(self.train)

    def update(self, batch: Batch) -> None:
        """Make one update, on the clock."""
        before = self.params
        began = perf_counter()
        with np.errstate(over="ignore", invalid="ignore"):  # reported as a rejected update
            self.params, self.state, report = self.opt.step(
                self.net, self.loss, self.params, self.state, batch
            )
            if self.mean is not None:
                self.mean.add(self.params)
        self.seconds += perf_counter() - began
        self.updates += 1
        self.cases += report.cases
        self.products += report.products
        self.rejected += not report.accepted
        self.rose += self._rose(report)
        self.rejected_in_a_row = 0 if report.accepted else self.rejected_in_a_row + 1
        self.report = report
        if math.isfinite(report.objective):
            self.good = before

    def _rose(self, report: Report) -> bool:
        """Tell whether the objective rose: by this update, or, unmeasured, since the last one."""
        if report.new_objective is not None:
            return report.new_objective > report.objective
        same_cases = self.report is not None and report.cases == n_cases(self.train)
        return same_cases and self.report is not None and report.objective > self.report.objective

    def gave_up(self, patience: int) -> str:
        """Say why there is no point in going on, or nothing."""
        if self.rejected_in_a_row < patience or self.report is None:
            return ""
        return f"gave up after {patience} rejected updates in a row: {self.report.problem}"

    def may_look(self) -> bool:
        """Tell whether looking has kept to its share of the time so far."""
        return self.looking <= LOOKING * self.seconds

    def look(self, ended: str) -> dict[str, Any]:
        """Measure, off the clock, and return the record."""
        began, report = perf_counter(), self.report
        shown = self.shown
        train, objective = self._means(shown, self.train, self.metric, self.loss.value)
        test = None if self.test is None else self._means(shown, self.test, self.metric)[0]
        if ended and shown is not self.params:
            (objective,) = self._means(self.params, self.train, self.loss.value)
        if math.isfinite(objective) and (ended or shown is self.params):
            self.good = self.params  # the metric may be finite all the same
        self.looking += perf_counter() - began
        self.records.append(
            {
                "updates": self.updates,
                "seconds": self.seconds,
                "products": self.products,
                "data_passes": self.data_passes,
                "train": train,
                "test": test,
                "rejected": self.rejected,
                "rose": self.rose,
                "objective": None if report is None else report.objective,
                "lam": None if report is None else report.lam,
                "rho": None if report is None else report.rho,
                "iterations": 0 if report is None else report.iterations,
                "problem": "" if report is None else report.problem,
                "blocks": {} if report is None else report.as_dict()["blocks"],
                "ended": ended,
            }
        )
        return self.records[-1]

    def summary(self) -> str:
        """Say where the run stands, for the progress bar."""
        record, report = self.records[-1], self.report
        parts = [f"update {self.updates}", f"train {record['train']:.4g}"]
        if record["test"] is not None:
            parts.append(f"test {record['test']:.4g}")
        if report is not None and report.lam is not None:
            parts.append(f"lam {report.lam:.2g}")
            if self.products:
                speed = self.products / max(self.seconds, 1e-9)
                parts += [f"cg {report.iterations}", f"{speed:.0f} products/s"]
        if self.rose:
            parts.append(f"rose {self.rose}x")
        if report is not None and report.problem:
            parts.append(report.problem)
        return ", ".join(parts)

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


@dataclass(frozen=True)
class _Budget:
    """What a run may spend."""

    kind: str
    amount: float

    @classmethod
    def of(cls, updates: Any, seconds: Any, epochs: Any) -> _Budget:
        given = {"updates": updates, "seconds": seconds, "epochs": epochs}
        given = {kind: amount for kind, amount in given.items() if amount is not None}
        if len(given) != 1:
            raise ValueError(
                "fit: give one budget of updates=, seconds=, epochs=; "
                f"got {', '.join(given) or 'none'}"
            )
        ((kind, amount),) = given.items()
        if isinstance(amount, str) or not amount > 0:
            raise ValueError(f"fit: {kind} must be a positive number, got {amount!r}")
        return cls(kind, amount)

    @property
    def name(self) -> str:
        return f"{self.amount:g} {self.kind}"

    def spent(self, run: _Run) -> float:
        """Return the share that is spent."""
        done = {"updates": run.updates, "seconds": run.seconds, "epochs": run.data_passes}
        return done[self.kind] / self.amount
