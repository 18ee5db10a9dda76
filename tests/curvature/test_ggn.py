"""The Gauss-Newton operator against a dense J' H_L J from the complex step, and its exact cost."""

import numpy as np
import pytest
import scipy.sparse.linalg
from hypothesis import given
from hypothesis import strategies as st

import minihf as hf
from minihf.curvature import Shifted
from minihf.testing import jacobian, relative_error

pytestmark = pytest.mark.usefixtures("backend")

EXACT = 1e-10  # the complex step is good to 1e-15
SAME = 1e-13  # the same sums in another order

LOSSES = {
    "squared": (hf.SquaredError(), lambda rng: rng.standard_normal((5, 3))),
    "sigmoid": (hf.SigmoidCrossEntropy(), lambda rng: rng.random((5, 3))),
    "softmax": (hf.SoftmaxCrossEntropy(), lambda rng: rng.integers(3, size=5)),
}
every_loss = pytest.mark.parametrize(("loss", "targets"), LOSSES.values(), ids=LOSSES)
seeds = st.integers(0, 2**32 - 1)

NET = hf.Sequential(
    hf.Dense(4, 3), hf.Tanh(), hf.Residual(hf.Sequential(hf.Dense(3, 3), hf.Sigmoid())),
    hf.Dense(3, 3),
)  # fmt: skip


def problem(targets, seed):
    rng = np.random.default_rng(seed)
    params = NET.init(seed, np.float64)
    x, y = hf.asarray(rng.standard_normal((5, 4))), hf.asarray(targets(rng))
    return params, x, y, hf.asarray(rng.standard_normal(params.size))


def positions(block, n):
    """Where a block lies in the flat vector, on the host."""
    index = block.index
    return np.arange(n)[index if isinstance(index, slice) else hf.to_host(index)]


def scattered(params):
    """Every third parameter in a block of its own kind, across all weights."""
    return hf.Partition.from_indices(
        params, {str(i): np.arange(i, params.size, 3) for i in range(3)}
    )


@every_loss
@given(seed=seeds)
def test_products_equal_the_dense_matrix(loss, targets, seed):
    params, x, y, v = problem(targets, seed)
    lin = hf.linearize(NET, params, x)
    J = jacobian(lambda theta: NET(params.with_vector(theta), x), params.vector)
    H_L = jacobian(lambda z: loss.grad(z.reshape(5, 3), y), lin.output.reshape(-1))
    dense = J.T @ H_L @ J
    G = hf.GGN(lin, loss, y)
    assert relative_error(G @ v, dense @ hf.to_host(v)) <= EXACT
    assert relative_error(G.to_dense(), dense) <= EXACT
    vGv = float(hf.to_host(v) @ dense @ hf.to_host(v))
    assert float(G.quadratic_form(v)) == pytest.approx(vGv, rel=EXACT)


@every_loss
@pytest.mark.parametrize("spec", ["network", "layer", "param", scattered])
def test_blocks_are_the_full_matrix_with_the_rest_set_to_zero(loss, targets, spec):
    params, x, y, v = problem(targets, 0)
    lin, n = hf.linearize(NET, params, x), params.size
    G = hf.GGN(lin, loss, y, spec(params) if callable(spec) else spec)
    full, masked = hf.to_host(hf.GGN(lin, loss, y).to_dense()), np.zeros((n, n))
    for block in G.partition.values():
        at = np.ix_(positions(block, n), positions(block, n))
        masked[at] = full[at]
    assert relative_error(G.to_dense(), masked) <= SAME
    assert relative_error(G @ v, masked @ hf.to_host(v)) <= SAME
    for name, block in G.partition.items():
        at = positions(block, n)
        assert G.block(name).shape == (block.size, block.size)
        assert relative_error(G.block(name).to_dense(), full[np.ix_(at, at)]) <= SAME
        assert relative_error(G.block(name) @ v[block.index], (G @ v)[block.index]) == 0.0


@every_loss
def test_it_is_symmetric_and_has_no_negative_eigenvalue(loss, targets):
    params, x, y, _ = problem(targets, 0)
    for spec in ("network", "layer"):
        dense = hf.to_host(hf.GGN(hf.linearize(NET, params, x), loss, y, spec).to_dense())
        assert np.abs(dense - dense.T).max() <= SAME * np.abs(dense).max()
        assert np.linalg.eigvalsh(dense)[0] >= -SAME * np.linalg.eigvalsh(dense)[-1]


def test_scipy_finds_the_largest_eigenvalues():
    params, x, y, _ = problem(LOSSES["squared"][1], 0)
    G = hf.GGN(hf.linearize(NET, params, x), hf.SquaredError(), y, "layer")
    for operator in (G, G.block("0")):
        largest = scipy.sparse.linalg.eigsh(operator.to_scipy(), k=3, return_eigenvectors=False)
        expected = np.linalg.eigvalsh(hf.to_host(operator.to_dense()))[-3:]
        assert relative_error(np.sort(largest), expected) <= EXACT


def test_shifting_adds_to_the_diagonal():
    params, x, y, v = problem(LOSSES["squared"][1], 0)
    G = hf.GGN(hf.linearize(NET, params, x), hf.SquaredError(), y)
    assert relative_error(Shifted(G, 0.5) @ v, (G @ v) + 0.5 * v) <= SAME
    assert relative_error(Shifted(G, 0.5, 0.3) @ v, 0.3 * (G @ v) + 0.5 * v) <= SAME
    assert Shifted(G, 0.5).shape == G.shape


def test_what_does_not_fit_is_refused():
    params, x, y, v = problem(LOSSES["squared"][1], 0)
    lin = hf.linearize(NET, params, x)
    G = hf.GGN(lin, hf.SquaredError(), y, "layer")
    with pytest.raises(ValueError, match=r"GGN @ v: the operator is \(39, 39\), v has shape \(3"):
        G @ v[:3]
    with pytest.raises(ValueError, match=r"BlockOperator @ v: .* expected \(15,\)"):
        G.block("0") @ v
    with pytest.raises(ValueError, match=r"39 columns are .* pass limit=39 if you mean it"):
        G.to_dense(limit=38)
    with pytest.raises(ValueError, match="targets have shape"):
        hf.GGN(lin, hf.SquaredError(), y[:3])
    with pytest.raises(KeyError, match=r"no block '1'; there are: 0, 2\.body\.0, 3"):
        G.block("1")
    assert G.to_dense(limit=39).shape == (39, 39)


def test_matrix_products_are_counted_to_the_last(count_gemms):
    depth = 8
    layers = [layer for _ in range(depth) for layer in (hf.Dense(3, 3), hf.Tanh())]
    net = hf.Sequential(*layers[:-1])
    params = net.init(0)
    x = hf.asarray(np.ones((5, 3), np.float32))
    lin = hf.linearize(net, params, x)
    v, G = params.vector, hf.GGN(lin, hf.SquaredError(), x, "layer")
    assert count_gemms(lambda: hf.linearize(net, params, x)) == depth
    assert count_gemms(lambda: hf.GGN(lin, hf.SquaredError(), x) @ v) == 30 == 4 * depth - 2
    assert count_gemms(lambda: G @ v) == 72 == depth * (depth + 1)
    assert count_gemms(lambda: lin.vjp(x)) == 15 == 2 * depth - 1
    for i, name in enumerate(G.partition.names):
        block = G.partition[name]
        assert count_gemms(lambda b=block: G.block(b.name) @ v[b.index]) == 2 * (depth - i)
    H = hf.Hessian(lin, hf.SquaredError(), x)
    assert count_gemms(lambda: H @ v) == 44 == 6 * depth - 4
