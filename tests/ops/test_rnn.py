"""The tanh recurrent op against the same cell made of small primitives, and what it costs."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import minihf as hf
from minihf import ops
from minihf.ops.rnn import RNNOp
from minihf.testing import relative_error

pytestmark = pytest.mark.usefixtures("backend")

SAME = 1e-12  # the same sums in another order, through a few steps
NAMES = ("x", "Wx", "Wh", "b", "h0")
N, T, D, H = 3, 5, 2, 4


def draw(seed, t=T, h=H):
    """Every input of the op as a parameter of its own."""
    rng = np.random.default_rng(seed)
    shapes = ((N, t, D), (D, h), (h, h), (h,), (N, h))
    return {k: rng.standard_normal(shape) for k, shape in zip(NAMES, shapes, strict=True)}


def fused(params, _=None):
    return ops.rnn(*(params[name] for name in NAMES))


def composed(params, _=None):
    x, Wx, Wh, b, h = (params[name] for name in NAMES)
    steps = []
    for t in range(x.shape[1]):
        h = ops.tanh(x[:, t] @ Wx + h @ Wh + b)
        steps.append(ops.reshape(h, (h.shape[0], 1, h.shape[1])))
    return ops.concatenate(steps, axis=1)


@given(seed=st.integers(0, 2**32 - 1), t=st.integers(1, 6), h=st.integers(1, 4))
def test_it_is_the_cell_made_of_small_primitives(seed, t, h):
    params = hf.Params.from_dict(draw(seed, t, h), np.float64)
    one, other = (hf.linearize(net, params, None) for net in (fused, composed))
    rng = np.random.default_rng(seed + 1)
    v, u, y = (
        hf.asarray(rng.standard_normal(shape))
        for shape in (params.size, one.output.shape, one.output.shape)
    )
    loss = hf.SquaredError()
    assert relative_error(one.output, other.output) <= SAME
    assert relative_error(one.jvp(v), other.jvp(v)) <= SAME
    assert relative_error(one.vjp(u), other.vjp(u)) <= SAME
    assert relative_error(one.hvp(v, loss, y), other.hvp(v, loss, y)) <= SAME


def test_without_recurrence_every_step_is_a_dense_tanh_layer():
    arrays = draw(0)
    arrays["Wh"][:] = 0
    params = hf.Params.from_dict({k: arrays[k] for k in ("Wx", "b")}, np.float64)
    x, Wh = hf.asarray(arrays["x"]), hf.asarray(arrays["Wh"])
    nets = (
        lambda p, x: ops.rnn(x, p["Wx"], Wh, p["b"]),
        lambda p, x: ops.tanh(ops.dense(x, p["Wx"], p["b"])),
    )
    one, other = (hf.linearize(net, params, x) for net in nets)
    v, y = params.vector, hf.asarray(np.zeros((N, T, H)))
    loss = hf.SquaredError()
    assert relative_error(one.output, other.output) <= SAME
    assert relative_error(one.jvp(v), other.jvp(v)) <= SAME
    assert relative_error(one.vjp(one.output), other.vjp(one.output)) <= SAME
    assert relative_error(one.hvp(v, loss, y), other.hvp(v, loss, y)) <= SAME


def test_only_two_products_go_step_by_step(count_gemms):
    op, params = RNNOp(), hf.Params.from_dict(draw(0), np.float64)
    x, Wx, Wh, b, h0 = (params[name] for name in NAMES)
    u, residuals = op.forward(x, Wx, Wh, b)

    def rop(*Rinputs):
        return count_gemms(lambda: op.rop(residuals, *Rinputs))

    def vjp(*needs):
        return count_gemms(lambda: op.vjp(residuals, u, [bool(i) for i in needs]))

    assert rop(None, Wx, Wh, b, None) == 1 + (T - 1)
    assert rop(x, Wx, Wh, b, h0) == 2 + T
    assert rop(None, None, None, b, None) == T - 1
    assert vjp(0, 1, 1, 1, 0) == 1 + (T - 1)
    assert vjp(1, 0, 1, 0, 1) == 3 + (T - 1)


def test_factors_rebuild_the_gradient():
    op, params = RNNOp(), hf.Params.from_dict(draw(0), np.float64)
    u, residuals = op.forward(*(params[name] for name in NAMES))
    _, of_Wx, of_Wh, of_b, _ = op.vjp(residuals, u, (True,) * 5)
    a, s = map(hf.to_host, op.factors(residuals, u))
    assert (a.shape, s.shape) == ((N, T, D + H), (N, T, H))
    matrix = hf.asarray(np.einsum("ntd,ntm->dm", a, s))
    for found, expected in zip(op.split(residuals, matrix), (of_Wx, of_Wh), strict=True):
        assert relative_error(found, expected) <= SAME
    assert relative_error(op.join(residuals, op.split(residuals, matrix)), matrix) == 0
    assert relative_error(s.sum(axis=(0, 1)), of_b) <= SAME


def test_shapes_that_do_not_fit_are_refused():
    for name, shape, message in [
        ("x", (N, 0, D), r"x has shape \(3, 0, 2\), expected \(N, T, 2\) with N >= 1 and T >= 1"),
        ("Wh", (H, 4 * H), r"rnn: Wh has shape \(4, 16\), expected \(4, 4\)"),
        ("h0", (H,), r"rnn: h0 has shape \(4,\), expected \(3, 4\)"),
    ]:
        arrays = {k: hf.asarray(a) for k, a in (draw(0) | {name: np.zeros(shape)}).items()}
        with pytest.raises(ValueError, match=message):
            fused(arrays)
