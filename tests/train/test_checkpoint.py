"""Checkpoints: what a run goes on from is where it stood, whatever happens to it or to the file."""

import errno
import importlib.util
import itertools
import json
import math
import os
import signal
import stat
import subprocess
import sys
from contextlib import nullcontext
from dataclasses import fields
from pathlib import Path

import numpy as np
import pytest

import minihf as hf
from minihf import ops, optim
from minihf.train import archive
from minihf.train.archive import Unreadable, pack, unpack
from minihf.train.checkpoint import BEST, LATEST, PREVIOUS, Checkpoints, parameters
from minihf.train.progress import KINDS, Progress

HERE = Path(__file__).parent
KILLING = HERE / "killing.py"

OPTIMIZERS = {
    "sgd": hf.SGD(0.1, momentum=0.9),
    "adam": hf.Adam(0.01),
    "minihf": hf.HessianFree(),
    "zhang2017": hf.papers.zhang2017(lam=0.1, max_iters=4),
    "martens2010": hf.papers.martens2010(lam=1.0),
    "kiros2013": hf.papers.kiros2013(updates_per_epoch=2),
}
CLOCKS = {"seconds", "looking"}


class Stop(Exception):
    """What ends a run in its middle."""


class Steps(hf.Layer):
    """Takes each number of a case as a step in time."""

    def __call__(self, params, x):
        return ops.reshape(x, (*x.shape, 1))


@pytest.fixture
def alike(hooked):
    """Give an optimizer around another, with a call before its updates, that describes it."""

    class Alike(hooked):
        def __repr__(self):
            return repr(self.opt)

    return Alike


@pytest.fixture
def stopped(fit, alike, often):
    """Train until an update that is not made; the checkpoint before it is there."""

    def train(at, opt, **arguments):
        def stop(number, *_):
            if number == at:
                raise Stop

        with pytest.raises(Stop):
            fit(alike(opt, stop), **arguments)

    return train


def without_clocks(tree):
    """Return plain values without times."""
    if isinstance(tree, dict):
        return {key: without_clocks(part) for key, part in tree.items() if key not in CLOCKS}
    return [without_clocks(part) for part in tree] if isinstance(tree, list) else tree


def held(path):
    """Return all that a checkpoint holds, but for times, as something that ``==`` compares."""
    text, arrays = unpack(path)
    bits = {
        name: (array.dtype.str, array.shape, array.tobytes()) for name, array in arrays.items()
    }
    return repr(without_clocks(text)), bits


def records(path):
    return [without_clocks(record) for record in hf.History.read(path)]


# Never having stopped -------------------------------------------------------------------------


NOISY = hf.Sequential(hf.Dense(3, 4), hf.Dropout(0.5, 4), hf.Tanh(), hf.Dense(4, 2))
DENSE = hf.Sequential(hf.Dense(3, 4), hf.Tanh(), hf.Dense(4, 2))
RECURRENT = hf.Sequential(Steps(), hf.LSTM(1, 3), hf.LastStep(), hf.Dense(3, 2))
LINEAR = optim.Linear(0.1, 0.0, updates=6)
STOPPED = {name: (NOISY, opt) for name, opt in OPTIMIZERS.items()}
OTHERS = {
    "minihf, an LSTM": (RECURRENT, hf.HessianFree()),
    "martens_sutskever2011": (RECURRENT, hf.papers.martens_sutskever2011()),
    "chan_szeto1999": (RECURRENT, hf.papers.chan_szeto1999()),
    "chen2018": (DENSE, hf.papers.chen2018()),
    "wiesler2013": (DENSE, hf.papers.wiesler2013()),
    "a schedule and a projection": (NOISY, hf.SGD(LINEAR, 0.9, projection=optim.MaxNorm(0.5))),
    "other parts": (
        NOISY,
        hf.HessianFree(
            solver=optim.ConjugateGradients(max_iters=3), preconditioner=optim.Jacobi(),
            damping=optim.ByAcceptance(), sampling=optim.CycledChunks(), update="sequential",
        ),
    ),
}  # fmt: skip


