"""Claims about methods: what runs say to them, and the numbers they go by."""

import pytest

import minihf as hf
from minihf.experiments.claims import Ahead, Answer, GetsBelow, NeverRises, Verdict

LABELS = {"a": "method A", "b": "method B"}


def history(errors, cost=1, rose=0, ended="", products=1):
    return hf.History(
        [
            {"updates": i, "seconds": cost * i, "products": products * i, "train": error,
             "test": error, "rose": rose}
            for i, error in enumerate(errors)
        ],
        ended=ended,
    )  # fmt: skip


def runs(a, b, cost=1):
    """Return runs of two methods, a list of errors for each seed; b's updates cost more."""
    return {
        "a": {seed: history(errors) for seed, errors in enumerate(a)},
        "b": {seed: history(errors, cost) for seed, errors in enumerate(b)},
    }


def twice(run):
    return {0: run, 1: run}


def test_a_method_is_ahead_where_the_ranges_keep_clear():
    answer = Ahead("a", "b", "updates").answer(runs([[9, 1], [9, 2]], [[9, 3], [9, 4]]))
    assert answer.verdict is Verdict.YES
    assert answer.numbers == "1.5 (1 to 2) against 3.5 (3 to 4) after 1 updates"


def test_it_is_behind_where_they_keep_clear_the_other_way():
    answer = Ahead("b", "a", "updates").answer(runs([[9, 1], [9, 2]], [[9, 3], [9, 4]]))
    assert answer.verdict is Verdict.NO


def test_a_single_seed_decides_nothing():
    answer = Ahead("a", "b", "updates").answer(runs([[9, 1], [9, 2]], [[9, 3]]))
    assert answer.verdict is Verdict.UNDECIDED
    assert answer.numbers.endswith("after 1 updates, of a single seed")


@pytest.mark.parametrize(("a", "b"), [(20, 30), (30, 20), (9, 30)])
def test_nobody_is_ahead_who_is_not_below_the_beginning(a, b):
    answer = Ahead("a", "b", "updates").answer(runs([[9, a]] * 2, [[9, b]] * 2))
    assert answer.verdict is Verdict.UNDECIDED


@pytest.mark.parametrize("b", [[[9, 2], [9, 4]], [[9, 1], [9, 2]]])
def test_ranges_that_touch_decide_nothing(b):
    assert Ahead("a", "b", "updates").answer(runs([[9, 1], [9, 2]], b)).verdict is Verdict.UNDECIDED


def test_methods_are_compared_at_the_largest_cost_that_all_runs_have_come_to():
    long, short = [9, 5, 1, 0.1], [9, 2]
    ran = runs([long] * 2, [short] * 2)
    assert Ahead("a", "b", "updates").answer(ran).verdict is Verdict.NO
    ran = runs([long] * 2, [short] * 2, cost=3)       # by then a has its last value
    assert Ahead("a", "b", "seconds").answer(ran).verdict is Verdict.YES


def test_a_run_that_gave_up_stays_where_it_was_and_does_not_end_the_comparison():
    gave_up, went_on = history([9, 3], ended="gave up after 10 rejected"), history([9, 5, 1, 0.1])
    answer = Ahead("a", "b", "updates").answer({"a": twice(gave_up), "b": twice(went_on)})
    assert answer.verdict is Verdict.NO
    assert answer.numbers == "3 against 0.1 after 3 updates"
    other = history([9, 5, 1], ended="gave up after 10 rejected")
    both = {"a": twice(gave_up), "b": twice(other)}
    assert Ahead("a", "b", "updates").answer(both).numbers == "3 against 1 after 2 updates"


def test_nothing_is_decided_over_a_cost_that_one_of_them_does_not_have():
    ran = {"a": {0: history([9, 1], products=0)}, "b": {0: history([9, 1, 0.1])}}
    answer = Ahead("a", "b", "products").answer(ran)
    assert answer == Answer(Verdict.UNDECIDED, "nothing to compare: there are runs of 0 products")


def test_between_two_looks_both_count():
    seldom = hf.History([{"updates": i, "train": error} for i, error in ((0, 9), (100, 1))])
    often = hf.History([{"updates": i, "train": error} for i, error in ((0, 9), (1, 5), (2, 4))])
    ran = {"a": twice(often), "b": twice(seldom)}
    answer = Ahead("a", "b", "updates").answer(ran)          # 9 is of an untrained network
    assert answer == Answer(Verdict.UNDECIDED, "4 against 5 (1 to 9) after 2 updates")
    often.records[-1]["train"] = 0.5
    assert Ahead("a", "b", "updates").answer(ran).verdict is Verdict.YES
    assert Ahead("b", "a", "updates").answer(ran).verdict is Verdict.NO


def test_one_run_that_blew_up_keeps_a_method_from_being_ahead():
    answer = Ahead("a", "b", "updates").answer(runs([[9, 1], [9, None]], [[9, 3], [9, 4]]))
    assert answer.verdict is Verdict.UNDECIDED
    assert "inf" in answer.numbers


@pytest.mark.parametrize(
    ("ends", "verdict"), [((1, 2), Verdict.YES), ((1, 4), Verdict.UNDECIDED), ((3, 4), Verdict.NO)]
)
def test_a_method_gets_below_a_number_if_all_of_its_runs_do(ends, verdict):
    claim = GetsBelow("a", 3.0, "the plateau")
    assert claim.answer(runs([[9, end] for end in ends], [[9, 9]])).verdict is verdict
    assert claim.words(LABELS) == "method A gets below 3, the plateau"


@pytest.mark.parametrize(("rose", "verdict"), [(0, Verdict.YES), (1, Verdict.NO)])
def test_an_objective_that_rose_once_is_no_objective_that_never_rises(rose, verdict):
    ran = {"a": {0: history([9, 1]), 1: history([9, 1], rose=rose)}}
    assert NeverRises("a").answer(ran).verdict is verdict


def test_a_claim_reads_as_a_sentence():
    assert Ahead("a", "b", "data_passes", "test").words(LABELS) == (
        "method A has a smaller test error than method B after equal data passes"
    )
