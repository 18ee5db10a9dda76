"""looks: when they are due, which cases they measure, and what the last one says of all."""

import re

import numpy as np
import pytest

import minihf as hf
from minihf.train import looks as looking
from minihf.train.archive import unpack
from minihf.train.budget import Budget
from minihf.train.progress import Progress

pytestmark = pytest.mark.usefixtures("backend")

ROUNDING = 1e-6       # relative, float32: a mean in another order


def value(task, params, batch):
    """Return the mean loss over a batch."""
    x, y = map(hf.asarray, batch)
    return float(task.loss.value(task.net(params, x), y))


def test_looks_measure_the_same_part_of_the_cases_and_the_last_one_all_as_well(fit, task):
    x, y = task.data
    test = x[::-1][:10], y[::-1][:10]
    looks = hf.Looks(often=3, cases=5)
    seen, seen_test = looks.along_the_way(task.data, test)
    assert len(seen[0]) == len(seen_test[0]) == 5
    history = fit(updates=3, looks=looks, test=test)
    assert history.column("updates") == [0, 1, 2, 3]
    start, end, last = task.net.init(0), history.params, history.last
    assert history.records[0]["train"] == pytest.approx(value(task, start, seen), rel=ROUNDING)
    assert last["train"] == pytest.approx(value(task, end, seen), rel=ROUNDING)
    assert last["test"] == pytest.approx(value(task, end, seen_test), rel=ROUNDING)
    assert history.final("train") == pytest.approx(value(task, end, task.data), rel=ROUNDING)
    assert history.final("test") == pytest.approx(value(task, end, test), rel=ROUNDING)
    assert not any("train_at_end" in record for record in history.records[:-1])


@pytest.mark.parametrize("cases", [None, 12, 100])
def test_looks_at_all_cases_have_nothing_to_add_at_the_end(cases, fit, task):
    history = fit(updates=2, looks=hf.Looks(cases=cases), test=task.data)
    assert "train_at_end" not in history.last
    assert history.final("train") == history.last["train"] == history.final("test")


def test_the_last_look_may_measure_more_cases_and_yet_not_all(fit, task):
    looks = hf.Looks(cases=2, at_end=6)
    seen, _ = looks.of_the_end(task.data, None)
    assert len(seen[0]) == 6
    history = fit(updates=2, looks=looks, test=task.data)
    assert history.final("train") == pytest.approx(value(task, history.params, seen), rel=ROUNDING)
    assert history.final("test") == history.final("train") != history.last["train"]


def test_without_test_data_the_last_look_has_no_test_error_of_all(fit):
    history = fit(updates=1, looks=hf.Looks(cases=3))
    assert history.final("test") is None
    assert history.final("train") != history.last["train"]


def test_a_mean_is_what_the_last_look_measures_on_all_cases(fit, task):
    history = fit(updates=6, averaging=1.0, looks=hf.Looks(cases=3))
    of_mean, of_last = (value(task, it, task.data) for it in (history.mean, history.params))
    assert history.final("train") == pytest.approx(of_mean, rel=ROUNDING)
    assert abs(of_mean - of_last) > 1e-3


def test_on_how_many_cases_a_run_is_looked_at_changes_none_of_its_bits(fit):
    some, all_ = (fit(updates=9, looks=hf.Looks(cases=cases)) for cases in (2, None))
    some, all_ = (hf.to_host(history.params.vector) for history in (some, all_))
    assert some.tobytes() == all_.tobytes()


def test_what_the_last_look_says_of_all_cases_is_in_the_log(fit, tmp_path):
    history = fit(updates=2, looks=hf.Looks(cases=3), log=tmp_path / "log.jsonl")
    assert hf.History.read(tmp_path / "log.jsonl").final("train") == history.final("train")


def test_of_equally_good_parameters_the_last_are_the_best(fit, tmp_path):
    fit(updates=3, metric=lambda z, y: 0 * z.mean(), checkpoint=tmp_path)
    kept, _ = unpack(tmp_path / "best.npz")
    assert kept["value"]["Best"]["updates"] == 3


