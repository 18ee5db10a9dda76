"""Medians and ranges over the seeds, on histories whose medians are known."""

import math

import numpy as np
import pytest

from minihf.experiments.methods import METHODS
from minihf.experiments.summary import Spread, cost_to, curve, ends, final, target_of
from minihf.experiments.variants import first_order as first_order_of


@pytest.fixture
def three(made_up):
    """Three runs, looked at at different times, of which the second ends first."""
    return {
        0: made_up([(0, 8.0), (2, 4.0), (5, 1.0)]),
        1: made_up([(0, 8.0), (1, 6.0), (4, 3.0)]),
        2: made_up([(0, 9.0), (3, 5.0), (6, 2.0)]),
    }


def test_the_end_is_a_median_with_its_range(three):
    assert final(three, "train") == Spread(2.0, 1.0, 3.0)
    assert final(three, "updates") == Spread(50, 40, 60)


def test_a_run_that_blew_up_stays_in_the_median_as_the_worst(three, made_up):
    for bad in (math.nan, None, math.inf):
        runs = {0: three[0], 1: made_up([(0, 8.0), (1, bad)]), 2: three[2]}
        assert final(runs, "train") == Spread(2.0, 1.0, math.inf)


def test_between_two_looks_a_run_is_where_it_was_last_seen(three):
    found = curve(three, "seconds", "train")
    #                at  0    1    2    3    4      and no further: there the second run ends
    assert found.x.tolist() == [0, 1, 2, 3, 4]
    np.testing.assert_array_equal(found.median, [8, 8, 6, 5, 4])
    np.testing.assert_array_equal(found.low, [8, 6, 4, 4, 3])
    np.testing.assert_array_equal(found.high, [9, 9, 9, 6, 5])


def test_looks_at_the_same_x_count_as_the_last_of_them(made_up):
    runs = {0: made_up([(0, 8.0), (2, 4.0)], products=0)}
    assert curve(runs, "products", "train").median.tolist() == [4]


def test_the_cost_of_a_target_is_that_of_the_first_look_below_it(three, made_up):
    assert cost_to(three, 4.0) == Spread(4, 2, 6)
    assert cost_to(three, 2.5) == Spread(6, 5, math.inf)          # one never came there
    assert cost_to(three, 4.0, "updates") == Spread(40, 20, 60)
    lost_again = {0: made_up([(0, 8.0), (1, 2.0), (2, 5.0)])}
    assert cost_to(lost_again, 2.0).median == 1


def test_the_target_is_what_the_best_first_order_method_came_to(made_up):
    """The house method's solver makes no products, and it is none of them all the same."""
    ends = {"adam": (5.0, 0), "sgd": (7.0, 0), "minihf": (2.0, 0), "bhf": (1.0, 1)}
    runs = {name: {0: made_up([(0, 9.0), (1, end)], products=p)} for name, (end, p) in ends.items()}
    first_order = first_order_of(METHODS, ["adam", "sgd", "minihf"])

    def target(*names):
        return target_of({name: runs[name] for name in names}, first_order)

    assert target(*runs) == 5.0
    assert target("adam", "minihf") == 5.0
    assert target("adam", "sgd") == 7.0                                          # the second best
    assert target("minihf", "bhf") == 2.0
    assert target("adam") is None


@pytest.mark.parametrize("name", METHODS)
def test_a_first_order_method_is_one_by_its_optimizer(name):
    words = [name, f"{name}:batch=7"]
    expected = words if name in ("adam", "adam-linear", "sgd") else []
    assert first_order_of(METHODS, words) == expected


@pytest.mark.parametrize(("last", "end"), [(9.5, 9.5), (None, math.inf), (math.nan, math.inf)])
def test_where_a_run_began_and_ended(last, end, made_up):
    assert ends(made_up([(0, 9.0), (1, 3.0), (2, last)])) == (9.0, end)


def test_a_method_whose_damping_alone_tells_of_curvature_sets_no_target(made_up):
    runs = {
        name: {0: made_up([(0, 9.0), (1, end)], products=0)}
        for name, end in {"adam": 5.0, "sgd": 7.0, "minihf": 2.0}.items()
    }
    runs["minihf"][0].last["lam"] = 0.1
    assert target_of(runs) == 5.0


def test_a_method_that_blew_up_sets_no_target(made_up):
    runs = {
        "adam": {0: made_up([(0, 9.0), (1, math.nan)], products=0)},
        "minihf": {0: made_up([(0, 9.0), (1, 2.0)])},
    }
    assert target_of(runs, ["adam"]) is None
