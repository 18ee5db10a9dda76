"""Kronecker factors against explicit loops, exact Fisher blocks and dense Kronecker products."""

from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import minihf as hf
from minihf import ops
from minihf.curvature import KroneckerFactors
from minihf.curvature.kronecker import _triangular_inverse
from minihf.testing import relative_error

pytestmark = pytest.mark.usefixtures("backend")

SAME = 1e-12          # float64: the same sums in another order
SOLVED = 1e-9         # float64: inverses at condition numbers up to 1e4

N, T, D, H, M = 4, 3, 2, 2, 3
seeds = st.integers(0, 2**32 - 1)


class Fixed:
    """A loss whose "sample" is given, and so known to the test."""

    def __init__(self, u):
        self.u = u

    def sample(self, z, rng, y=None):
        return self.u


class Enumerated(Fixed):
    """A loss that draws the columns of a square root of N H_L in turn, each sqrt(M) long."""

    def __init__(self, loss, z, y, k):
        H = np.stack([hf.to_host(loss.hvp(z, y, e)) for e in units(z)])[:, 0]
        values, vectors = np.linalg.eigh(H)
        root = vectors * np.sqrt(np.maximum(values, 0) * len(H))
        super().__init__(hf.asarray(root[:, k][None]))


def units(z):
    return (hf.asarray(row[None]) for row in np.eye(z.shape[1]))


def normal(rng, *shape):
    return hf.asarray(rng.standard_normal(shape))


def linearized(net, shape, seed=0, params=None):
    rng = np.random.default_rng(seed)
    params = params or net.init(seed, np.float64)
    params.vector[...] = params.vector + 0.3 * normal(rng, params.size)
    lin = hf.linearize(net, params, normal(rng, *shape))
    return lin, normal(rng, *lin.output.shape)


def measured(lin, u):
    return KroneckerFactors.sampled(lin, Fixed(u), None, None)


def dense(factors, lin):
    """The whole matrix in the order of the parameters, by np.kron, the identity elsewhere."""
    n = lin.params.size
    matrix = np.eye(n)
    positions = lin.params.with_vector(hf.asarray(np.arange(float(n))))
    for key, stack in factors.stacks.items():
        index = hf.to_host(stack.matrix(positions)).astype(int).reshape(-1)
        A, S = hf.to_host(factors.A[key]), hf.to_host(factors.S[key])
        matrix[np.ix_(index, index)] = np.kron(A, S)
    return matrix


# Against the exact block ----------------------------------------------------------------------


@pytest.mark.parametrize("with_bias", [True, False], ids=["bias", "no bias"])
@pytest.mark.parametrize(
    "loss", [hf.SquaredError(), hf.SigmoidCrossEntropy(), hf.SoftmaxCrossEntropy()],
    ids=lambda loss: type(loss).__name__,
)  # fmt: skip
@given(seed=seeds)
def test_for_one_case_and_one_layer_it_is_the_gauss_newton_block_in_expectation(
    loss, with_bias, seed
):
    rng = np.random.default_rng(seed)
    net = hf.Dense(D, M, bias=with_bias)
    params, x = net.init(seed % 100, np.float64), normal(rng, 1, D)
    lin = hf.linearize(net, params, x)
    y = hf.asarray(np.array([1]) if isinstance(loss, hf.SoftmaxCrossEntropy) else np.ones((1, M)))
    mean = 0
    for k in range(M):
        draw = Enumerated(loss, lin.output, y, k)
        mean = mean + dense(KroneckerFactors.sampled(lin, draw, y, rng), lin) / M
    assert relative_error(mean, hf.GGN(lin, loss, y).to_dense()) <= SAME


def test_the_draw_is_the_losses_own(backend):
    lin, y = linearized(hf.Dense(D, M), (N, D))
    loss = hf.SquaredError()
    rng, again = np.random.default_rng(5), np.random.default_rng(5)
    found = KroneckerFactors.sampled(lin, loss, y, rng)
    expected = measured(lin, loss.sample(lin.output, again))
    assert relative_error(found.S["W"], hf.to_host(expected.S["W"])) == 0
    assert rng.bit_generator.state == again.bit_generator.state


