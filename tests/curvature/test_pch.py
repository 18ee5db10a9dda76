"""The positive-curvature Hessian against its recursion in plain loops, and its relatives."""

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import minihf as hf
from minihf.curvature import AveragedPCH
from minihf.testing import relative_error

pytestmark = pytest.mark.usefixtures("backend")

EXACT = 1e-10  # the same matrix along another way: float64 leaves a few digits of 1e-16
ORDER = 1e-12  # zero eigenvalues come out as rounding of either sign: that of 1 at least, as a
#                softmax next to 0 and 1 leaves a Hessian below the rounding of its own terms
SINGLE = 1e-4  # float32 has 1e-7, and every layer sums over its units

MODS = {
    "identity": lambda c: c,
    "abs": np.abs,
    "clip": lambda c: np.maximum(c, 0),
    "zero": lambda c: 0 * c,
}
every_mode = pytest.mark.parametrize("mode", MODS)
both_kinds = pytest.mark.parametrize("kind", [hf.PCH, AveragedPCH])
seeds = st.integers(0, 2**32 - 1)
few = settings(max_examples=6)  # matrices written down, four at a time


class Saddle:
    """1/4 (|z|^2 - 1)^2 - y'z per case: not convex where |z| is small, and no `root`."""

    def value(self, z, y):
        return (0.25 * ((z * z).sum(axis=1) - 1) ** 2 - (y * z).sum(axis=1)).sum() / len(z)

    def grad(self, z, y):
        return (((z * z).sum(axis=1, keepdims=True) - 1) * z - y) / len(z)

    def hessian(self, z, y):
        scale = (z * z).sum(axis=1, keepdims=True) - 1
        return lambda Rz: (scale * Rz + 2 * z * (z * Rz).sum(axis=1, keepdims=True)) / len(z)

    def hvp(self, z, y, Rz):
        return self.hessian(z, y)(Rz)


LOSSES = {"squared": hf.SquaredError(), "sigmoid": hf.SigmoidCrossEntropy(),
          "softmax": hf.SoftmaxCrossEntropy(), "saddle": Saddle()}  # fmt: skip
every_loss = pytest.mark.parametrize("loss", LOSSES)

SIZES, N = (2, 3, 3, 2), 4
NET = hf.Sequential(
    hf.Dense(2, 3), hf.Tanh(), hf.Dense(3, 3), hf.Softplus(), hf.Dense(3, 2)
)  # fmt: skip
SLOPES = [                                            # y, y', y'' of x
    lambda x: (np.tanh(x), 1 - np.tanh(x) ** 2, -2 * np.tanh(x) * (1 - np.tanh(x) ** 2)),
    lambda x: (np.logaddexp(0, x), (s := 1 / (1 + np.exp(-x))), s * (1 - s)),
]  # fmt: skip


def problem(loss, seed, N=N, net=NET, dtype=np.float64):
    """Return a linearization, the loss and targets, with parameters that make curvature bend."""
    rng = np.random.default_rng(seed)
    params = net.init(0, dtype)
    params = params.with_vector(hf.asarray(rng.standard_normal(params.size), dtype=dtype))
    x = hf.asarray(rng.standard_normal((N, 2)), dtype=dtype)
    y = rng.integers(2, size=N) if loss == "softmax" else rng.random((N, 2)).astype(dtype)
    return hf.linearize(net, params, x), LOSSES[loss], hf.asarray(y)


def matrix(C):
    return hf.to_host(C.to_dense())


def lowest(matrix):
    return np.linalg.eigvalsh(matrix)[0]


# Its recursion ------------------------------------------------------------------------------


def output_hessian(loss, z, y, n):
    """Write down case n's Hessian in the output, from the loss's own products."""
    columns = []
    for j in range(z.shape[1]):
        e = np.zeros(z.shape)
        e[n, j] = len(z)
        columns.append(hf.to_host(loss.hvp(z, y, hf.asarray(e)))[n])
    return np.stack(columns, axis=1)


def positive(H, mode):
    if mode in ("identity", "zero"):
        return H
    values, V = np.linalg.eigh(H)
    return V @ np.diag(MODS[mode](values)) @ V.T


