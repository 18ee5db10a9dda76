"""The papers' algorithms as compositions: their settings, and that they learn."""

import numpy as np
import pytest

import minihf as hf
from minihf.optim import (
    BacktrackingArmijo,
    Constant,
    CycledChunks,
    FixedStep,
    LevenbergMarquardt,
    Prefix,
    SquaredGradients,
)


@pytest.fixture(scope="module")
def digits():
    """Every third image, half as many classes of pixels: enough to learn something in a second."""
    data = hf.data.load("digits")
    return data.x_train[::3], data.y_train[::3]


def objectives(opt, net, loss, batch, updates):
    params = net.init(0)
    state = opt.init(params)
    reports = []
    for _ in range(updates):
        params, state, report = opt.step(net, loss, params, state, batch)
        reports.append(report)
    return [reports[0].objective, *(report.new_objective for report in reports)], reports


def test_zhang2017_is_what_the_paper_says():
    opt = hf.papers.zhang2017({"encoder": "encoder.*", "decoder": "decoder.*"}, 0.2, 0.01, 50, 0.5)
    assert opt.blocks == {"encoder": "encoder.*", "decoder": "decoder.*"}
    assert opt.curvature is hf.GGN
    assert opt.damping == Constant(0.01)
    assert opt.step_rule == FixedStep(0.2)
    assert opt.sampling == Prefix(0.5)
    assert (opt.solver.max_iters, opt.solver.warm_start) == (50, 0.95)
    assert opt.preconditioner is None
    assert opt.l2 == 0


def test_zhang2017_begins_with_the_papers_constants():
    assert hf.papers.zhang2017().blocks == "layer"
    assert hf.papers.zhang2017().rho_on == "curvature"
    assert hf.papers.zhang2017().step_rule == FixedStep(0.1)
    assert hf.papers.zhang2017().damping == Constant(0.0)
    assert hf.papers.zhang2017().sampling == Prefix(0.25)


def test_martens2010_is_what_the_paper_says():
    opt = hf.papers.martens2010()
    assert opt.blocks == "network"
    assert opt.preconditioner == SquaredGradients(exponent=0.75)
    assert opt.damping == LevenbergMarquardt(45.0, 3 / 2, 2 / 3, 1 / 4, 3 / 4)
    assert opt.step_rule == BacktrackingArmijo(c=0.01, factor=0.8, max_tries=60)
    assert opt.sampling == CycledChunks(4)
    assert (opt.solver.max_iters, opt.solver.warm_start) == (250, 0.95)
    assert opt.solver.stop == hf.RelativeProgress(5e-4, 10, 0.1)
    assert (opt.l2, opt.rho_on) == (2e-5, "curvature")


def test_the_objective_of_martens2010_never_rises(digits):
    net = hf.Sequential(hf.Dense(64, 16), hf.Tanh(), hf.Dense(16, 10))
    opt = hf.papers.martens2010(lam=1.0, max_iters=30)
    values, reports = objectives(opt, net, hf.SoftmaxCrossEntropy(), digits, 20)
    assert np.diff(values).max() <= 0
    assert values[-1] < 0.05 * values[0]
    assert all(report.rho > 0 for report in reports if report.accepted)


@pytest.mark.parametrize("blocks", ["network", {"encoder": "encoder.*", "decoder": "decoder.*"}])
def test_zhang2017_learns_to_encode(blocks, digits):
    images = digits[0]
    net = hf.Sequential(
        encoder=hf.Sequential(hf.Dense(64, 16), hf.Tanh(), hf.Dense(16, 4)),
        decoder=hf.Sequential(hf.Dense(4, 16), hf.Tanh(), hf.Dense(16, 64)),
    )
    opt = hf.papers.zhang2017(blocks, lam=0.01, max_iters=10)
    values, reports = objectives(opt, net, hf.SquaredError(), (images, images), 15)
    assert values[-1] < 0.5 * values[0]
    assert all(list(report.blocks) == list(reports[0].blocks) for report in reports)
