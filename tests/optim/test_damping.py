"""The damping rules."""

import math

import pytest

from minihf.optim import ByAcceptance, Constant, LevenbergMarquardt


@pytest.mark.parametrize(
    ("rho", "factor"),
    [
        (-1.0, 3 / 2), (0.24, 3 / 2), (math.nan, 3 / 2), (-math.inf, 3 / 2),
        (0.25, 1), (0.5, 1), (0.75, 1),
        (0.76, 2 / 3), (2.0, 2 / 3),
    ],
)  # fmt: skip
def test_lam_follows_the_reduction_ratio(rho, factor):
    assert LevenbergMarquardt().update(6.0, rho) == 6.0 * factor


def test_lam_keeps_within_its_bounds():
    rule = LevenbergMarquardt(minimum=1.0, maximum=2.0)
    assert rule.update(1.2, rho=1.0) == 1.0
    assert rule.update(1.8, rho=0.0) == 2.0


def test_as_it_is_given_the_floor_is_far_below_what_any_problem_wants():
    rule, lam = LevenbergMarquardt(), 1.0
    for _ in range(60):
        lam = rule.update(lam, rho=1.0)
    assert lam == pytest.approx((2 / 3) ** 60)
    assert rule.update(1e-15, rho=1.0) == 1e-15 * (2 / 3)


def test_thresholds_and_factors_are_yours():
    rule = LevenbergMarquardt(7.0, boost=10.0, drop=0.1, low=0.4, high=0.6)
    assert [rule.update(1.0, rho) for rho in (0.3, 0.5, 0.7)] == [10.0, 1.0, 0.1]
    assert rule.initial == 7.0


@pytest.mark.parametrize("rho", [-1.0, 1.0, math.nan])
def test_constant_damping_is_constant(rho):
    assert Constant(0.3).update(0.3, rho) == 0.3


def test_a_floor_keeps_lam_up():
    rule, lam = LevenbergMarquardt(1.0, minimum=0.3), 1.0
    for _ in range(5):
        lam = rule.update(lam, rho=1.0)
    assert lam == 0.3
    assert (rule.per_block, LevenbergMarquardt(per_block=True).per_block) == (False, True)


@pytest.mark.parametrize("rule", [LevenbergMarquardt(), LevenbergMarquardt(0.1, minimum=1e-4)])
def test_lam_stays_a_number_however_many_updates_fail(rule):
    lam = rule.initial
    for _ in range(3000):
        lam = rule.update(lam, math.nan)
    assert lam == rule.maximum == 1e20


@pytest.mark.parametrize("rule", [LevenbergMarquardt, ByAcceptance])
def test_a_maximum_that_holds_nothing_back_is_refused(rule):
    with pytest.raises(ValueError, match=f"{rule.__name__}: .*finite"):
        rule(maximum=math.inf)


@pytest.mark.parametrize("rho", [-1.0, 0.0, 1.0, math.nan])
def test_by_acceptance_rho_is_not_asked(rho):
    rule = ByAcceptance(2.0)
    assert (rule.initial, rule.update(2.0, rho, True), rule.update(2.0, rho, False)) == (2, 0.2, 20)
    bounded = ByAcceptance(2.0, boost=4.0, drop=0.25, minimum=1.0, maximum=5.0)
    assert [bounded.update(2.0, rho, accepted) for accepted in (True, False)] == [1.0, 5.0]


def test_by_acceptance_bounds_that_cross_are_refused():
    with pytest.raises(ValueError, match=r"ByAcceptance: minimum 2.0 .* above maximum 1.0"):
        ByAcceptance(minimum=2.0, maximum=1.0)