@pytest.mark.usefixtures("backend")
@pytest.mark.parametrize(
    ("name", "at"), [*itertools.product(STOPPED, (1, 2, 6)), *itertools.product(OTHERS, (3,))]
)
def test_a_run_that_was_stopped_comes_to_the_same_bits(name, at, fit, stopped, task, tmp_path):
    net, opt = (STOPPED | OTHERS)[name]
    arguments = {"net": net, "batch_size": 5, "averaging": 0.5, "looks": 4, "updates": 7}
    arguments |= {"test": task.data}
    one, two = tmp_path / "one", tmp_path / "two"
    whole = fit(opt, checkpoint=one, log=one / "log.jsonl", **arguments)
    stopped(at, opt, checkpoint=two, log=two / "log.jsonl", **arguments)
    again = fit(opt, checkpoint=two, log=two / "log.jsonl", resume=True, **arguments)
    for file in (LATEST, BEST):
        assert held(one / file) == held(two / file)
    for params in ("params", "mean"):
        vectors = [hf.to_host(getattr(h, params).vector).tobytes() for h in (whole, again)]
        assert vectors[0] == vectors[1]
    assert records(one / "log.jsonl") == records(two / "log.jsonl")
    assert repr(without_clocks(whole.records)) == repr(without_clocks(again.records))
    assert again.ended == "7 updates"


def test_the_place_in_an_epoch_is_where_the_run_goes_on(fit, stopped, alike, tmp_path):
    seen, arguments = [], {"batch_size": 5, "updates": 7}

    def note(number, net, loss, params, state, batch):
        seen.append(batch[0].tobytes())

    fit(alike(hf.SGD(0.1), note), **arguments)
    whole, seen[:] = seen.copy(), []
    stopped(4, hf.SGD(0.1), checkpoint=tmp_path, **arguments)
    fit(alike(hf.SGD(0.1), note), checkpoint=tmp_path, resume=True, **arguments)
    assert seen == whole[3:]


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork")
@pytest.mark.parametrize("method", ["sgd", "adam", "minihf", "zhang2017"])
def test_a_process_that_is_killed_again_and_again_comes_to_the_same_bits(method, tmp_path):
    spec = importlib.util.spec_from_file_location("killing", KILLING)
    killing = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(killing)
    killing.train(tmp_path / "whole", method)
    command = [sys.executable, KILLING, tmp_path / "killed", method, "5"]
    done = subprocess.run(
        command, capture_output=True, text=True, check=False,
        env=os.environ | {"OPENBLAS_NUM_THREADS": "1"},
    )  # fmt: skip
    assert done.stderr == ""
    assert done.stdout == "5\n"
    for file in (LATEST, BEST):
        assert held(tmp_path / "whole" / file) == held(tmp_path / "killed" / file)
    logs = [records(tmp_path / which / "log.jsonl") for which in ("whole", "killed")]
    assert logs[0] == logs[1]


def test_a_larger_budget_goes_further_and_to_the_same_bits(fit, tmp_path):
    whole = fit(hf.Adam(), updates=40)
    fit(hf.Adam(), updates=4, looks=4, checkpoint=tmp_path)
    more = fit(hf.Adam(), updates=40, looks=4, checkpoint=tmp_path, resume=True)
    assert more.params.vector.tobytes() == whole.params.vector.tobytes()
    assert more.column("updates") == [0, 1, 2, 3, 10, 20, 30, 40]


def test_where_looks_are_as_dense_a_larger_budget_makes_the_same_records(fit, tmp_path):
    whole = fit(hf.Adam(), updates=12, looks=12)
    fit(hf.Adam(), updates=4, looks=12, checkpoint=tmp_path)
    more = fit(hf.Adam(), updates=12, looks=12, checkpoint=tmp_path, resume=True)
    assert [without_clocks(r) for r in more] == [without_clocks(r) for r in whole]


