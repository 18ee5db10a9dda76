"""Short ways through blocks: the products of walking, for fewer flops, and only where due."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import minihf as hf
from minihf import ops
from minihf.curvature import StructuralGGN
from minihf.curvature.partitions import k_units
from minihf.testing import relative_error

pytestmark = pytest.mark.usefixtures("backend")

EXACT = 1e-10
MANY = 10**6          # products: every short way pays

NETWORKS = {
    "narrow code": (
        hf.Sequential(hf.Dense(9, 8), hf.Tanh(), hf.Dense(8, 2), hf.Dense(2, 8), hf.Tanh(),
                      hf.Dense(8, 9)),
        (9,), hf.SquaredError(),
    ),
    "conv": (
        hf.Sequential(hf.Conv2d(2, 3, 3, padding=1), hf.ReLU(), hf.Conv2d(3, 4, 3, stride=2),
                      hf.Tanh(), hf.GlobalAvgPool2d(), hf.Dense(4, 3)),
        (2, 6, 6), hf.SoftmaxCrossEntropy(),
    ),
    "residual": (
        hf.Sequential(hf.Conv2d(1, 2, 3, padding=1),
                      hf.Residual(hf.Sequential(hf.Conv2d(2, 2, 3, padding=1), hf.Tanh(),
                                                hf.Conv2d(2, 2, 3, padding=1))),
                      hf.Flatten(), hf.Dense(50, 3)),
        (1, 5, 5), hf.SoftmaxCrossEntropy(),
    ),
    "lstm": (
        hf.Sequential(hf.LSTM(3, 4), hf.LSTM(4, 4), hf.LastStep(), hf.Dense(4, 3)),
        (5, 3), hf.SoftmaxCrossEntropy(),
    ),
    "every step": (hf.Sequential(hf.RNN(3, 4), hf.Dense(4, 2)), (5, 3), hf.SigmoidCrossEntropy()),
}  # fmt: skip
PARTITIONS = ["layer", "param", "network", lambda params: k_units(params, 2)]


def operator(net, shape, loss, spec="layer", N=6, seed=0, dtype=np.float64):
    rng = np.random.default_rng(seed)
    params = net.init(seed, dtype)
    noise = hf.asarray(0.3 * rng.standard_normal(params.size), dtype)
    params = params.with_vector(params.vector + noise)
    lin = hf.linearize(net, params, hf.asarray(rng.standard_normal((N, *shape)), dtype))
    if isinstance(loss, hf.SoftmaxCrossEntropy):
        y = hf.asarray(rng.integers(0, lin.output.shape[-1], lin.output.shape[:-1]))
    else:
        y = hf.asarray(rng.random(lin.output.shape), dtype)
    return hf.GGN(lin, loss, y, spec)


def vector(G, seed=1):
    return hf.asarray(np.random.default_rng(seed).standard_normal(G.shape[0]), G.dtype)


def ways(G):
    return [choice.way for choice in G.plan.choices.values()]


@pytest.mark.parametrize("spec", PARTITIONS, ids=["layer", "param", "network", "units"])
@pytest.mark.parametrize("case", NETWORKS.values(), ids=NETWORKS)
@pytest.mark.parametrize("products", [30, MANY])
def test_products_are_those_of_walking(case, spec, products):
    G = operator(*case, spec)
    v = vector(G)
    assert relative_error(G.planned(products) @ v, G @ v) <= EXACT


@given(data=st.data())
def test_whatever_the_sizes(data):
    size = st.integers(1, 5)
    a, b, c, d = (data.draw(size, label=name) for name in "abcd")
    net = hf.Sequential(hf.Dense(a, b), hf.Tanh(), hf.Dense(b, c), hf.Tanh(), hf.Dense(c, d))
    G = operator(net, (a,), hf.SquaredError(), N=data.draw(st.integers(1, 9), label="N"))
    planned = G.planned(data.draw(st.sampled_from([2, 30, MANY]), label="products"))
    v = vector(G)
    assert relative_error(planned @ v, G @ v) <= EXACT
    assert relative_error(planned.to_dense(), G.to_dense()) <= EXACT


def test_each_way_is_taken_where_it_is_the_shortest():
    wide = hf.Sequential(hf.Dense(30, 40), hf.Tanh(), hf.Dense(40, 2), hf.Dense(2, 40), hf.Tanh(),
                         hf.Dense(40, 30))  # fmt: skip
    G = operator(wide, (30,), hf.SquaredError(), N=50).planned(30)
    assert ways(G) == ["units", "units", "walk", "walk"]
    classes = hf.Sequential(hf.Dense(30, 40), hf.Tanh(), hf.Dense(40, 40), hf.Tanh(),
                            hf.Dense(40, 2))  # fmt: skip
    G = operator(classes, (30,), hf.SquaredError(), N=50).planned(30)
    assert ways(G) == ["outputs", "outputs", "walk"]
    net, shape, loss = NETWORKS["conv"]
    assert ways(operator(net, shape, loss, N=50).planned(30))[:2] == ["rows", "rows"]


def test_a_product_by_a_short_way_makes_only_the_matrix_products_up_to_its_boundary(count_gemms):
    net, shape, loss = NETWORKS["narrow code"]
    G = operator(net, shape, loss, N=200)
    planned = G.planned(30)
    assert ways(planned)[:2] == ["units", "units"]
    for name, walked, short in (("0", 8, 4 + 1), ("2", 6, 2 + 1)):     # one is the factor's own
        v = vector(G)[G.partition[name].index]
        assert count_gemms(lambda v=v, name=name: G.block(name) @ v) == walked
        assert count_gemms(lambda v=v, name=name: planned.block(name) @ v) == short


def mixing(mix):
    def net(params, x):
        return ops.dense(mix(ops.tanh(ops.dense(x, params["V"]))), params["W"])

    return net


@pytest.mark.parametrize(
    "mix",
    [
        lambda h: h - h.mean(axis=0, keepdims=True),
        lambda h: ops.concatenate([h[3:], h[:3]], axis=0),
        lambda h: ops.reshape(ops.transpose(h, (1, 0)), h.shape),
    ],
    ids=["batch mean", "rolled", "transposed"],
)
def test_where_cases_depend_on_each_other_every_product_walks(mix):
    rng = np.random.default_rng(0)
    params = hf.Params.from_dict(
        {"V": rng.standard_normal((7, 6)), "W": rng.standard_normal((6, 1))}
    )
    lin = hf.linearize(mixing(mix), params, hf.asarray(rng.standard_normal((6, 7))))
    G = hf.GGN(lin, hf.SquaredError(), hf.asarray(rng.standard_normal((6, 1))), "param")
    planned = G.planned(MANY)
    assert ways(planned) == ["walk: cases mix"] * 2
    v = vector(G)
    assert (hf.to_host(planned @ v) == hf.to_host(G @ v)).all()


def test_shared_weights_and_branches_are_no_boundaries():
    def net(params, x):
        h = ops.tanh(ops.dense(x, params["W"]))
        return ops.dense(ops.tanh(ops.dense(h, params["W"])) + h, params["V"])

    rng = np.random.default_rng(0)
    params = hf.Params.from_dict(
        {"W": rng.standard_normal((5, 5)), "V": rng.standard_normal((5, 2))}
    )
    lin = hf.linearize(net, params, hf.asarray(rng.standard_normal((8, 5))))
    names = [type(node.op).__name__ for node in lin.stretch(["W"], lin.end).boundaries()]
    assert names == ["Add", "DenseOp"]          # not the first tanh, which the sum passes by
    G = hf.GGN(lin, hf.SquaredError(), hf.asarray(rng.standard_normal((8, 2))), "param")
    v = vector(G)
    assert relative_error(G.planned(MANY) @ v, G @ v) <= EXACT


def test_a_value_whose_rows_are_no_cases_is_no_boundary():
    """Positions folded into the first axis, as a function of one's own may do."""
    def net(params, x):
        N, P, D = x.shape
        h = ops.tanh(ops.dense(ops.reshape(x, (N * P, D)), params["V"]))
        return ops.dense(ops.tanh(ops.dense(ops.reshape(h, (N, P * 4)), params["U"])), params["W"])

    rng = np.random.default_rng(0)
    params = hf.Params.from_dict(
        {name: rng.standard_normal(shape) for name, shape in
         {"V": (30, 4), "U": (8, 90), "W": (90, 2)}.items()}
    )  # fmt: skip
    lin = hf.linearize(net, params, hf.asarray(rng.standard_normal((9, 2, 30))))
    G = hf.GGN(lin, hf.SquaredError(), hf.asarray(rng.standard_normal((9, 2))), "param")
    planned = G.planned(MANY)
    (choice, *_), v = planned.plan.choices.values(), vector(G)
    assert (choice.way, choice.boundary.shape) == ("outputs", (9, 8))
    assert relative_error(planned @ v, G @ v) <= EXACT


