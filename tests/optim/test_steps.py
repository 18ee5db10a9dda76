"""Step rules on objectives small enough to check by hand."""

import math

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

import minihf as hf
from minihf.optim import (
    BacktrackingArmijo,
    Cholesky,
    Constant,
    ConvexMix,
    FixedStep,
    HessianFree,
    Prefix,
    Subspace,
)
from minihf.optim.steps import COLLINEAR, Outlook, _minimiser

ROUNDING = 1e-9       # float64: a dense solve at condition numbers up to 1e4, sums in another order
SAME = 1e-12          # of a step and of what is reported about it

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


def outlook(g, objective, objective_at):
    """What rules without a model look at."""
    return Outlook(g, objective, objective_at, C=None, lam={})


# A fixed step ---------------------------------------------------------------------------------


def test_a_fixed_step_is_alpha_times_the_last_iterate_whatever_the_objective(backend):
    last, earlier = (hf.asarray(np.full(2, value)) for value in (4.0, 1.0))
    step = FixedStep(0.25)(candidates(last, earlier), outlook(last, 1.0, lambda step: 7.0))
    assert hf.to_host(step.direction).tolist() == [1.0, 1.0]
    assert (step.length, step.objective, step.whole) == (1.0, 7.0, 7.0)


@pytest.mark.parametrize("after", [math.nan, math.inf, -math.inf])
def test_a_fixed_step_to_nowhere_is_rejected(after):
    step = FixedStep()(candidates(np.ones(2)), outlook(np.ones(2), 1.0, lambda step: after))
    assert (step.length, step.objective) == (0.0, 1.0)
    assert step.problem == "the objective is not finite after the step"


# Armijo ---------------------------------------------------------------------------------------


@given(seeds, st.integers(1, 6))
def test_the_rate_is_the_first_that_meets_armijos_condition(seed, n):
    rng = np.random.default_rng(seed)
    B, g = rng.standard_normal((n, n)), rng.standard_normal(n)
    direction = -g * 10.0 ** rng.uniform(-2, 3)

    def f(step):
        return g @ step + 5 * step @ B @ B.T @ step

    rule = BacktrackingArmijo(c=0.1, factor=0.5)
    step = rule(candidates(direction), outlook(g, 0.0, f))
    rates = [0.5**i for i in range(60)]
    met = [rate for rate in rates if f(rate * direction) <= 0.1 * rate * (g @ direction)]
    assert step.length == met[0]
    assert step.objective == f(step.length * direction) < 0
    assert step.whole == f(direction)
    np.testing.assert_array_equal(step.direction, direction)


@pytest.mark.parametrize("tries", [1, 5])
def test_a_step_that_never_helps_is_rejected_after_so_many_tries(tries):
    g = np.array([1.0, 0.0])
    f = Objective(lambda step: 3.0 + g @ step)
    step = BacktrackingArmijo(max_tries=tries)(candidates(g), outlook(g, 3.0, f))
    assert (step.length, step.objective) == (0.0, 3.0)
    assert tries <= len(f.asked) <= tries + 1


def test_uphill_the_objective_may_not_rise_even_where_armijo_would_let_it():
    g = np.array([1.0])
    here = outlook(g, 0.0, lambda step: 0.1 * float(step[0]))
    step = BacktrackingArmijo(c=0.5)(candidates(g), here)
    assert step.length == 0


def test_a_step_that_earns_too_little_is_rejected_unless_it_is_asked_for_less():
    """As it is given, c is 0.01: a fall of a twentieth of what the slope promises will do."""
    here = outlook(np.ones(1), 0.0, lambda step: 0.05 * float(step[0]))
    assert BacktrackingArmijo()(candidates(-np.ones(1)), here).length == 1
    assert BacktrackingArmijo(c=0.1)(candidates(-np.ones(1)), here).length == 0
    less = outlook(np.ones(1), 0.0, lambda step: 0.005 * float(step[0]))
    assert BacktrackingArmijo()(candidates(-np.ones(1)), less).length == 0


def test_the_line_search_goes_on_from_where_the_objective_is_minus_infinity():
    values = {1.0: -math.inf, 0.8: math.nan, 0.64: -1.0}
    here = outlook(-np.ones(1), 0.0, lambda step: values[round(float(step[0]), 9)])
    step = BacktrackingArmijo()(candidates(np.ones(1)), here)
    assert (step.length, step.objective) == (pytest.approx(0.64), -1.0)


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
def test_a_slope_that_is_not_finite_is_rejected_without_a_search(bad, backend):
    g, direction, f = hf.asarray(np.array([bad])), hf.asarray(np.ones(1)), Objective(lambda _: 0.5)
    step = BacktrackingArmijo()(candidates(direction), outlook(g, 1.0, f))
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
        ([3, -math.inf, 1], 0, 2),                     # nor is this an improvement
        ([-math.inf, 3, 4, 1], 1, 3),
    ],
)
def test_it_goes_back_from_the_last_iterate_while_the_objective_improves(values, chosen, looks):
    directions = [np.array([float(i), -1.0]) for i in range(len(values))]
    f = Objective(lambda step: values[int(step[0])])
    step = BacktrackingArmijo()(candidates(*directions), outlook(np.array([0.0, 1.0]), 10.0, f))
    assert step.direction is directions[chosen]
    assert (step.length, step.objective) == (1.0, values[chosen])
    assert len(f.asked) == looks


