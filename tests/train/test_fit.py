"""The training loop: budgets, looks, what it refuses, and how it ends."""

import io
import json
import math
import os
import re
import signal
import sys
import threading

import numpy as np
import pytest

import minihf as hf
from minihf.train.console import terminable

pytestmark = pytest.mark.usefixtures("backend")

KEYS = {
    *("updates", "seconds", "looking", "products", "data_passes", "train", "test", "rejected"),
    *("objective", "lam", "rho", "iterations", "problem", "rose", "blocks", "ended"),
}
ROUNDING = 1e-6       # relative, float32: a mean in another order


def value_at(params, task, net=None):
    """Return the mean loss over the task's data."""
    x, y = map(hf.asarray, task.data)
    return float(task.loss.value((net or task.net)(params, x), y))


# Budgets --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("budget", "message"),
    [
        ({}, "got none"),
        ({"updates": 1, "epochs": 1}, "got updates, epochs"),
        ({"updates": 0}, "updates must be a positive number, got 0"),
        ({"seconds": -1.0}, "seconds must be a positive number, got -1.0"),
        ({"epochs": math.nan}, "epochs must be a positive number, got nan"),
    ],
)
def test_there_is_exactly_one_budget_and_it_is_positive(budget, message, fit):
    with pytest.raises(ValueError, match=f"^fit: .*{message}$"):
        fit(**budget)


@pytest.mark.parametrize(
    ("budget", "batch_size", "updates", "passes", "ended"),
    [
        ({"updates": 5}, None, 5, 5, "5 updates"),
        ({"updates": 5}, 4, 5, 5 / 3, "5 updates"),
        ({"epochs": 2}, 4, 6, 2, "2 epochs"),
        ({"epochs": 0.5}, 4, 2, 2 / 3, "0.5 epochs"),
        ({"epochs": 1}, 5, 3, 15 / 12, "1 epochs"),    # the rest of an epoch is left out
    ],
)
def test_the_budget_is_spent_and_not_more(budget, batch_size, updates, passes, ended, fit):
    history = fit(batch_size=batch_size, **budget)
    assert history.last["updates"] == updates
    assert history.last["data_passes"] == pytest.approx(passes)
    assert history.ended == ended
    assert history.spent


@pytest.fixture
def timed(monkeypatch, fit, hooked):
    """Train by a clock that only updates and looks move, each by so many of its seconds."""

    def train(update, look, **arguments):
        now = [0.0]
        monkeypatch.setattr(sys.modules["minihf.train.run"], "perf_counter", lambda: now[0])

        def tick(seconds):
            now[0] += seconds

        def metric(output, y):
            tick(look)
            return hf.SquaredError().value(output, y)

        history = fit(hooked(hf.SGD(0.1), lambda *_: tick(update)), metric=metric, **arguments)
        return history, now[0]

    return train


def test_seconds_are_those_of_the_updates_and_not_of_the_looks(timed):
    history, wall = timed(update=2, look=1, seconds=100, looks=10)
    assert history.ended == "100 seconds"
    assert history.column("seconds") == [2.0 * updates for updates in history.column("updates")]
    assert history.last["seconds"] == 100
    assert wall == 100 + len(history)
    assert history.column("looking") == list(range(1, len(history) + 1))


@pytest.mark.parametrize(
    ("look", "seconds"),
    [
        (2, [0, 10, 20, 30, 40, 50, 60, 70, 80, 90, 100]),   # a fifth of the updates' time
        (5, [0, 20, 40, 60, 80, 100]),                       # not before 4 x 5 s for each so far
        (10, [0, 40, 80, 100]),
        (30, [0, 100]),                                      # start and end, always
    ],
)
def test_under_a_budget_of_seconds_looking_takes_a_quarter_of_the_time_at_most(
    look, seconds, timed
):
    """But for the last look that was begun, and the end."""
    history, wall = timed(update=1, look=look, seconds=100, looks=10)
    assert history.column("seconds") == seconds
    assert wall == 100 + look * len(history)
    assert wall - 2 * look <= 125