def test_a_run_that_has_ended_ends_again_as_it_did(fit, tmp_path):
    arguments = {"updates": 4, "checkpoint": tmp_path, "log": tmp_path / "log.jsonl"}
    first = fit(hf.Adam(), **arguments)
    before = records(tmp_path / "log.jsonl")
    again = fit(hf.Adam(), resume=True, **arguments)
    assert again.params.vector.tobytes() == first.params.vector.tobytes()
    assert records(tmp_path / "log.jsonl") == before


def test_a_run_that_goes_further_says_no_more_that_it_has_ended(fit, alike, tmp_path):
    log = tmp_path / "log.jsonl"
    arguments = {"looks": 4, "checkpoint": tmp_path, "log": log}
    fit(hf.Adam(), updates=4, **arguments)
    assert hf.History.read(log).ended == "4 updates"

    def note(number, *_):
        ended.append(hf.History.read(log).ended)

    ended = []
    fit(alike(hf.Adam(), note), updates=40, resume=True, **arguments)
    assert ended == [""] * 36
    assert hf.History.read(log).ended == "40 updates"


def test_seconds_go_on_from_those_that_were_spent(fit, tmp_path, monkeypatch):
    ticks = itertools.count()                                   # a second for each update and look
    monkeypatch.setattr(sys.modules["minihf.train.run"], "perf_counter", lambda: next(ticks))
    whole = fit(hf.Adam(), seconds=40)
    first = fit(hf.Adam(), seconds=15, checkpoint=tmp_path)
    more = fit(hf.Adam(), seconds=40, checkpoint=tmp_path, resume=True)
    assert (first.last["updates"], more.last["updates"]) == (15, 40)
    assert more.last["seconds"] == 40
    assert more.params.vector.tobytes() == whole.params.vector.tobytes()


def test_without_a_checkpoint_a_run_that_is_to_go_on_begins(fit, tmp_path):
    whole = fit(updates=3)
    again = fit(updates=3, checkpoint=tmp_path / "new", resume=True)
    assert again.params.vector.tobytes() == whole.params.vector.tobytes()


@pytest.mark.parametrize("to", ["strict", "numpy"])
def test_a_checkpoint_of_one_backend_goes_on_with_another(to, fit, stopped, tmp_path):
    """In the same order of cases, and, with the same arithmetic underneath, to the same numbers."""
    other = {"strict": "numpy", "numpy": "strict"}[to]
    arguments = {"batch_size": 5, "updates": 8, "averaging": 0.5}
    hf.use(other)
    whole = fit(hf.HessianFree(), **arguments)
    stopped(4, hf.HessianFree(), checkpoint=tmp_path, **arguments)
    hf.use(to)
    again = fit(hf.HessianFree(), checkpoint=tmp_path, resume=True, **arguments)
    assert type(again.params.vector) is type(hf.asarray(np.ones(1)))
    np.testing.assert_allclose(
        hf.to_host(again.params.vector), hf.to_host(whole.params.vector), rtol=ACROSS, atol=ACROSS
    )
    hf.use("numpy")


ACROSS = 1e-5           # float32, a handful of updates: sums are made in another order


# What is kept ---------------------------------------------------------------------------------


def test_the_best_parameters_are_those_with_the_smallest_training_error(fit, tmp_path, task):
    x, y = task.data
    history = fit(
        hf.SGD(0.9, momentum=0.9), updates=30, looks=30, test=(x, -y), checkpoint=tmp_path
    )
    errors, others = history.column("train"), history.column("test")
    assert min(errors) < errors[-1]                                   # it is not the last
    assert np.argmin(errors) != np.argmin(others)
    best = parameters(tmp_path / BEST, task.net.init(0))
    assert task.loss.value(task.net(best, x), y) == pytest.approx(min(errors))


def test_the_last_look_may_be_the_best(fit, tmp_path, task):
    history = fit(updates=3, looks=0, checkpoint=tmp_path)
    best = parameters(tmp_path / BEST, task.net.init(0))
    assert best.vector.tobytes() == history.params.vector.tobytes()