def test_if_no_iterate_has_a_finite_objective_the_step_is_rejected():
    here = outlook(-np.ones(1), 1.0, lambda step: math.nan)
    step = BacktrackingArmijo()(candidates(np.ones(1), np.zeros(1)), here)
    assert (step.length, step.objective) == (0.0, 1.0)


# The subspace ---------------------------------------------------------------------------------


def modelled(problem, seed=0, blocks="layer", curvature=hf.GGN, momentum=True):
    """A network's outlook, with a direction, and the objective replaced by the damped model."""
    p = problem(seed)
    x, y = p.batch
    rng = np.random.default_rng(seed)
    lin = hf.linearize(p.net, p.params, x)
    C = curvature(lin, p.loss, y, blocks)
    lam = {name: 10.0 ** rng.uniform(-2, 1) for name in C.partition}
    g, d, previous = (hf.asarray(rng.standard_normal(p.params.size)) for _ in range(3))
    dense = hf.to_host(curvature(lin, p.loss, y).to_dense()) + 0.1 * np.eye(p.params.size)
    damped = dense.copy()
    for name, block in C.partition.items():
        index = np.arange(p.params.size)[block.index]
        damped[index, index] += lam[name]

    def at(step):
        step = hf.to_host(step)
        return float(hf.to_host(g) @ step + 0.5 * step @ damped @ step)

    here = Outlook(g, 0.0, at, C, lam, 0.1, previous if momentum else None)
    return here, d, dense, damped


def columns(here, d, one_by_one):
    parts = [hf.to_host(d)]
    if one_by_one:
        parts = []
        for block in here.C.partition.values():
            part = np.zeros(d.size)
            part[block.index] = hf.to_host(d)[block.index]
            parts.append(part)
    return np.stack(parts if here.previous is None else [*parts, hf.to_host(here.previous)], axis=1)


@pytest.mark.parametrize("curvature", [hf.GGN, hf.Hessian])
@pytest.mark.parametrize("momentum", [True, False], ids=["momentum", "none"])
@pytest.mark.parametrize("one_by_one", [True, False], ids=["one by one", "joined"])
def test_the_step_minimises_the_whole_damped_quadratic_over_the_span(
    one_by_one, momentum, curvature, problem, backend
):
    here, d, dense, damped = modelled(problem, curvature=curvature, momentum=momentum)
    step = Subspace(one_by_one)(candidates(d), here)
    D, g, s = columns(here, d, one_by_one), hf.to_host(here.g), hf.to_host(step.direction)
    assert D.shape[1] == (2 if one_by_one else 1) + momentum
    assert np.linalg.eigvalsh(D.T @ damped @ D)[0] > 0
    expected = -D @ np.linalg.solve(D.T @ damped @ D, D.T @ g)
    np.testing.assert_allclose(s, expected, rtol=0, atol=ROUNDING * np.abs(expected).max())
    assert (step.length, step.problem) == (1.0, "")
    assert step.objective == step.whole == here.objective_at(step.direction) < 0
    assert step.predicted == pytest.approx(g @ s + 0.5 * s @ dense @ s, rel=ROUNDING)


def test_over_all_coordinates_it_solves_the_damped_system(problem):
    """Blocks of one parameter each, combined one by one, span everything."""
    p = problem()
    singles = {str(i): np.array([i]) for i in range(p.params.size)}
    blocks = hf.Partition.from_indices(p.params, singles)
    here, _, _, damped = modelled(problem, blocks=blocks, momentum=False)
    step = Subspace(one_by_one=True)(candidates(np.ones(p.params.size)), here)
    expected = np.linalg.solve(damped, -here.g)
    np.testing.assert_allclose(step.direction, expected, rtol=0, atol=ROUNDING)


@pytest.mark.parametrize("factor", [0.0, 1.0, -3.0, 1e-30, 1e12])
def test_a_previous_update_along_the_same_line_changes_nothing(factor, problem):
    here, d, _, _ = modelled(problem, momentum=False)
    alone = Subspace()(candidates(d), here).direction
    collinear = Outlook(here.g, 0.0, here.objective_at, here.C, here.lam, here.l2, factor * d)
    step = Subspace()(candidates(d), collinear)
    np.testing.assert_allclose(step.direction, alone, rtol=ROUNDING)


