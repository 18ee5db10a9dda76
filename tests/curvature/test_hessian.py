"""The exact Hessian against the complex step of the gradient, and against Gauss-Newton for ReLU."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import minihf as hf
from minihf.testing import jacobian, relative_error

pytestmark = pytest.mark.usefixtures("backend")

EXACT = 1e-10  # the complex step is good to 1e-15
SAME = 1e-12  # terms that cancel in exact arithmetic leave their rounding
MARGIN = 1e-3  # how far every ReLU's input must be from its kink

LOSS = hf.SoftmaxCrossEntropy()
seeds = st.integers(0, 2**32 - 1)


def smooth(params, x):
    """Use one weight twice, around a shortcut."""
    h = hf.ops.tanh(x @ params["W"] + params["b"])
    return hf.ops.softplus(h @ params["W"] + params["b"]) * h


def problem(seed):
    rng = np.random.default_rng(seed)
    params = hf.Params.from_dict({"W": rng.standard_normal((3, 3)), "b": rng.standard_normal(3)})
    x, y = hf.asarray(rng.standard_normal((5, 3))), hf.asarray(rng.integers(3, size=5))
    return params, x, y, hf.asarray(rng.standard_normal(params.size))


@given(seed=seeds)
def test_products_equal_the_dense_matrix(seed):
    params, x, y, v = problem(seed)

    def gradient(theta):
        lin = hf.linearize(smooth, params.with_vector(theta), x)
        return lin.vjp(LOSS.grad(lin.output, y))

    dense = jacobian(gradient, params.vector)
    H = hf.Hessian(hf.linearize(smooth, params, x), LOSS, y)
    assert relative_error(H @ v, dense @ hf.to_host(v)) <= EXACT
    assert relative_error(H.to_dense(), dense) <= EXACT
    assert relative_error(dense, dense.T) <= EXACT
    vHv = float(hf.to_host(v) @ dense @ hf.to_host(v))
    scale = np.linalg.norm(dense) * float((v * v).sum())
    assert abs(float(H.quadratic_form(v)) - vHv) <= EXACT * scale


@given(seed=seeds)
def test_blocks_are_the_full_matrix_with_the_rest_set_to_zero(seed):
    params, x, y, v = problem(seed)
    owner = np.random.default_rng(seed).permutation(np.arange(params.size) % 3)
    indices = {str(i): np.flatnonzero(owner == i) for i in range(3)}
    lin = hf.linearize(smooth, params, x)
    H = hf.Hessian(lin, LOSS, y, hf.Partition.from_indices(params, indices))
    full = hf.to_host(hf.Hessian(lin, LOSS, y).to_dense())
    masked = full * (owner[:, None] == owner[None, :])
    assert relative_error(H.to_dense(), masked) <= SAME
    assert relative_error(H @ v, masked @ hf.to_host(v)) <= SAME
    for name, index in indices.items():
        assert relative_error(H.block(name).to_dense(), full[np.ix_(index, index)]) <= SAME


def test_it_can_be_indefinite():
    params, x, y, _ = problem(0)
    H = hf.to_host(hf.Hessian(hf.linearize(smooth, params, x), LOSS, y).to_dense())
    assert np.linalg.eigvalsh(H)[0] < -1e-3


@given(seed=seeds, depth=st.integers(1, 4))
def test_in_a_relu_network_each_layer_has_the_same_hessian_and_gauss_newton_block(seed, depth):
    lin, y = relu_network(seed, depth)
    G, H = (kind(lin, LOSS, y, "layer") for kind in (hf.GGN, hf.Hessian))
    for name in G.partition:
        assert relative_error(H.block(name).to_dense(), G.block(name).to_dense()) <= SAME


def test_in_a_relu_network_the_two_differ_between_layers():
    lin, y = relu_network(seed=0, depth=3)
    G, H = (hf.to_host(kind(lin, LOSS, y).to_dense()) for kind in (hf.GGN, hf.Hessian))
    assert relative_error(H, G) > 0.1


def relu_network(seed, depth):
    """Linearize a ReLU network on ten cases away from its kinks."""
    layers = [hf.Dense(4, 4, init_with=hf.He()), hf.ReLU()] * depth
    net = hf.Sequential(*layers[:-1])
    rng = np.random.default_rng(seed)
    params = net.init(seed, np.float64)
    x = away_from_kinks(net, params, rng.standard_normal((200, 4)))
    return hf.linearize(net, params, x), hf.asarray(rng.integers(4, size=len(x)))


def away_from_kinks(net, params, x):
    """Keep ten cases for which no ReLU is within the margin of its kink."""
    h, fine = hf.asarray(x), True
    for name, layer in net.layers.items():
        if isinstance(layer, hf.ReLU):
            fine = fine & (np.abs(hf.to_host(h)).min(axis=1) > MARGIN)
        h = layer(params.scope(name), h)
    return hf.asarray(x[np.flatnonzero(np.broadcast_to(fine, len(x)))[:10]])