@pytest.mark.parametrize("averaging", [None, 0.5])
def test_the_parameters_of_a_checkpoint_are_those_of_its_errors(averaging, fit, tmp_path, task):
    history = fit(hf.Adam(), updates=5, averaging=averaging, checkpoint=tmp_path)
    found = parameters(tmp_path / LATEST, task.net.init(0))
    assert found.vector.tobytes() == history.mean.vector.tobytes()
    with pytest.raises(ValueError, match=r"network: 0.W \(3, 4\) float32 there and 0.W \(2, 4\)"):
        parameters(tmp_path / LATEST, hf.Sequential(hf.Dense(2, 4)).init(0))


def test_there_are_two_of_them_and_the_best_and_nothing_else(fit, often, tmp_path):
    fit(hf.Adam(), updates=5, checkpoint=tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == [BEST, LATEST, PREVIOUS]
    updates = [unpack(tmp_path / f)[0]["value"]["Progress"]["updates"] for f in (PREVIOUS, LATEST)]
    assert updates == [4, 5]


def test_numpy_opens_it_and_its_text_is_json(fit, tmp_path):
    fit(hf.Adam(), updates=2, checkpoint=tmp_path)
    with np.load(tmp_path / LATEST, allow_pickle=False) as file:
        assert file["state.mean"].shape == (26,)
        assert json.loads(file["checkpoint.json"])["value"]["Progress"]["updates"] == 2


def test_ctrl_c_leaves_a_checkpoint_to_go_on_from(fit, alike, tmp_path):
    def interrupt(number, *_):
        if number == 3:
            os.kill(os.getpid(), signal.SIGINT)

    arguments = {"updates": 6, "checkpoint": tmp_path, "log": tmp_path / "log.jsonl"}
    whole = fit(hf.Adam(), updates=6)
    assert fit(alike(hf.Adam(), interrupt), **arguments).ended == "interrupted"
    again = fit(hf.Adam(), resume=True, **arguments)
    assert again.params.vector.tobytes() == whole.params.vector.tobytes()
    assert again.column("ended") == [""] * (len(again) - 1) + ["6 updates"]
    assert hf.History.read(tmp_path / "log.jsonl").column("ended") == again.column("ended")


# When -----------------------------------------------------------------------------------------


def due_at(cost, until):
    """Return when checkpoints are written by a clock of whole seconds, if one takes `cost`."""
    now, found = [0.0], []
    kept = Checkpoints("nowhere", {}, lambda: now[0])
    kept._keep_latest = lambda progress: now.__setitem__(0, now[0] + cost)
    kept._or_warned = nullcontext
    params = hf.Params.from_dict({"w": np.zeros(1)})
    while now[0] < until:
        if kept.is_due():
            found.append(now[0])
            kept.keep(Progress(params, None, params))
        now[0] += 1
    return found


@pytest.mark.parametrize(
    ("cost", "times"),
    [
        (0, [30, 60, 90, 120, 150, 180, 210, 240, 270, 300]),
        (1, [30, 100, 200, 300]),                                 # a hundredth of the time
        (10, [30]),
    ],
)
def test_a_checkpoint_is_due_every_half_minute_unless_it_takes_more_than_its_share(cost, times):
    assert [round(at, -1) for at in due_at(cost, 301)] == times


# Files that fail ------------------------------------------------------------------------------


@pytest.fixture
def kept(fit, often, tmp_path):
    """Give a folder with a latest checkpoint, of update 4, and a previous one, of update 3."""
    fit(hf.Adam(), updates=4, checkpoint=tmp_path, log=tmp_path / "log.jsonl", looks=4)
    return tmp_path


def spoil(path, how):
    content = path.read_bytes()
    if how == "truncated":
        path.write_bytes(content[: len(content) // 2])
    elif how == "a flipped bit":
        middle = len(content) // 2
        path.write_bytes(content[:middle] + bytes([content[middle] ^ 4]) + content[middle + 1 :])
    elif how == "empty":
        path.write_bytes(b"")
    elif how == "another npz":
        np.savez(path, x=np.zeros(3))


HOW = ["truncated", "a flipped bit", "empty", "another npz"]


@pytest.mark.parametrize("how", HOW)
def test_a_latest_that_cannot_be_read_gives_way_to_the_previous(how, kept, fit):
    spoil(kept / LATEST, how)
    whole = fit(hf.Adam(), updates=9)
    arguments = {"checkpoint": kept, "log": kept / "log.jsonl", "resume": True, "looks": 4}
    with pytest.warns(RuntimeWarning) as said:
        again = fit(hf.Adam(), updates=4, **arguments)
    (line,) = {str(warning.message) for warning in said}
    assert f"{str(kept / LATEST)!r} cannot be read (" in line
    assert line.endswith(f"the run goes on from {str(kept / PREVIOUS)!r}, update 3")
    assert "\n" not in line
    assert again.column("updates") == [0, 1, 2, 3, 4]
    assert hf.History.read(kept / "log.jsonl").column("updates") == [0, 1, 2, 3, 4]
    further = fit(hf.Adam(), updates=9, **arguments)
    assert further.params.vector.tobytes() == whole.params.vector.tobytes()


def test_a_latest_that_cannot_be_read_never_becomes_the_previous(kept, fit, monkeypatch):
    spoil(kept / LATEST, "truncated")
    good = (kept / PREVIOUS).read_bytes()
    monkeypatch.setattr(archive.os, "fsync", full_disk)
    with pytest.warns(RuntimeWarning):
        fit(hf.Adam(), updates=4, checkpoint=kept, resume=True)
    assert (kept / PREVIOUS).read_bytes() == good
    monkeypatch.undo()
    with pytest.warns(RuntimeWarning, match="goes on from"):
        fit(hf.Adam(), updates=4, checkpoint=kept, resume=True)
    assert (kept / PREVIOUS).read_bytes() == good
    unpack(kept / LATEST)


def test_without_a_latest_the_previous_goes_on_in_silence(kept, fit):
    (kept / LATEST).unlink()                                   # killed between two renames
    assert fit(hf.Adam(), updates=4, checkpoint=kept, resume=True).last["updates"] == 4


def test_where_none_can_be_read_the_files_are_named(kept, fit):
    for name in (LATEST, PREVIOUS):
        spoil(kept / name, "truncated")
    log = (kept / "log.jsonl").read_bytes()
    with pytest.raises(ValueError, match=r"^no checkpoint can be read: .*; delete them, and") as no:
        fit(hf.Adam(), updates=4, checkpoint=kept, log=kept / "log.jsonl", resume=True)
    assert all(repr(str(kept / name)) in str(no.value) for name in (LATEST, PREVIOUS))
    assert "\n" not in str(no.value)
    assert (kept / "log.jsonl").read_bytes() == log


def test_whatever_bit_is_flipped_it_is_noticed_or_it_was_of_no_account(kept, tmp_path):
    content, rng = (kept / LATEST).read_bytes(), np.random.default_rng(0)
    expected, noticed = held(kept / LATEST), 0
    path = tmp_path / "flipped.npz"
    for at in rng.choice(len(content), size=400, replace=False):
        flipped = bytearray(content)
        flipped[at] ^= 1 << rng.integers(8)
        path.write_bytes(flipped)
        try:
            assert held(path) == expected
        except Unreadable:
            noticed += 1
    assert noticed > 200


def test_whatever_is_cut_off_is_noticed(kept, tmp_path):
    content = (kept / LATEST).read_bytes()
    for length in range(0, len(content), 97):
        (tmp_path / "cut.npz").write_bytes(content[:length])
        with pytest.raises(Unreadable):
            unpack(tmp_path / "cut.npz")


def full_disk(*arguments):
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


@pytest.mark.parametrize("room", [0, 1, 100, 2000, 3500])
def test_a_disk_that_fills_up_while_a_checkpoint_is_written_costs_that_one_only(
    room, kept, fit, disk
):
    before = {name: (kept / name).read_bytes() for name in (LATEST, PREVIOUS)}
    assert len(before[LATEST]) > room
    whole = fit(hf.Adam(), updates=9)
    disk.left = room
    with pytest.warns(RuntimeWarning, match="No space left on device; the run goes on"):
        history = fit(hf.Adam(), updates=9, checkpoint=kept, resume=True)
    assert history.params.vector.tobytes() == whole.params.vector.tobytes()
    assert {name: (kept / name).read_bytes() for name in before} == before
    assert [path.name for path in kept.iterdir() if ".part" in path.name] == []


def test_on_a_full_disk_a_run_comes_to_its_end_and_what_it_left_goes_on(kept, fit, disk):
    log = kept / "log.jsonl"
    whole = fit(hf.Adam(), updates=9, looks=9)

    def fill(record):
        disk.left = 0 if record["updates"] > 4 else math.inf

    arguments = {"updates": 9, "looks": 9, "log": log, "checkpoint": kept, "resume": True}
    with pytest.warns(RuntimeWarning, match="No space left on device"):
        history = fit(hf.Adam(), on_record=fill, **arguments)
    assert history.params.vector.tobytes() == whole.params.vector.tobytes()
    assert hf.History.read(log).ended == ""
    disk.left = math.inf
    assert fit(hf.Adam(), **arguments).params.vector.tobytes() == whole.params.vector.tobytes()
    assert records(log) == [without_clocks(record) for record in whole]


@pytest.mark.parametrize("step", ["fsync", "replace"])
@pytest.mark.parametrize("number", [0, 1, 2, 3])
def test_a_step_that_fails_leaves_something_to_go_on_from(step, number, kept, fit, monkeypatch):
    right, calls = getattr(os, step), []

    def fail(*arguments):
        if step == "fsync" and stat.S_ISDIR(os.fstat(*arguments).st_mode):
            return right(*arguments)                   # of a folder it is only a wish
        calls.append(arguments)
        return full_disk() if len(calls) == number + 1 else right(*arguments)

    monkeypatch.setattr(os, step, fail)
    whole = fit(hf.Adam(), updates=9)
    with pytest.warns(RuntimeWarning, match="the run goes on"):
        fit(hf.Adam(), updates=6, checkpoint=kept, resume=True)
    monkeypatch.undo()
    more = fit(hf.Adam(), updates=9, checkpoint=kept, resume=True)
    assert more.params.vector.tobytes() == whole.params.vector.tobytes()


def test_what_a_killed_process_left_half_written_is_swept_up(kept, fit):
    (kept / ".latest.0123abcd.part.npz").touch()
    fit(hf.Adam(), updates=4, checkpoint=kept, resume=True)
    assert [path.name for path in kept.iterdir() if ".part" in path.name] == []


# What is refused ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"opt": hf.Adam(0.5)}, r"method: Adam\(lr=0.001 there and Adam\(lr=0.5 here"),
        ({"opt": hf.SGD()}, r"method: Adam\(lr=0.001 there and SGD\(lr=0.01 here"),
        ({"net": hf.Sequential(hf.Dense(3, 5), hf.Tanh(), hf.Dense(5, 2))},
         r"network: 0.W \(3, 4\) float32 there and 0.W \(3, 5\) float32 here"),
        ({"net": hf.Sequential(hf.Dense(3, 4), hf.Sigmoid(), hf.Dense(4, 2))},
         r"layers: Tanh\(\) there and Sigmoid\(\) here"),
        ({"seed": 1}, "seed: 0 there and 1 here"),
        ({"batch_size": 3}, "batch: all of 12 cases there and 3 of 12 cases here"),
        ({"averaging": 0.1}, "averaging: None there and 0.1 here"),
        ({"loss": hf.SigmoidCrossEntropy()}, r"loss: SquaredError\(\) there and Sigm"),
    ],
)  # fmt: skip
def test_a_checkpoint_of_another_run_is_refused_and_stays(change, message, kept, fit):
    before = {path.name: path.read_bytes() for path in kept.iterdir()}
    arguments = {"opt": hf.Adam(), "updates": 5, "checkpoint": kept, "log": kept / "log.jsonl"}
    with pytest.raises(ValueError, match=f"latest.npz' is of another run, {message}") as refusal:
        fit(**arguments | change, resume=True)
    assert "\n" not in str(refusal.value)
    assert {path.name: path.read_bytes() for path in kept.iterdir()} == before


def test_another_format_is_refused(kept, fit):
    text, arrays = unpack(kept / LATEST)
    (kept / LATEST).unlink()
    pack(kept / LATEST, text | {"format": 2}, arrays)
    with pytest.raises(ValueError, match=r"latest.npz' is of format 2; this minihf reads 1$"):
        fit(hf.Adam(), updates=5, checkpoint=kept, resume=True)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"of": []}, ""),
        ({"of": {"network": 3}}, "it does not say what it is of"),
        ({"value": None}, "expected where a run stands, got NoneType"),
        ({"value": [1]}, ""),
        ({"value": {"mapping": {}}}, "expected where a run stands, got dict"),
        ({"value": {"list": 5}}, ""),
        ({"updates": "x"}, "its 'updates' is str"),
        ({"params": None}, "its 'params' is NoneType"),
        ({"params": {"params": [1]}}, ""),
        ({"records": None}, "its 'records' is NoneType"),
        ({"report": 5}, "its 'report' is int"),
        ({"rejected_in_a_row": "x"}, "its 'rejected_in_a_row' is str"),
        ({"more": 1}, "its Progress is of another version: "),
    ],
)
def test_a_whole_file_that_is_made_otherwise_is_refused_in_a_line(change, message, kept, fit):
    text, arrays = unpack(kept / LATEST)
    (kept / LATEST).unlink()
    if change.keys() <= text.keys():
        text |= change
    else:
        text["value"]["Progress"] |= change
    pack(kept / LATEST, text, arrays)
    with pytest.raises(ValueError, match=f"latest.npz' does not fit: {message}") as refusal:
        fit(hf.Adam(), updates=5, checkpoint=kept, resume=True)
    assert "\n" not in str(refusal.value)