@pytest.mark.parametrize("seed", range(5))
def test_in_single_precision_what_is_collinear_but_for_rounding_counts_as_collinear(seed, problem):
    """Sums of float32 cannot tell such directions apart: with both, the step would be noise."""
    p, rng = problem(seed, dtype=np.float32), np.random.default_rng(seed)
    x, y = p.batch
    C = hf.GGN(hf.linearize(p.net, p.params, x), p.loss, y, "layer")
    lam = dict.fromkeys(C.partition, 1e-3)
    g, d, noise = rng.standard_normal((3, p.params.size)).astype(np.float32)
    nearly = (d * (1 + 1e-6 * noise)).astype(np.float32)

    def at(step):
        return float(g @ step)

    alone, both = (
        Subspace()(candidates(d), Outlook(g, 0.0, at, C, lam, 0.0, previous)).direction
        for previous in (None, nearly)
    )
    np.testing.assert_allclose(both, alone, rtol=0, atol=1e-4 * np.abs(alone).max())


@pytest.mark.parametrize("a", [0.5, 0.02])
def test_with_weighted_curvature_one_block_solved_exactly_is_the_step(a, problem, run, dense):
    """(1 - a) C + a I has its minimiser along its solution, as long as that is."""
    p = problem()

    def step_of(damping):
        opt = HessianFree(
            "network", hf.GGN, Cholesky(), None, damping, Subspace(), Prefix(1.0), l2=0.1
        )
        new, _, (report,) = run(opt, p, 1)
        return (new.vector - p.params.vector) / report.step_length, report

    here = dense(p)
    g = here.g + 0.1 * p.params.vector
    expected = np.linalg.solve((1 - a) * here.G + (a + 0.1) * np.eye(p.params.size), -g)
    step, report = step_of(ConvexMix(a))
    np.testing.assert_allclose(step, expected, rtol=0, atol=ROUNDING)
    predicted = g @ expected + 0.5 * expected @ (here.G @ expected + 0.1 * expected)
    assert report.predicted == pytest.approx(predicted, rel=ROUNDING)
    assert not np.allclose(step_of(Constant(a))[0], expected)


@given(seeds, st.integers(1, 5), st.integers(1, 5))
def test_the_small_system_has_no_need_of_independent_columns(seed, k, rank):
    """Q = B'B and slopes B't have the minimisers with B c = -P t, P onto the columns of B."""
    rng = np.random.default_rng(seed)
    rows = min(k, rank)
    unit = rng.standard_normal((rows, k))
    unit /= np.linalg.norm(unit, axis=0)
    values = np.linalg.eigvalsh(unit.T @ unit)[-rows:]        # those that are not zero by shape
    assume(values.min() > 100 * COLLINEAR)                    # else it is right to leave some out
    B = unit * 10.0 ** rng.uniform(-6, 6, size=k)
    t = rng.standard_normal(rows)
    slopes = B.T @ t
    c = _minimiser(B.T @ B, slopes)
    np.testing.assert_allclose(B @ c, -unit @ (np.linalg.pinv(unit) @ t), rtol=0, atol=ROUNDING)
    assert slopes @ c <= 0


def test_a_direction_of_negative_curvature_is_left_out():
    assert _minimiser(np.diag([2.0, -1.0]), np.array([1.0, 1.0])).tolist() == [-0.5, 0.0]


@pytest.mark.parametrize(("tries", "length"), [(10, 0.25), (3, 0.25), (2, 0.0), (1, 0.0)])
@pytest.mark.parametrize("bad", [math.nan, -math.inf])
def test_the_step_shrinks_while_the_objective_rises(bad, tries, length, problem, backend):
    here, d, _, _ = modelled(problem)
    values = Objective(lambda step: next(answers))
    answers = iter([5.0, bad, 0.0, -1.0])                # no rise is enough: 0 was the objective
    rule = Subspace(factor=0.5, max_tries=tries)
    step = rule(candidates(d), Outlook(here.g, 0.0, values, here.C, here.lam, here.l2))
    assert step.length == length
    assert (step.objective, step.whole) == (0.0, 5.0)
    assert len(values.asked) == min(tries, 3)
    for attempt, asked in enumerate(values.asked):
        expected = 0.5**attempt * hf.to_host(step.direction)
        np.testing.assert_allclose(hf.to_host(asked), expected, rtol=SAME)
    assert bool(step.problem) == (length == 0)


@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_a_direction_that_is_not_finite_is_rejected_without_a_look(bad, problem):
    here, d, _, _ = modelled(problem)
    d[0], f = bad, Objective(lambda _: 0.0)
    with np.errstate(invalid="ignore"):
        step = Subspace()(candidates(d), Outlook(here.g, 1.0, f, here.C, here.lam))
    assert (step.length, step.objective, f.asked) == (0.0, 1.0, [])
    assert "not finite" in step.problem
