"""A scaled step: a part of the rule's own, with the objective where it ends."""

import dataclasses
import math

import numpy as np
import pytest

import minihf as hf
from minihf.optim import BacktrackingArmijo, FixedStep, Scaled, Subspace
from minihf.optim.steps import Outlook

pytestmark = pytest.mark.usefixtures("backend")

ROUNDING = 1e-12      # relative, float64
L2 = 0.01


def martens(**changes):
    return dataclasses.replace(hf.papers.martens2010(lam=1.0, l2=L2), **changes)


def value(p, params):
    x, y = p.batch
    theta = hf.to_host(params.vector)
    return float(p.loss.value(p.net(params, x), y)) + L2 / 2 * theta @ theta


@pytest.mark.parametrize("rule", [BacktrackingArmijo(), Subspace(), FixedStep(0.3)])
def test_the_parameters_go_that_part_of_the_way_and_rho_is_of_the_whole(rule, problem, run):
    p = problem()
    whole, whole_state, (one,) = run(martens(step_rule=rule), p, 1)
    part, part_state, (other,) = run(martens(step_rule=Scaled(rule, 0.25)), p, 1)
    assert other.new_objective == pytest.approx(value(p, part), rel=ROUNDING)
    start, whole, there = (hf.to_host(params.vector) for params in (p.params, whole, part))
    np.testing.assert_allclose(there - start, 0.25 * (whole - start), rtol=1e-9, atol=ROUNDING)
    assert other.step_length == 0.25 * one.step_length
    assert (other.rho, other.predicted, part_state.lam) == (one.rho, one.predicted, whole_state.lam)
    assert Scaled(rule).momentum == rule.momentum


def test_with_factor_one_it_is_the_rule_itself_bit_for_bit(problem, run):
    p = problem(dtype=np.float32)
    one, other = (run(martens(step_rule=rule), p, 3) for rule in (BacktrackingArmijo(), SAME))
    assert hf.to_host(one[0].vector).tobytes() == hf.to_host(other[0].vector).tobytes()
    assert [r.new_objective for r in one[2]] == [r.new_objective for r in other[2]]


SAME = Scaled(BacktrackingArmijo(), 1.0)


def test_a_rejected_step_stays_rejected(problem, run):
    p = problem()
    rule = Scaled(BacktrackingArmijo(c=1e6, max_tries=1), 0.5)
    same, _, (report,) = run(martens(step_rule=rule), p, 1)
    assert same is p.params
    assert report.problem == "update rejected: no step lowered the objective"


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
def test_half_way_to_a_good_place_may_be_no_place_at_all(bad):
    def f(step):
        return 0.0 if float(step[0]) == 1.0 else bad

    here = Outlook(hf.asarray(np.full(1, -0.5)), 1.0, f, C=None, lam={})
    step = Scaled(BacktrackingArmijo(), 0.5)([lambda: hf.asarray(np.ones(1))], here)
    assert (step.length, step.objective) == (0.0, 1.0)
    assert step.problem == "the objective is not finite after the scaled step"


def test_what_does_not_fit_is_refused():
    for factor in (0.0, 1.5):
        with pytest.raises(ValueError, match=r"Scaled: factor must be in \(0, 1\], got"):
            Scaled(BacktrackingArmijo(), factor)
    for thing in (0.5, BacktrackingArmijo):
        with pytest.raises(TypeError, match=r"Scaled: rule is .* like BacktrackingArmijo\(\)"):
            Scaled(thing)