# Against loops --------------------------------------------------------------------------------


def outer_sums(rows_a, rows_s):
    """A and S out of (case, position) rows, one outer product at a time."""
    A = sum(np.outer(a, a) for rows in rows_a for a in rows) / len(rows_a)
    S = [np.outer(s, s) for rows in rows_s for s in rows]
    return A, sum(S) / len(S)


@pytest.mark.parametrize("positions", [(), (T,)], ids=["one position", "positions"])
def test_a_dense_layer_sums_inputs_with_a_one_and_averages_cotangents(positions):
    lin, u = linearized(hf.Dense(D, M), (N, *positions, D))
    x = hf.to_host(lin.graph.nodes()[0][0].residuals[0]).reshape(N, -1, D)
    rows = np.concatenate([x, np.ones((*x.shape[:2], 1))], axis=2)
    A, S = outer_sums(rows, hf.to_host(u).reshape(N, -1, M))
    found = measured(lin, u)
    assert relative_error(found.A["W"], A) <= SAME
    assert relative_error(found.S["W"], S) <= SAME


def test_a_convolution_sums_over_the_windows_of_an_image():
    C, F, K, side, stride, padding = 2, 3, 2, 4, 2, 1
    net = hf.Conv2d(C, F, K, stride=stride, padding=padding)
    lin, u = linearized(net, (N, C, side, side), seed=1)
    x = normal(np.random.default_rng(1), lin.params.size + N * C * side * side)
    image = hf.to_host(x)[lin.params.size :].reshape(N, C, side, side)
    image = np.pad(image, ((0, 0), (0, 0), (padding, padding), (padding, padding)))
    image = image.transpose(0, 2, 3, 1)  # a window's entries by row, column and channel
    rows_a, rows_s = [], []
    for n in range(N):
        pixels = [(i, j) for i in range(u.shape[2]) for j in range(u.shape[3])]
        rows_a.append(
            [np.append(image[n, i * stride : i * stride + K, j * stride : j * stride + K], 1.0)
             for i, j in pixels]
        )  # fmt: skip
        rows_s.append([hf.to_host(u)[n, :, i, j] for i, j in pixels])
    A, S = outer_sums(rows_a, rows_s)
    found = measured(lin, u)
    assert relative_error(found.A["W"], A) <= SAME
    assert relative_error(found.S["W"], S) <= SAME


def stepwise_lstm(params, x):
    """An LSTM on one case out of small ops, with a bias of its own for every step: `probe`."""
    h = c = ops.mul(params["b"][:H], 0.0)
    outputs = []
    for t in range(T):
        a = x[t] @ params["Wx"] + h @ params["Wh"] + params["b"] + params["probe"][t]
        i, f, o = (ops.sigmoid(a[k * H : (k + 1) * H]) for k in (0, 1, 3))
        c = f * c + i * ops.tanh(a[2 * H : 3 * H])
        h = o * ops.tanh(c)
        outputs.append(ops.reshape(h, (1, H)))
    return ops.concatenate(outputs)


def stepwise_rnn(params, x):
    h = ops.mul(params["b"], 0.0)
    outputs = []
    for t in range(T):
        h = ops.tanh(x[t] @ params["Wx"] + h @ params["Wh"] + params["b"] + params["probe"][t])
        outputs.append(ops.reshape(h, (1, H)))
    return ops.concatenate(outputs)


