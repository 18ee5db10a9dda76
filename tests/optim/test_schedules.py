"""Settings that change from update to update: their values, where they go, and what is refused."""

import copy
import dataclasses
import json
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import minihf as hf
from minihf.optim import (
    BacktrackingArmijo,
    ConjugateGradients,
    Constant,
    ConvexMix,
    FixedStep,
    Geometric,
    LevenbergMarquardt,
    Linear,
    Prefix,
    Scaled,
    Schedule,
)
from minihf.optim.schedules import resolved
from minihf.testing import check_optimizer

pytestmark = pytest.mark.usefixtures("backend")

ROUNDING = 1e-12      # relative, float64: powers against repeated products

starts, factors = st.floats(1e-3, 1e3), st.floats(0.5, 2.0)


def bare(**changes):
    """One block, a fixed step and damping, and no more."""
    return dataclasses.replace(hf.papers.zhang2017("network", lam=0.5), **changes)


# Values ---------------------------------------------------------------------------------------


@given(start=starts, factor=factors, every=st.integers(1, 7), update=st.integers(0, 60))
def test_geometric_is_multiplied_once_an_epoch(start, factor, every, update):
    value = start
    for _ in range(update // every):
        value *= factor
    assert Geometric(start, factor, every=every).at(update) == pytest.approx(value, rel=ROUNDING)


def test_kiros_warm_start_grows_by_a_hundredth_an_epoch_up_to_099():
    rule = Geometric(0.5, 1.01, 0.99, every=60)
    values = [rule.at(update) for update in range(0, 60 * 80)]
    assert values[:61] == [0.5] * 60 + [0.505]
    assert np.diff(values).min() >= 0
    assert (values[60 * 68], values[60 * 69], values[-1]) == (0.5 * 1.01**68, 0.99, 0.99)


@given(start=starts, end=starts, updates=st.integers(1, 9))
def test_linear_goes_straight_from_start_to_end_and_stays(start, end, updates):
    rule = Linear(start, end, updates=updates)
    line = np.linspace(start, end, updates + 1)
    assert [rule.at(t) for t in range(updates + 1)] == pytest.approx(line, rel=ROUNDING)
    assert (rule.at(0), rule.at(updates), rule.at(updates + 5)) == (start, end, end)


@pytest.mark.parametrize("factor", [0.5, 2.0])
def test_without_a_limit_it_stays_off_zero_and_finite_for_ever(factor):
    rule = Geometric(1.0, factor)
    assert all(0 < rule.at(update) < math.inf for update in (0, 10**3, 10**6))


# Where they go --------------------------------------------------------------------------------


def test_resolving_reaches_every_part_and_leaves_the_rest_as_it_is():
    opt = bare(
        solver=ConjugateGradients(Linear(2, 10, updates=4), warm_start=Geometric(0.5, 1.1, 0.9)),
        step_rule=Scaled(BacktrackingArmijo(), Geometric(1.0, 0.5)),
        l2=Linear(0.1, 0.3, updates=2),
    )
    now = resolved(opt, 1)
    assert now.solver == ConjugateGradients(4, warm_start=0.55)
    assert now.step_rule == Scaled(BacktrackingArmijo(), 0.5)
    assert now.l2 == pytest.approx(0.2)
    assert type(now.solver.max_iters) is int
    assert now.step_rule.rule is opt.step_rule.rule
    assert isinstance(opt.l2, Schedule)                                  # the original is as it was
    plain = bare()
    assert resolved(plain, 5) is plain
    assert resolved("no part", 5) == "no part"


@pytest.mark.parametrize(
    ("scheduled", "plain"),
    [
        (hf.SGD(Linear(0.4, 0.1, updates=3), momentum=0.5), hf.SGD(0.25, momentum=0.5)),
        (hf.Adam(Geometric(0.1, 0.1)), hf.Adam(0.1)),
    ],
    ids=["sgd", "adam"],
)
def test_a_first_order_rate_is_that_of_the_update(scheduled, plain, problem, run):
    p = problem()
    params, state, _ = run(scheduled, p, 1)
    lr = scheduled.lr.at(1)
    expected = run(dataclasses.replace(plain, lr=lr), p, 1, params, state)[0]
    assert same(run(scheduled, p, 1, params, state)[0], expected)


def test_parts_of_hessian_free_see_the_value_of_the_update(problem, run):
    p = problem()
    opt = bare(
        solver=ConjugateGradients(5, warm_start=Linear(0.5, 0.9, updates=2)),
        step_rule=FixedStep(Geometric(0.5, 0.5)),
    )
    params, state, _ = run(opt, p, 1)
    now = bare(solver=ConjugateGradients(5, warm_start=0.7), step_rule=FixedStep(0.25))
    assert same(run(opt, p, 1, params, state)[0], run(now, p, 1, params, state)[0])


@pytest.mark.parametrize("update", ["simultaneous", "sequential"])
@pytest.mark.parametrize("kind", [Constant, ConvexMix])
def test_a_damping_on_a_schedule_is_that_of_the_update_from_the_first_on(
    kind, update, problem, run
):
    rule, p = Geometric(0.4, 0.5, 0.1), problem()
    opt = bare(blocks="layer", damping=kind(rule), update=update)
    _, _, reports = run(opt, p, 4)
    for report, lam in zip(reports, [0.4, 0.2, 0.1, 0.1], strict=True):
        assert {block.lam for block in report.blocks.values()} == {lam}
    params, state, _ = run(opt, p, 1)
    plain = dataclasses.replace(opt, damping=kind(0.2))
    there = dataclasses.replace(state, lam=dict.fromkeys(state.lam, 0.2))
    assert same(run(opt, p, 1, params, state)[0], run(plain, p, 1, params, there)[0])


def test_a_rule_that_follows_rho_keeps_its_lam_where_one_of_its_factors_is_on_a_schedule(
    problem, run
):
    p, rule = problem(), LevenbergMarquardt(1.0, boost=Linear(2.0, 3.0, updates=1), low=1e9,
                                            high=1e9)  # fmt: skip
    _, state, _ = run(bare(damping=rule), p, 2)
    assert state.lam == {"network": 6.0}


def test_a_rate_that_has_come_down_to_zero_moves_nothing(problem, run):
    p = problem()
    for opt in (hf.SGD(Linear(0.1, 0.0, updates=2)), hf.Adam(Linear(0.1, 0.0, updates=2))):
        params, state, _ = run(opt, p, 2)
        after, _, _ = run(opt, p, 1, params, state)
        assert same(after, params)


SCHEDULED = {
    "hf": bare(
        damping=Constant(Geometric(1.0, 0.9)),
        solver=ConjugateGradients(5, warm_start=Linear(0.5, 0.9, updates=4)),
        sampling=Prefix(Linear(0.5, 1.0, updates=4)),
    ),
    "sgd": hf.SGD(Linear(0.1, 0.0, updates=9), momentum=Linear(0.5, 0.9, updates=9)),
    "adam": hf.Adam(Geometric(0.1, 0.9, every=2)),
}


@pytest.mark.parametrize("opt", SCHEDULED.values(), ids=SCHEDULED)
def test_a_run_that_goes_on_from_a_copied_state_was_never_stopped(opt, problem, run):
    p = problem(dtype=np.float32)
    through, last, _ = run(opt, p, 6)
    params, state, _ = run(opt, p, 3)
    assert json.loads(json.dumps(state.update)) == 3
    resumed, again, _ = run(opt, p, 3, params, copy.deepcopy(state))
    assert same(resumed, through)
    assert again.update == last.update == 6
    assert resumed.dtype == np.float32


def test_a_schedule_of_numpy_numbers_leaves_float32_alone(problem, run):
    class Numpy(Schedule):
        ends = (np.float64(0.1), np.float64(0.1))

        def at(self, update):
            return np.float64(0.1)

    p, rule = problem(dtype=np.float32), Numpy()
    for opt in (hf.SGD(rule), hf.Adam(rule), bare(step_rule=FixedStep(rule), l2=rule)):
        assert run(opt, p, 2)[0].dtype == np.float32
    assert type(resolved(hf.SGD(rule), 0).lr) is float
    whole = resolved(ConjugateGradients(Linear(np.float64(2), np.float64(9), updates=2)), 1)
    assert type(whole.max_iters) is int


@pytest.mark.parametrize("opt", SCHEDULED.values(), ids=SCHEDULED)
def test_a_scheduled_optimizer_keeps_the_protocol(opt):
    check_optimizer(opt, cases=2)


def same(one, other):
    return hf.to_host(one.vector).tobytes() == hf.to_host(other.vector).tobytes()


# What is refused ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("make", "expected"),
    [
        (lambda: Geometric(0.0, 0.5), "Geometric: start must be positive, got 0.0"),
        (lambda: Geometric(1.0, -1), "Geometric: factor must be positive"),
        (lambda: Geometric(1.0, 0.5, every=0), "Geometric: every must be 1 or more, got 0"),
        (lambda: Geometric(1.0, 0.5, 2.0), "from 1.0 by a factor of 0.5 never comes to .* 2.0"),
        (lambda: Geometric(1.0, 2.0, 0.5), "from 1.0 by a factor of 2.0 never comes to .* 0.5"),
        (lambda: Geometric("a", 2.0), "Geometric: start is 'a', not a number"),
        (lambda: Linear(1.0, 0.0, updates=0), "Linear: updates must be 1 or more, got 0"),
        (lambda: hf.SGD(Linear(0.1, -0.1, updates=3)), r"SGD: lr must be positive, got Linear\("),
        (lambda: hf.SGD(Linear(0.0, 0.1, updates=3)), r"SGD: lr must be positive, got Linear\("),
        (lambda: hf.SGD(momentum=Linear(0.5, 1.0, updates=3)), r"momentum must be in \[0, 1\)"),
        (lambda: Prefix(Linear(0.5, 0.0, updates=3)), r"Prefix: fraction must be in \(0, 1\]"),
        (
            lambda: LevenbergMarquardt(minimum=Linear(2.0, 0.1, updates=3), maximum=1.0),
            "minimum 2.0 must not be above maximum 1.0",
        ),
        (lambda: hf.HessianFree(l2=Linear(0.1, -1, updates=2)), "HessianFree: l2 must be 0"),
    ],
)
def test_a_schedule_out_of_range_at_either_end_is_refused_at_once(make, expected):
    with pytest.raises((TypeError, ValueError), match=expected):
        make()
