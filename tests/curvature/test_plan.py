"""Short ways through blocks: the products of walking, for fewer flops, and only where due."""

import tracemalloc

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import minihf as hf
from minihf import ops
from minihf.curvature import StructuralGGN
from minihf.curvature.partitions import k_units
from minihf.curvature.ways import Way
from minihf.ops.dense import DenseOp
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
    return [choice.way.value for choice in G.plan.choices.values()]


def first_row(G):
    """Return what the table says of the first block."""
    return str(next(iter(G.plan.choices.values())))


def factors(plan):
    """Return the arrays that the ways hold: J, F or Q, one for each boundary."""
    held = [way.J if hasattr(way, "J") else way.middle for way in plan.ways.values()]
    arrays = [getattr(x, "F", getattr(x, "Q", x)) for x in held]
    return {id(array): array for array in arrays}.values()


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
        lambda h: ops.reshape(ops.transpose(h, (1, 0)), h.shape),
        lambda h: ops.concatenate([h[:1], h[1:] + h[:-1]], axis=0),
        lambda h: ops.reshape(
            (g := ops.reshape(h, (3, 2, 6))) - g.mean(axis=1, keepdims=True), h.shape
        ),
    ],
    ids=["batch mean", "transposed", "case before", "pairs"],
)
@pytest.mark.parametrize("wide", [1, 9])         # by outputs; by units
def test_where_cases_depend_on_each_other_products_walk(mix, wide):
    rng = np.random.default_rng(0)
    params = hf.Params.from_dict(
        {"V": rng.standard_normal((7, 6)), "W": rng.standard_normal((6, wide))}
    )
    lin = hf.linearize(mixing(mix), params, hf.asarray(rng.standard_normal((6, 7))))
    G = hf.GGN(lin, hf.SquaredError(), hf.asarray(rng.standard_normal((6, wide))), "param")
    planned, v = G.planned(MANY), vector(G)
    assert first_row(planned) == "walk: cases mix"
    block = G.partition["V"]
    walked, found = (C.block("V") @ v[block.index] for C in (G, planned))
    assert (hf.to_host(walked) == hf.to_host(found)).all()
    assert relative_error(planned @ v, G @ v) <= EXACT


def test_cases_may_change_places():
    """Then it matters which loss comes after: the squared error is the same for all cases."""
    rng = np.random.default_rng(0)
    params = hf.Params.from_dict(
        {"V": rng.standard_normal((7, 6)), "W": rng.standard_normal((6, 3))}
    )
    rolled = mixing(lambda h: ops.concatenate([h[2:], h[:2]], axis=0))
    lin = hf.linearize(rolled, params, hf.asarray(rng.standard_normal((6, 7))))
    labels, targets = hf.asarray(np.arange(6) % 3), hf.asarray(rng.standard_normal((6, 3)))
    for loss, y in ((hf.SoftmaxCrossEntropy(), labels), (hf.SquaredError(), targets)):
        G = hf.GGN(lin, loss, y, "param")
        planned, v = G.planned(MANY), vector(G)
        assert (first_row(planned) == "walk: cases mix") == isinstance(loss, hf.SoftmaxCrossEntropy)
        assert relative_error(planned @ v, G @ v) <= EXACT


class MixedHessian(hf.SquaredError):
    """A loss that is no mean over cases."""

    def hessian(self, z, y):
        return lambda Rz: (Rz - Rz.mean(axis=0, keepdims=True)) / len(z)


@pytest.mark.parametrize("name", ["narrow code", "conv"])
def test_a_loss_that_couples_cases_is_walked_to_where_that_matters(name):
    net, shape, _ = NETWORKS[name]
    G = operator(net, shape, MixedHessian(), N=6)
    v = vector(G)
    assert relative_error(G.planned(MANY) @ v, G @ v) <= EXACT


