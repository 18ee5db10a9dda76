"""Blocks that move together, or one after the other: what changes between the two, and what not."""

import dataclasses
import math

import numpy as np
import pytest

import minihf as hf
from minihf.optim import (
    Cholesky,
    ConjugateGradients,
    Constant,
    FixedStep,
    LevenbergMarquardt,
    Prefix,
    Subspace,
)

pytestmark = pytest.mark.usefixtures("backend")

ROUNDING = 1e-10      # relative, float64: dense solves at condition numbers up to 1e4

ONE_BY_ONE = hf.HessianFree(
    blocks="layer", solver=Cholesky(), preconditioner=None, damping=Constant(0.1),
    step_rule=FixedStep(1.0), sampling=Prefix(1.0), l2=0.01, update="sequential",
)  # fmt: skip


def but(opt, **changes):
    return dataclasses.replace(opt, **changes)


@pytest.mark.parametrize(
    "opt",
    [hf.HessianFree(), hf.papers.martens2010(lam=1.0), hf.papers.chan_szeto1999(lam=0.1)],
    ids=["house", "martens2010", "chan_szeto1999"],
)
def test_with_one_block_both_orders_are_one(opt, problem, run):
    p = problem(dtype=np.float32)
    (params, state, reports), (params2, state2, reports2) = (
        run(but(opt, blocks="network", update=update), p, 4)
        for update in ("simultaneous", "sequential")
    )
    assert params.vector.tobytes() == params2.vector.tobytes()
    assert repr(state) == repr(state2)
    assert [r.new_objective for r in reports] == [r.new_objective for r in reports2]


def test_each_block_sees_what_the_blocks_before_it_did(problem, run, dense):
    """Solved by hand: gradient and matrix anew for every block, on the parameters as they stand."""
    p = problem()
    params, _, (report,) = run(ONE_BY_ONE, p, 1)
    by_hand, values = p.params, []
    for block in hf.Partition.of(p.params, "layer").values():
        d = dense(p, params=by_hand, l2=0.01)
        A = d.G[block.index, block.index] + 0.1 * np.eye(block.size)
        moved = by_hand.vector.copy()
        moved[block.index] -= hf.asarray(np.linalg.solve(A, d.g[block.index]))
        by_hand = by_hand.with_vector(moved)
        values.append(d.f)
    found, expected = hf.to_host(params.vector), hf.to_host(by_hand.vector)
    np.testing.assert_allclose(found, expected, rtol=ROUNDING, atol=ROUNDING)
    assert report.objective == pytest.approx(values[0], rel=ROUNDING)
    assert report.new_objective == pytest.approx(dense(p, params=by_hand, l2=0.01).f, rel=ROUNDING)


def test_a_sweep_counts_every_gradient_and_every_product(problem, run):
    p = problem(N=12, sizes=(4, 5, 3))
    _, _, (sweep,) = run(ONE_BY_ONE, p, 1)
    _, _, (at_once,) = run(but(ONE_BY_ONE, update="simultaneous"), p, 1)
    assert (sweep.cases, at_once.cases) == (24, 12)
    assert list(sweep.blocks) == list(at_once.blocks) == ["0", "2"]
    # three outputs in a case: three walks, two products
    assert [block.products for block in sweep.blocks.values()] == [2, 2]
    assert sweep.products == at_once.products == 4
    assert sweep.iterations == 2
    assert max(block.predicted for block in sweep.blocks.values()) < 0
    assert sweep.seconds >= sum(block.seconds for block in sweep.blocks.values())


def test_a_sweeps_ratio_is_that_of_its_changes_added_up(problem, run):
    opt = but(ONE_BY_ONE, damping=LevenbergMarquardt(0.1, per_block=True), rho_on="gradient")
    _, _, (report,) = run(opt, problem(), 1)
    change = report.new_objective - report.objective
    assert report.rho * report.predicted == pytest.approx(change, rel=1e-8)
    assert len({block.rho for block in report.blocks.values()}) == 2


class Forbidding(FixedStep):
    """Rejects whatever would move the first parameter."""

    def __call__(self, candidates, here):
        step = super().__call__(candidates, here)
        return dataclasses.replace(step, length=0.0, problem="no") if step.direction[0] else step


@pytest.mark.parametrize("per_block", [True, False])
def test_a_rejected_block_stays_and_the_others_go_on(per_block, problem, run):
    p = problem()
    damping = LevenbergMarquardt(1.0, boost=10, drop=0.1, low=0, high=0, per_block=per_block)
    opt = but(ONE_BY_ONE, step_rule=Forbidding(1.0), damping=damping, rho_on="gradient")
    params, state, (report,) = run(opt, p, 1)
    first, second = hf.Partition.of(p.params, "layer").values()
    assert (params.vector[first.index] == p.params.vector[first.index]).all()
    assert (params.vector[second.index] != p.params.vector[second.index]).any()
    assert report.accepted
    assert report.problem == "1 of 2 blocks: update rejected: no"
    # up for the first and down for the second: each its own lam, or one for all
    assert state.lam == pytest.approx({"0": 10, "2": 0.1} if per_block else {"0": 1, "2": 1})
    assert [b.lam for b in report.blocks.values()] == [1.0, 1.0 if per_block else 10.0]