@pytest.mark.parametrize(
    ("layer", "stepwise", "gates"),
    [(hf.LSTM, stepwise_lstm, 4), (hf.RNN, stepwise_rnn, 1)],
    ids=["LSTM", "RNN"],
)
def test_a_recurrent_layer_sums_over_steps_its_input_its_state_and_a_one(layer, stepwise, gates):
    net, rng = layer(D, H), np.random.default_rng(3)
    params, x, u = net.init(3, np.float64), normal(rng, N, T, D), normal(rng, N, T, H)
    lin = hf.linearize(net, params, x)
    rows_a, rows_s = [], []
    for n in range(N):
        arrays = {name: params[name] for name in params.names}
        probed = hf.Params.from_dict({**arrays, "probe": np.zeros((T, gates * H))})
        alone = hf.linearize(stepwise, probed, x[n])
        assert relative_error(lin.output[n], hf.to_host(alone.output)) <= SAME
        gradient = probed.with_vector(alone.vjp(u[n]))
        rows_s.append(hf.to_host(gradient["probe"]))
        before = np.vstack([np.zeros(H), hf.to_host(alone.output)[:-1]])
        rows_a.append(np.hstack([hf.to_host(x[n]), before, np.ones((T, 1))]))
    A, S = outer_sums(rows_a, rows_s)
    found = measured(lin, u)
    assert relative_error(found.A["Wx"], A) <= SAME
    assert relative_error(found.S["Wx"], S) <= SAME


# Uses -----------------------------------------------------------------------------------------


def twice(params, x):
    return ops.dense(ops.tanh(ops.dense(x, params["W"], params["b"])), params["W"], params["b"])


def test_a_weight_used_twice_sums_over_its_uses():
    rng = np.random.default_rng(0)
    params = hf.Params.from_dict({"W": normal(rng, M, M), "b": normal(rng, M)})
    lin, u = linearized(twice, (N, M), params=params)
    (first, second), (key,) = lin.factors(u), measured(lin, u).stacks
    rows_a = [np.concatenate([hf.to_host(use.a)[:, 0], np.ones((N, 1))], axis=1)
              for use in (first, second)]  # fmt: skip
    rows_s = [hf.to_host(use.s)[:, 0] for use in (first, second)]
    A, S = outer_sums(np.stack(rows_a, axis=1), np.stack(rows_s, axis=1))
    found = measured(lin, u)
    assert key == "W"
    assert relative_error(found.A["W"], A) <= SAME
    assert relative_error(found.S["W"], S) <= SAME


def odd_uses(params, x):
    """Two weights that share a bias; V also in an op without factors; an idle parameter."""
    h = ops.tanh(ops.dense(x, params["W"], params["b"]))
    return ops.dense(h, params["U"], params["b"]) + ops.dense(h, params["V"]) + h @ params["V"]


def test_what_has_no_factors_is_named_once_and_gets_the_identity():
    rng = np.random.default_rng(0)
    shapes = {"W": (M, M), "U": (M, M), "V": (M, M), "b": (M,), "idle": (2,)}
    params = hf.Params.from_dict({name: normal(rng, *shape) for name, shape in shapes.items()})
    lin, u = linearized(odd_uses, (N, M), params=params)
    with pytest.warns(RuntimeWarning) as warned:
        factors = measured(lin, u)
    assert [str(w.message) for w in warned] == [
        "no Kronecker factors for V, b: the identity stands there"
    ]
    assert {key: stack.names for key, stack in factors.stacks.items()} == {"W": ("W",), "U": ("U",)}
    block = hf.Partition.of(params, {"some": ["W", "U"], "rest": ["V", "b", "idle"]})["rest"]
    r = normal(rng, block.size)
    assert relative_error(factors.inverse(0.1).block(block) @ r, hf.to_host(r)) == 0


def test_cases_may_have_been_folded_into_another_axis():
    def folded(params, x):                               # (N, T, D) -> (N T, D) -> (N, T, M)
        rows = ops.dense(ops.reshape(ops.mul(x, 1.0), (-1, D)), params["W"], params["b"])
        return ops.reshape(rows, (N, T, M))

    lin, u = linearized(hf.Dense(D, M), (N, T, D))
    plain = measured(lin, u)
    found = measured(hf.linearize(folded, lin.params, lin.graph.nodes()[0][0].residuals[0]), u)
    assert relative_error(found.A["W"], hf.to_host(plain.A["W"])) <= SAME
    assert relative_error(found.S["W"], hf.to_host(plain.S["W"])) <= SAME