@pytest.mark.parametrize("budget", [{"updates": 20}, {"epochs": 20}])
def test_under_other_budgets_no_clock_decides_where_the_records_are(budget, timed):
    quick, slow = (timed(update=1, look=look, looks=10, **budget)[0] for look in (0, 1000))
    assert quick.column("updates") == slow.column("updates") == list(range(0, 21, 2))


def test_a_look_put_off_is_made_as_soon_as_it_may_and_the_rhythm_goes_on(timed):
    history, _ = timed(update=1, look=3, seconds=100, looks=20)
    assert history.column("seconds") == [0, 12, 24, 36, 48, 60, 72, 84, 96, 100]


def test_some_updates_are_looked_at_whatever_it_takes(timed):
    history, _ = timed(update=1, look=100, seconds=100, looks=hf.Looks(10, at=(2, 8, 1000)))
    assert history.column("updates") == [0, 2, 8, 100]


# Records --------------------------------------------------------------------------------------


@pytest.mark.parametrize("opt", [hf.SGD(0.1), hf.papers.martens2010(lam=1.0)])
def test_every_record_has_all_keys_and_the_first_is_the_start(opt, fit, task):
    history = fit(opt, updates=3, test=task.data, seed=5)
    assert [set(record) for record in history] == [KEYS] * 4
    assert history.column("updates") == [0, 1, 2, 3]
    assert history.column("test") == history.column("train")
    start = value_at(task.net.init(5), task)
    assert history.records[0]["train"] == pytest.approx(start, rel=ROUNDING)
    for record, nothing in ("objective", None), ("iterations", 0), ("problem", ""), ("blocks", {}):
        assert history.records[0][record] == nothing
    assert history.last["train"] < history.records[0]["train"]
    assert history.records[1]["objective"] >= history.records[0]["train"]  # with l2, or equal


def test_products_and_iterations_are_counted(fit):
    opt = hf.papers.zhang2017(max_iters=2, lam=0.1)
    history = fit(opt, updates=3, batch_size=6)
    assert history.column("products") == [0, 4, 10, 16]  # two blocks; warm starts cost one more
    assert history.column("iterations") == [0, 4, 4, 4]
    assert history.column("lam") == [None, 0.1, 0.1, 0.1]
    assert history.column("data_passes") == [0, 0.5, 1.0, 1.5]
    for record in history.records[1:]:
        blocks = record["blocks"]
        assert list(blocks) == ["0", "2"]
        assert {"predicted", "rho", "seconds"} <= blocks["0"].keys()
        assert [b["reason"] for b in blocks.values()] == ["MAX_ITERATIONS"] * 2
        assert [b["lam"] for b in blocks.values()] == [0.1] * 2
        assert sum(b["iterations"] for b in blocks.values()) == record["iterations"]


def test_a_method_without_blocks_has_none_in_its_records(fit):
    assert fit(hf.Adam(), updates=2).column("blocks") == [{}] * 3


@pytest.mark.parametrize(
    ("looks", "updates"),
    [(0, [0, 20]), (1, [0, 20]), (2, [0, 10, 20]), (5, [0, 4, 8, 12, 16, 20])],
)
def test_looks_are_so_many_beside_the_start(looks, updates, fit):
    assert fit(updates=20, looks=looks).column("updates") == pytest.approx(updates, abs=1)


def test_a_metric_of_your_own_is_a_mean_over_all_cases(fit):
    rng = np.random.default_rng(0)
    x, y = rng.standard_normal((1501, 3)).astype(np.float32), np.arange(1501) % 2
    history = fit(
        hf.SGD(1e-9), data=(x, y), loss=hf.SoftmaxCrossEntropy(), updates=1,
        metric=lambda output, labels: (labels == 1).mean(),
    )  # fmt: skip
    assert history.last["train"] == pytest.approx(750 / 1501)


def test_a_dataset_brings_its_test_data(fit):
    digits = hf.data.load("digits")
    history = fit(data=digits, net=hf.Dense(64, 10), loss=hf.SoftmaxCrossEntropy(), updates=1)
    assert history.last["test"] > 0
    assert fit(updates=1).last["test"] is None


