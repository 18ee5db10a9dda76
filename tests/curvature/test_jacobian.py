"""The Jacobian of a block, by each of the three ways, against the complex step."""

import numpy as np
import pytest

import minihf as hf
from minihf import ops
from minihf.curvature.jacobian import jacobian
from minihf.curvature.operator import BlockOperator, Shifted
from minihf.testing import jacobian as by_complex_step
from minihf.testing import relative_error

pytestmark = pytest.mark.usefixtures("backend")

EXACT = 1e-10         # the complex step is good to 1e-15
SAME = 1e-13          # the same sums in another order

NETWORKS = {
    "dense": (hf.Sequential(hf.Dense(3, 4), hf.Tanh(), hf.Dense(4, 2)), (3,)),
    "rnn": (hf.Sequential(hf.RNN(2, 3), hf.LastStep(), hf.Dense(3, 2)), (4, 2)),
    "lstm": (hf.Sequential(hf.LSTM(2, 3), hf.LastStep(), hf.Dense(3, 2)), (4, 2)),
    "every step": (hf.Sequential(hf.RNN(2, 3), hf.Dense(3, 2)), (4, 2)),
    "conv": (hf.Sequential(hf.Conv2d(1, 2, 2), hf.Flatten(), hf.Dense(8, 2)), (1, 3, 3)),
}
SPECS = {
    "layers": "layer",
    "scattered": lambda params: hf.Partition.from_indices(
        params, {str(i): np.arange(i, params.size, 3) for i in range(3)}
    ),
    "single parameters": lambda params: hf.Partition.from_indices(
        params, {str(i): [i] for i in range(params.size)}
    ),
}


def linearized(net, shape, N=3, seed=0):
    rng = np.random.default_rng(seed)
    params = net.init(seed, np.float64)
    params.vector[...] = hf.asarray(rng.standard_normal(params.size))
    x = hf.asarray(rng.standard_normal((N, *shape)))
    return hf.linearize(net, params, x), x


@pytest.mark.parametrize("spec", SPECS.values(), ids=SPECS)
@pytest.mark.parametrize(("net", "shape"), NETWORKS.values(), ids=NETWORKS)
def test_it_is_the_complex_steps(net, shape, spec):
    lin, x = linearized(net, shape)
    params = lin.params
    whole = by_complex_step(lambda theta: net(params.with_vector(theta), x), params.vector)
    for block in hf.Partition.of(params, spec).values():
        J, _ = jacobian(lin, block)
        assert relative_error(J, hf.asarray(whole)[:, block.index]) <= EXACT


def test_the_fewest_walks_are_taken():
    net, shape = NETWORKS["rnn"]
    lin, _ = linearized(net, shape, N=3)
    layers = hf.Partition.of(lin.params, "layer")
    assert jacobian(lin, layers["0"])[1] == 2 + 1              # an output of each case, and a look
    one = hf.Partition.of(lin.params, SPECS["single parameters"])["0"]
    assert jacobian(lin, one)[1] == 1                          # a column
    lin, _ = linearized(net, shape, N=1)
    assert jacobian(lin, layers["0"])[1] == 2                  # a row at a time: no less


def test_the_uses_of_a_shared_weight_add_up():
    def net(params, x):
        h = ops.tanh(ops.dense(x, params["W"], params["b"]))
        return ops.dense(h, params["W"], params["b"])

    rng = np.random.default_rng(0)
    params = hf.Params.from_dict({"W": rng.standard_normal((3, 3)), "b": rng.standard_normal(3)})
    x = hf.asarray(rng.standard_normal((5, 3)))
    J, walks = jacobian(
        hf.linearize(net, params, x), hf.Partition.of(params, "network")["network"]
    )
    assert walks == 3 + 1                                      # a case's outputs, and a look
    dense = by_complex_step(lambda theta: net(params.with_vector(theta), x), params.vector)
    assert relative_error(J, dense) <= EXACT


@pytest.mark.parametrize("mixed", ["before", "after"])
def test_where_cases_mix_it_is_written_down_in_another_way(mixed):
    """A batch from which its mean is taken: each case's output depends on the others' inputs."""
    def net(params, x):
        h = ops.dense(x, params["W"], params["b"])
        h = h - h.mean(axis=0) if mixed == "before" else h
        z = ops.dense(ops.tanh(h), params["V"])
        return z - z.mean(axis=0) if mixed == "after" else z

    rng = np.random.default_rng(0)
    shapes = {"W": (3, 4), "b": (4,), "V": (4, 2)}
    params = hf.Params.from_dict({n: rng.standard_normal(shape) for n, shape in shapes.items()})
    x = hf.asarray(rng.standard_normal((5, 3)))
    lin = hf.linearize(net, params, x)
    whole = hf.asarray(by_complex_step(lambda v: net(params.with_vector(v), x), params.vector))
    for block in hf.Partition.of(params, "param").values():
        J, _ = jacobian(lin, block)
        assert relative_error(J, whole[:, block.index]) <= EXACT


def own_function(params, x):
    """A weight that enters twice, once through an op that states no factors."""
    W = params["W"]
    return ops.tanh(x @ W) @ (W * W).T


@pytest.mark.parametrize(("N", "walks"), [(2, 6), (9, 12)])
def test_weights_of_ops_without_factors_are_taken_by_rows_or_columns(N, walks):
    """Three outputs a case, 12 parameters: 6 rows; or, for 27 of these, 12 columns."""
    params = hf.Params.from_dict({"W": np.arange(12.0).reshape(3, 4) / 10})
    x = hf.asarray(np.random.default_rng(0).standard_normal((N, 3)))
    lin = hf.linearize(own_function, params, x)
    J, made = jacobian(lin, hf.Partition.of(params)["network"])
    assert made == walks
    dense = by_complex_step(lambda theta: own_function(params.with_vector(theta), x), params.vector)
    assert relative_error(J, dense) <= EXACT


@pytest.mark.parametrize(
    ("loss", "targets"),
    [(hf.SquaredError(), np.ones((3, 2))), (hf.SoftmaxCrossEntropy(), np.array([0, 1, 1]))],
)
@pytest.mark.parametrize("curvature", [hf.GGN, hf.Hessian])
def test_a_block_written_down_is_the_block(loss, targets, curvature):
    net, shape = NETWORKS["lstm"]
    lin, _ = linearized(net, shape)
    C = curvature(lin, loss, hf.asarray(targets), "layer")
    for name, block in C.partition.items():
        matrix, n_products = BlockOperator(C, block).written()
        assert relative_error(matrix, C.block(name).to_dense()) <= SAME
        assert n_products == (2 if curvature is hf.GGN else block.size)   # 2 + 1 walks; columns
        shifted, again = Shifted(C.block(name), 0.5, 0.3).written()
        assert relative_error(shifted, 0.3 * hf.to_host(matrix) + 0.5 * np.eye(block.size)) <= SAME
        assert again == n_products
