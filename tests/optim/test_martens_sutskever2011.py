"""Structural damping in the optimizer: what it leaves alone, holds back, and refuses."""

import dataclasses
from types import SimpleNamespace

import numpy as np
import pytest

import minihf as hf
from minihf.curvature import CurvatureOperator, StructuralGGN
from minihf.optim import (
    BacktrackingArmijo,
    Cholesky,
    ConjugateGradients,
    Constant,
    CycledChunks,
    FixedStep,
    LevenbergMarquardt,
    PreconditionerOnly,
    Prefix,
    StructuralDamping,
)

pytestmark = pytest.mark.usefixtures("backend")

EXACTLY = ConjugateGradients(500, hf.RelativeResidual(1e-12), warm_start=0.0)
SOLVED = 1e-8         # of CG run to a residual of 1e-12 at condition numbers up to 1e3

BLOCKS = ["network", "layer", {"recurrent": "0.*", "top": "2.*"}]


def recurrent(N=12, T=6, dtype=np.float64, layer=hf.RNN):
    """Remember the sign of the first step."""
    rng = np.random.default_rng(0)
    x = rng.standard_normal((N, T, 2)).astype(dtype)
    return SimpleNamespace(
        net=hf.Sequential(layer(2, 4), hf.LastStep(), hf.Dense(4, 1)),
        loss=hf.SquaredError(),
        params=hf.Sequential(layer(2, 4), hf.LastStep(), hf.Dense(4, 1)).init(0, dtype),
        batch=(hf.asarray(x), hf.asarray(np.sign(x[:, 0, :1]))),
    )


def exact(mu, blocks="network", lam=0.1):
    """One full step along the solution of the damped system."""
    return dataclasses.replace(
        hf.papers.martens_sutskever2011(blocks, lam, mu),
        solver=EXACTLY, damping=Constant(lam), step_rule=FixedStep(1.0), sampling=Prefix(1.0),
    )  # fmt: skip


def test_it_is_what_the_paper_says():
    opt = hf.papers.martens_sutskever2011()
    assert opt.structural == StructuralDamping(mu=1 / 30, distance=hf.SquaredError())
    assert opt.damping == LevenbergMarquardt(0.1, 3 / 2, 2 / 3, 1 / 4, 3 / 4)
    assert opt.preconditioner is None
    assert (opt.solver.max_iters, opt.solver.warm_start) == (250, 0.95)
    assert opt.step_rule == BacktrackingArmijo(c=0.01, factor=0.8, max_tries=60)
    assert opt.sampling == CycledChunks(4)


@pytest.mark.parametrize("layer", [hf.RNN, hf.LSTM])
def test_without_mu_it_is_plain_hessian_free_bit_for_bit(layer, run, monkeypatch):
    monkeypatch.setattr(hf.GGN, "planned", CurvatureOperator.planned)   # both walk all the way
    p = recurrent(dtype=np.float32, layer=layer)
    with_none, with_zero = (
        dataclasses.replace(hf.papers.martens_sutskever2011(), structural=structural)
        for structural in (None, StructuralDamping(0.0))
    )
    (one, _, reports), (other, _, same) = (run(opt, p, 4) for opt in (with_none, with_zero))
    assert one.vector.tobytes() == other.vector.tobytes()
    assert [r.new_objective for r in reports] == [r.new_objective for r in same]
    assert with_none == dataclasses.replace(
        hf.papers.martens2010(lam=0.1, l2=0.0), preconditioner=None
    )


@pytest.mark.parametrize("lam", [0.2, 3.0])
@pytest.mark.parametrize("blocks", BLOCKS, ids=str)
def test_each_block_solves_the_dense_system_with_the_hidden_states_in_it(blocks, lam, run):
    p, mu = recurrent(), 0.7
    new, _, _ = run(exact(mu, blocks, lam), p, 1)
    x, y = p.batch
    lin = hf.linearize(p.net, p.params, x)
    D = hf.to_host(StructuralGGN(lin, p.loss, y, weight=lam * mu).to_dense())
    D += lam * np.eye(p.params.size)
    g, move = map(hf.to_host, (lin.vjp(p.loss.grad(lin.output, y)), new.vector - p.params.vector))
    for block in hf.Partition.of(p.params, blocks).values():
        b = block.index
        expected = -np.linalg.solve(D[b, b], g[b])
        np.testing.assert_allclose(move[b], expected, atol=SOLVED)


def test_the_hidden_states_move_less_with_more_of_it(run):
    p = recurrent()
    lin = hf.linearize(p.net, p.params, p.batch[0])
    moved = []
    for mu in (0.0, 0.1, 1.0, 10.0):
        new, _, _ = run(exact(mu), p, 1)
        _, Rh = lin.jvp(new.vector - p.params.vector, taps=True)
        moved.append(np.linalg.norm(hf.to_host(Rh["0.hidden"])))
    assert np.diff(moved).max() < 0
    assert moved[-1] < 0.5 * moved[0]


def test_the_objective_never_rises_and_falls_far(run):
    p = recurrent(N=40, T=10)
    _, _, reports = run(hf.papers.martens_sutskever2011(curvature_chunks=2), p, 15)
    assert all(r.new_objective <= r.objective for r in reports)
    assert reports[-1].new_objective < 0.1 * reports[0].objective


def test_lam_and_the_reduction_ratio_are_those_of_the_objective_s_own_model(run):
    """G_S is in the systems, not in the prediction: rho of a small step is near 1."""
    p = recurrent()
    opt = dataclasses.replace(
        exact(mu=1.0, lam=100.0), damping=LevenbergMarquardt(100.0), rho_on="gradient"
    )
    _, state, (report,) = run(opt, p, 1)
    assert report.rho == pytest.approx(1.0, abs=0.01)
    assert state.lam["network"] == pytest.approx(100 * 2 / 3)


def test_a_network_without_hidden_states_is_refused_before_anything_moves(problem):
    p = problem()
    opt = hf.papers.martens_sutskever2011()
    with pytest.raises(ValueError, match=r"marks no hidden states; .*RNN or LSTM.*martens2010"):
        hf.fit(p.net, p.loss, opt, p.batch, updates=1, params=p.params, progress=False)


def test_what_does_not_go_together_is_refused():
    opt = hf.papers.martens_sutskever2011()
    for change in ({"curvature": hf.Hessian}, {"damping": LevenbergMarquardt(per_block=True)}):
        with pytest.raises(ValueError, match=r"structural damping goes with curvature=hf\.GGN"):
            dataclasses.replace(opt, **change)
    with pytest.raises(ValueError, match=r"=PreconditionerOnly\(\) does not look at; take solver="):
        dataclasses.replace(opt, solver=PreconditionerOnly())
    dataclasses.replace(opt, solver=Cholesky())
    with pytest.raises(TypeError, match=r"structural is 0\.1; expected .*StructuralDamping\(\)"):
        dataclasses.replace(opt, structural=0.1)
    with pytest.raises(ValueError, match="mu must be 0 or more, got -1"):
        StructuralDamping(-1)