def test_if_no_block_moves_the_update_is_rejected(problem, run):
    p = problem()
    params, _, (report,) = run(but(ONE_BY_ONE, step_rule=FixedStep(1e200)), p, 1)
    assert params.vector.tobytes() == p.params.vector.tobytes()
    assert (report.accepted, report.step_length) == (False, 0.0)
    assert report.problem.startswith("2 of 2 blocks: update rejected")
    assert report.new_objective == report.objective


def test_a_block_begins_at_its_own_last_solution(problem, run):
    """A warm start costs a product: none in the first sweep, one for each block in the second."""
    opt = but(ONE_BY_ONE, solver=ConjugateGradients(3, hf.RelativeResidual(0.0), warm_start=0.9))
    _, state, (first, second) = run(opt, problem(), 2)
    assert [block.products for block in first.blocks.values()] == [3, 3]
    assert [block.products for block in second.blocks.values()] == [4, 4]
    assert hf.to_host(state.solution).all()


def test_momentum_stays_within_the_block(problem, run):
    opt = but(ONE_BY_ONE, step_rule=Subspace(), damping=Constant(1.0))
    p = problem()
    after, state, _ = run(opt, p, 1)
    assert abs(hf.to_host(state.move - (after.vector - p.params.vector))).max() <= 1e-12
    again, state, _ = run(opt, p, 1, params=after, state=state)
    assert abs(hf.to_host(state.move - (again.vector - after.vector))).max() <= 1e-12


def test_a_resumed_run_goes_on_bit_for_bit(problem, run):
    opt, p = hf.papers.chan_szeto1999(lam=0.1), problem(dtype=np.float32)
    params, state, _ = run(opt, p, 2)
    whole, resumed = run(opt, p, 5), run(opt, p, 3, params=params, state=state)
    assert whole[0].vector.tobytes() == resumed[0].vector.tobytes()
    assert repr(whole[1]) == repr(resumed[1])


def test_noise_is_drawn_once_for_a_sweep(run, problem):
    p, drawn = problem(), []

    class Counting(hf.Sequential):
        def draw(self, rng, n, dtype=np.float32):
            drawn.append(n)
            return super().draw(rng, n, dtype)

    p.net = Counting(hf.Dense(4, 5), hf.Dropout(0.5, 5), hf.Dense(5, 3))
    p.params = p.net.init(0, np.float64)
    run(ONE_BY_ONE, p, 1)
    assert len(drawn) == 1


def test_bad_numbers_reject_the_sweep_and_raise_every_blocks_damping(problem, run):
    p = problem()
    p.params.vector[0] = math.nan
    opt = but(ONE_BY_ONE, damping=LevenbergMarquardt(1.0, boost=2.0, per_block=True))
    _, state, (report,) = run(opt, p, 1)
    assert not report.accepted
    assert "not finite" in report.problem
    assert state.lam == {"0": 2.0, "2": 2.0}


def test_an_unknown_order_is_refused():
    with pytest.raises(ValueError, match="update must be 'simultaneous' or 'sequential', got 'a'"):
        hf.HessianFree(update="a")


def test_a_block_that_the_solver_cannot_take_is_refused_before_training():
    params = hf.Params.from_dict({"big.W": np.zeros((1000, 1000), np.float32)})
    with pytest.raises(ValueError, match="Cholesky takes") as refusal:
        hf.papers.chan_szeto1999("network").init(params)
    assert str(refusal.value) == (
        "block 'network' has 1,000,000 parameters, and Cholesky takes 2,000 at most: as a matrix "
        "it has 8e+03 GB; raise max_size=, take smaller blocks (partial(k_units, k=4) of "
        "minihf.curvature.partitions), or solver=ConjugateGradients()"
    )
    hf.papers.chan_szeto1999("network", max_size=1_000_000).init(params)
    but(ONE_BY_ONE, blocks="network", solver=ConjugateGradients()).init(params)


def test_a_matrix_without_factors_is_told_in_the_report(problem, run):
    opt = but(ONE_BY_ONE, damping=Constant(0.0), l2=0.0, update="simultaneous", blocks="network")
    p = problem(N=1)                                   # one case: G has no full rank
    _, _, (report,) = run(but(opt, curvature=hf.Hessian), p, 1)
    assert report.blocks["network"].reason == "NOT_POSITIVE_DEFINITE"
    assert report.problem == (
        "update rejected: the matrix was not positive definite in block network"
    )


def test_a_turn_plans_for_its_own_blocks_alone(problem, run, monkeypatch):
    planned, plan = [], hf.GGN.planned

    def noted(G, products, names=None):
        planned.append((products, tuple(names)))
        return plan(G, products, names)

    monkeypatch.setattr(hf.GGN, "planned", noted)
    p, solver = problem(), ConjugateGradients(max_iters=4)
    names = hf.Partition.of(p.params, "layer").names
    for order, groups in (
        ("sequential", [(name,) for name in names]), ("simultaneous", [names])
    ):  # fmt: skip
        planned.clear()
        run(but(ONE_BY_ONE, solver=solver, update=order), p, 1)
        assert planned == [(4, group) for group in groups]