def test_factors_keep_within_the_memory_that_is_given():
    G = operator(*NETWORKS["lstm"], N=20)
    whole = G.planned(MANY, memory=2**20).plan
    held = [choice.held * G.dtype.itemsize for choice in whole.choices.values()]
    assert sorted(held)[-2] > 0
    for memory in (0, max(held) - 1, sum(held) - 1, sum(held)):
        plan = G.planned(MANY, memory=memory).plan
        kept = [way for way in plan.ways.values() if hasattr(way, "J") or hasattr(way, "F")]
        assert sum(getattr(way, "J", getattr(way, "F", None)).nbytes for way in kept) <= memory
    assert ways(G.planned(MANY, memory=0)) == ["walk"] * 3
    assert plan.choices == whole.choices        # room for exactly all


def test_one_product_is_not_prepared_for():
    G = operator(*NETWORKS["lstm"])
    assert G.planned(1) is G
    assert G.planned(0) is G


def test_only_blocks_that_are_asked_for_are_prepared():
    G = operator(*NETWORKS["conv"], N=50).planned(30, ["2"])
    assert [block.name for block in G.plan.choices] == ["2"]
    v = vector(G)
    assert relative_error(G @ v, operator(*NETWORKS["conv"], N=50) @ v) <= EXACT


def test_float32_stays_float32():
    G = operator(*NETWORKS["conv"], dtype=np.float32, N=50)
    planned, v = G.planned(30), vector(G)
    assert "rows" in ways(planned)
    assert (planned @ v).dtype == np.float32
    assert relative_error(planned @ v, G @ v) <= 1e-5


