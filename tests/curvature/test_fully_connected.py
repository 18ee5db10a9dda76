"""Reading a fully connected network back from its tape, and refusing any other."""

import numpy as np
import pytest

import minihf as hf
from minihf import ops
from minihf.curvature import AveragedPCH
from minihf.curvature.fully_connected import layers_of
from minihf.testing import relative_error

pytestmark = pytest.mark.usefixtures("backend")

EXACT = 1e-12  # a few elementwise operations

SHAPES = {"W": (4, 4), "V": (4, 4), "U": (2, 2), "b": (4,)}


def linearized(net, shape):
    rng = np.random.default_rng(0)
    if hasattr(net, "init"):
        params = net.init(0, np.float64)
    else:
        params = hf.Params.from_dict({k: rng.standard_normal(s) for k, s in SHAPES.items()})
    return hf.linearize(net, params, hf.asarray(rng.standard_normal(shape)))


def written_out(params, x):
    """Two activations on each other, a square among them, and a harmless reshape in between."""
    h = ops.square(ops.tanh(ops.dense(x, params["W"], params["b"]))).reshape(-1, 2, 2)
    return ops.dense(ops.sigmoid(h).reshape(len(h), 4), params["V"])


def test_layers_have_inputs_slopes_and_bends_of_the_whole_activation():
    lin = linearized(written_out, (5, 4))
    first, last = layers_of(lin)
    assert [(layer.weight, layer.bias) for layer in (first, last)] == [("W", "b"), ("V", None)]
    z = hf.to_host(first.h) @ hf.to_host(first.W) + hf.to_host(lin.params["b"])
    t = np.tanh(z)
    y = 1 / (1 + np.exp(-t * t))
    inner, inner2 = 2 * t * (1 - t * t), 2 * (1 - t * t) * (1 - 3 * t * t)     # of tanh^2
    outer, outer2 = y * (1 - y), y * (1 - y) * (1 - 2 * y)
    assert relative_error(first.slope, outer * inner) <= EXACT
    assert relative_error(first.bend, outer2 * inner**2 + outer * inner2) <= EXACT
    assert relative_error(last.h, y) <= EXACT
    assert relative_error(last.slope, np.ones((5, 4))) == 0
    assert not last.bend.any()


# What it refuses ----------------------------------------------------------------------------


def shared(params, x):
    return ops.dense(ops.tanh(ops.dense(x, params["W"])), params["W"])


def skipping(params, x):
    return ops.tanh(ops.dense(x, params["W"])) + ops.dense(x, params["V"])


def of_computed_weights(params, x):
    return ops.dense(x, ops.exp(params["W"]))


def of_constant_weights(params, x):
    return ops.dense(ops.dense(x, params["W"]), hf.asarray(np.eye(4)))


def of_computed_bias(params, x):
    return ops.dense(x, params["W"], ops.square(params["b"]))


def over_cases(params, x):
    return ops.dense(ops.dense(x, params["W"]).reshape(-1, 2), params["U"]).reshape(-1, 4)


REFUSED = {
    "convolution": (
        hf.Sequential(hf.Conv2d(1, 2, 3), hf.Tanh(), hf.Flatten(), hf.Dense(8, 2)),
        (5, 1, 4, 4), "its op Conv2dOp of '0.W' and '0.b' is none of these",
    ),
    "recurrent": (
        hf.Sequential(hf.LSTM(2, 3), hf.LastStep(), hf.Dense(3, 2)),
        (5, 4, 2), "its op LSTMOp of '0.Wx' and '0.Wh' and '0.b' is none of these",
    ),
    "residual": (
        hf.Residual(hf.Sequential(hf.Dense(4, 4), hf.Tanh())),
        (5, 4), "its op Add after that of 'body.0.W' is none of these",
    ),
    "positions": (hf.Dense(2, 2), (5, 3, 2), "uses its weights at several positions of a case"),
    "shared": (shared, (5, 4), "shares 'W' with another use"),
    "skip": (skipping, (5, 4), "its op Add after that of 'V' is none of these"),
    "computed weights": (of_computed_weights, (5, 4), "Exp of 'W' takes a parameter as its input"),
    "constant weights": (of_constant_weights, (5, 4), "has weights that are no parameters"),
    "computed bias": (of_computed_bias, (5, 4), "Square of 'b' takes a parameter as its input"),
    "mixed cases": (over_cases, (5, 4), "its op Reshape after that of 'W' moves entries between"),
    "matmul": (lambda p, x: x @ p["W"], (5, 4), "its op MatMul of 'W' is none of these"),
    "constant": (lambda p, x: x, (5, 4), "this one has no dense op"),
}  # fmt: skip


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_not_fully_connected_is_refused_with_the_op_and_the_alternative(name):
    net, shape, message = REFUSED[name]
    with pytest.raises(ValueError, match=f"(?s)a fully connected network was expected.*{message}"):
        layers_of(linearized(net, shape))


def test_curvature_that_wants_one_says_so_with_the_alternative():
    lin = linearized(shared, (5, 4))
    for kind in (hf.PCH, AveragedPCH):
        with pytest.raises(ValueError, match=r"take curvature=hf\.GGN, or hf\.papers\.zhang2017"):
            kind(lin, hf.SquaredError(), hf.asarray(np.zeros((5, 4))))