def test_every_field_but_the_optimizers_state_is_known_by_its_kind():
    assert KINDS.keys() == {field.name for field in fields(Progress)} - {"state"}


def test_a_run_is_not_said_to_have_made_fewer_updates_than_it_has(kept, fit):
    with pytest.raises(ValueError, match=r"^fit: the run is beyond 1 updates: it has made \d+;"):
        fit(hf.Adam(), updates=1, checkpoint=kept, resume=True)


def test_a_new_run_replaces_no_checkpoint(kept, fit):
    before = {path.name: path.read_bytes() for path in kept.iterdir()}
    with pytest.raises(ValueError, match=r"latest.npz' is there: resume=True goes on from it; or"):
        fit(hf.Adam(), updates=5, checkpoint=kept, log=kept / "log.jsonl")
    assert {path.name: path.read_bytes() for path in kept.iterdir()} == before


def test_going_on_wants_a_folder(fit):
    with pytest.raises(ValueError, match="pass checkpoint=FOLDER"):
        fit(updates=1, resume=True)


def test_a_state_that_no_file_can_hold_is_refused_before_the_first_update(fit, hooked, tmp_path):
    class Strange(hooked):
        def init(self, params, seed=0):
            return {"rng": np.random.default_rng(0)}

    opt = Strange(hf.SGD(), lambda *_: None)
    with pytest.raises(TypeError, match=r"a checkpoint holds arrays, .*; state.rng is Generator"):
        fit(opt, updates=1, checkpoint=tmp_path)
    assert opt.updates == 0