def test_what_comes_back_is_where_it_stands_and_can_go_on(fit, task):
    history = fit(hf.SGD(0.1, momentum=0.9), updates=3)
    assert history.state.update == 3
    value = value_at(history.params, task)
    assert history.last["train"] == pytest.approx(value, rel=ROUNDING)
    more = fit(updates=1, params=history.params)
    assert more.records[0]["train"] == history.last["train"]


@pytest.mark.parametrize("opt", [hf.SGD(0.1), hf.papers.martens2010(lam=1.0)])
def test_looking_is_evaluation_and_training_is_with_noise(opt, fit, task):
    net = hf.Sequential(hf.Dense(3, 4), hf.Dropout(0.5, 4), hf.Tanh(), hf.Dense(4, 2))
    history = fit(opt, net=net, updates=3, batch_size=5, test=task.data)
    value = value_at(history.params, task, net)
    assert history.last["train"] == pytest.approx(value, rel=ROUNDING)
    assert history.last["test"] == history.last["train"]
    plain = hf.Sequential(hf.Dense(3, 4), hf.Identity(), hf.Tanh(), hf.Dense(4, 2))
    without = fit(opt, net=plain, updates=3, batch_size=5)
    assert without.records[0]["train"] == history.records[0]["train"]
    assert (without.params.vector != history.params.vector).any()


# The same bits --------------------------------------------------------------------------------


def without_clocks(values):
    """Return nested dicts without the times in them."""
    if not isinstance(values, dict):
        return values
    clocks = ("seconds", "looking")
    return {name: without_clocks(value) for name, value in values.items() if name not in clocks}


def comparable(history):
    return history.params.vector.tobytes(), repr([without_clocks(record) for record in history])


@pytest.mark.parametrize("opt", [hf.Adam(), hf.papers.zhang2017(lam=0.1)])
def test_the_same_seed_gives_the_same_bits_and_another_one_does_not(opt, fit):
    one, again, other = (fit(opt, updates=6, batch_size=4, seed=seed) for seed in (3, 3, 4))
    assert comparable(one) == comparable(again)
    assert comparable(one) != comparable(other)


def test_the_optimizer_gets_the_seed(fit, task):
    opt = hf.papers.zhang2017()                              # which draws no numbers itself
    first = opt.init(task.net.init(5), 5)
    assert fit(opt, updates=1, seed=5).state.rng == first.rng != opt.init(task.net.init(5), 6).rng


def test_the_seed_decides_the_order_of_the_cases(fit, hooked, task):
    def order(seed):
        batches = []
        opt = hooked(hf.SGD(0.1), lambda n, net, loss, params, state, batch: batches.append(batch))
        fit(opt, epochs=2, batch_size=4, seed=seed, params=task.net.init(0))
        return np.concatenate([hf.to_host(x) for x, _ in batches])

    first, second = np.split(order(1), 2)
    for epoch in (first, second):  # every case once an epoch
        np.testing.assert_array_equal(np.sort(epoch, axis=0), np.sort(task.x, axis=0))
    assert not np.array_equal(first, second)
    assert not np.array_equal(order(1), order(2))


def test_x_and_y_stay_together_and_looking_changes_nothing(fit, task):
    y = task.x @ np.ones((3, 1), np.float32)
    often, rarely = (
        fit(data=(task.x, y), net=hf.Dense(3, 1), updates=200, batch_size=3, looks=looks)
        for looks in (200, 1)
    )
    assert often.last["train"] < 0.01 * often.records[0]["train"]  # if each x meets its own y
    assert often.params.vector.tobytes() == rarely.params.vector.tobytes()


def test_parameters_stay_where_the_backend_makes_arrays(fit):
    history = fit(hf.papers.martens2010(lam=1.0), updates=2, batch_size=6)
    assert history.last["train"] < history.records[0]["train"]
    assert type(history.params.vector) is type(hf.asarray(np.ones(1)))


# What is refused ------------------------------------------------------------------------------


@pytest.mark.parametrize("which", ["train", "test"])
@pytest.mark.parametrize(("name", "part"), [("x", 0), ("y", 1)])
@pytest.mark.parametrize("bad", [math.nan, -math.inf])
def test_data_that_are_not_finite_are_refused_naming_the_case(which, name, part, bad, fit, task):
    spoilt = tuple(array.copy() for array in task.data)
    spoilt[part][7, 1] = spoilt[part][9, 0] = bad
    argument = {"data" if which == "train" else "test": spoilt}
    message = f"{name}_{which} holds NaN or Inf in 2 of 12 cases, first in case 7"
    with pytest.raises(ValueError, match=message):
        fit(updates=1, **argument)