@pytest.mark.parametrize("order", ["sorted", "in turn"])
def test_the_cases_that_are_measured_are_of_every_class_however_data_are_ordered(order):
    y = np.arange(1000) // 100 if order == "sorted" else np.arange(1000) % 10
    (_, seen), _ = hf.Looks(cases=200).along_the_way((hf.asarray(y[:, None]), hf.asarray(y)), None)
    counts = np.bincount(hf.to_host(seen), minlength=10)
    assert counts.sum() == 200
    assert 10 <= counts.min() <= counts.max() <= 30


def test_a_run_goes_on_with_looks_at_the_same_cases_only(fit, tmp_path):
    fit(updates=5, checkpoint=tmp_path)
    with pytest.raises(ValueError, match=r"another run, looked_at: all cases there and 3 cases, a"):
        fit(updates=10, checkpoint=tmp_path, resume=True, looks=hf.Looks(cases=3))


def test_a_run_that_goes_further_has_errors_of_the_end_at_its_end_alone(fit, tmp_path):
    arguments = {"looks": hf.Looks(often=4, cases=3), "checkpoint": tmp_path}
    first = fit(updates=4, **arguments)
    more = fit(updates=8, resume=True, **arguments)
    assert "train_at_end" in first.last
    assert ["train_at_end" in record for record in more] == [False] * (len(more) - 1) + [True]
    assert "train_at_end" in fit(hf.SGD(1e30), updates=50, looks=arguments["looks"]).last


def test_the_best_parameters_are_those_of_the_part_that_looks_measure(fit, tmp_path):
    looks = hf.Looks(often=9, cases=3)
    history = fit(hf.SGD(0.9, momentum=0.9), updates=9, looks=looks, checkpoint=tmp_path)
    least = min(history.column("train"))
    kept, _ = unpack(tmp_path / "best.npz")
    assert kept["value"]["Best"]["train"] == least


def test_a_number_of_looks_is_as_good_as_looks(fit):
    one, other = (fit(updates=8, looks=looks) for looks in (4, hf.Looks(4)))
    assert one.column("updates") == other.column("updates") == [0, 2, 4, 6, 8]


@pytest.mark.parametrize(
    ("share", "looking", "due"), [(0.02, 1.0, False), (0.02, 0.8, True), (0.5, 1.0, True)]
)
def test_the_share_of_looks_is_what_it_is_set_to(share, looking, due):
    now = Progress(None, None, None, updates=90, seconds=40.0, looking=looking)
    now.records = [{"updates": 50, "seconds": 20.0}]
    looks, done = hf.Looks(often=10, share=share), {"updates": 90, "seconds": 40.0}
    assert looks.are_due(now, done, Budget.of(None, 100.0, None)) is due
    assert looks.are_due(now, done, Budget.of(100, None, None))


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ({"often": -1}, "looks: often must be 0 or more, got -1"),
        ({"share": -0.5}, "looks: share must be 0 or more, got -0.5"),
        ({"share": float("nan")}, "looks: share must be 0 or more, got nan"),
        ({"cases": 5, "at_end": 5}, "looks: at_end is 5, which must be more than cases, 5"),
        ({"at_end": 50}, "looks: at_end is 50, which must be more than cases, None"),
        ({"at": 64}, "looks: at must be a tuple of whole numbers, got 64"),
        ({"at": (1, 2.5)}, "looks: at must be a tuple of whole numbers, got (1, 2.5)"),
        ({"cases": 0}, "looks: cases must be a whole number above 0, got 0"),
        ({"cases": 2.5}, "looks: cases must be a whole number above 0, got 2.5"),
    ],
)
def test_looks_that_make_no_sense_are_refused(arguments, said):
    with pytest.raises(ValueError, match=f"^{re.escape(said)}$"):
        looking.Looks(**arguments)