def by_hand(lin, loss, y, mode, groups):
    """Return each parameter's block: the mean over groups of cases of the recursion's matrices.

    With one case in a group these are the equations (1) and (2), with all in one (3) and (4).
    """
    x, *_ = lin.graph.nodes()[0][0].residuals
    W, b = ([hf.to_host(lin.params[f"{i}.{name}"]) for i in (0, 2, 4)] for name in "Wb")
    h, slopes, bends = [hf.to_host(x)], [], []
    for t, phi in enumerate(SLOPES):
        for values, value in zip((h, slopes, bends), phi(h[t] @ W[t] + b[t]), strict=True):
            values.append(value)
    u = [len(y) * hf.to_host(loss.grad(lin.output, y)) @ W[2].T]
    u = [(u[0] * slopes[1]) @ W[1].T, *u]
    blocks = {}
    for group in groups:
        H = positive(np.mean([output_hessian(loss, lin.output, y, n) for n in group], 0), mode)
        for t in (2, 1, 0):
            mean = h[t][group].mean(axis=0)
            for name, block in (("W", np.kron(np.outer(mean, mean), H)), ("b", H)):
                key = f"{2 * t}.{name}"
                blocks[key] = blocks.get(key, 0) + block / len(groups)
            if t:
                D = [np.diag(slope) for slope in slopes[t - 1][group]]
                numbers = MODS[mode]((bends[t - 1] * u[t - 1])[group].mean(axis=0))
                H = np.mean([d @ W[t] @ H @ W[t].T @ d for d in D], axis=0) + np.diag(numbers)
    return blocks


@both_kinds
@few
@given(seed=seeds, loss=st.sampled_from(list(LOSSES)), mode=st.sampled_from(list(MODS)))
def test_blocks_are_the_matrices_of_the_recursion(kind, loss, mode, seed):
    lin, loss, y = problem(loss, seed)
    C = kind(lin, loss, y, "param", mode)
    groups = [list(range(N))] if kind is AveragedPCH else [[n] for n in range(N)]
    for name, block in by_hand(lin, loss, y, mode, groups).items():
        assert relative_error(C.block(name).to_dense(), block) <= EXACT


# Its relatives ------------------------------------------------------------------------------

ACTIVATIONS = (hf.Tanh, hf.Sigmoid, hf.ReLU, hf.Softplus, hf.Identity)
NETS = {
    **{a.__name__: hf.Sequential(hf.Dense(2, 3), a(), hf.Dense(3, 2)) for a in ACTIVATIONS},
    "activation at the end": hf.Sequential(hf.Dense(2, 3), hf.Tanh(), hf.Dense(3, 2), hf.Tanh()),
    "no biases": hf.Sequential(hf.Dense(2, 3, bias=False), hf.Tanh(), hf.Dense(3, 2, bias=False)),
    "one on another": hf.Sequential(hf.Dense(2, 3), hf.Tanh(), hf.Softplus(), hf.Dense(3, 2)),
    "one layer": hf.Dense(2, 2),
}
every_pair = pytest.mark.parametrize(
    ("loss", "net"),
    [(loss, NET) for loss in LOSSES] + [("softmax", net) for net in NETS.values()],
    ids=[*LOSSES, *NETS],
)


@every_pair
def test_identity_is_the_exact_hessian_block_and_zero_that_of_gauss_newton(loss, net):
    lin, loss, y = problem(loss, 0, net=net)
    for mode, relative in (("identity", hf.Hessian), ("zero", hf.GGN)):
        C, same = hf.PCH(lin, loss, y, "layer", mode), relative(lin, loss, y, "layer")
        assert relative_error(C.to_dense(), same.to_dense()) <= EXACT


@both_kinds
@every_pair
def test_on_one_case_identity_is_the_exact_hessian_block_averaged_or_not(loss, net, kind):
    lin, loss, y = problem(loss, 1, N=1, net=net)
    for spec in ("param", "layer"):
        C, H = kind(lin, loss, y, spec, "identity"), hf.Hessian(lin, loss, y, spec)
        assert relative_error(C.to_dense(), H.to_dense()) <= EXACT


@both_kinds
@few
@given(loss=st.sampled_from(list(LOSSES)), seed=seeds)
def test_abs_is_above_clip_and_clip_above_the_exact_blocks_and_zero(kind, loss, seed):
    lin, loss, y = problem(loss, seed, N=1 if kind is AveragedPCH else N)
    C = {mode: matrix(kind(lin, loss, y, "param", mode)) for mode in MODS}
    tolerance = ORDER * max(1, np.linalg.norm(C["abs"]))
    for above, below in pairwise(("abs", "clip", "identity")):
        assert lowest(C[above] - C[below]) >= -tolerance
    assert lowest(C["clip"]) >= -tolerance
    if not isinstance(loss, Saddle):
        assert lowest(C["clip"] - C["zero"]) >= -tolerance


