"""Hessian-free optimization by cross-entropy: its cases, its cost, and going on from SGD."""

import dataclasses
from math import log

import numpy as np
import pytest

import minihf as hf
from minihf.experiments.networks import sigmoid_classifier
from minihf.optim import ConjugateGradients, Constant, CycledChunks, FixedStep
from minihf.optim.batches import gradient, rows
from minihf.testing import count_gemms

EXACTLY = ConjugateGradients(500, hf.RelativeResidual(1e-12), warm_start=0.0)
SOLVED = 1e-8         # of CG run to a residual of 1e-12 at condition numbers up to 1e3
SEEN_TWICE = 1e-6     # relative: the same mean in float32, by fit and by the update


def test_it_is_martens2010_on_a_tenth_of_the_cases_with_short_solves():
    opt = hf.papers.wiesler2013()
    assert opt == hf.papers.martens2010(lam=0.01, max_iters=10, curvature_chunks=10, l2=0.0)
    assert opt.sampling == CycledChunks(10)
    assert hf.papers.wiesler2013("layer", 1.0, 50, 4, 0.5, 1e-5) == hf.papers.martens2010(
        "layer", 1.0, 50, 4, 0.5, 1e-5
    )


def test_the_gradient_sees_all_cases_and_the_curvature_its_chunk(problem, dense, run):
    """Three chunks of four cases, another one at every update: each solves its own dense system."""
    lam, p = 0.5, problem(loss=hf.SoftmaxCrossEntropy())
    opt = dataclasses.replace(
        hf.papers.wiesler2013(curvature_chunks=3),
        solver=EXACTLY, damping=Constant(lam), step_rule=FixedStep(1.0),
    )  # fmt: skip
    params, state = p.params, None
    for update in range(4):
        start = 4 * (update % 3)
        chunk = rows(p.batch, slice(start, start + 4))
        g, G = dense(p, params=params).g, dense(p, chunk, params).G
        moved, state, (report,) = run(opt, p, 1, params, state)
        step = moved.vector - params.vector
        np.testing.assert_allclose(G @ step + lam * step, -g, rtol=0, atol=SOLVED)
        assert report.cases == 12
        params = moved


@pytest.mark.parametrize("chunk", [10, 2])
def test_a_product_costs_as_many_gradients_as_the_page_says(chunk, backend):
    """f (4 S - 2 s_1) / (3 S - s_1), with s_l the weights of layer l, S their sum, f the share."""
    N, widths = 40, (9, 7, 5, 4, 3)
    net, loss = sigmoid_classifier(*widths), hf.SoftmaxCrossEntropy()
    params = net.init(0)
    rng = np.random.default_rng(0)
    x = hf.asarray(rng.standard_normal((N, widths[0])), np.float32)
    y = hf.asarray(rng.integers(0, widths[-1], N))
    with count_gemms() as of_gradient:
        gradient(net, loss, params, (x, y))
    G = hf.GGN(hf.linearize(net, params, x[:chunk]), loss, y[:chunk])
    with count_gemms() as of_product:
        G @ params.vector
    first, total = 9 * 7, 9 * 7 + 7 * 5 + 5 * 4 + 4 * 3
    assert of_gradient.flops == 2 * N * (3 * total - first)
    assert of_product.flops == 2 * chunk * (4 * total - 2 * first)


@pytest.fixture(scope="module")
def stalled():
    """Six layers of sigmoids, and where thirty passes of SGD leave them."""
    hf.use("numpy")                              # whatever the test before was on
    digits = hf.data.load("digits")
    data = digits.x_train[::3], digits.y_train[::3]
    net, loss = sigmoid_classifier(64, *[32] * 6, 10), hf.SoftmaxCrossEntropy()
    history = hf.fit(
        net, loss, hf.SGD(0.1, momentum=0.9), data, epochs=30, batch_size=100, looks=0,
        progress=False,
    )  # fmt: skip
    return net, loss, data, history


@pytest.mark.slow
def test_where_sgd_stalls_it_goes_on_from_sgds_parameters(stalled):
    net, loss, data, sgd = stalled
    assert abs(sgd.last["train"] - log(10)) < 0.01         # any class is as likely, for any image
    history = hf.fit(
        net, loss, hf.papers.wiesler2013(), data, updates=30, params=sgd.params, looks=30,
        progress=False,
    )  # fmt: skip
    values = history.column("train")
    assert values[0] == pytest.approx(sgd.last["train"], rel=SEEN_TWICE)
    assert np.diff(values).max() <= 0
    assert history.last["rose"] == 0
    assert values[-1] < 0.7 * values[0]


def test_it_goes_on_from_sgd_on_every_backend(problem, backend):
    p = problem(loss=hf.SoftmaxCrossEntropy(), N=20)
    sgd = hf.fit(p.net, p.loss, hf.SGD(), p.batch, params=p.params, updates=2, progress=False)
    history = hf.fit(
        p.net, p.loss, hf.papers.wiesler2013(curvature_chunks=2), p.batch, params=sgd.params,
        updates=2, progress=False,
    )  # fmt: skip
    assert history.records[0]["train"] == pytest.approx(sgd.last["train"])
    assert history.last["train"] < sgd.last["train"]
    assert type(history.params.vector) is type(p.params.vector)
