"""EA-CG on the positive-curvature Hessian: the system it solves, and what it is good for."""

import dataclasses

import numpy as np
import pytest

import minihf as hf
from minihf.curvature import AveragedPCH
from minihf.optim import (
    ConjugateGradients,
    Constant,
    ConvexMix,
    FixedStep,
    PositiveCurvature,
    Prefix,
)
from minihf.solvers import Reason

SOLVED = 1e-8  # of CG run to a residual of 1e-12 at condition numbers up to 1e3
SAME = 1e-12   # the same sums in another order

both = pytest.mark.parametrize("averaged", [True, False])


def exactly(opt):
    """Solve to the end."""
    solver = dataclasses.replace(opt.solver, max_iters=500, stop=hf.RelativeResidual(1e-12))
    return dataclasses.replace(opt, solver=solver)


@pytest.mark.usefixtures("backend")
@both
@pytest.mark.parametrize("mode", ["abs", "clip"])
def test_a_step_solves_the_convex_mix_for_each_parameter(mode, averaged, problem, run):
    p = problem(sizes=(3, 4, 3), loss=hf.SoftmaxCrossEntropy())
    x, y = p.batch
    lin = hf.linearize(p.net, p.params, x)
    g = lin.vjp(p.loss.grad(lin.output, y))
    C = (AveragedPCH if averaged else hf.PCH)(lin, p.loss, y, "param", mode)
    params, _, (report,) = run(exactly(hf.papers.chen2018(mode=mode, averaged=averaged)), p, 1)
    assert set(report.blocks) == set(p.params.names)
    for name, block in C.partition.items():
        mixed = 0.98 * hf.to_host(C.block(name).to_dense()) + 0.02 * np.eye(block.size)
        moved = hf.to_host(params.vector - p.params.vector)[block.index]
        expected = 0.1 * np.linalg.solve(mixed, -hf.to_host(g)[block.index])
        assert np.linalg.norm(moved - expected) <= SOLVED * np.linalg.norm(expected)


def test_the_convex_mix_is_constant_damping_with_a_longer_step(problem, run):
    p, a, opt = problem(), 0.3, exactly(hf.papers.chen2018(a=0.3))
    assert opt.damping == ConvexMix(a)
    other = dataclasses.replace(
        opt, damping=Constant(a / (1 - a)), step_rule=FixedStep(0.1 / (1 - a))
    )
    one, another = (run(o, p, 2)[0].vector - p.params.vector for o in (opt, other))
    assert np.linalg.norm(one - another) <= SOLVED * np.linalg.norm(one)


def test_it_is_what_the_paper_says():
    opt = hf.papers.chen2018()
    assert opt.solver == ConjugateGradients(50, hf.RelativeResidual(0.1), warm_start=0.0)
    assert (opt.damping, opt.step_rule) == (ConvexMix(0.02), FixedStep(0.1))
    assert opt.curvature == PositiveCurvature("abs", averaged=True)
    assert (opt.blocks, opt.preconditioner, opt.sampling) == ("param", None, Prefix(1.0))


def test_inputs_of_mean_zero_want_more_of_the_identity_or_all_cases():
    """Expectations see no curvature along their weights: what its page warns of."""
    rng = np.random.default_rng(0)
    x = rng.standard_normal((500, 4)).astype(np.float32)
    net = hf.Sequential(hf.Dense(4, 8), hf.Tanh(), hf.Dense(8, 2))

    def trained(**settings):
        return hf.fit(
            net, hf.SquaredError(), hf.papers.chen2018(**settings), (x, x[:, :2] * x[:, 2:]),
            updates=50, looks=0, progress=False,
        )  # fmt: skip

    assert trained().ended.startswith("gave up")
    for settings in ({"a": 0.2}, {"averaged": False}):
        history = trained(**settings)
        assert history.last["train"] < 0.6 * history.records[0]["train"]


def test_cg_begins_at_zero_and_stops_at_a_tenth_of_the_gradient(problem, run):
    p, opt = problem(N=40, sizes=(6, 8, 8, 4)), hf.papers.chen2018()
    params, state, _ = run(opt, p, 3)
    remembered, _, (report,) = run(opt, p, 1, params, state)
    fresh, _, _ = run(opt, p, 1, params)
    assert np.array_equal(remembered.vector, fresh.vector)
    for block in report.blocks.values():
        assert block.reason == Reason.CONVERGED.name
        assert 1 <= block.iterations == block.products <= 50
    strict = hf.papers.chen2018(tolerance=1e-12, max_iters=3)
    _, _, (report,) = run(strict, p, 1, params)
    assert max(block.iterations for block in report.blocks.values()) == 3


def test_of_a_single_case_averages_are_exact(problem, run):
    p = problem(N=1)
    one, other = (run(hf.papers.chen2018(averaged=a), p, 1)[0].vector for a in (True, False))
    assert np.linalg.norm(one - other) <= SAME * np.linalg.norm(one)


def test_an_average_is_smaller_where_inputs_differ_and_so_steps_are_longer(problem, run):
    """E[h h'] = E[h] E[h]' + Cov[h], and the top layer has the same H both ways."""
    p = problem(N=40, loss=hf.SquaredError())
    x, y = p.batch
    lin = hf.linearize(p.net, p.params, x)
    averaged, cases = (C(lin, p.loss, y, "param").block("2.W").to_dense()
                       for C in (AveragedPCH, hf.PCH))  # fmt: skip
    assert np.linalg.eigvalsh(cases - averaged)[0] >= -SAME
    top = hf.Partition.of(p.params, "param")["2.W"].index
    steps = [
        run(exactly(hf.papers.chen2018(averaged=a)), p, 1)[0].vector - p.params.vector
        for a in (True, False)
    ]
    longer, shorter = (np.linalg.norm(step[top]) for step in steps)
    assert longer > shorter


def test_the_mix_is_told_in_its_report_and_bounded(problem, run):
    _, state, (report,) = run(hf.papers.chen2018(), problem(), 1)
    assert report.lam == 0.02
    assert set(state.lam.values()) == {0.02}
    assert ConvexMix(0.0).weight == 1
    for a in (1, -0.1):
        with pytest.raises(ValueError, match=r"ConvexMix: a must be in \[0, 1\), got"):
            hf.papers.chen2018(a=a)


@pytest.mark.parametrize("mode", ["abs", "clip"])
def test_it_goes_down_where_gradient_descent_with_momentum_stalls(mode):
    """UCI digits by three hidden layers of sigmoids: SGD sees 2.3 = log 10 and next to no slope."""
    digits = hf.data.load("digits")
    batch = digits.x_train[:300], digits.y_train[:300]
    net, loss = hf.Sequential(
        hf.Dense(64, 32), hf.Sigmoid(), hf.Dense(32, 16), hf.Sigmoid(),
        hf.Dense(16, 16), hf.Sigmoid(), hf.Dense(16, 10),
    ), hf.SoftmaxCrossEntropy()  # fmt: skip
    last = {}
    for opt in (hf.papers.chen2018(mode=mode), hf.SGD(0.1, momentum=0.9)):
        params = net.init(0)
        state = opt.init(params)
        for _ in range(60):
            params, state, report = opt.step(net, loss, params, state, batch)
        last[type(opt).__name__] = report.objective
    assert last["SGD"] > 2.25
    assert last["HessianFree"] < 1.7
