"""Traced values: they pass for arrays where they can, and say what to write where they cannot."""

import numpy as np
import pytest

import minihf as hf
from minihf.testing import complex_step_jvp, relative_error

pytestmark = pytest.mark.usefixtures("backend")

EXACT = 1e-10  # the complex step is good to 1e-15; a division costs some
SAME = 1e-13  # the same sums in another order


@pytest.fixture
def params():
    rng = np.random.default_rng(0)
    return hf.Params.from_dict({"W": rng.standard_normal((3, 3)), "b": rng.standard_normal(3)})


@pytest.fixture
def x():
    return hf.asarray(np.ones((2, 3)))


ASTRAY = {
    "np.tanh": (lambda t: np.tanh(t), "np.tanh was called on a traced value; call minihf.ops.tanh"),
    "np.maximum": (lambda t: np.maximum(t, 0), "call minihf.ops.relu instead"),
    "np.cos": (lambda t: np.cos(t), "build it from minihf.ops instead"),
    "np.sum": (lambda t: np.sum(t), "call minihf.ops.sum instead"),
    "np.concatenate": (lambda t: np.concatenate([t, t]), "call minihf.ops.concatenate instead"),
    "np.asarray": (lambda t: np.asarray(t), "build the network from minihf.ops"),
    "x += 1": (lambda t: t.__iadd__(1), r"write x = x \+ y instead of x \+= y"),
    "x[0] = 1": (lambda t: t.__setitem__(0, 1), r"concatenate instead of x\[i\] = y"),
    "x > 0": (lambda t: t > 0, "for a choice by value use minihf.ops.relu"),
    "x == 0": (lambda t: t == 0, "for a choice by value use minihf.ops.relu"),
    "x != 0": (lambda t: t != 0, "for a choice by value use minihf.ops.relu"),
    "bool": (bool, "no truth value"),
    "float": (float, "no truth value, order or number"),
    "x ** 3": (lambda t: t**3, r"only \*\* 2; else use exp and log"),
}


@pytest.mark.parametrize(("act", "advice"), ASTRAY.values(), ids=ASTRAY)
def test_leaving_the_tape_is_a_type_error_that_says_what_to_call(act, advice, params, x):
    with pytest.raises(TypeError, match=advice):
        hf.linearize(lambda p, x: act(p["b"]), params, x)


def test_arrays_and_numbers_meet_traced_values_on_either_side(params, x):
    a = hf.asarray(np.random.default_rng(1).standard_normal((3, 3)))

    def net(p, x):
        b = p["b"]
        return (a + b) @ (2.0 * b - a) / np.float64(3) + (1 - a * b) + (a - b) / (a / b) + -b @ a.T

    lin, v = hf.linearize(net, params, x), params.vector[::-1].copy()
    expected = complex_step_jvp(lambda t: net(params.with_vector(t), x), [params.vector], [v])
    assert relative_error(lin.jvp(v), expected) <= EXACT


def test_traced_values_behave_like_arrays(params, x):
    def net(p, x):
        w = p["W"]
        assert (w.shape, w.ndim, w.size, len(w), w.dtype) == ((3, 3), 2, 9, 3, np.float64)
        rows = [row.sum() for row in w]
        return w.T.reshape(9)[:3] + w.reshape((9,))[0] + w.mean(0) + rows[1] + w.transpose(1, 0)

    w = hf.to_host(params["W"])
    expected = w.T.reshape(9)[:3] + w[0, 0] + w.mean(0) + w[1].sum() + w.T
    assert relative_error(hf.linearize(net, params, x).output, expected) <= SAME


def test_two_linearizations_do_not_mix(params, x):
    kept = []
    hf.linearize(lambda p, x: kept.append(p["b"]) or p["b"], params, x)
    with pytest.raises(ValueError, match="traced by different linearizations"):
        hf.linearize(lambda p, x: p["b"] + kept[0], params, x)


def test_reshape_and_transpose_take_their_arguments_as_numpy_does():
    def net(params, x):
        w = params["w"]
        same = [w.reshape(3, 2), w.reshape((3, 2)), w.reshape([3, 2])]
        assert {part.shape for part in same} == {(3, 2)}
        assert w.transpose(1, 0).shape == w.transpose((1, 0)).shape == w.T.shape == (3, 2)
        return same[0]

    hf.linearize(net, hf.Params.from_dict({"w": np.ones((2, 3))}), np.ones(1))


@pytest.mark.parametrize(
    ("leave", "expected"),
    [
        (abs, "no rule for this operator"),
        (lambda t: 2**t, "no rule for this operator"),
        (lambda t: t // 2, "no rule for this operator"),
        (lambda t: t.tanh(), "a traced value has no 'tanh'; call minihf.ops.tanh"),
        (lambda t: t.astype(np.float32), "a traced value has no 'astype'; use minihf.ops"),
        (np.negative, "call minihf.ops.neg"),
        (lambda t: np.dot(t, t), "call minihf.ops.matmul"),
        (lambda t: np.stack([t, t]), "call minihf.ops.concatenate"),
    ],
)
def test_what_numpy_arrays_can_and_traced_values_cannot_is_said(leave, expected):
    params = hf.Params.from_dict({"w": np.ones((2, 2))})
    with pytest.raises((TypeError, AttributeError), match=expected):
        hf.linearize(lambda params, x: leave(params["w"]), params, np.ones(1))
