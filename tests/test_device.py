"""What a device is made to do: nothing crosses the border in a product, and little in an update."""

from math import ceil
from types import SimpleNamespace

import numpy as np
import pytest

import minihf as hf
from minihf.curvature import Shifted
from minihf.curvature.ways import Way
from minihf.optim import ConjugateGradients, Jacobi, Kronecker, SquaredGradients
from minihf.testing import counted

N = 8                                        # cases


pytestmark = pytest.mark.usefixtures("stand_in")


@pytest.fixture
def on_device(kind):
    """Give a network, its loss and a batch on the stand-in, linearised."""
    batch, params = kind.batch(np.float32), kind.net.init(0)
    v = np.random.default_rng(0).standard_normal(params.size).astype(np.float32)
    return SimpleNamespace(
        kind=kind.name, net=kind.net, loss=kind.loss, batch=batch, params=params,
        lin=hf.linearize(kind.net, params, batch[0]), y=batch[1], v=hf.asarray(v),
    )  # fmt: skip


# Products -------------------------------------------------------------------------------------


@pytest.mark.parametrize("curvature", [hf.GGN, hf.Hessian])
@pytest.mark.parametrize("blocks", ["network", "layer", "param"])
def test_nothing_crosses_the_border_in_a_product(curvature, blocks, on_device):
    d = on_device
    C = curvature(d.lin, d.loss, d.y, blocks)
    with counted() as counts:
        C @ d.v
        for name, block in C.partition.items():
            C.block(name) @ d.v[block.index]
    assert counts.crossings == (0, 0, 0)
    assert counts.launches


@pytest.mark.parametrize("make", [Kronecker(), SquaredGradients(), Jacobi()])
def test_nothing_crosses_the_border_when_a_preconditioner_is_applied(make, on_device):
    d = on_device
    C = hf.GGN(d.lin, d.loss, d.y, "layer")
    M, _ = make(C, d.v, dict.fromkeys(C.partition, 0.1), None, np.random.default_rng(0))
    with counted() as counts:
        for name, block in C.partition.items():
            M[name] @ d.v[block.index]
    assert counts.crossings == (0, 0, 0)
    assert counts.launches


LAUNCHES = {             # a product with GGN, the same layer by layer, one with Hessian; CG beside
    "autoencoder": (33, 52, 61),
    "cnn": (79, 95, 105),
    "lstm": (56, 61, 174),
}
"""Kernels. Less is better, and then the number here is to be lowered."""

CG_LAUNCHES = 9
"""Of an iteration beside the product: three inner products, one each of alpha, x and r, p; a look's
sum, inner product and stack."""


def test_a_product_launches_a_known_number_of_kernels(on_device):
    d = on_device
    found = []
    for C in (
        hf.GGN(d.lin, d.loss, d.y), hf.GGN(d.lin, d.loss, d.y, "layer"),
        hf.Hessian(d.lin, d.loss, d.y),
    ):  # fmt: skip
        with counted() as counts:
            C @ d.v
        found.append(counts.launches)
    assert tuple(found) == LAUNCHES[d.kind]


def test_an_iteration_of_cg_launches_nine_kernels_beside_the_product(on_device):
    d = on_device
    G = hf.GGN(d.lin, d.loss, d.y)
    launches = []
    for iterations in (3, 4):
        with counted() as counts:
            hf.cg(G, d.v, M=lambda r: 1 * r, max_iters=iterations, stop=lambda *_: None)
        launches.append(counts.launches)
    look, application = 1, 1                                     # what a transfer is stacked of, M
    assert launches[1] - launches[0] == LAUNCHES[d.kind][0] + CG_LAUNCHES + look + application


# Solves ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("check_every", [1, 3, 5])
@pytest.mark.parametrize("warm", [False, True])
def test_a_solve_brings_down_one_scalar_array_at_each_look(check_every, warm, on_device):
    d = on_device
    A = Shifted(hf.GGN(d.lin, d.loss, d.y), 1.0)
    M = SquaredGradients()(hf.GGN(d.lin, d.loss, d.y), d.v, {"network": 1.0}, None, None)[0]
    with counted() as counts:
        result = hf.cg(
            A, d.v, 0.1 * d.v if warm else None, M["network"], max_iters=10,
            stop=lambda quadratics, residuals: None, check_every=check_every,
        )  # fmt: skip
    assert result.n_iterations == 10
    looks = ceil(10 / check_every)
    begins = 2 if warm else 1                                   # |b|, and where a warm start is
    assert counts.crossings == (0, begins + looks, begins + looks)
    number = np.dtype(np.float32).itemsize
    assert counts.downloaded == number * (1 + 3 * (begins - 1) + 3 * 10)


# Updates --------------------------------------------------------------------------------------


def step(opt, d, state, batch):
    with counted() as counts:
        _, state, report = opt.step(d.net, d.loss, d.params, state, batch)
    assert report.accepted
    return counts, state, report


def takes_short_ways(planned):
    """Tell whether it is asked if cases mix: with one draw, and one look at what comes of it."""
    return any(choice.way is not Way.WALK for choice in planned.plan.choices.values())