def test_the_plan_explains_itself(capsys):
    G = operator(*NETWORKS["conv"], N=50)
    G.explain()
    assert capsys.readouterr().out == (
        "every product walks to the output and back; see GGN.planned\n"
    )
    planned = G.planned(30)
    planned.explain()
    head, columns, *rows, total, _ = capsys.readouterr().out.splitlines()
    assert head.startswith("30 products with each block")
    assert columns.split() == ["block", "parameters", "walk", "chosen", "once", "MB", "ratio"]
    for row, (block, choice) in zip(rows, planned.plan.choices.items(), strict=True):
        name, parameters, walk, chosen, once, *_ = row.split()
        assert (name, parameters) == (block.name, f"{block.size:,}")
        assert float(walk) == pytest.approx(planned.plan.walks[block].each.total / 1e6, rel=1e-3)
        assert float(chosen) == pytest.approx(choice.each.total / 1e6, rel=1e-3)
        assert float(once) == pytest.approx(choice.once.total / 1e6, rel=1e-3)
    assert "of walking" in total


def test_curvatures_that_know_no_shorter_way_stay_as_they_are():
    G = operator(*NETWORKS["lstm"])
    for kind in (hf.Hessian, StructuralGGN):
        C = kind(G.lin, G.loss, G.y, "layer")
        assert C.planned(30) is C
