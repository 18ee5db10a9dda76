"""Structural damping against the dense G + w J_h' H_S J_h from the complex step."""

import numpy as np
import pytest

import minihf as hf
from minihf.curvature import StructuralGGN
from minihf.testing import jacobian, relative_error

pytestmark = pytest.mark.usefixtures("backend")

EXACT = 1e-10  # the complex step is good to 1e-15
SAME = 1e-13  # the same sums in another order
WEIGHT = 0.3

NETS = {
    "RNN": hf.Sequential(hf.RNN(2, 3), hf.LastStep(), hf.Dense(3, 2)),
    "LSTM": hf.Sequential(hf.LSTM(2, 2), hf.LastStep(), hf.Dense(2, 2)),
    "two layers": hf.Sequential(hf.RNN(2, 2), hf.RNN(2, 2), hf.LastStep(), hf.Dense(2, 2)),
}
every_net = pytest.mark.parametrize("net", NETS.values(), ids=NETS)


class Lopsided:
    """A distance that weighs units by their number, 1, 2, ...: H_S = diag(weights) / N."""

    def hessian(self, z, y):
        weights = hf.asarray(np.arange(1.0, 1 + z.shape[-1]), dtype=z.dtype)
        return lambda Rz: weights * Rz / len(z)


DISTANCES = {"squared": hf.SquaredError(), "lopsided": Lopsided()}


def problem(net, seed):
    rng = np.random.default_rng(seed)
    params = net.init(seed, np.float64)
    x, y = hf.asarray(rng.standard_normal((4, 5, 2))), hf.asarray(rng.standard_normal((4, 2)))
    return params, x, y, hf.asarray(rng.standard_normal(params.size))