@both_kinds
@few
@given(seed=seeds, spec=st.sampled_from(["param", "layer", "network"]))
def test_abs_and_clip_are_positive_semi_definite_in_any_blocks(kind, spec, seed):
    lin, loss, y = problem("saddle", seed)
    for mode in ("abs", "clip"):
        C = matrix(kind(lin, loss, y, spec, mode))
        assert relative_error(C, C.T) <= EXACT
        assert lowest(C) >= -ORDER * max(1, np.linalg.norm(C))


@every_loss
def test_the_modes_differ_and_the_exact_blocks_are_indefinite(loss):
    """Or the orders above would hold for modes that do nothing."""
    C = {mode: matrix(hf.PCH(*problem(loss, 3), "param", mode)) for mode in MODS}
    assert lowest(C["identity"]) < -1e-3
    for one, other in pairwise(("abs", "clip", "identity", "zero")):
        assert relative_error(C[one], C[other]) > 0.01


@both_kinds
@pytest.mark.parametrize("activation", [hf.ReLU, hf.Identity])
def test_where_activations_are_piecewise_linear_all_modes_are_one(activation, kind):
    net = hf.Sequential(hf.Dense(2, 3), activation(), hf.Dense(3, 3), activation(), hf.Dense(3, 2))
    lin, loss, y = problem("softmax", 0, net=net)
    first, *others = (matrix(kind(lin, loss, y, "param", mode)) for mode in MODS)
    assert all(np.array_equal(first, other) for other in others)
    if kind is hf.PCH:
        assert relative_error(first, matrix(hf.GGN(lin, loss, y, "param"))) <= EXACT


# As an operator -----------------------------------------------------------------------------


@both_kinds
@pytest.mark.parametrize("spec", ["param", "layer", "network", "scattered"])
def test_the_whole_has_its_blocks_on_the_diagonal(spec, kind):
    lin, loss, y = problem("softmax", 2)
    n = lin.params.size
    if spec == "scattered":
        thirds = {str(i): np.arange(i, n, 3) for i in range(3)}
        spec = hf.Partition.from_indices(lin.params, thirds)
    whole, C = matrix(kind(lin, loss, y)), kind(lin, loss, y, spec)
    for name, block in C.partition.items():
        index = block.index
        at = np.arange(n)[index if isinstance(index, slice) else hf.to_host(index)]
        assert relative_error(C.block(name).to_dense(), whole[np.ix_(at, at)]) <= EXACT
    vectors = np.random.default_rng(0).standard_normal((2, n))
    v, w = map(hf.asarray, vectors)
    assert relative_error(C.gram([v, w]), vectors @ whole @ vectors.T) <= EXACT
    assert float(C.quadratic_form(v)) == pytest.approx(vectors[0] @ whole @ vectors[0], rel=EXACT)


@both_kinds
@every_mode
@pytest.mark.parametrize("loss", ["softmax", "saddle"])
def test_float32_stays_float32_and_is_near_float64(loss, mode, kind):
    v = np.random.default_rng(0).standard_normal(NET.init(0).size)
    one, other = (
        kind(*problem(loss, 4, dtype=dtype), "param", mode) @ hf.asarray(v, dtype=dtype)
        for dtype in (np.float32, np.float64)
    )
    assert one.dtype == np.float32
    assert relative_error(one, other) <= SINGLE


def test_a_product_costs_the_matrix_products_of_gauss_newton(count_gemms):
    lin, loss, y = problem("softmax", 5)
    C, G = hf.PCH(lin, loss, y, "layer"), hf.GGN(lin, loss, y, "layer")
    v = hf.asarray(np.ones(lin.params.size))
    whole = hf.PCH(lin, loss, y), hf.GGN(lin, loss, y)
    assert [count_gemms(lambda A=A: A @ v) for A in whole] == [4 * 3 - 2] * 2
    assert count_gemms(lambda: C @ v) == count_gemms(lambda: G @ v)


def test_a_product_with_the_average_does_not_touch_the_cases():
    lin, loss, y = problem("softmax", 5, N=17)
    C, v, shapes = AveragedPCH(lin, loss, y), hf.asarray(np.ones(lin.params.size)), []
    with hf.backend.observe_gemms(lambda *operands: shapes.extend(operands)):
        C @ v
    assert len(shapes) == 2 * 3 * 3
    assert all(17 not in shape for shape in shapes)


@both_kinds
def test_an_unknown_mode_is_refused(kind):
    with pytest.raises(ValueError, match="unknown mode 'absolute'; choose one of identity, abs"):
        kind(*problem("squared", 0), mode="absolute")