def test_units_know_the_losss_hessian():
    """Classes more than the code is wide, probabilities far from equal."""
    net = hf.Sequential(hf.Dense(9, 8), hf.Tanh(), hf.Dense(8, 2), hf.Tanh(), hf.Dense(2, 7))
    G = operator(net, (9,), hf.SoftmaxCrossEntropy(), N=40)
    planned, v = G.planned(MANY), vector(G)
    assert "units" in ways(planned)
    assert relative_error(planned @ v, G @ v) <= EXACT


def test_shared_weights_and_branches_are_no_boundaries():
    def net(params, x):
        h = ops.tanh(ops.dense(x, params["W"]))
        return ops.dense(ops.tanh(ops.dense(h, params["W"])) + h, params["V"])

    rng = np.random.default_rng(0)
    params = hf.Params.from_dict(
        {"W": rng.standard_normal((5, 5)), "V": rng.standard_normal((5, 2))}
    )
    lin = hf.linearize(net, params, hf.asarray(rng.standard_normal((8, 5))))
    names = [type(node.op).__name__ for node in lin.graph.to_output(["W"]).boundaries()]
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
    assert (choice.way, choice.boundary.shape) == (Way.OUTPUTS, (9, 8))
    assert relative_error(planned @ v, G @ v) <= EXACT


def test_factors_keep_within_the_memory_that_is_given():
    G = operator(*NETWORKS["lstm"], N=20)
    whole = G.planned(MANY, memory=2**20).plan
    room = sum(choice.room for choice in whole.choices.values()) * G.dtype.itemsize
    assert ways(whole_plan := G.planned(MANY, memory=room)) == ways(G.planned(MANY))
    assert whole_plan.plan.held <= room
    for memory in (room // 4, room // 2, room - 1):
        plan = G.planned(MANY, memory=memory).plan
        assert sum(factor.nbytes for factor in factors(plan)) <= memory
    assert ways(G.planned(MANY, memory=0)) == ["walk"] * 3


@pytest.mark.parametrize("name", ["narrow code", "conv", "lstm"])
def test_forming_keeps_within_the_memory_that_is_given(name, backend):
    if backend != "numpy":
        pytest.skip("tracemalloc sees NumPy's memory")
    net, shape, loss = NETWORKS[name]
    G = operator(net, shape, loss, N=400)
    G @ vector(G)
    tracemalloc.start()
    G @ vector(G)
    _, walking = tracemalloc.get_traced_memory()
    tracemalloc.reset_peak()
    planned = G.planned(MANY)
    _, forming = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    wanted = sum(choice.room for choice in planned.plan.choices.values()) * G.dtype.itemsize
    assert len(planned.plan.ways) >= 2
    assert forming <= 1.25 * wanted + 3 * walking


def test_forming_walks_no_farther_than_to_the_blocks_that_are_asked_for(count_gemms):
    layers = [part for _ in range(8) for part in (hf.Dense(20, 20), hf.Tanh())]
    G = operator(hf.Sequential(*layers, hf.Dense(20, 2)), (20,), hf.SquaredError(), N=30)
    names = list(G.partition)
    walk = 2 * (2 * 2 + 1)                       # of one block, two layers before the last
    check = walk + 2 + 2
    assert count_gemms(lambda: G.planned(MANY, names[-3:-2])) <= 2 * 2 + 2 + check


def test_pixels_of_bytes_and_doubles_are_welcome():
    net, shape, loss = NETWORKS["conv"]
    params, rng = net.init(0, np.float32), np.random.default_rng(0)
    x = hf.asarray(rng.integers(0, 255, (50, *shape)).astype(np.uint8))
    lin = hf.linearize(net, params, x)
    G = hf.GGN(lin, loss, hf.asarray(rng.integers(0, 3, 50)), "layer")
    planned, v = G.planned(30), vector(G)
    assert "rows" in ways(planned)
    assert relative_error(planned @ v, G @ v) <= 1e-4
    matrix, _ = G.block("0").written()
    assert relative_error(matrix @ v[G.partition["0"].index], G.block("0") @ v[:57]) <= 1e-4


class Twice(DenseOp):
    """An op with factors of its own, as one may have written them down before."""

    def forward(self, x, W, b=None):
        y, residuals = super().forward(x, W, b)
        return 2 * y, residuals

    def rop(self, residuals, *Rinputs):
        return 2 * super().rop(residuals, *Rinputs)

    writes_into = False

    def vjp(self, residuals, u, needs):
        return super().vjp(residuals, 2 * u, needs)

    def factors(self, residuals, u):
        return super().factors(residuals, 2 * u)


def test_factors_of_ones_own_are_asked_for():
    def net(params, x):
        return Twice()(ops.tanh(Twice()(x, params["V"], None)), params["W"], None)

    rng = np.random.default_rng(0)
    params = hf.Params.from_dict(
        {"V": rng.standard_normal((1, 4)), "W": rng.standard_normal((4, 2))}
    )
    lin = hf.linearize(net, params, hf.asarray(rng.standard_normal((90, 1))))
    G = hf.GGN(lin, hf.SquaredError(), hf.asarray(rng.standard_normal((90, 2))), "param")
    planned, v = G.planned(MANY), vector(G)
    assert "rows" in ways(planned)
    assert relative_error(planned @ v, G @ v) <= EXACT
    matrix, _ = G.block("V").written()
    assert relative_error(matrix, G.block("V").to_dense()) <= EXACT


def test_a_block_without_influence_is_zero():
    params = hf.Params.from_dict({"W": np.ones((3, 2)), "dead": np.ones(4)})
    lin = hf.linearize(lambda p, x: ops.dense(x, p["W"]), params, hf.asarray(np.ones((5, 3))))
    G = hf.GGN(lin, hf.SquaredError(), hf.asarray(np.zeros((5, 2))), "param")
    assert not hf.to_host(G.planned(MANY).block("dead") @ hf.asarray(np.ones(4))).any()
    matrix, _ = G.block("dead").written()
    assert not hf.to_host(matrix).any()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("30",), "planned: products is '30', expected a whole number"),
        ((-1,), "planned: products is -1, expected a whole number"),
        ((2.5,), "planned: products is 2.5, expected a whole number"),
        ((30, None, -1), "planned: memory is -1, expected a whole number of bytes"),
    ],
)
def test_what_is_no_plan_is_refused(arguments, message):
    G = operator(*NETWORKS["lstm"])
    with pytest.raises(ValueError, match=message):
        G.planned(*arguments)


