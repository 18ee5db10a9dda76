"""The baselines against their formulas, written out."""

import math

import numpy as np
import pytest

import minihf as hf
from minihf.optim.batches import gradient

pytestmark = pytest.mark.usefixtures("backend")

ROUNDING = 1e-12      # relative, float64
L2 = 0.1


def path(opt, p, updates):
    """Return the parameters after 0, 1, 2, ... updates, on the host, and the last report."""
    params, state = p.params, opt.init(p.params)
    vectors = [hf.to_host(params.vector)]
    for _ in range(updates):
        params, state, report = opt.step(p.net, p.loss, params, state, p.batch)
        vectors.append(hf.to_host(params.vector))
    return vectors, report


def slope(p, theta):
    params = p.params.with_vector(hf.asarray(theta))
    return hf.to_host(gradient(p.net, p.loss, params, p.batch, L2)[1])


def test_sgd_with_momentum_is_polyaks_loop(problem, backend):
    p = problem()
    theta, velocity, expected = hf.to_host(p.params.vector), 0, []
    for _ in range(4):
        velocity = 0.9 * velocity - 0.05 * slope(p, theta)
        theta = theta + velocity
        expected.append(theta)
    vectors, _ = path(hf.SGD(lr=0.05, momentum=0.9, l2=L2), p, 4)
    np.testing.assert_allclose(vectors[1:], expected, rtol=ROUNDING)


def test_without_momentum_it_is_gradient_descent(problem):
    p = problem()
    (before, after), _ = path(hf.SGD(lr=0.5, l2=L2), p, 1)
    np.testing.assert_allclose(after, before - 0.5 * slope(p, before), rtol=ROUNDING)


def test_nesterovs_form_is_sutskevers_seen_from_the_point_ahead(problem):
    """phi is where the gradient is taken, theta the iterate: phi = theta + momentum velocity."""
    p, lr, momentum = problem(), 0.05, 0.9
    theta, velocity, expected = hf.to_host(p.params.vector), 0, []
    for _ in range(4):
        velocity = momentum * velocity - lr * slope(p, theta + momentum * velocity)
        theta = theta + velocity
        expected.append(theta + momentum * velocity)
    vectors, _ = path(hf.SGD(lr, momentum, nesterov=True, l2=L2), p, 4)
    np.testing.assert_allclose(vectors[1:], expected, rtol=ROUNDING)


def test_adam_is_algorithm_1(problem, backend):
    p, lr, beta1, beta2, eps = problem(), 0.01, 0.8, 0.95, 1e-3
    theta, m, s, expected = hf.to_host(p.params.vector), 0, 0, []
    for t in range(1, 5):
        g = slope(p, theta)
        m = beta1 * m + (1 - beta1) * g
        s = beta2 * s + (1 - beta2) * g**2
        theta = theta - lr * (m / (1 - beta1**t)) / (np.sqrt(s / (1 - beta2**t)) + eps)
        expected.append(theta)
    vectors, _ = path(hf.Adam(lr, beta1, beta2, eps, L2), p, 4)
    np.testing.assert_allclose(vectors[1:], expected, rtol=1e-10)


def test_adams_first_step_is_lr_times_the_sign(problem):
    p = problem()
    (before, after), _ = path(hf.Adam(lr=1e-3, eps=1e-30, l2=L2), p, 1)
    np.testing.assert_allclose(before - after, 1e-3 * np.sign(slope(p, before)), rtol=1e-9)


@pytest.mark.parametrize("opt", [hf.SGD(0.1), hf.Adam()])
def test_the_report_has_objective_and_cases_and_no_curvature(opt, problem):
    p = problem(N=7)
    x, y = p.batch
    report = path(opt, p, 1)[1]
    assert report.accepted
    value = float(p.loss.value(p.net(p.params, x), y))
    assert report.objective == pytest.approx(value, rel=ROUNDING)
    assert (report.cases, report.products, report.lam) == (7, 0, None)
    assert (report.new_objective, report.problem) == (None, "")
    assert report.seconds > 0


@pytest.mark.parametrize("opt", [hf.SGD(0.1, momentum=0.9), hf.Adam()])
@pytest.mark.parametrize("x_bad", [math.nan, 1e200], ids=["NaN", "overflow of the objective"])
def test_what_is_not_finite_is_rejected(opt, x_bad, problem):
    p = problem()
    params, state, _ = opt.step(p.net, p.loss, p.params, opt.init(p.params), p.batch)
    kept = params.vector.copy()
    if math.isnan(x_bad):
        p.batch[0][0, 0] = x_bad
    else:
        p.batch[1][0, 0] = x_bad  # the squared error overflows, its gradient does not
    with np.errstate(over="ignore"):
        same, same_state, report = opt.step(p.net, p.loss, params, state, p.batch)
    assert same is params
    assert same_state is state
    assert not report.accepted
    assert report.problem == "update rejected: the objective or its gradient is not finite"
    assert params.vector.tobytes() == kept.tobytes()


@pytest.mark.parametrize("opt", [hf.SGD(0.1, momentum=0.9), hf.Adam()])
def test_going_on_from_a_state_is_the_same_as_not_stopping(opt, problem):
    p = problem(dtype=np.float32)
    through = path(opt, p, 4)[0][-1]
    params, state = p.params, opt.init(p.params)
    for _ in range(2):
        params, state, _ = opt.step(p.net, p.loss, params, state, p.batch)
    for _ in range(2):  # twice from the same state: nothing is written in place
        again, later = params, state
        for _ in range(2):
            again, later, _ = opt.step(p.net, p.loss, again, later, p.batch)
        assert again.vector.tobytes() == through.tobytes()


@pytest.mark.parametrize("lr", [0.0, -1.0, math.nan])
@pytest.mark.parametrize("method", [hf.SGD, hf.Adam])
def test_a_rate_that_is_not_positive_is_refused(method, lr):
    with pytest.raises(ValueError, match="lr must be positive"):
        method(lr=lr)


@pytest.mark.parametrize(
    ("method", "name"), [(hf.SGD, "momentum"), (hf.Adam, "beta1"), (hf.Adam, "beta2")]
)
@pytest.mark.parametrize("value", [-0.1, 1.0, math.nan])
def test_a_fraction_outside_0_to_1_is_refused(method, name, value):
    with pytest.raises(ValueError, match=rf"{name} must be in \[0, 1\), got {value}"):
        method(**{name: value})