def test_measuring_needs_no_gradient_of_a_weight(count_gemms):
    lin, u = linearized(hf.Sequential(hf.Dense(D, M), hf.Tanh(), hf.Dense(M, M)), (N, D))
    assert count_gemms(lambda: measured(lin, u)) == 1 + 4            # u W', and four grams


# Products and inverses ------------------------------------------------------------------------

NETWORKS = {
    "dense": (hf.Sequential(hf.Dense(D, M), hf.Tanh(), hf.Dense(M, 2, bias=False)), (9, D)),
    "conv": (hf.Sequential(hf.Conv2d(1, 2, 2), hf.Tanh(), hf.Flatten(), hf.Dense(8, 2)),
             (9, 1, 3, 3)),
    "lstm": (hf.Sequential(hf.LSTM(D, H), hf.LastStep(), hf.Dense(H, 2)), (9, T, D)),
}  # fmt: skip


@pytest.mark.parametrize("network", NETWORKS)
@given(seed=seeds, log_lam=st.integers(-4, 1))
def test_products_are_those_with_dense_kronecker_products(network, seed, log_lam):
    lin, u = linearized(*NETWORKS[network], seed=seed % 1000)
    factors, lam = measured(lin, u), 10.0**log_lam
    damped = {}
    for key in factors.stacks:
        A, S = hf.to_host(factors.A[key]), hf.to_host(factors.S[key])
        pi = np.sqrt(np.trace(A) / len(A) / (np.trace(S) / len(S)))
        damped[key] = (A + pi * np.sqrt(lam) * np.eye(len(A)),
                       S + np.sqrt(lam) / pi * np.eye(len(S)))  # fmt: skip
    A, S = ({key: pair[i] for key, pair in damped.items()} for i in (0, 1))
    expected = np.linalg.inv(dense(SimpleNamespace(stacks=factors.stacks, A=A, S=S), lin))
    r = normal(np.random.default_rng(seed), lin.params.size)
    whole = hf.Partition.of(lin.params)["network"]
    M_r = factors.inverse(lam).block(whole) @ r
    assert relative_error(M_r, expected @ hf.to_host(r)) <= SOLVED
    assert np.linalg.eigvalsh(expected)[0] > 0
    plain = factors.block(whole) @ r
    assert relative_error(plain, dense(factors, lin) @ hf.to_host(r)) <= SAME


@pytest.mark.parametrize("network", NETWORKS)
@pytest.mark.parametrize("spec", ["layer", "param", "scattered"])
def test_a_block_has_its_principal_submatrix(network, spec):
    lin, u = linearized(*NETWORKS[network])
    params, rng = lin.params, np.random.default_rng(0)
    if spec == "scattered":
        owner = rng.permutation(np.arange(params.size) % 3)
        indices = {str(i): np.flatnonzero(owner == i) for i in range(3)}
        partition = hf.Partition.from_indices(params, indices)
    else:
        partition = hf.Partition.of(params, spec)
    inverse = measured(lin, u).inverse(0.1)
    whole = dense(inverse, lin)
    for block in partition.values():
        index = block.index if isinstance(block.index, slice) else hf.to_host(block.index)
        v = normal(rng, block.size)
        before = hf.to_host(v)
        Mv = inverse.block(block) @ v
        assert Mv.shape == (block.size,)
        assert relative_error(Mv, whole[index][:, index] @ before) <= SAME
        assert (hf.to_host(v) == before).all()
        assert inverse.block(block).shape == (block.size, block.size)