@pytest.mark.parametrize("size", [0, -1, 13, 4.0])
def test_a_batch_size_that_does_not_fit_is_refused(size, fit):
    with pytest.raises(ValueError, match=f"batch_size is {size}, expected a whole .* 1 to 12"):
        fit(updates=1, batch_size=size)


@pytest.mark.parametrize(("option", "value"), [("looks", -1), ("give_up_after", 0)])
def test_counts_that_make_no_sense_are_refused(option, value, fit):
    with pytest.raises(ValueError, match=r"(often|give_up_after) must be"):
        fit(updates=1, **{option: value})


def test_a_dataset_without_labels_says_what_to_do(fit, task):
    x = task.x
    unlabeled = hf.data.Dataset("strokes", x, None, x, None, "made up", (1, 3))
    with pytest.raises(ValueError, match=r"'strokes' has no labels; .*autoencoding\(\)"):
        fit(data=unlabeled, updates=1)
    assert fit(data=unlabeled.autoencoding(), net=hf.Dense(3, 3), updates=1).last["test"] > 0


def test_other_things_are_no_data(fit):
    with pytest.raises(ValueError, match=r"a Dataset or a tuple \(x, y\), got list"):
        fit(data=[1, 2], updates=1)


def test_torn_data_are_refused(fit, task):
    with pytest.raises(ValueError, match=r"different numbers of cases: \[11, 12\]"):
        fit(data=(task.x, task.data[1][:11]), updates=1)


# The log --------------------------------------------------------------------------------------


def test_the_log_has_every_record_at_once_and_replaces_the_old_one(fit, hooked, tmp_path):
    path = tmp_path / "log.jsonl"
    path.write_text("something old\n")
    lines = []
    opt = hooked(hf.SGD(0.1), lambda *_: lines.append(len(path.read_text().splitlines())))
    history = fit(opt, updates=4, log=path)
    assert lines == [1, 2, 3, 4]
    assert [json.loads(line) for line in path.read_text().splitlines()] == history.records
    again = hf.History.read(path)
    assert again.records == history.records
    assert again.ended == history.ended == "4 updates"
    assert not any(history.column("ended")[:-1])          # a log that is cut off says nothing


def test_a_log_that_cannot_be_written_is_refused_before_any_update(fit, hooked, tmp_path):
    opt = hooked(hf.SGD(0.1), lambda *_: None)
    (tmp_path / "a file").touch()
    with pytest.raises(OSError, match=r"cannot write the log '.*log.jsonl': File exists"):
        fit(opt, updates=1, log=tmp_path / "a file" / "log.jsonl")
    assert opt.updates == 0


@pytest.mark.parametrize(
    "argument", [{"batch_size": 99}, {"updates": -1}, {"net": hf.Dense(4, 2)}]
)
def test_a_run_that_is_refused_leaves_an_old_log_alone(argument, fit, tmp_path):
    path = tmp_path / "log.jsonl"
    path.write_text("{}\n")
    with pytest.raises(ValueError, match=r"fit|Dense"):
        fit(**({"updates": 1, "log": path} | argument))
    assert path.read_text() == "{}\n"


# Going wrong ----------------------------------------------------------------------------------


def error_rate(output, y):
    return (output.argmax(axis=1) != y.argmax(axis=1)).mean()


@pytest.mark.parametrize("metric", [None, error_rate], ids=["the loss", "finite all the same"])
@pytest.mark.parametrize("looks", [1, 60])
def test_a_run_that_blows_up_gives_up_with_the_last_good_parameters(looks, metric, fit, task):
    history = fit(hf.SGD(lr=1e30), updates=1000, looks=looks, metric=metric, give_up_after=3)
    assert history.ended == (
        "gave up after 3 rejected updates in a row: "
        "update rejected: the objective or its gradient is not finite"
    )
    assert history.last["rejected"] == 3
    assert history.last["updates"] < 10
    assert math.isfinite(value_at(history.params, task))


