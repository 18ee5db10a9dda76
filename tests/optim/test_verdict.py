"""When an update is rejected: what is said, what is remembered, and what the damping is told."""

import dataclasses
import math
from types import SimpleNamespace

import numpy as np
import pytest

import minihf as hf
from minihf.optim import (
    BacktrackingArmijo,
    ConjugateGradients,
    Constant,
    FixedStep,
    LevenbergMarquardt,
    PreconditionerOnly,
    Scaled,
    Subspace,
    SumThenMean,
)
from minihf.optim.steps import Outlook, Step
from minihf.solvers import CGResult, Reason

pytestmark = pytest.mark.usefixtures("backend")

RULES = {
    "fixed": FixedStep(),
    "armijo": BacktrackingArmijo(),
    "sum, then mean": SumThenMean(),
    "subspace": Subspace(),
    "scaled": Scaled(FixedStep(), 0.5),
}
TOO_SMALL = "the step is too small to change a parameter in {}: converged, or lam is too large"


def but(opt, **changes):
    return dataclasses.replace(opt, **changes)


def layers(**changes):
    """Layers as blocks, and a damping that follows."""
    plain = hf.papers.zhang2017(lam=0.1, warm_start=0.0)
    return but(plain, **{"damping": LevenbergMarquardt(0.1, boost=2.0)} | changes)


class Poisoned(hf.GGN):
    """Products that are not finite, from a product with the block on."""

    name, first, poison = "0", 1, math.nan

    def __init__(self, *arguments):
        super().__init__(*arguments)
        self.made = 0

    def product(self, v, block):
        self.made += block.name in (self.name, "network")
        bad = block.name in (self.name, "network") and self.made >= self.first
        return super().product(v, block) * (self.poison if bad else 1)


class Late(Poisoned):
    first = 3


class Infinite(Late):
    poison = math.inf


class At:
    """A loss that has a value of its own wherever the parameters are not those of the start."""

    def __init__(self, value):
        self.elsewhere, self.start, self.inner = value, None, hf.SquaredError()

    def value(self, z, y):
        self.start = z if self.start is None else self.start
        value = self.inner.value(z, y)
        return value if (z == self.start).all() else value * 0 + self.elsewhere

    def __getattr__(self, name):
        return getattr(self.inner, name)


# A product that is not finite -----------------------------------------------------------------


@pytest.mark.parametrize("curvature", [Poisoned, Late, Infinite])
@pytest.mark.parametrize(
    "make",
    [
        hf.papers.zhang2017, hf.papers.martens2010, hf.papers.kiros2013,
        hf.papers.martens_sutskever2011, hf.papers.wiesler2013,
    ],
)  # fmt: skip
def test_with_one_product_that_is_not_finite_the_update_is_rejected(
    make, curvature, problem, run, backend
):
    p = problem(N=20, sizes=(4, 8, 2))
    opt = make(blocks="layer")
    if opt.structural is not None:
        opt = but(opt, structural=None)
    opt = but(opt, curvature=curvature)
    same, state, reports = run(opt, p, 3)
    assert same is p.params
    for report in reports:
        assert (report.accepted, report.step_length) == (False, 0.0)
        assert report.problem == "update rejected: a product was not finite in block 0"
        assert report.blocks["0"].reason == "NON_FINITE"
        assert report.new_objective == report.objective
        assert report.products == sum(block.products for block in report.blocks.values()) > 0
    assert (state.solution, state.move) == (None, None)
    lam = opt.damping.initial
    for _ in range(3):
        lam = opt.damping.update(lam, math.nan, False)
    assert state.lam == {"0": lam, "2": lam}


def test_a_run_with_such_products_gives_up_where_it_is(problem):
    p = problem()
    history = hf.fit(
        p.net, p.loss, layers(curvature=Late), p.batch, params=p.params, updates=50,
        progress=False, give_up_after=4,
    )  # fmt: skip
    assert history.ended == (
        "gave up after 4 rejected updates in a row: update rejected: a product was not finite in "
        "block 0"
    )
    assert history.params is p.params


def test_what_was_remembered_before_stays(problem, run):
    p = problem()
    opt = layers(step_rule=Subspace())
    params, state, _ = run(opt, p, 1)
    same, after, _ = run(but(opt, curvature=Late), p, 1, params, state)
    assert same is params
    assert after.solution is state.solution
    assert after.move is state.move
    assert run(opt, p, 1, same, after)[2][0].accepted


@pytest.mark.parametrize("update", ["simultaneous", "sequential"])
def test_per_block_the_block_at_fault_is_told_and_no_other(update, problem, run):
    p, rule = problem(), LevenbergMarquardt(1.0, boost=2.0, low=-9, high=1e9, per_block=True)
    opt = layers(curvature=Poisoned, damping=rule, update=update, rho_on="gradient")
    new, state, (report,) = run(opt, p, 1)
    assert state.lam == {"0": 2.0, "2": 1.0}
    assert report.accepted == (update == "sequential")          # where the other block may go on
    assert "a product was not finite in block 0" in report.problem
    assert report.new_objective == pytest.approx(float(p.loss.value(p.net(new, p.batch[0]),
                                                                    p.batch[1])), rel=1e-12)


