"""Max-norm: which weights it holds in which bounds, and what an optimizer reports with it."""

import dataclasses
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import minihf as hf
from minihf.optim import BacktrackingArmijo, MaxNorm, Subspace
from minihf.testing import check_optimizer

pytestmark = pytest.mark.usefixtures("backend")

ROUNDING = 1e-12      # relative, float64: a square root, a product, sums in another order
SHORT = 0.05          # a squared norm that small networks' weights exceed at once


def squares(params, name):
    """The squared norms of the units' incoming weights."""
    W = hf.to_host(params[name])
    return (W * W).sum(axis=0 if W.ndim == 2 else (1, 2, 3))


def made(net, scale, seed=0):
    params = net.init(seed, np.float64)
    rng = np.random.default_rng(seed)
    params.vector[...] = hf.asarray(scale * rng.standard_normal(params.size))
    return params


@given(D=st.integers(1, 30), M=st.integers(1, 9), seed=st.integers(0, 99))
def test_a_dense_unit_has_at_most_the_root_of_its_fan_in(D, M, seed):
    params = made(hf.Dense(D, M), 1.0, seed)
    new, most = MaxNorm()(params), round(math.sqrt(D))
    before = squares(params, "W")
    expected = np.minimum(before, most)
    np.testing.assert_allclose(squares(new, "W"), expected, rtol=ROUNDING)
    W, was = hf.to_host(new["W"]), hf.to_host(params["W"])
    np.testing.assert_allclose(W, was * np.sqrt(expected / before), rtol=ROUNDING)
    np.testing.assert_array_equal(W[:, before <= most], was[:, before <= most])
    np.testing.assert_array_equal(hf.to_host(new["b"]), hf.to_host(params["b"]))
    np.testing.assert_allclose(hf.to_host(MaxNorm()(new).vector), hf.to_host(new.vector),
                               rtol=ROUNDING)  # fmt: skip


def test_a_filter_is_one_unit_and_so_is_a_gate_s_column():
    net = hf.Sequential(hf.Conv2d(3, 4, 5), hf.Flatten(), hf.Dense(4, 2))
    new = MaxNorm()(made(net, 1.0))
    assert squares(new, "0.W") == pytest.approx([9.0] * 4, rel=ROUNDING)    # round(sqrt(75))
    assert squares(new, "2.W") == pytest.approx(
        np.minimum(squares(made(net, 1.0), "2.W"), 2), rel=ROUNDING
    )
    lstm = MaxNorm(SHORT)(made(hf.LSTM(3, 2), 1.0))
    for name in ("Wx", "Wh"):
        assert squares(lstm, name) == pytest.approx([SHORT] * 8, rel=ROUNDING)


def test_parameters_within_bounds_come_back_as_they_are_and_none_are_written_into():
    short, long = made(hf.Dense(9, 4), 0.1), made(hf.Dense(9, 4), 2.0)
    assert MaxNorm()(short) is short
    kept = hf.to_host(long.vector).copy()
    assert MaxNorm()(long) is not long
    np.testing.assert_array_equal(hf.to_host(long.vector), kept)


OPTIMIZERS = {
    "sgd": hf.SGD(0.1, momentum=0.9, projection=MaxNorm(SHORT)),
    "adam": hf.Adam(0.01, projection=MaxNorm(SHORT)),
    "armijo": dataclasses.replace(hf.papers.martens2010(lam=1.0), projection=MaxNorm(SHORT)),
    "subspace": dataclasses.replace(hf.HessianFree(), projection=MaxNorm(SHORT)),
}
by_optimizer = pytest.mark.parametrize("opt", OPTIMIZERS.values(), ids=OPTIMIZERS)


@by_optimizer
def test_after_every_update_the_norms_are_within_bounds(opt, problem, run):
    p = problem(dtype=np.float32)
    params, state = p.params, None
    for _ in range(3):
        params, state, (report,) = run(opt, p, 1, params, state)
        assert report.accepted
        assert max(squares(params, name).max() for name in ("0.W", "2.W")) <= SHORT * (1 + 1e-5)
    assert params.dtype == np.float32


@by_optimizer
def test_an_optimizer_with_a_projection_keeps_the_protocol_but_may_not_descend(opt):
    """A linear network of short weights cannot fit: there a wide bound has to do."""
    wide = dataclasses.replace(opt, projection=MaxNorm(50.0))
    check_optimizer(wide, cases=2)


@pytest.mark.parametrize("rule", [BacktrackingArmijo(), Subspace()])
def test_the_new_objective_is_that_after_the_projection(rule, problem, run):
    """It may be a rise, and then the report says so; rho is that of the step before it."""
    p = problem()
    opt = dataclasses.replace(
        hf.papers.martens2010(lam=1.0, l2=0.01), step_rule=rule, projection=None
    )
    here = run(opt, p, 9)[:2]                               # a good place, of longer weights
    free = run(opt, p, 1, *here)
    new, state, (report,) = run(dataclasses.replace(opt, projection=MaxNorm(SHORT)), p, 1, *here)
    (x, y), theta = p.batch, hf.to_host(new.vector)
    true = float(p.loss.value(p.net(new, x), y)) + 0.01 / 2 * theta @ theta
    assert report.new_objective == pytest.approx(true, rel=ROUNDING)
    (unprojected,) = free[2]
    assert report.new_objective > report.objective > unprojected.new_objective
    assert report.problem == "the objective rose"
    assert (report.rho, report.predicted, report.step_length, state.lam) == (
        unprojected.rho, unprojected.predicted, unprojected.step_length, free[1].lam
    )  # fmt: skip
    landed = MaxNorm(SHORT)(free[0])
    np.testing.assert_array_equal(hf.to_host(new.vector), hf.to_host(landed.vector))
    if rule.momentum:
        moved = hf.to_host(new.vector - here[0].vector)
        np.testing.assert_array_equal(hf.to_host(state.move), moved)


def test_a_projection_that_never_has_to_act_changes_no_bit(problem, run):
    p = problem(dtype=np.float32)
    for opt in OPTIMIZERS.values():
        free, wide = (
            run(dataclasses.replace(opt, projection=there), p, 3) for there in (None, MaxNorm(1e6))
        )
        assert hf.to_host(free[0].vector).tobytes() == hf.to_host(wide[0].vector).tobytes()


def test_a_rejected_update_is_not_projected(problem, run):
    p = problem()
    opt = dataclasses.replace(
        OPTIMIZERS["armijo"], step_rule=BacktrackingArmijo(c=1e6, max_tries=1)
    )
    same, _, (report,) = run(opt, p, 1)
    assert same is p.params
    assert report.new_objective == report.objective


@pytest.mark.parametrize("most", [0.0, -1.0, math.nan])
def test_a_bound_that_is_not_positive_is_refused(most):
    with pytest.raises(ValueError, match="MaxNorm: most must be positive, got"):
        MaxNorm(most)


@pytest.mark.parametrize("kind", [hf.SGD, hf.Adam, hf.HessianFree])
@pytest.mark.parametrize("thing", [3.0, MaxNorm])
def test_what_is_no_projection_is_refused(kind, thing):
    with pytest.raises(TypeError, match=rf"{kind.__name__}: projection is .* MaxNorm\(\), or None"):
        kind(projection=thing)