class NaNAfter(hf.SquaredError):
    """Finite the first `count` times, then NaN."""

    def __init__(self, count):
        self.left = count

    def value(self, z, y):
        self.left -= 1
        return super().value(z, y) * (1 if self.left >= 0 else math.nan)


@pytest.mark.parametrize("opt", [hf.SGD(0.1), hf.Adam(), hf.papers.zhang2017(lam=0.1)])
def test_a_loss_that_turns_nan_ends_the_run_where_it_was_last_seen_finite(opt, fit, hooked):
    seen_finite = []

    class Watched(hooked):
        def step(self, net, loss, params, state, batch):
            result = self.opt.step(net, loss, params, state, batch)
            if math.isfinite(result[2].objective):
                seen_finite.append(params)
            return result

    history = fit(Watched(opt, None), loss=NaNAfter(30), updates=1000, looks=1)
    assert history.ended.startswith("gave up after 10 rejected updates in a row")
    assert not history.spent
    assert math.isnan(history.last["objective"])
    assert len(seen_finite) > 3
    assert history.params is seen_finite[-1]


def test_rejections_that_are_not_in_a_row_do_not_end_it(fit, hooked, task):
    bad = {2, 3, 5, 6, 8}

    class Moody(hooked):
        def step(self, net, loss, params, state, batch):
            self.updates += 1
            x, y = batch
            x = x * math.nan if self.updates in bad else x
            return self.opt.step(net, loss, params, state, (x, y))

    history = fit(Moody(hf.SGD(0.1), None), updates=9, give_up_after=3)
    assert history.ended == "9 updates"
    assert history.last["rejected"] == len(bad)
    assert history.column("problem")[2].startswith("update rejected")
    assert history.column("problem")[4] == ""


# Ctrl-C ---------------------------------------------------------------------------------------

ENDING = [signal.SIGINT, signal.SIGTERM]


def handlers():
    return [signal.getsignal(number) for number in ENDING]


@pytest.mark.parametrize("number", ENDING)
def test_ctrl_c_finishes_the_update_and_comes_back_with_a_good_record(
    number, fit, hooked, tmp_path, task
):
    def interrupt_the_third(update, *_):
        if update == 3:
            os.kill(os.getpid(), number)

    before = handlers()
    path = tmp_path / "log.jsonl"
    opt = hooked(hf.SGD(0.1), interrupt_the_third)
    with terminable():
        history = fit(opt, updates=1000, looks=1, log=path)
    assert history.ended == hf.History.read(path).ended == "interrupted"
    assert not history.spent
    assert history.column("updates") == [0, 3]
    value = value_at(history.params, task)
    assert history.last["train"] == pytest.approx(value, rel=ROUNDING)
    assert hf.History.read(path).last == history.last
    assert handlers() == before


@pytest.mark.parametrize("first", ENDING)
def test_a_second_ctrl_c_stops_it_at_once(first, fit, hooked):
    def insist(number, *_):
        os.kill(os.getpid(), first)
        os.kill(os.getpid(), signal.SIGINT)

    opt = hooked(hf.SGD(0.1), insist)
    with terminable(), pytest.raises(KeyboardInterrupt):
        fit(opt, updates=1000)
    assert opt.updates == 1


def test_sigterm_is_left_to_the_program(fit, hooked):
    seen = []
    fit(hooked(hf.SGD(0.1), lambda *_: seen.append(signal.getsignal(signal.SIGTERM))), updates=1)
    assert seen == [signal.SIG_DFL]


def test_a_handler_of_the_program_s_own_stays(fit, hooked):
    heard = []
    before = signal.signal(signal.SIGTERM, lambda number, frame: heard.append(number))
    try:
        opt = hooked(hf.SGD(0.1), lambda *_: os.kill(os.getpid(), signal.SIGTERM))
        assert fit(opt, updates=2).ended == "2 updates"
    finally:
        signal.signal(signal.SIGTERM, before)
    assert heard == [signal.SIGTERM] * 2


