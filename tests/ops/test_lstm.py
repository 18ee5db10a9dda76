"""The LSTM op against the same cell made of small primitives, and what its passes cost."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import minihf as hf
from minihf import ops
from minihf.ops.lstm import LSTMOp
from minihf.testing import relative_error

pytestmark = pytest.mark.usefixtures("backend")

SAME = 1e-12  # the same sums in another order, through a few dozen steps
SINGLE = 1e-5  # of float32's 6e-8, over sums of a dozen terms and six steps
NAMES = ("x", "Wx", "Wh", "b", "h0", "c0")
N, T, D, H = 3, 6, 2, 4
TRANSCENDENTAL = {"tanh", "exp", "expm1", "log", "log1p", "cosh", "sinh"}


def draw(seed, n=N, t=T, d=D, h=H):
    """Every input of the op as a parameter of its own."""
    rng = np.random.default_rng(seed)
    shapes = ((n, t, d), (d, 4 * h), (h, 4 * h), (4 * h,), (n, h), (n, h))
    return {k: rng.standard_normal(shape) for k, shape in zip(NAMES, shapes, strict=True)}


def params_of(arrays, dtype=np.float64):
    return hf.Params.from_dict(arrays, dtype)


def fused(params, _=None):
    return ops.lstm(*(params[name] for name in NAMES))


def composed(params, _=None):
    """Equations (1) to (3), one primitive at a time."""
    x, Wx, Wh, b, h, c = (params[name] for name in NAMES)
    steps, n = [], h.shape[1]
    for t in range(x.shape[1]):
        a = x[:, t] @ Wx + h @ Wh + b
        i, f, o = (ops.sigmoid(a[:, k * n : (k + 1) * n]) for k in (0, 1, 3))
        c = f * c + i * ops.tanh(a[:, 2 * n : 3 * n])
        h = o * ops.tanh(c)
        steps.append(ops.reshape(h, (h.shape[0], 1, n)))
    return ops.concatenate(steps, axis=1)


@given(seed=st.integers(0, 2**32 - 1), t=st.integers(1, 7), h=st.integers(1, 4))
def test_it_is_the_cell_made_of_small_primitives(seed, t, h):
    params = params_of(draw(seed, t=t, h=h))
    one, other = (hf.linearize(net, params, None) for net in (fused, composed))
    rng = np.random.default_rng(seed + 1)
    v, u, y = (
        hf.asarray(rng.standard_normal(shape))
        for shape in (params.size, one.output.shape, one.output.shape)
    )
    assert relative_error(one.output, other.output) <= SAME
    assert relative_error(one.jvp(v), other.jvp(v)) <= SAME
    assert relative_error(one.vjp(u), other.vjp(u)) <= SAME
    loss = hf.SquaredError()
    assert relative_error(one.hvp(v, loss, y), other.hvp(v, loss, y)) <= SAME
    for name, block in hf.Partition.of(params, "param").items():
        v = hf.asarray(rng.standard_normal(block.size))
        assert relative_error(one.jvp(v, block), other.jvp(v, block)) <= SAME, name
        assert relative_error(one.vjp(u, block), other.vjp(u, block)) <= SAME, name
        ours, theirs = (lin.hvp(v, loss, y, block) for lin in (one, other))
        assert relative_error(ours, theirs) <= SAME, name


def test_no_state_given_is_a_state_of_zeros():
    arrays = draw(0)
    arrays["h0"][:] = arrays["c0"][:] = 0
    params = params_of(arrays)
    without = hf.linearize(lambda p, _: ops.lstm(*(p[k] for k in NAMES[:4])), params, None)
    given = hf.linearize(fused, params, None)
    partition = hf.Partition.of(params, {"all": "[xWb]*", "state": "?0"})
    rng = np.random.default_rng(1)
    v = hf.asarray(rng.standard_normal(partition["all"].size))
    u = hf.asarray(rng.standard_normal((N, T, H)))
    assert relative_error(without.output, given.output) == 0.0
    block = partition["all"]
    assert relative_error(without.jvp(v, block), given.jvp(v, block)) <= SAME
    assert relative_error(without.vjp(u, block), given.vjp(u, block)) <= SAME
    y = hf.asarray(np.zeros((N, T, H)))
    ours, theirs = (lin.hvp(v, hf.SquaredError(), y, block) for lin in (without, given))
    assert relative_error(ours, theirs) <= SAME


def test_a_constant_state_is_used_and_has_no_derivative():
    params = params_of(draw(0))
    h0, c0 = params["h0"], params["c0"]
    net = lambda p, _: ops.lstm(p["x"], p["Wx"], p["Wh"], p["b"], h0, c0)  # noqa: E731
    lin, traced = (hf.linearize(f, params, None) for f in (net, fused))
    assert relative_error(lin.output, traced.output) == 0.0
    state = hf.Partition.of(params, {"all": "[xWb]*", "state": "?0"})["state"]
    assert not hf.to_host(lin.vjp(lin.output, state)).any()
    assert hf.to_host(traced.vjp(lin.output, state)).all()


def test_without_recurrence_and_memory_every_step_is_a_dense_layer():
    arrays = draw(0)
    arrays["Wh"][:] = arrays["h0"][:] = arrays["c0"][:] = 0
    arrays["b"][H : 2 * H] = -1e3                        # the forget gate is shut
    y = hf.to_host(fused(params_of(arrays)))
    a = arrays["x"] @ arrays["Wx"] + arrays["b"]
    i, g, o = (a[..., k * H : (k + 1) * H] for k in (0, 2, 3))
    expected = np.tanh(np.tanh(g) / (1 + np.exp(-i))) / (1 + np.exp(-o))
    assert relative_error(y, expected) <= SAME


def test_an_open_memory_only_adds_up():
    arrays = draw(0)
    for name in ("Wx", "Wh", "h0", "c0"):
        arrays[name][:] = 0
    arrays["b"][:] = np.repeat([1e3, 1e3, 0.3, 1e3], H)  # i = f = o = 1, g = tanh 0.3
    y = hf.to_host(fused(params_of(arrays)))
    expected = np.tanh(np.arange(1, T + 1) * np.tanh(0.3))
    assert relative_error(y, np.broadcast_to(expected[:, None], y.shape)) <= SAME


def test_cases_do_not_see_each_other():
    arrays, order = draw(0), np.array([2, 0, 1])
    moved = {k: a[order] if k in ("x", "h0", "c0") else a for k, a in arrays.items()}
    one, other = (hf.to_host(fused(params_of(a))) for a in (arrays, moved))
    assert relative_error(one[order], other) <= SAME


@given(seed=st.integers(0, 2**32 - 1))
def test_float32_is_float64_to_its_own_precision(seed):
    arrays = draw(seed)
    rng = np.random.default_rng(seed + 1)
    shared = None
    for dtype in (np.float64, np.float32):
        lin = hf.linearize(fused, params_of(arrays, dtype), None)
        if shared is None:
            shared = [rng.standard_normal(s) for s in (lin.params.size, lin.output.shape)]
        v, u = (hf.asarray(a, dtype=dtype) for a in shared)
        y = 0 * u
        found = [lin.output, lin.jvp(v), lin.vjp(u), lin.hvp(v, hf.SquaredError(), y)]
        assert {array.dtype for array in found} == {np.dtype(dtype)}
        if dtype == np.float64:
            exact = found
    for one, other in zip(found, exact, strict=True):
        assert relative_error(one, other) <= SINGLE


# Costs


class Spy:
    """A namespace that writes down which of its functions are asked for."""

    def __init__(self, namespace, seen):
        self.namespace, self.seen = namespace, seen

    def __getattr__(self, name):
        self.seen.append(name)
        return getattr(self.namespace, name)


def test_the_linear_passes_evaluate_no_transcendental_function(monkeypatch):
    params, seen = params_of(draw(0)), []
    module = ops.lstm.__globals__
    real = hf.backend.array_module
    monkeypatch.setitem(module, "array_module", lambda *x: Spy(real(*x), seen))
    lin = hf.linearize(fused, params, None)
    assert seen.count("tanh") == 2 * T + 1               # per step: gates, cell; all cells again
    seen.clear()
    v, y = params.vector, 0 * lin.output
    lin.jvp(v), lin.vjp(lin.output), lin.hvp(v, hf.SquaredError(), y)
    assert "multiply" in seen                            # the spy is where the passes are
    assert not TRANSCENDENTAL & set(seen)


def test_only_two_products_go_step_by_step(count_gemms):
    op, params = LSTMOp(), params_of(draw(0))
    x, Wx, Wh, b, h0, c0 = (params[name] for name in NAMES)
    u, residuals = op.forward(x, Wx, Wh, b)

    def rop(*Rinputs):
        return count_gemms(lambda: op.rop(residuals, *Rinputs))

    def vjp(*needs):
        return count_gemms(lambda: op.vjp(residuals, u, [bool(i) for i in needs]))

    assert count_gemms(lambda: op.forward(x, Wx, Wh, b)) == 1 + T
    assert rop(None, Wx, Wh, b, None, None) == 1 + (T - 1)       # [x, h, 1] R{W}; R{h} Wh
    assert rop(x, Wx, Wh, b, None, None) == 2 + (T - 1)          # R{x} Wx
    assert rop(None, Wx, None, b, None, None) == 1 + (T - 1)
    assert rop(x, None, None, None, None, None) == 1 + (T - 1)
    assert rop(None, None, None, b, None, None) == T - 1
    assert rop(None, None, None, None, None, c0) == T - 1
    assert rop(None, None, None, None, h0, None) == T
    assert vjp(0, 1, 1, 1, 0, 0) == 1 + (T - 1)                  # [x, h, 1]' ua; ua Wh'
    assert vjp(1, 1, 1, 1, 0, 0) == 2 + (T - 1)                  # ua Wx'
    assert vjp(0, 0, 1, 0, 0, 0) == 1 + (T - 1)
    assert vjp(0, 0, 0, 1, 0, 0) == T - 1
    assert vjp(0, 0, 0, 0, 1, 0) == 1 + (T - 1)


def test_its_products_for_all_steps_are_one_each():
    op, params, shapes = LSTMOp(), params_of(draw(0)), []
    arrays = [params[name] for name in NAMES]
    u, residuals = op.forward(*arrays)
    with hf.backend.observe_gemms(lambda a, b: shapes.append((a, b))):
        op.rop(residuals, *arrays[:4], None, None)
        op.vjp(residuals, u, (True,) * 4 + (False,) * 2)
    batched = [pair for pair in shapes if N * T in (pair[0][0], pair[0][1])]
    assert batched == [
        ((N * T, D + H + 1), (D + H + 1, 4 * H)), ((N * T, D), (D, 4 * H)),
        ((N * T, 4 * H), (4 * H, D)), ((D + H + 1, N * T), (N * T, 4 * H)),
    ]  # fmt: skip


def test_every_product_of_a_hessian_product_is_one_of_matrices():
    params, shapes = params_of(draw(0)), []
    lin = hf.linearize(fused, params, None)
    cotangents = lin.backward(lin.output)
    with hf.backend.observe_gemms(lambda a, b: shapes.append((a, b))):
        lin.rvjp(params.vector, cotangents, lambda Rz: Rz)
    assert all(len(a) == len(b) == 2 for a, b in shapes)
    step_by_step = [a for a, _ in shapes if a[0] == N]
    # rop, rop again to keep R{a}, back and R back; and of these, T, T, T - 1, T - 1 for h_0's sake,
    # with ua R{Wh}' and R{ua} Wh' of the first step for h_0 itself
    assert len(step_by_step) == 2 * T + 2 * (T - 1) + 2
    # R{W}, R{x} twice; then u R{Wh}', R{u} Wx', u R{Wx}', z' R{u}, R{x}' u, R{h}' u
    assert len(shapes) - len(step_by_step) == 2 * 2 + 6


def test_factors_rebuild_the_gradient_case_by_case():
    op, params = LSTMOp(), params_of(draw(0))
    arrays = [params[name] for name in NAMES]
    u, residuals = op.forward(*arrays)
    _, of_Wx, of_Wh, _, _, _ = op.vjp(residuals, u, (True,) * 6)
    a, s = op.factors(residuals, u)
    assert (a.shape, s.shape) == ((N, T, D + H), (N, T, 4 * H))
    total = 0
    for n in range(N):
        case = [x[n : n + 1] if k in ("x", "h0", "c0") else x
                for k, x in zip(NAMES, arrays, strict=True)]  # fmt: skip
        _, alone = op.forward(*case)
        _, Wx, Wh, b, _, _ = op.vjp(alone, u[n : n + 1], (True,) * 6)
        matrix = a[n].T @ s[n]
        total = total + matrix
        for found, expected in zip(op.split(residuals, matrix), (Wx, Wh), strict=True):
            assert relative_error(found, expected) <= SAME
        assert relative_error(s[n].sum(axis=0), b) <= SAME
    for found, expected in zip(op.split(residuals, total), (of_Wx, of_Wh), strict=True):
        assert relative_error(found, expected) <= SAME
    assert relative_error(op.join(residuals, op.split(residuals, total)), total) == 0


# What it says


@pytest.mark.parametrize(
    ("name", "shape", "message"),
    [
        ("x", (N, D), r"lstm: x has shape \(3, 2\), expected \(N, T, 2\) with N >= 1 and T >= 1"),
        ("x", (N, T, D + 1), r"lstm: x has shape \(3, 6, 3\), expected \(N, T, 2\)"),
        ("x", (N, 0, D), r"lstm: x has shape \(3, 0, 2\), .* T >= 1"),
        ("Wx", (D, H), r"lstm: Wx has shape \(2, 4\), expected \(2, 16\)"),
        ("Wh", (H, H), r"lstm: Wh has shape \(4, 4\), expected \(4, 16\)"),
        ("b", (H,), r"lstm: b has shape \(4,\), expected \(16,\)"),
        ("h0", (1, H), r"lstm: h0 has shape \(1, 4\), expected \(3, 4\)"),
        ("c0", (N, D), r"lstm: c0 has shape \(3, 2\), expected \(3, 4\)"),
    ],
)
def test_shapes_that_do_not_fit_are_refused(name, shape, message):
    arrays = {k: hf.asarray(a) for k, a in (draw(0) | {name: np.zeros(shape)}).items()}
    with pytest.raises(ValueError, match=message):
        fused(arrays)