def new_batch(d):
    return tuple(part.copy() for part in d.batch)


def test_an_update_of_the_house_method_waits_a_known_number_of_times(on_device):
    """docs/api/backend.md has the list."""
    d, opt = on_device, hf.HessianFree()
    state, blocks = opt.init(d.params), len(hf.Partition.of(d.params, "layer"))
    several_positions = d.kind != "autoencoder"
    for t in range(1, 6):
        counts, state, report = step(opt, d, state, new_batch(d))
        inverts = t <= opt.preconditioner.refresh or t % opt.preconditioner.refresh == 0
        calibrates = blocks if inverts and several_positions else 0
        tries = 1 - round(np.log2(report.step_length))
        waits = 1 + 1 + 1 + 1 + inverts + calibrates + blocks + 1 + 1 + tries + 1
        assert counts.crossings == (1, waits, waits)      # the draw for the factors goes up


def test_an_update_with_cg_waits_at_its_looks_beside(on_device):
    d, check_every = on_device, 4
    solver = ConjugateGradients(8, lambda quadratics, residuals: None, 0.0, check_every)
    opt = hf.HessianFree(blocks="network", solver=solver, preconditioner=None)
    counts, _, report = step(opt, d, opt.init(d.params), new_batch(d))
    assert report.iterations == 8
    tries = 1 - round(np.log2(report.step_length))
    part = hf.linearize(d.net, d.params, d.batch[0][: N // 4])
    planned = hf.GGN(part, d.loss, d.y[: N // 4]).planned(solver.products)
    waits = 1 + 1 + 1 + takes_short_ways(planned) + (1 + 8 // check_every) + 1 + 1 + tries + 1
    assert counts.crossings == (takes_short_ways(planned), waits, waits)


def test_blocks_are_planned_for_with_one_draw_and_one_look_at_most(on_device):
    """Whether cases mix decides on short ways through blocks: `minihf.curvature.plan`."""
    d = on_device
    G = hf.GGN(d.lin, d.loss, d.y, "layer")
    with counted() as counts:
        planned = G.planned(1000)
    assert counts.crossings == (takes_short_ways(planned),) * 3
    with counted() as counts:
        for name, block in planned.partition.items():
            planned.block(name) @ d.v[block.index]
    assert counts.crossings == (0, 0, 0)


@pytest.mark.parametrize("opt", [hf.SGD(0.01), hf.Adam()], ids=lambda opt: type(opt).__name__)
def test_an_update_of_a_baseline_waits_for_the_targets_and_the_objective(opt, on_device):
    d = on_device
    batch = new_batch(d)
    counts, state, _ = step(opt, d, opt.init(d.params), batch)
    assert counts.crossings == (0, 2, 2)
    counts, _, _ = step(opt, d, state, batch)                         # the targets are known
    assert counts.crossings == (0, 1, 1)


# Losses ---------------------------------------------------------------------------------------


def masked(y, steps, shape):
    return y, hf.asarray(np.arange(shape[1]) < np.full((shape[0], 1), steps))


TARGETS = {
    "sigmoid": (hf.SigmoidCrossEntropy(), lambda rng: rng.random((2, 3, 4))),
    "softmax": (hf.SoftmaxCrossEntropy(), lambda rng: rng.integers(4, size=(2, 3))),
}


@pytest.mark.parametrize(("loss", "targets"), TARGETS.values(), ids=TARGETS)
@pytest.mark.parametrize("with_mask", [False, True])
def test_a_loss_looks_at_its_targets_once(loss, targets, with_mask):
    rng = np.random.default_rng(0)
    z, y = hf.asarray(rng.standard_normal((2, 3, 4))), hf.asarray(targets(rng))
    y = masked(y, 2, (2, 3)) if with_mask else y
    ask = (loss.value, loss.grad, loss.hessian, lambda z, y: loss.hvp(z, y, z))
    with counted() as counts:
        for method in (*ask, *ask):
            method(z, y)
    assert counts.crossings == (0, 1 + with_mask, 1 + with_mask)
    other = tuple(part.copy() for part in y) if with_mask else y.copy()
    with counted() as counts:
        loss.value(z, other)
    assert counts.crossings == (0, 1 + with_mask, 1 + with_mask)


def test_what_a_loss_remembers_of_targets_dies_with_them():
    z, passed = hf.asarray(np.zeros((2, 3))), hf.losses._passed
    before = len(passed)
    y = hf.asarray(np.array([0, 1]))
    hf.SoftmaxCrossEntropy().value(z, y)
    assert len(passed) == before + 1
    del y
    assert len(passed) == before


def test_targets_that_passed_for_three_classes_are_looked_at_again_for_two():
    loss, y = hf.SoftmaxCrossEntropy(), hf.asarray(np.array([0, 2]))
    loss.value(hf.asarray(np.zeros((2, 3))), y)
    with pytest.raises(ValueError, match="labels run from 0 to 2, expected 0 to 1"):
        loss.value(hf.asarray(np.zeros((2, 2))), y)