def test_what_the_process_ignores_ends_no_run(fit, hooked):
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        opt = hooked(hf.SGD(0.1), lambda *_: os.kill(os.getpid(), signal.SIGINT))
        assert fit(opt, updates=3).ended == "3 updates"
        assert signal.getsignal(signal.SIGINT) is signal.SIG_IGN
    finally:
        signal.signal(signal.SIGINT, before)


def test_it_runs_in_a_thread_of_its_own(fit):
    histories = []
    thread = threading.Thread(target=lambda: histories.append(fit(updates=2)))
    thread.start()
    thread.join()
    assert histories[0].ended == "2 updates"


# The progress bar -----------------------------------------------------------------------------


def test_the_bar_goes_to_stderr_with_what_matters(fit, capsys, task):
    fit(hf.papers.martens2010(lam=1.0), updates=2, test=task.data, progress=True, name="tiny")
    shown = capsys.readouterr()
    assert shown.out == ""
    for what in ("tiny", "100%", "update 2", "train ", "test ", "lam ", "cg ", "products/s"):
        assert what in shown.err


def test_the_bar_speaks_of_no_cg_where_there_is_no_product(fit, capsys):
    fit(hf.HessianFree(), updates=2, progress=True)
    shown = capsys.readouterr().err
    assert "lam " in shown
    assert "cg " not in shown
    assert "products/s" not in shown


def test_the_bar_is_one_line_also_in_a_narrow_window(fit, capfd, monkeypatch, task):
    monkeypatch.setattr(os, "get_terminal_size", lambda *of: os.terminal_size((60, 20)))
    fit(hf.papers.martens2010(lam=1.0), updates=2, test=task.data, progress=True)
    frames = capfd.readouterr().err.split("\r")
    assert any("loss " in frame for frame in frames)
    assert max(len(frame.rstrip("\n")) for frame in frames) < 60


def test_loss_damping_products_and_time_left_have_room_in_80_columns(fit, capfd, monkeypatch):
    monkeypatch.setattr(os, "get_terminal_size", lambda *of: os.terminal_size((80, 20)))
    fit(hf.papers.martens2010(lam=1.0), updates=2, progress=True, name="HF (martens2010)")
    *_, last = capfd.readouterr().err.rstrip().split("\r")
    assert re.search(r"00:00 left, loss \S+, lam \S+, \d+ products/s", last)


def test_the_bar_tells_the_loss_of_the_last_update_and_the_time_left(fit, capsys):
    history = fit(hf.SGD(0.1), updates=50, looks=0, progress=True)
    shown = capsys.readouterr().err
    last = history.last
    assert f"loss {last['objective']:.4g}, update 50, train {last['train']:.4g}" in shown
    assert "00:00 left" in shown


def test_without_the_bar_nothing_is_printed(fit, capsys):
    fit(updates=2)
    assert capsys.readouterr() == ("", "")


def test_the_bar_tells_of_trouble(fit, capsys):
    fit(hf.SGD(1e30), updates=20, progress=True)
    assert "update rejected" in capsys.readouterr().err


def test_a_bar_that_nobody_reads_any_more_costs_the_bar_only(fit, hooked, monkeypatch):
    class Pipe(io.StringIO):
        closed_at_the_other_end = False

        def write(self, text):
            if self.closed_at_the_other_end:
                raise BrokenPipeError
            return super().write(text)

    def close(number, *_):
        pipe.closed_at_the_other_end = number >= 2

    pipe = Pipe()
    monkeypatch.setattr(sys, "stderr", pipe)
    monkeypatch.setattr("minihf.train.console.DRAWING", 0.0)
    whole = fit(updates=4)
    history = fit(hooked(hf.SGD(0.1), close), updates=4, progress=True)
    assert "update 1" in pipe.getvalue()
    assert "update 3" not in pipe.getvalue()
    assert history.ended == "4 updates"
    assert history.params.vector.tobytes() == whole.params.vector.tobytes()
    assert fit(updates=4, progress=True).ended == "4 updates"       # closed from the beginning


# Going on, and wrong arguments ----------------------------------------------------------------


@pytest.mark.parametrize("opt", [hf.Adam(0.01), hf.papers.martens2010(lam=1.0)])
def test_going_on_from_a_state_is_never_having_stopped(opt, fit):
    whole = fit(opt, updates=6)
    first = fit(opt, updates=2)
    second = fit(opt, updates=4, params=first.params, state=first.state)
    assert second.params.vector.tobytes() == whole.params.vector.tobytes()


