"""Looks: when they are due, which cases they measure, and what the last one says of all."""

import re

import numpy as np
import pytest

import minihf as hf
from minihf.train import looks as looking
from minihf.train.budget import Budget
from minihf.train.progress import Progress

pytestmark = pytest.mark.usefixtures("backend")

ROUNDING = 1e-6       # relative, float32: a mean in another order


@pytest.fixture
def value():
    """Give the mean loss over some of the task's cases."""

    def mean(task, params, index):
        x, y = (hf.asarray(array[index]) for array in task.data)
        return float(task.loss.value(task.net(params, x), y))

    return mean


def test_looks_measure_cases_spread_evenly_and_the_last_one_all_as_well(fit, task, value):
    x, y = task.data
    test = x[::-1][:10], y[::-1][:10]
    history = fit(updates=3, looks=hf.Looks(often=3, cases=5), test=test)
    assert history.column("updates") == [0, 1, 2, 3]
    assert history.records[0]["train"] == pytest.approx(
        value(task, task.net.init(0), [0, 2, 4, 7, 9]), rel=ROUNDING
    )
    end, last = history.params, history.last
    assert last["train"] == pytest.approx(value(task, end, [0, 2, 4, 7, 9]), rel=ROUNDING)
    assert last["test"] == pytest.approx(value(task, end, [11, 9, 7, 5, 3]), rel=ROUNDING)
    assert history.final("train") == pytest.approx(value(task, end, slice(None)), rel=ROUNDING)
    assert history.final("test") == pytest.approx(value(task, end, slice(2, None)), rel=ROUNDING)
    assert not any("train_at_end" in record for record in history.records[:-1])


@pytest.mark.parametrize("cases", [None, 12, 100])
def test_looks_at_all_cases_have_nothing_to_add_at_the_end(cases, fit, task):
    history = fit(updates=2, looks=hf.Looks(cases=cases), test=task.data)
    assert "train_at_end" not in history.last
    assert history.final("train") == history.last["train"] == history.final("test")


def test_the_last_look_may_measure_more_cases_and_yet_not_all(fit, task, value):
    history = fit(updates=2, looks=hf.Looks(cases=2, at_end=6), test=task.data)
    some, end = [0, 2, 4, 6, 8, 10], history.params
    assert history.final("train") == pytest.approx(value(task, end, some), rel=ROUNDING)
    assert history.final("test") == history.final("train")
    assert history.last["train"] == pytest.approx(value(task, end, [0, 6]), rel=ROUNDING)


def test_without_test_data_the_last_look_has_no_test_error_of_all(fit):
    history = fit(updates=1, looks=hf.Looks(cases=3))
    assert history.final("test") is None
    assert history.final("train") != history.last["train"]


def test_a_mean_is_what_the_last_look_measures_on_all_cases(fit, task, value):
    history = fit(updates=6, averaging=1.0, looks=hf.Looks(cases=3))
    of_mean, of_last = (value(task, it, slice(None)) for it in (history.mean, history.params))
    assert history.final("train") == pytest.approx(of_mean, rel=ROUNDING)
    assert abs(of_mean - of_last) > 1e-3


def test_on_how_many_cases_a_run_is_looked_at_changes_none_of_its_bits(fit):
    some, all_ = (fit(updates=9, looks=hf.Looks(cases=cases)) for cases in (2, None))
    some, all_ = (hf.to_host(history.params.vector) for history in (some, all_))
    assert some.tobytes() == all_.tobytes()


def test_what_the_last_look_says_of_all_cases_is_in_the_log(fit, tmp_path):
    history = fit(updates=2, looks=hf.Looks(cases=3), log=tmp_path / "log.jsonl")
    assert hf.History.read(tmp_path / "log.jsonl").final("train") == history.final("train")


def test_the_cases_that_are_measured_are_of_every_class_where_data_are_sorted():
    y = np.repeat(np.arange(10), 60)
    (_, seen), _ = hf.Looks(cases=50).along_the_way((hf.asarray(y[:, None]), hf.asarray(y)), None)
    assert np.bincount(hf.to_host(seen)).tolist() == [5] * 10


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
        ({"often": -1}, "looks must be 0 or more, got -1"),
        ({"share": -0.5}, "Looks: share must be 0 or more, got -0.5"),
        ({"share": float("nan")}, "Looks: share must be 0 or more, got nan"),
        ({"cases": 5, "at_end": 5}, "Looks: at_end must be more than cases, 5, got 5"),
        ({"at_end": 50}, "Looks: at_end must be more than cases, None, got 50"),
        ({"cases": 0}, "Looks: cases must be a whole number above 0, got 0"),
        ({"cases": 2.5}, "Looks: cases must be a whole number above 0, got 2.5"),
    ],
)
def test_looks_that_make_no_sense_are_refused(arguments, said):
    with pytest.raises(ValueError, match=f"^{re.escape(said)}$"):
        looking.Looks(**arguments)
