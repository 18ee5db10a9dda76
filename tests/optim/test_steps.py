"""Step rules on objectives small enough to check by hand."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import minihf as hf
from minihf.optim import BacktrackingArmijo, FixedStep

seeds = st.integers(0, 2**32 - 1)


class Objective:
    """Values for steps: of a function, or looked up by the step's first entry. Counts its calls."""

    def __init__(self, function):
        self.function, self.asked = function, []

    def __call__(self, step):
        self.asked.append(step)
        return self.function(step)


def candidates(*directions):
    return [lambda d=d: d for d in directions]


# A fixed step ---------------------------------------------------------------------------------


def test_a_fixed_step_is_alpha_times_the_last_iterate_whatever_the_objective(backend):
    last, earlier = (hf.asarray(np.full(2, value)) for value in (4.0, 1.0))
    step = FixedStep(0.25)(candidates(last, earlier), last, 1.0, lambda step: 7.0)
    assert hf.to_host(step.direction).tolist() == [1.0, 1.0]
    assert (step.length, step.objective) == (1.0, 7.0)


@pytest.mark.parametrize("after", [math.nan, math.inf])
def test_a_fixed_step_to_nowhere_is_rejected(after):
    step = FixedStep()(candidates(np.ones(2)), np.ones(2), 1.0, lambda step: after)
    assert (step.length, step.objective) == (0.0, 1.0)


# Armijo ---------------------------------------------------------------------------------------


@given(seeds, st.integers(1, 6))
def test_the_rate_is_the_first_that_meets_armijos_condition(seed, n):
    rng = np.random.default_rng(seed)
    B, g = rng.standard_normal((n, n)), rng.standard_normal(n)
    direction = -g * 10.0 ** rng.uniform(-2, 3)

    def f(step):
        return g @ step + 5 * step @ B @ B.T @ step

    rule = BacktrackingArmijo(c=0.1, factor=0.5)
    step = rule(candidates(direction), g, 0.0, f)
    rates = [0.5**i for i in range(60)]
    met = [rate for rate in rates if f(rate * direction) <= 0.1 * rate * (g @ direction)]
    assert step.length == met[0]
    assert step.objective == f(step.length * direction) < 0
    np.testing.assert_array_equal(step.direction, direction)


@pytest.mark.parametrize("tries", [1, 5])
def test_a_step_that_never_helps_is_rejected_after_so_many_tries(tries):
    g = np.array([1.0, 0.0])
    f = Objective(lambda step: 3.0 + g @ step)
    step = BacktrackingArmijo(max_tries=tries)(candidates(g), g, 3.0, f)
    assert (step.length, step.objective) == (0.0, 3.0)
    assert tries <= len(f.asked) <= tries + 1


def test_uphill_the_objective_may_not_rise_even_where_armijo_would_let_it():
    g = np.array([1.0])
    step = BacktrackingArmijo(c=0.5)(candidates(g), g, 0.0, lambda step: 0.1 * float(step[0]))
    assert step.length == 0


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
def test_a_slope_that_is_not_finite_is_rejected_without_a_search(bad, backend):
    g, direction, f = hf.asarray(np.array([bad])), hf.asarray(np.ones(1)), Objective(lambda _: 0.5)
    step = BacktrackingArmijo()(candidates(direction), g, 1.0, f)
    assert step.length == 0
    assert len(f.asked) == 1


# Backtracking over the iterates ---------------------------------------------------------------


@pytest.mark.parametrize(
    ("values", "chosen", "looks"),
    [
        ([5, 3, 2, 4, 1], 2, 4),                       # stops at the first that is no better
        ([2, 3, 1], 0, 2),
        ([3, 2, 1], 2, 3),
        ([2, 2, 1], 0, 2),                             # a tie is no improvement
        ([math.nan, math.inf, 3, 4, 1], 2, 4),         # goes on while there is nothing to keep
        ([3, math.nan, 1], 0, 2),
    ],
)
def test_it_goes_back_from_the_last_iterate_while_the_objective_improves(values, chosen, looks):
    directions = [np.array([float(i), -1.0]) for i in range(len(values))]
    f = Objective(lambda step: values[int(step[0])])
    step = BacktrackingArmijo()(candidates(*directions), np.array([0.0, 1.0]), 10.0, f)
    assert step.direction is directions[chosen]
    assert (step.length, step.objective) == (1.0, values[chosen])
    assert len(f.asked) == looks


def test_if_no_iterate_has_a_finite_objective_the_step_is_rejected():
    step = BacktrackingArmijo()(
        candidates(np.ones(1), np.zeros(1)), -np.ones(1), 1.0, lambda step: math.nan
    )
    assert (step.length, step.objective) == (0.0, 1.0)
