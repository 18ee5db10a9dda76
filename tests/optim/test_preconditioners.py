"""Squared gradients case by case, and the preconditioner made of them."""

import numpy as np
import pytest

import minihf as hf
from minihf import ops
from minihf.optim.preconditioners import SquaredGradients, mean_squared_gradients

ROUNDING = 1e-12      # relative to the largest entry, float64

D, M, P, N = 3, 3, 4, 40      # N is more than the cases that are squared at once


def twice(params, x):
    """One weight and one bias in two layers, the weight on many positions."""
    h = ops.tanh(ops.dense(x, params["W"], params["b"]))
    return ops.dense(h, params["W"], params["b"])


def one_bias(params, x):
    """Two weights that share a bias, and a parameter without any use."""
    return ops.dense(ops.tanh(ops.dense(x, params["W"], params["b"])), params["V"], params["b"])


SHAPES = {"W": (D, M), "V": (M, M), "b": (M,), "idle": (2,)}


def linearized(net, names, shape):
    rng = np.random.default_rng(0)
    params = hf.Params.from_dict({name: rng.standard_normal(SHAPES[name]) for name in names})
    x, y = (hf.asarray(rng.standard_normal((N, *shape, size))) for size in (D, M))
    return hf.linearize(net, params, x), x, y


def case_by_case(net, lin, x, y, loss):
    total = 0
    for n in range(N):
        single = hf.linearize(net, lin.params, x[n : n + 1])
        g = single.vjp(loss.grad(single.output, y[n : n + 1]))
        total = total + hf.to_host(g) ** 2
    return total / N


@pytest.mark.parametrize("shape", [(), (P,)], ids=["one position", "positions"])
@pytest.mark.parametrize(
    ("net", "names"),
    [
        (hf.Sequential(hf.Dense(D, M), hf.Tanh(), hf.Dense(M, M)), None),
        (twice, ["W", "b"]),
        (one_bias, ["W", "V", "b", "idle"]),
        (lambda params, x: ops.dense(x, params["W"]), ["W"]),
    ],
    ids=["layers", "weight used twice", "bias shared", "no bias"],
)
def test_mean_squared_gradients_are_those_of_a_loop_over_the_cases(net, names, shape, backend):
    loss = hf.SquaredError()
    if names is None:
        lin, x, y = linearized(twice, ["W", "b"], shape)
        lin = hf.linearize(net, net.init(0, np.float64), x)
    else:
        lin, x, y = linearized(net, names, shape)
    expected = case_by_case(net, lin, x, y, loss)
    squares = hf.to_host(mean_squared_gradients(lin, loss, y).vector)
    np.testing.assert_allclose(squares, expected, rtol=0, atol=ROUNDING * expected.max())
    assert not names or "idle" not in names or (squares[-2:] == 0).all()


def scaled(params, x):
    """W in an op with factors and in one without; b in one with, V in one without."""
    return ops.dense(x @ params["V"], params["W"], params["b"]) + x @ params["W"]


def test_parameters_in_an_op_without_factors_get_one_and_are_named():
    lin, x, y = linearized(scaled, ["W", "V", "b"], ())
    loss = hf.SquaredError()
    with pytest.warns(RuntimeWarning, match="no per-case gradients for W, V: .*identity"):
        squares = mean_squared_gradients(lin, loss, y)
    assert (squares["W"] == 1).all()
    assert (squares["V"] == 1).all()
    b = lin.params.with_vector(case_by_case(scaled, lin, x, y, loss))["b"]
    np.testing.assert_allclose(squares["b"], b, rtol=ROUNDING)


@pytest.mark.parametrize("exponent", [0.5, 0.75, 1.0])
def test_the_preconditioner_is_a_power_of_squares_plus_shift(exponent, backend):
    lin, _, y = linearized(one_bias, ["W", "V", "b"], ())
    loss, shift = hf.SquaredError(), 0.25
    partition = hf.Partition.of(lin.params, {"weights": ["W", "V"], "bias": "b"})
    squares = hf.to_host(mean_squared_gradients(lin, loss, y).vector)
    preconditioner = SquaredGradients(exponent)(lin, loss, y, partition, shift)
    for name, block in partition.items():
        Mr = preconditioner[name] @ hf.asarray(np.ones(block.size))
        expected = (squares[block.index] + shift) ** -exponent
        np.testing.assert_allclose(hf.to_host(Mr), expected, rtol=ROUNDING)


def test_a_parameter_without_gradient_or_shift_does_not_divide_by_zero():
    lin, _, y = linearized(one_bias, ["W", "V", "b", "idle"], ())
    partition = hf.Partition.of(lin.params, "network")
    diagonal = SquaredGradients()(lin, hf.SquaredError(), y, partition, 0.0)["network"]
    assert np.isfinite(diagonal @ np.ones(lin.params.size)).all()


def test_cases_that_are_no_longer_the_first_axis_are_not_taken_for_cases():
    rng = np.random.default_rng(0)
    params = hf.Params.from_dict({"W": rng.standard_normal((3, 2)), "b": rng.standard_normal(2)})

    def net(params, x):                                  # (N, P, D) -> (N P, D) -> (N, P, M)
        rows = ops.dense(ops.reshape(ops.mul(x, 1.0), (-1, 3)), params["W"], params["b"])
        return ops.reshape(rows, (len(x), -1, 2))

    x, y = rng.standard_normal((4, 5, 3)), rng.standard_normal((4, 5, 2))
    lin = hf.linearize(net, params, x)
    with pytest.warns(RuntimeWarning, match="no per-case gradients for W, b"):
        squares = mean_squared_gradients(lin, hf.SquaredError(), y)
    assert (squares.vector == 1).all()