def test_a_planned_matrix_may_be_planned_anew():
    G = operator(*NETWORKS["conv"], N=50).planned(30)
    assert [block.name for block in G.planned(30, "2").plan.choices] == ["2"]


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


CLASSIFIER = hf.Sequential(hf.Dense(30, 40), hf.Tanh(), hf.Dense(40, 40), hf.Tanh(),
                           hf.Dense(40, 2))  # fmt: skip


@pytest.mark.parametrize(
    ("case", "least", "most"),
    [
        (NETWORKS["narrow code"], 1, 1), ((CLASSIFIER, (30,), hf.SquaredError()), 1, 1),
        (NETWORKS["conv"], 0.7, 1), (NETWORKS["residual"], 1, 1), (NETWORKS["lstm"], 1, 1.05),
    ],
    ids=["units", "outputs", "conv", "residual", "lstm"],
)  # fmt: skip
def test_what_forming_costs_is_what_was_said(case, least, most):
    """To the last flop; but transposes with a stride make more, and an LSTM's rows fewer."""
    G, made = operator(*case, N=50), []
    with hf.backend.observe_gemms(lambda a, b: made.append(2 * int(np.prod(a)) * b[-1])):
        plan = G.planned(30).plan
    said = sum(choice.once.flops for choice in plan.choices.values())
    assert least * sum(made) <= said <= most * sum(made)
