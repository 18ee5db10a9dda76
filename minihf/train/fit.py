"""The training loop: one for every optimizer, so that a race between two is fair.

Only updates are on the clock; looking at the training and test error is not (`minihf.train.looks`),
nor is writing a checkpoint. Every record carries all the axes a figure could want.

Called by users, examples, the experiments and the command line.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np

from minihf.optim.batches import Batch
from minihf.params import Params
from minihf.train.averaging import RunningMean
from minihf.train.budget import Budget
from minihf.train.checkpoint import Checkpoints
from minihf.train.console import interruptible, progress_bar
from minihf.train.feed import Batches, first_of, test_of, train_of, upload
from minihf.train.history import History
from minihf.train.identity import identity
from minihf.train.log import log_file
from minihf.train.looks import Looks
from minihf.train.progress import Progress
from minihf.train.run import Run

__all__ = ["fit"]


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
    looks: int | Looks = 60,
    log: str | Path | None = None,
    checkpoint: str | Path | None = None,
    resume: bool = False,
    on_record: Callable[[dict[str, Any]], None] | None = None,
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
    looks : int or Looks
        How often, about, training and test error are measured and a record is made, beside the
        start; the end is always looked at. 0: only start and end. Under a budget of seconds a look
        that is due is put off for as long as the looks before it have taken more than a quarter of
        the updates' time; under `updates` and `epochs` nothing depends on a clock, and the same
        call makes its records at the same updates. `Looks` can say more: on how many cases, say.
    log : path, optional
        A file to which each record goes at once, as a line of JSON. An existing one is replaced,
        and its folder is made if it is not there.
    checkpoint : path, optional
        A folder for checkpoints (`minihf.train.checkpoint`): one every half minute, unless writing
        would then take more than a hundredth of the time, and one at the end.
    resume : bool
        Go on from the checkpoint, if there is one, with the same arguments and data; a larger
        budget goes further. The log is cut back to the records that the run had made there. Under
        ``updates`` and ``epochs`` the run comes to the same bits as one that never stopped. What
        `params` and `state` hold is then of no account. A checkpoint that cannot be read gives way
        to the one before, and one that cannot be written is left out, both with a RuntimeWarning,
        as where the disk has no room for a record.
    on_record : callable of (dict), optional
        Told each record as it is made.
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
        update at hand, writes a checkpoint and returns likewise; and SIGTERM in a program that has
        made it a KeyboardInterrupt, as the command line has.

    Raises
    ------
    ValueError
        If there is not exactly one budget, the data hold NaN or Inf, sizes do not fit, `opt` cannot
        treat the network, `state` is of other blocks or of another network, `looks` is negative or
        `give_up_after` not positive; or if there is a checkpoint and `resume` is False, or it is of
        another run or of more updates, or none can be read.
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

    From a checkpoint a run goes on, here to a larger budget:

    >>> from tempfile import mkdtemp
    >>> arguments = {"checkpoint": mkdtemp(), "batch_size": 100, "progress": False}
    >>> opt, loss = hf.Adam(), hf.SoftmaxCrossEntropy()
    >>> first = hf.fit(net, loss, opt, digits, updates=20, **arguments)
    >>> second = hf.fit(net, loss, opt, digits, updates=30, resume=True, **arguments)
    >>> whole = hf.fit(net, loss, opt, digits, updates=30, batch_size=100, progress=False)
    >>> bool((second.params.vector == whole.params.vector).all())
    True
    """
    _must_be_trainable(net, loss, opt, params)
    budget = Budget.of(updates, seconds, epochs)
    looks = looks if isinstance(looks, Looks) else Looks(looks)
    _must_make_sense(give_up_after, averaging)
    if resume and checkpoint is None:
        raise ValueError("fit: resume=True goes on from a checkpoint; pass checkpoint=FOLDER")
    train = upload("train", train_of(data), in_parts=batch_size is not None)
    held_out = test_of(data, test)
    held_out = None if held_out is None else upload("test", held_out)
    params = net.init(seed) if params is None else params
    if hasattr(opt, "must_suit"):
        opt.must_suit(net, loss, params, first_of(train, batch_size))
    fresh = opt.init(params, seed)
    state = fresh if state is None else _must_go_on(opt, state, params, fresh)
    run = Run(
        net, loss, opt, metric or loss.value, train,
        looks.along_the_way(train, held_out), looks.of_the_end(train, held_out),
        Progress(params, state, params, None if averaging is None else RunningMean(averaging)),
    )  # fmt: skip
    saved = None
    if checkpoint is not None:
        size = f"{batch_size or 'all'} of {run.N} cases"
        what = identity(
            net, params, opt, loss, seed=seed, batch=size, averaging=averaging,
            looked_at=looks.in_words(run.N),
        )  # fmt: skip
        saved = Checkpoints(checkpoint, what)
        run.now = saved.begin(run.now, resume)
        _must_not_be_beyond(budget, run.now)
        _must_go_on(opt, run.now.state, params, fresh)
    batches = Batches(train, batch_size, np.random.default_rng(seed), run.now.place)

    with ExitStack() as stack:
        write = stack.enter_context(log_file(log, run.now.records.copy()))
        show = stack.enter_context(progress_bar(name or "fit", progress, budget.spent(run.done)))
        interrupted = stack.enter_context(interruptible())
        while True:
            spent = budget.spent(run.done)
            ended = run.gave_up(give_up_after) or (budget.name if spent >= 1 else "")
            ended = ended or ("interrupted" if interrupted() else "")
            if saved is not None and (ended or saved.is_due()):
                saved.keep(run.now)  # before the look: a run that goes on begins here
            if ended or looks.are_due(run.now, run.done, budget):
                record = run.look(ended)
                write(record)
                if on_record is not None:
                    on_record(record)
            show(min(spent, 1.0), run.in_one_line())
            if ended:
                break
            run.update(next(batches))
            run.now.place = batches.place
    if saved is not None:
        saved.keep_best(run.now.best)
    return History(run.now.records, run.now.good, run.now.state, ended, run.now.shown)


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


def _must_make_sense(give_up_after: int, averaging: float | None) -> None:
    if give_up_after < 1:
        raise ValueError(f"fit: give_up_after must be 1 or more, got {give_up_after}")
    if averaging is not None and not 0 < averaging <= 1:
        raise ValueError(f"fit: averaging must be in (0, 1], or None, got {averaging}")


def _must_not_be_beyond(budget: Budget, now: Progress) -> None:
    """Refuse fewer updates than there are: the run would say of itself that it had made those."""
    if budget.kind == "updates" and now.updates > budget.amount:
        raise ValueError(
            f"fit: the run is beyond {budget.name}: it has made {now.updates}; give it more, or "
            "begin another run"
        )


def _must_go_on(opt: Any, state: Any, params: Params, fresh: Any) -> Any:
    if fresh is not None and type(state) is not type(fresh):
        raise TypeError(
            f"fit: state is {type(state).__name__}, {type(opt).__name__} goes on from "
            f"{type(fresh).__name__}; from another optimizer's parameters go on by params= alone"
        )
    if hasattr(state, "must_suit"):
        state.must_suit(params, fresh)
    return state