def test_another_optimizers_state_is_refused_and_its_parameters_are_not(fit):
    first = fit(hf.SGD(0.1), updates=2)
    opt = hf.papers.martens2010(lam=1.0)
    message = r"fit: state is SGDState, HessianFree goes on from HessianFreeState; .*params= alone"
    with pytest.raises(TypeError, match=message):
        fit(opt, updates=1, params=first.params, state=first.state)
    second = fit(opt, updates=1, params=first.params)
    assert second.records[0]["train"] == first.last["train"]


WIDER = hf.Sequential(hf.Dense(3, 5), hf.Tanh(), hf.Dense(5, 2))


@pytest.mark.parametrize(
    ("opt", "changed", "message"),
    [
        (hf.papers.zhang2017("layer"), {"opt": hf.papers.zhang2017("param")},
         "the state is of the blocks 0, 2, not of 0.W, 0.b, 2.W, 2.b; go on by params= alone"),
        (hf.papers.zhang2017("layer", lam=1.0), {"net": WIDER},
         "the state is of a network of 26 parameters, this one has 32; go on by params= alone"),
        (hf.HessianFree(), {"net": WIDER},
         "the state is of a network of 26 parameters, this one has 32; go on by params= alone"),
        (hf.SGD(0.1), {"net": WIDER}, "the state is of a network of 26 parameters, this one"),
        (hf.Adam(0.1), {"net": WIDER}, "the state is of a network of 26 parameters, this one"),
    ],
    ids=["other blocks", "a solution", "a move", "sgd", "adam"],
)  # fmt: skip
def test_a_state_of_other_blocks_or_of_another_network_is_refused_before_the_log(
    opt, changed, message, fit, tmp_path
):
    log, first = tmp_path / "log.jsonl", fit(opt, updates=2)
    log.write_text("an old log")
    with pytest.raises(ValueError, match=message):
        fit(**{"opt": opt} | changed, updates=1, state=first.state, log=log)
    assert log.read_text() == "an old log"


def test_every_rise_of_the_objective_is_counted_between_looks_too(fit):
    opt = hf.papers.zhang2017(alpha=2.2, lam=0.01)
    often, seldom = (fit(opt, updates=20, looks=looks) for looks in (20, 1))
    assert often.last["rose"] == seldom.last["rose"] > 0
    assert often.last["rose"] >= sum(r["problem"] == "the objective rose" for r in often) > 0


def test_full_batch_descent_counts_its_rises(fit):
    assert fit(hf.SGD(20.0), updates=10).last["rose"] > 0
    assert fit(hf.SGD(1e-3), updates=10).last["rose"] == 0


@pytest.mark.parametrize(
    ("argument", "expected"),
    [
        ({"opt": hf.papers.martens2010}, "opt is <function martens2010.*; expected an object such"),
        ({"opt": hf.Adam}, "opt is <class .*; expected an object such as hf.Adam"),
        ({"opt": "adam"}, "opt is 'adam'; expected an object"),
        ({"loss": hf.SquaredError}, "loss is <class .*; expected an object such as hf.Squ"),
        ({"net": lambda params, x: x}, "pass params="),
        ({"net": hf.Tanh}, "net is <class .*; expected a layer"),
    ],
)
def test_what_is_no_network_loss_or_optimizer_is_named(argument, expected, fit):
    with pytest.raises(TypeError, match=expected):
        fit(updates=1, **argument)


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        ((np.ones((2, 3), np.float32),), "a batch is a tuple .*, got a tuple of 1"),
        ((np.ones((2, 3), np.float32), None), "holds arrays, got NoneType"),
    ],
)
def test_data_that_are_no_pair_of_arrays_are_refused(data, expected, fit):
    with pytest.raises(ValueError, match=expected):
        fit(updates=1, data=data)


def test_an_unknown_column_is_refused_with_the_known_ones(fit):
    with pytest.raises(KeyError, match="no column 'loss'; there are: updates, seconds"):
        fit(updates=1).column("loss")