@pytest.mark.parametrize("lam", [0.0, 1e-18, 1e-4])
def test_in_float32_the_inverse_is_symmetric_and_positive_definite(lam):
    """Inputs of rank one: all eigenvalues but one are rounding."""
    rng = np.random.default_rng(0)
    net = hf.Dense(40, 30)
    row = rng.standard_normal((1, 40))
    x = hf.asarray(np.repeat(row, 50, axis=0), dtype=np.float32)
    lin = hf.linearize(net, net.init(0), x)
    inverse = KroneckerFactors.sampled(lin, hf.SquaredError(), None, rng).inverse(lam)
    for factor in (hf.to_host(inverse.A["W"]), hf.to_host(inverse.S["W"])):
        assert factor.dtype == np.float32
        np.testing.assert_array_equal(factor, factor.T)
        assert np.linalg.eigvalsh(factor.astype(float))[0] > 0


@pytest.mark.parametrize("zero", ["A", "S", "both"])
def test_factors_without_a_scale_do_not_divide_by_zero(zero):
    lin, u = linearized(hf.Dense(D, M, bias=False), (N, D))
    x = lin.graph.nodes()[0][0].residuals[0]
    if zero != "S":
        x = 0 * x
    if zero != "A":
        u = 0 * u
    for lam in (0.0, 0.1):
        inverse = measured(hf.linearize(hf.Dense(D, M, bias=False), lin.params, x), u).inverse(lam)
        assert np.isfinite(hf.to_host(inverse.A["W"])).all()
        assert np.isfinite(hf.to_host(inverse.S["W"])).all()


@given(seed=seeds, log_scale=st.integers(-6, 6))
def test_moving_scale_from_one_factor_to_the_other_changes_nothing(seed, log_scale):
    lin, u = linearized(hf.Dense(D, M), (N, D), seed=seed % 1000)
    factors, c = measured(lin, u), 10.0**log_scale
    moved = KroneckerFactors(
        factors.stacks, {"W": c * factors.A["W"]}, {"W": factors.S["W"] / c}
    )
    one, other = (dense(it.inverse(0.01), lin) for it in (factors, moved))
    assert relative_error(other, one) <= SOLVED


def test_every_stack_may_have_a_damping_of_its_own():
    lin, u = linearized(*NETWORKS["dense"])
    factors = measured(lin, u)
    mixed = factors.inverse({"0.W": 0.1, "2.W": 3.0})
    for key, lam in (("0.W", 0.1), ("2.W", 3.0)):
        alone = factors.inverse(lam)
        assert relative_error(mixed.A[key], hf.to_host(alone.A[key])) == 0
        assert relative_error(mixed.S[key], hf.to_host(alone.S[key])) == 0


def test_averages_are_rho_old_plus_the_rest_new():
    (lin, u), rng = linearized(*NETWORKS["dense"]), np.random.default_rng(1)
    old, new = measured(lin, u), measured(lin, normal(rng, *u.shape))
    mean = new.averaged(old, 0.75)
    for key in old.stacks:
        expected = 0.75 * hf.to_host(old.S[key]) + 0.25 * hf.to_host(new.S[key])
        assert relative_error(mean.S[key], expected) <= SAME
        assert relative_error(mean.A[key], hf.to_host(old.A[key])) <= SAME
    assert mean.finite


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_a_number_that_is_not_finite_shows(bad):
    lin, u = linearized(*NETWORKS["dense"])
    u[1, 0] = bad
    with np.errstate(invalid="ignore"):
        assert not measured(lin, u).finite


@pytest.mark.parametrize("n", [1, 2, 3, 7])
def test_a_triangle_is_inverted_by_halves(n):
    L = np.tril(np.random.default_rng(n).standard_normal((n, n))) + 3 * np.eye(n)
    found = hf.to_host(_triangular_inverse(hf.asarray(L), base=1))
    np.testing.assert_allclose(found @ L, np.eye(n), rtol=0, atol=SAME)
    np.testing.assert_array_equal(found, np.tril(found))