def dense(net, params, x, y, distance):
    """Return G + w G_S on the host, each Jacobian from the complex step."""
    lin = hf.linearize(net, params, x)
    J = jacobian(lambda theta: net(params.with_vector(theta), x), params.vector)
    total = J.T @ J / len(y)
    for name, h in lin.taps.items():
        J_h = jacobian(lambda theta, name=name: hidden(net, params, theta, x, name), params.vector)
        units = np.tile(np.arange(1.0, 1 + h.shape[-1]), h.size // h.shape[-1])
        H_S = units if isinstance(distance, Lopsided) else np.ones(h.size)
        total += WEIGHT * J_h.T @ (H_S[:, None] * J_h) / len(y)
    return total


def hidden(net, params, theta, x, name):
    return hf.linearize(net, params.with_vector(theta), x).taps[name]


@every_net
@pytest.mark.parametrize("distance", DISTANCES.values(), ids=DISTANCES)
@pytest.mark.parametrize("seed", range(3))
def test_products_equal_the_dense_matrix(net, distance, seed):
    params, x, y, v = problem(net, seed)
    expected = dense(net, params, x, y, distance)
    lin, loss = hf.linearize(net, params, x), hf.SquaredError()
    D = StructuralGGN(lin, loss, y, weight=WEIGHT, distance=distance)
    host = hf.to_host(v)
    assert relative_error(D @ v, expected @ host) <= EXACT
    assert float(D.quadratic_form(v)) == pytest.approx(float(host @ expected @ host), rel=EXACT)
    pair = [v, hf.asarray(np.ones(params.size))]
    both = np.stack([host, np.ones(params.size)])
    assert relative_error(D.gram(pair), both @ expected @ both.T) <= EXACT


@every_net
@pytest.mark.parametrize("spec", ["network", "layer", "param"])
def test_its_blocks_are_those_of_the_dense_matrix(net, spec):
    params, x, y, _ = problem(net, 0)
    full = dense(net, params, x, y, hf.SquaredError())
    D = StructuralGGN(hf.linearize(net, params, x), hf.SquaredError(), y, spec, WEIGHT)
    for name, block in D.partition.items():
        at = block.index
        dense_block, v = full[at, at], np.arange(1.0, 1 + block.size)
        assert relative_error(D.block(name).to_dense(), dense_block) <= EXACT
        form = float(D.block(name).quadratic_form(hf.asarray(v)))
        assert form == pytest.approx(v @ dense_block @ v, rel=EXACT)


@every_net
def test_a_block_written_down_has_the_damping_too(net):
    params, x, y, _ = problem(net, seed=0)
    D = StructuralGGN(hf.linearize(net, params, x), hf.SquaredError(), y, "layer", WEIGHT)
    for name in D.partition:
        block = D.block(name)
        written, n_products = block.written()
        assert n_products <= block.shape[0]
        assert relative_error(written, block.to_dense()) < SAME


@every_net
def test_it_is_symmetric_and_above_the_gauss_newton_matrix(net):
    params, x, y, _ = problem(net, 0)
    lin, loss = hf.linearize(net, params, x), hf.SquaredError()
    D, G = (hf.to_host(C.to_dense()) for C in (
        StructuralGGN(lin, loss, y, weight=WEIGHT), hf.GGN(lin, loss, y),
    ))  # fmt: skip
    assert np.abs(D - D.T).max() <= SAME * np.abs(D).max()
    for matrix in (D, D - G):
        assert np.linalg.eigvalsh(matrix)[0] >= -SAME * np.linalg.eigvalsh(D)[-1]
    assert np.linalg.eigvalsh(D - G)[-1] > 0.01


def test_the_layer_above_the_hidden_states_is_not_damped():
    """Its weights move the output alone, and its block is that of G to the last bit."""
    params, x, y, _ = problem(NETS["RNN"], 0)
    lin, loss = hf.linearize(NETS["RNN"], params, x), hf.SquaredError()
    D, G = StructuralGGN(lin, loss, y, "layer", WEIGHT), hf.GGN(lin, loss, y, "layer")
    np.testing.assert_array_equal(
        hf.to_host(D.block("2").to_dense()), hf.to_host(G.block("2").to_dense())
    )


def test_it_costs_no_matrix_product_more_than_gauss_newton(count_gemms):
    params, x, y, v = problem(NETS["two layers"], 0)
    lin, loss = hf.linearize(NETS["two layers"], params, x), hf.SquaredError()
    D, G = StructuralGGN(lin, loss, y, weight=WEIGHT), hf.GGN(lin, loss, y)
    assert count_gemms(lambda: D @ v) == count_gemms(lambda: G @ v) > 0


def test_steps_beyond_the_end_of_a_sequence_do_not_count():
    net = NETS["RNN"]
    params, x, y, v = problem(net, 0)
    lengths = hf.asarray(np.array([3, 3, 3, 3]))
    cut, padded = x[:, :3], (x, lengths)
    products = [
        StructuralGGN(hf.linearize(net, params, seen), hf.SquaredError(), y, weight=WEIGHT) @ v
        for seen in (cut, padded)
    ]
    assert relative_error(*products) <= SAME


def test_single_precision_stays_single():
    params, x, y, v = problem(NETS["RNN"], 0)
    params = params.with_vector(params.vector.astype(np.float32))
    lin = hf.linearize(NETS["RNN"], params, x.astype(np.float32))
    D = StructuralGGN(lin, hf.SquaredError(), y.astype(np.float32), weight=np.float64(0.5))
    assert (D @ v.astype(np.float32)).dtype == np.float32


def test_a_network_without_hidden_states_is_told_what_to_do():
    net = hf.Sequential(hf.Dense(2, 2), hf.Tanh())
    x = hf.asarray(np.ones((3, 2)))
    lin = hf.linearize(net, net.init(0, np.float64), x)
    with pytest.raises(ValueError, match=r"no hidden states; .* RNN or LSTM.*hf\.tap.*martens2010"):
        StructuralGGN(lin, hf.SquaredError(), x)