def test_a_solution_that_is_not_finite_counts_as_such_whatever_its_reason(problem, run):
    def solver(A, b, previous, M):
        x = 0 * b + (math.inf if b.size > 20 else 1.0)
        return CGResult(x, [(1, x)], [0.0, -1.0], [1.0, 0.0], 1, Reason.CONVERGED)

    _, state, (report,) = run(layers(solver=solver), problem(), 1)
    assert report.problem == "update rejected: a product was not finite in block 0"
    assert (state.solution, state.lam) == (None, {"0": 0.2, "2": 0.2})


def test_a_model_that_is_not_finite_along_the_step_rejects_it(problem, run):
    class Overflowing(hf.GGN):
        def quadratic_form(self, v, block=None):
            return super().quadratic_form(v, block) * math.inf

    p = problem()
    same, state, (report,) = run(layers(curvature=Overflowing), p, 1)
    assert same is p.params
    assert report.problem == "update rejected: the quadratic model is not finite along the step"
    assert state.lam == {"0": 0.2, "2": 0.2}


# Where a step leads ---------------------------------------------------------------------------


@pytest.mark.parametrize("elsewhere", [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize("rho_on", ["gradient", "curvature"])
def test_a_step_to_where_the_objective_is_not_finite_is_rejected_and_says_so(
    rule, elsewhere, rho_on, problem, run
):
    p = problem()
    p.loss = At(elsewhere)
    opt = layers(step_rule=RULES[rule], rho_on=rho_on, sampling=hf.optim.Prefix(1.0))
    same, state, (report,) = run(opt, p, 1)
    assert same is p.params
    assert (report.accepted, report.step_length) == (False, 0.0)
    assert report.problem.startswith("update rejected: the objective is not finite after the")
    assert report.new_objective == report.objective
    assert state.lam == {"0": 0.2, "2": 0.2}
    assert state.move is None


def test_parameters_that_are_not_finite_are_no_place_to_be_whatever_the_objective(problem, run):
    """The network does not ask for the last parameter."""

    class Runaway(FixedStep):
        def __call__(self, candidates, here):
            step = super().__call__(candidates, here)
            step.direction[-1] = math.inf
            return dataclasses.replace(step, predicted=-1.0)

    p = problem()
    whole = hf.Params.from_dict({**{name: p.params[name] for name in p.params.names},
                                 "idle": np.ones(1)})
    one = SimpleNamespace(**{**vars(p), "params": whole})
    same, _, (report,) = run(layers(blocks="network", step_rule=Runaway()), one, 1)
    assert same is whole
    assert report.problem == "update rejected: a parameter is not finite after the step"


def test_a_projection_to_where_the_objective_is_not_finite_is_rejected(problem, run):
    p = problem()
    opt = layers(projection=lambda params: params.with_vector(params.vector * math.nan))
    same, state, (report,) = run(opt, p, 1)
    assert same is p.params
    assert report.problem == "update rejected: the objective is not finite after the step"
    assert math.isnan(report.rho)                         # however right the model was before it
    assert state.lam == {"0": 0.2, "2": 0.2}


# A step that changes nothing ------------------------------------------------------------------


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("rule", RULES)
def test_a_step_that_changes_no_bit_is_rejected_and_says_so(rule, dtype, problem, run, backend):
    p = problem(dtype=dtype)
    opt = layers(step_rule=RULES[rule], damping=Constant(1e25))
    same, _, (report,) = run(opt, p, 1)
    assert same is p.params
    assert not report.accepted
    assert report.problem == f"update rejected: {TOO_SMALL.format(np.dtype(dtype))}"


CONVERGING = {
    "house": hf.HessianFree(),
    "exact": hf.HessianFree(solver=hf.optim.Cholesky(), preconditioner=None),
    "chan_szeto1999": hf.papers.chan_szeto1999("network"),
}


@pytest.mark.parametrize("name", CONVERGING)
@pytest.mark.parametrize("seed", range(3))
def test_a_run_that_has_converged_ends_and_says_so(name, seed):
    rng = np.random.default_rng(seed)
    x, y = (rng.standard_normal((64, n)).astype(np.float32) for n in (4, 2))
    history = hf.fit(
        hf.Dense(4, 2), hf.SquaredError(), CONVERGING[name], (x, y), updates=500, seed=seed,
        progress=False, looks=0,
    )
    assert history.ended.startswith("gave up after 10 rejected updates in a row")
    assert history.ended.endswith(TOO_SMALL.format("float32"))
    assert history.last["lam"] < 1e12
    whole = np.concatenate([x, np.ones((64, 1))], axis=1)
    best = np.linalg.lstsq(whole, y, rcond=None)[1].sum() / 128
    assert history.last["train"] == pytest.approx(best, rel=1e-5)


# A solver that finds nothing ------------------------------------------------------------------


class Concave(hf.GGN):
    def product(self, v, block):
        return -10 * v


@pytest.mark.parametrize("blocks", ["network", "layer"])
def test_negative_curvature_at_once_is_named_with_its_blocks(blocks, problem, run):
    p = problem()
    same, state, (report,) = run(layers(blocks=blocks, curvature=Concave), p, 1)
    assert same is p.params
    assert report.problem == (
        "update rejected: p'Ap <= 0 or r'Mr <= 0 from the start (NEGATIVE_CURVATURE) in block "
        + ", ".join(hf.Partition.of(p.params, blocks))
    )
    assert set(state.lam.values()) == {0.2}


def test_blocks_with_different_reasons_are_all_told(problem, run):
    def solver(A, b, previous, M):
        reason = Reason.NEGATIVE_CURVATURE if b.size > 20 else Reason.MAX_ITERATIONS
        return CGResult(0 * b, [(0, 0 * b)], [0.0], [1.0], 0, reason)

    _, _, (report,) = run(layers(solver=solver), problem(), 1)
    assert report.problem == (
        "update rejected: p'Ap <= 0 or r'Mr <= 0 from the start (NEGATIVE_CURVATURE) in block 0; "
        "the solver found nothing (MAX_ITERATIONS) in block 2"
    )


def test_negative_curvature_in_mid_solve_is_no_problem(problem, run):
    """CG stops there, and what it has is a way down."""

    class Bent(hf.GGN):
        def product(self, v, block):
            return hf.asarray(np.where(np.arange(v.size) < 5, -0.2, 1.0)) * v

    opt = layers(curvature=Bent, damping=Constant(0.0), step_rule=BacktrackingArmijo())
    _, _, (report,) = run(opt, problem(), 1)
    assert {block.reason for block in report.blocks.values()} == {"NEGATIVE_CURVATURE"}
    assert min(block.iterations for block in report.blocks.values()) > 0
    assert (report.accepted, report.problem) == (True, "")


@pytest.mark.parametrize(
    ("factor", "told"),
    [(0.0, "(NEGATIVE_CURVATURE) in block 0, 2"), (math.nan, "not finite in block 0, 2")],
)
def test_a_preconditioner_that_gives_nothing_is_not_made_up_for_by_momentum(
    factor, told, problem, run
):
    def broken(C, g, shift, memory, rng):
        eye = {name: hf.asarray(np.eye(block.size)) for name, block in C.partition.items()}
        return {name: factor * matrix for name, matrix in eye.items()}, memory

    p = problem()
    opt = layers(solver=PreconditionerOnly(), step_rule=Subspace())
    params, state, (first,) = run(opt, p, 1)
    assert first.accepted
    same, after, reports = run(but(opt, preconditioner=broken), p, 3, params, state)
    assert same is params
    assert not any(report.accepted for report in reports)
    assert all(report.problem.endswith(told) for report in reports)
    assert after.move is state.move


def test_a_rule_that_stays_needs_its_own_reason(problem, run):
    """With a matrix that has no factors in one block, the refusal is the rule's own."""

    class Staying(FixedStep):
        def __call__(self, candidates, here):
            return dataclasses.replace(super().__call__(candidates, here), length=0.0, problem="no")

    def solver(A, b, previous, M):
        if b.size > 20:
            return CGResult(0 * b, [(0, 0 * b)], [0.0], [1.0], 0, Reason.NOT_POSITIVE_DEFINITE)
        return ConjugateGradients()(A, b, previous, M)

    p = problem()
    same, _, (report,) = run(layers(solver=solver, step_rule=Staying()), p, 1)
    assert same is p.params
    assert (report.accepted, report.problem) == (False, "update rejected: no")


def test_a_rise_is_told_beside_another_problem(problem, run):
    def solver(A, b, previous, M):
        if b.size > 20:
            return CGResult(0 * b, [(0, 0 * b)], [0.0], [1.0], 0, Reason.NOT_POSITIVE_DEFINITE)
        return ConjugateGradients(warm_start=0.0)(A, b, previous, M)

    _, _, (report,) = run(layers(solver=solver, step_rule=FixedStep(50.0)), problem(), 1)
    assert report.accepted
    assert report.problem == (
        "the matrix was not positive definite in block 0; the objective rose"
    )


# What a step rule says ------------------------------------------------------------------------


@pytest.mark.parametrize("rule", ["armijo", "sum, then mean"])
def test_steps_that_are_partly_out_of_this_world_are_told_as_such(rule):
    values = iter([math.nan, *[2.0] * 100])
    here = Outlook(np.ones(1), 1.0, lambda step: next(values), C=None, lam={"a": 0.1, "b": 0.1})
    step = RULES[rule]([lambda: -np.ones(1)], here)
    assert isinstance(step, Step)
    assert step.length == 0
    assert step.problem == "no step lowered the objective, and after some it is not finite"
