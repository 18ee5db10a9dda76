"""The second-order composition, against dense linear algebra and its own promises."""

import copy
import dataclasses
import json
import math
from dataclasses import dataclass, field
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import minihf as hf
from minihf import ops
from minihf.optim import (
    BacktrackingArmijo,
    ConjugateGradients,
    Constant,
    CycledChunks,
    FixedStep,
    Kronecker,
    LevenbergMarquardt,
    PreconditionerOnly,
    Prefix,
    SquaredGradients,
    Subspace,
)
from minihf.optim.batches import rows

ROUNDING = 1e-10      # relative, float64: products and sums in another order
ACROSS = 1e-7         # between backends, after three updates: CG makes more of a rounding error
SOLVED = 1e-8         # of CG run to a residual of 1e-12 at condition numbers up to 1e3
EXACTLY = ConjugateGradients(500, hf.RelativeResidual(1e-12), warm_start=0.0)

seeds = st.integers(0, 2**32 - 1)


def martens(**changes):
    return dataclasses.replace(hf.papers.martens2010(lam=1.0, l2=0.01), **changes)


def zhang(blocks="layer"):
    return hf.papers.zhang2017(blocks, alpha=0.5, lam=0.1)


def bare(blocks="layer", **changes):
    """Layers as blocks, a fixed step and damping, and nothing else but what is asked for."""
    return dataclasses.replace(hf.papers.zhang2017(blocks), **changes)


def kronecker(blocks="layer"):
    """With running averages and momentum, which are a part of the state."""
    return martens(blocks=blocks, preconditioner=Kronecker(refresh=2), step_rule=Subspace())


def bits(state):
    """Everything in an optimizer's state, comparable."""
    if isinstance(state, np.ndarray):
        return state.tobytes()
    if isinstance(state, dict):
        return {name: bits(value) for name, value in state.items()}
    return bits(vars(state)) if dataclasses.is_dataclass(state) else state


# Blocks ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("make", [martens, zhang])
def test_one_block_is_hessian_free_bit_for_bit(make, problem, run):
    p = problem(dtype=np.float32)
    classical = run(make(blocks="network"), p, 4)
    one_block = run(make(blocks={"all": "*"}), p, 4)
    assert classical[0].vector.tobytes() == one_block[0].vector.tobytes()
    one_block[1].lam["network"] = one_block[1].lam.pop("all")        # but for the block's name
    assert bits(classical[1]) == bits(one_block[1])
    assert [r.new_objective for r in classical[2]] == [r.new_objective for r in one_block[2]]


def test_on_two_networks_without_a_connection_two_blocks_are_one(problem, run):
    p = problem(sizes=(3, 4, 2))
    two = hf.Sequential(a=p.net, b=p.net)
    p.net = lambda params, x: ops.concatenate(
        [two.layers["a"](params.scope("a"), x), two.layers["b"](params.scope("b"), x)], axis=1
    )
    p.params = two.init(1, np.float64)
    x, y = p.batch
    p.batch = (x[:, :3], np.concatenate([y, -y], axis=1))
    opt = bare(solver=EXACTLY, damping=Constant(0.1), sampling=Prefix(0.5), l2=0.01)
    (whole, _, _), (blocks, _, (report,)) = (
        run(dataclasses.replace(opt, blocks=spec), p, 1)
        for spec in ("network", {"a": "a.*", "b": "b.*"})
    )
    assert list(report.blocks) == ["a", "b"]
    assert np.abs(whole.vector - p.params.vector).max() > 1e-3
    np.testing.assert_allclose(blocks.vector, whole.vector, rtol=0, atol=SOLVED)


@given(seed=seeds, B=st.integers(2, 6), iterations=st.integers(1, 5), truncated=st.booleans())
def test_G_is_below_B_times_its_blocks_and_so_alpha_below_2_over_B_descends(
    seed, B, iterations, truncated, problem, dense, run
):
    """With lam = 0 and block solves by CG from zero, exact or cut short: x'Gx <= B sum_b x'G_b x,
    and d_b'G_b d_b = -g_b'd_b of every CG iterate."""
    rng = np.random.default_rng(seed)
    p = problem(seed, N=6, sizes=(3, 4, 2))
    owner = rng.permutation(np.arange(p.params.size) % B)  # blocks of random coordinates
    partition = hf.Partition.from_indices(
        p.params, {str(b): np.flatnonzero(owner == b) for b in range(B)}
    )
    d = dense(p)
    blocks = np.where(owner[:, None] == owner, d.G, 0)
    lowest = np.linalg.eigvalsh(B * blocks - d.G)[0]
    assert lowest >= -ROUNDING * np.linalg.norm(d.G)

    alpha = 2 / B * rng.uniform(0.01, 0.99)
    solver = dataclasses.replace(EXACTLY, max_iters=iterations) if truncated else EXACTLY
    opt = bare(partition, solver=solver, step_rule=FixedStep(alpha), sampling=Prefix(1.0))
    new, _, (report,) = run(opt, p, 1)
    step = new.vector - p.params.vector
    change = d.g @ step + 0.5 * step @ d.G @ step
    assert change < 0
    assert report.predicted == pytest.approx(change, rel=1e-6)


# The systems ----------------------------------------------------------------------------------


@pytest.mark.parametrize("preconditioner", [None, SquaredGradients()])
@pytest.mark.parametrize("curvature", [hf.GGN, hf.Hessian])
@pytest.mark.parametrize("blocks", ["network", "layer", {"weights": "*.W", "biases": "*.b"}])
def test_each_block_solves_its_damped_part_of_the_dense_system(
    blocks, curvature, preconditioner, problem, dense, run
):
    lam, l2, p = 3.0, 0.2, problem()
    solver = dataclasses.replace(EXACTLY, warm_start=0.5)    # from zero at first, and it is kept
    opt = hf.HessianFree(
        blocks, curvature, solver, preconditioner, Constant(lam), FixedStep(0.5), Prefix(0.5), l2
    )
    new, state, (report,) = run(opt, p, 1)
    g = dense(p, l2=l2).g
    C = dense(p, rows(p.batch, slice(0, 6)), l2=l2, curvature=curvature).G
    for name, block in hf.Partition.of(p.params, blocks).items():
        A = C[block.index][:, block.index] + lam * np.eye(block.size)
        d = state.solution[block.index]
        np.testing.assert_allclose(A @ d, -g[block.index], rtol=0, atol=SOLVED)
        promised = 0.5 * d @ A @ d + g[block.index] @ d
        assert report.blocks[name].predicted == pytest.approx(promised, rel=ROUNDING)
        assert report.blocks[name].predicted < 0
        assert (report.blocks[name].lam, report.blocks[name].reason) == (lam, "CONVERGED")
    np.testing.assert_allclose(new.vector, p.params.vector + 0.5 * state.solution, rtol=ROUNDING)


def test_a_preconditioner_sees_the_whole_shift_and_works_on_its_block(problem, run):
    def exact(C, g, shift, memory, rng):
        return {
            name: np.linalg.inv(C.block(name).to_dense() + shift[name] * np.eye(block.size))
            for name, block in C.partition.items()
        }, memory

    stop = hf.RelativeResidual(ROUNDING)
    opt = martens(blocks="layer", solver=ConjugateGradients(9, stop), preconditioner=exact)
    report = run(opt, problem(), 1)[2][0]
    assert [block.iterations for block in report.blocks.values()] == [1, 1]


def test_every_block_goes_on_from_its_own_solution(problem, run):
    p = problem()
    opt = bare(damping=Constant(1.0), solver=ConjugateGradients(5, warm_start=0.5))
    params, state, (cold,) = run(opt, p, 1)
    seen = []

    def solver(A, b, previous, M):
        seen.append(previous)
        return opt.solver(A, b, previous, M)

    _, _, (warm,) = run(dataclasses.replace(opt, solver=solver), p, 1, params, state)
    np.testing.assert_array_equal(np.concatenate(seen), state.solution)
    for name, block in warm.blocks.items():
        assert block.products == block.iterations + 1
        assert cold.blocks[name].products == cold.blocks[name].iterations


# Candidates, step and trust -------------------------------------------------------------------


@dataclass
class Spy:
    """A step rule that remembers what it was shown."""

    rule: object = field(default_factory=BacktrackingArmijo)

    momentum: bool = True

    def __call__(self, candidates, here):
        self.candidates, self.here = [make() for make in candidates], here
        self.step = self.rule(candidates, here)
        return self.step


def test_candidates_are_the_blocks_iterates_joined_from_last_to_first(problem, run):
    p, spy, kept = problem(), Spy(), {}

    def solver(A, b, previous, M):
        stop = 12 if b.size > 20 else 6  # blocks that keep 5, 7, 9, 11, 12 and 5, 6
        result = hf.cg(A, b, max_iters=stop, stop=hf.RelativeResidual(0.0))
        kept[b.size] = [x for _, x in result.iterates]
        return result

    _, state, _ = run(martens(blocks="layer", solver=solver, step_rule=spy), p, 1)
    (first, last), few = hf.Partition.of(p.params, "layer").values(), kept[18]
    assert len(spy.candidates) == 5
    for back, candidate in enumerate(spy.candidates):
        np.testing.assert_array_equal(candidate[first.index], kept[25][-1 - back])
        np.testing.assert_array_equal(candidate[last.index], few[-1] if back == 0 else few[0])
    np.testing.assert_array_equal(state.solution, spy.candidates[0])  # not the chosen one


def test_the_step_rule_sees_the_objective_of_the_gradient_batch_with_l2(problem, dense, run):
    p, spy = problem(), Spy()
    run(martens(step_rule=spy), p, 1)
    here = dense(p, l2=0.01)
    there = dense(p, params=p.params.with_vector(p.params.vector + 1.0), l2=0.01)
    seen = spy.here
    assert seen.objective == pytest.approx(here.f, rel=ROUNDING)
    assert seen.objective_at(np.ones(p.params.size)) == pytest.approx(there.f, rel=ROUNDING)
    np.testing.assert_allclose(seen.g, here.g, rtol=0, atol=ROUNDING)
    assert (seen.lam, seen.l2, seen.previous) == ({"network": 1.0}, 0.01, None)


def test_a_step_rule_with_momentum_is_given_the_last_update_that_was_accepted(problem, run):
    p, spy = problem(), Spy()
    opt = martens(step_rule=spy)
    first, state, _ = run(opt, p, 1)
    np.testing.assert_allclose(state.move, first.vector - p.params.vector, rtol=0, atol=ROUNDING)
    nowhere = dataclasses.replace(opt, step_rule=BacktrackingArmijo(c=1e6, max_tries=1))
    _, same, _ = run(nowhere, p, 1, first, state)
    assert same.move is state.move
    second, after, _ = run(opt, p, 1, first, same)
    assert spy.here.previous is state.move
    np.testing.assert_allclose(after.move, second.vector - first.vector, rtol=0, atol=ROUNDING)
    assert run(martens(), p, 1)[1].move is None          # nobody would look at it


@pytest.mark.parametrize("blocks", ["network", "layer"])
def test_rho_is_actual_over_predicted_change_on_the_chunk_without_damping(
    blocks, problem, dense, run
):
    p, l2 = problem(), 0.01
    opt = martens(blocks=blocks, sampling=CycledChunks(2))
    params, state, _ = run(opt, p, 1)
    new, after, (report,) = run(opt, p, 1, params, state)
    chunk = rows(p.batch, slice(6, 12))
    step = (new.vector - params.vector) / report.step_length
    moved = params.with_vector(params.vector + step)
    before, there = dense(p, chunk, params, l2), dense(p, chunk, moved, l2)
    predicted = dense(p, params=params, l2=l2).g @ step + 0.5 * step @ before.G @ step
    assert report.predicted == pytest.approx(predicted, rel=1e-8)
    assert report.rho == pytest.approx((there.f - before.f) / predicted, rel=1e-6)
    assert {block.rho for block in report.blocks.values()} == {report.rho}
    assert dict.fromkeys(state.lam, report.lam) == state.lam
    assert after.lam == dict.fromkeys(state.lam, opt.damping.update(report.lam, report.rho))


@pytest.mark.parametrize("rho_on", ["curvature", "gradient"])
def test_per_block_each_is_damped_and_judged_by_its_own_direction(rho_on, problem, dense, run):
    p, l2, lam = problem(), 0.01, {"0": 0.1, "2": 2.0}
    rule = LevenbergMarquardt(1.0, per_block=True, low=0.75, high=0.8)
    opt = martens(blocks="layer", solver=EXACTLY, damping=rule, rho_on=rho_on)
    state = dataclasses.replace(opt.init(p.params), lam=lam)
    _, after, (report,) = run(opt, p, 1, p.params, state)
    chunk = rows(p.batch, slice(0, 3))
    on = p.batch if rho_on == "gradient" else chunk
    here, g = dense(p, chunk, l2=l2), dense(p, l2=l2).g
    for name, block in hf.Partition.of(p.params, "layer").items():
        d = np.zeros(p.params.size)
        A = here.G[block.index][:, block.index] + lam[name] * np.eye(block.size)
        d[block.index] = np.linalg.solve(A, -g[block.index])
        predicted = g @ d + 0.5 * d @ here.G @ d
        moved = p.params.with_vector(p.params.vector + d)
        change = dense(p, on, moved, l2).f - dense(p, on, l2=l2).f
        assert report.blocks[name].rho == pytest.approx(change / predicted, rel=1e-6)
        assert report.blocks[name].lam == lam[name]
        assert after.lam[name] == rule.update(lam[name], report.blocks[name].rho)
    assert report.lam == 2.0
    assert report.blocks["0"].rho != report.blocks["2"].rho


def kronecker_alone(l2):
    """What the preconditioner gives is no solution, and its quadratic no promise."""
    return dict(solver=PreconditionerOnly(), preconditioner=Kronecker(calibrate=False), l2=l2)


class Heavier(LevenbergMarquardt):
    weight = 0.5


@pytest.mark.parametrize(
    "changes",
    [
        kronecker_alone(0.2),
        {"solver": EXACTLY, "damping": Heavier(1.0, per_block=True), "l2": 0.2},
    ],
    ids=["preconditioner only", "weighted curvature"],
)
def test_per_block_the_promise_is_the_models_however_the_solution_was_found(
    changes, problem, dense, run
):
    p, l2 = problem(), 0.2
    damped = {"damping": LevenbergMarquardt(1.0, per_block=True), "rho_on": "gradient"}
    whole = {"blocks": "layer", "sampling": Prefix(1.0), "step_rule": FixedStep(1.0)}
    params, _, (report,) = run(martens(**whole | damped | changes), p, 1)
    found = params.vector - p.params.vector
    here = dense(p, l2=l2)
    for name, block in hf.Partition.of(p.params, "layer").items():
        d = np.zeros(p.params.size)
        d[block.index] = found[block.index]
        moved = p.params.with_vector(p.params.vector + d)
        predicted = here.g @ d + 0.5 * d @ here.G @ d
        change = dense(p, params=moved, l2=l2).f - here.f
        assert predicted < 0
        assert report.blocks[name].rho == pytest.approx(change / predicted, rel=1e-6)


@pytest.mark.parametrize("per_block", [True, False])
def test_a_model_met_by_an_objective_without_bounds_is_not_trusted(per_block, problem, run):
    """On the chunk only: -inf over a promised fall is no large ratio."""

    class Bottomless(hf.SquaredError):
        def value(self, z, y):
            value = super().value(z, y)
            return value if len(z) > 3 or (z == self.start).all() else value - math.inf

    p = problem()
    p.loss = Bottomless()
    p.loss.start = p.net(p.params, p.batch[0][:3])
    rule = LevenbergMarquardt(1.0, per_block=per_block)
    opt = martens(blocks="layer", damping=rule, sampling=CycledChunks(4))
    _, state, (report,) = run(opt, p, 1)
    assert report.accepted
    assert math.isnan(report.rho)
    assert state.lam == {"0": 1.5, "2": 1.5}


def test_rho_on_the_gradient_batch_takes_no_further_look(problem, dense, run):
    p, spy = problem(), Spy(Subspace())
    opt = martens(blocks="layer", step_rule=spy, rho_on="gradient", sampling=Prefix(0.5))
    _, _, (report,) = run(opt, p, 1)
    chunk = rows(p.batch, slice(0, 6))
    step = spy.step.direction
    predicted = dense(p, l2=0.01).g @ step + 0.5 * step @ dense(p, chunk, l2=0.01).G @ step
    moved = p.params.with_vector(p.params.vector + step)
    change = dense(p, params=moved, l2=0.01).f - dense(p, l2=0.01).f
    assert report.predicted == pytest.approx(predicted, rel=1e-8)
    assert report.rho == pytest.approx(change / predicted, rel=1e-6)


def test_a_batch_for_rho_that_there_is_not_is_refused():
    with pytest.raises(ValueError, match="rho_on must be 'curvature' or 'gradient', got 'test'"):
        martens(rho_on="test")


@pytest.mark.parametrize("c", [0.01, 0.9], ids=["whole step", "cut short by the line search"])
def test_the_report_and_the_parameters_agree(c, problem, dense, run):
    p, spy = problem(), Spy(BacktrackingArmijo(c))
    new, state, (report,) = run(martens(blocks="layer", step_rule=spy), p, 1)
    assert report.accepted
    assert (report.step_length < 1) == (c == 0.9)
    np.testing.assert_allclose(
        new.vector, p.params.vector + report.step_length * spy.step.direction, rtol=ROUNDING
    )
    assert report.problem == ""
    assert report.objective == pytest.approx(dense(p, l2=0.01).f, rel=ROUNDING)
    assert report.new_objective == pytest.approx(dense(p, params=new, l2=0.01).f, rel=ROUNDING)
    assert report.new_objective < report.objective
    assert (report.cases, report.lam, state.update) == (12, 1.0, 1)
    assert list(report.blocks) == ["0", "2"]
    assert report.products == sum(b.products for b in report.blocks.values()) > 0
    assert report.iterations == sum(b.iterations for b in report.blocks.values()) > 0
    assert 0 < sum(b.seconds for b in report.blocks.values()) < report.seconds
    assert json.loads(json.dumps(report.as_dict()))["blocks"]["2"]["lam"] == 1.0


# Curvature batches ----------------------------------------------------------------------------


def test_curvature_chunks_take_turns_and_may_be_given_instead(problem, run):
    p = problem(N=13)
    opt = martens(sampling=CycledChunks(3))
    sampled = run(opt, p, 5)
    params, state = p.params, opt.init(p.params)
    for update in range(5):
        chunk = CycledChunks(3).draw(p.batch, update, None)
        params, state, _ = opt.step(p.net, p.loss, params, state, p.batch, chunk)
    assert params.vector.tobytes() == sampled[0].vector.tobytes()
    assert bits(state) == bits(sampled[1])


def test_a_curvature_batch_larger_than_the_gradient_batch_is_refused(problem):
    p, large = problem(N=3), problem(N=4).batch
    opt = martens()
    with pytest.raises(ValueError, match="curvature batch has 4 cases, the gradient batch 3"):
        opt.step(p.net, p.loss, p.params, opt.init(p.params), p.batch, large)


def test_blocks_that_do_not_fit_are_refused_before_the_first_update(problem):
    with pytest.raises(ValueError, match="missing"):
        hf.HessianFree(blocks={"first": "0.*"}).init(problem().params)


# The same bits --------------------------------------------------------------------------------


@pytest.mark.parametrize("make", [martens, zhang, kronecker])
def test_the_same_seed_gives_the_same_bits(make, problem, run):
    (one, first, _), (two, second, _) = (run(make(), problem(dtype=np.float32), 5) for _ in "ab")
    assert one.vector.tobytes() == two.vector.tobytes()
    assert bits(first) == bits(second)


@pytest.mark.parametrize("make", [martens, zhang, kronecker])
def test_a_run_that_goes_on_from_a_copied_state_was_never_stopped(make, problem, run):
    p = problem(dtype=np.float32)
    through = run(make(), p, 5)
    params, state, _ = run(make(), p, 2)
    copied = copy.deepcopy((params.vector, vars(state)))
    run(make(), p, 1, params, state)  # and going on spoils neither
    params, state = params.with_vector(copied[0]), type(state)(**copied[1])
    resumed = run(make(), p, 3, params, state)
    assert resumed[0].vector.tobytes() == through[0].vector.tobytes()
    assert bits(resumed[1]) == bits(through[1])


@pytest.mark.parametrize("make", [martens, kronecker])
def test_the_state_is_plain_arrays_and_numbers(make, problem, run):
    state = run(make(), problem(), 1)[1]
    assert type(state.solution) is np.ndarray

    def without_arrays(value):
        if isinstance(value, dict):
            return {name: without_arrays(entry) for name, entry in value.items()}
        return "an array" if type(value) is np.ndarray else value

    plain = without_arrays(vars(state))
    assert json.loads(json.dumps(plain)) == plain


def test_a_preconditioner_is_given_what_it_returned_and_a_generator_that_goes_on(problem, run):
    seen = []

    def counting(C, g, shift, memory, rng):
        seen.append((memory, int(rng.integers(2**62))))
        return {}, {"count": 1 if memory is None else memory["count"] + 1}

    _, state, _ = run(martens(preconditioner=counting), problem(), 3)
    assert [memory for memory, _ in seen] == [None, {"count": 1}, {"count": 2}]
    assert state.memory == {"count": 3}
    rng = np.random.default_rng([0, 1])
    assert [number for _, number in seen] == [int(rng.integers(2**62)) for _ in range(3)]


@pytest.mark.parametrize("make", [martens, zhang, kronecker])
def test_every_backend_comes_to_the_same_numbers(make, problem, run, backend):
    here = hf.to_host(run(make(), problem(), 3)[0].vector)
    hf.use("numpy")
    there = run(make(), problem(), 3)[0].vector
    hf.use(backend)
    np.testing.assert_allclose(here, there, rtol=0, atol=ACROSS)


# When it goes wrong ---------------------------------------------------------------------------


def test_a_batch_with_nan_rejects_the_update_and_raises_lam(problem, run, backend):
    p = problem()
    opt = martens()
    params, state, _ = run(opt, p, 1)
    p.batch[0][0, 0] = math.nan
    same, after, (report,) = run(opt, p, 1, params, state)
    assert same is params
    assert not report.accepted
    assert report.problem == "update rejected: the objective or its gradient is not finite"
    assert (after.lam, after.update) == ({"network": 1.5 * state.lam["network"]}, 2)
    assert after.solution is state.solution
    assert (report.cases, report.step_length, report.lam) == (12, 0.0, state.lam["network"])


def test_a_product_that_is_not_finite_is_reported(problem):
    p = problem()
    x, y = p.batch
    opt = martens(blocks="layer")
    bad = (x[:3] * math.nan, y[:3])
    same, after, report = opt.step(
        p.net, p.loss, p.params, opt.init(p.params), p.batch, curvature_batch=bad
    )
    assert "a product was not finite in block 0, 2" in report.problem
    np.testing.assert_array_equal(same.vector, p.params.vector)
    assert after.lam == {"0": 1.5, "2": 1.5}


def test_a_step_rule_that_finds_nothing_leaves_the_parameters_and_raises_lam(problem, run):
    opt = martens(step_rule=BacktrackingArmijo(c=1e6, max_tries=3))
    p = problem()
    same, state, (report,) = run(opt, p, 1)
    assert same is p.params
    assert (report.accepted, report.step_length, state.lam) == (False, 0.0, {"network": 1.5})
    assert report.new_objective == report.objective
    assert report.problem == "update rejected: no step lowered the objective"


def test_a_fixed_step_out_of_this_world_is_rejected(problem, run):
    p = problem()
    same, _, (report,) = run(bare(step_rule=FixedStep(1e200)), p, 1)
    assert same is p.params
    assert not report.accepted


def test_a_fixed_step_that_goes_too_far_says_so_and_raises_lam(problem, run):
    """So far that the model itself promises a rise: there is no rho, however well it was met."""
    opt = bare(step_rule=FixedStep(50.0), damping=LevenbergMarquardt(1.0))
    _, state, (report,) = run(opt, problem(), 1)
    assert report.accepted
    assert report.predicted > 0
    assert math.isnan(report.rho)
    assert (report.lam, state.lam) == (1.0, {"0": 1.5, "2": 1.5})
    assert report.problem == "the objective rose"
    assert report.new_objective > report.objective


def test_with_the_exact_hessian_negative_curvature_is_a_reason_and_no_accident(problem, dense, run):
    p = problem(sizes=(4, 6, 6, 3))
    p.params.vector *= 3
    assert np.linalg.eigvalsh(dense(p, curvature=hf.Hessian).G)[0] < -0.01
    opt = bare(
        "network", curvature=hf.Hessian, solver=EXACTLY, step_rule=BacktrackingArmijo()
    )
    reports = run(opt, p, 3)[2]
    assert "NEGATIVE_CURVATURE" in {r.blocks["network"].reason for r in reports}
    assert all(r.new_objective <= r.objective for r in reports)


def test_lam_is_lowered_where_the_model_is_right(run):
    """One linear layer under a squared error: the model is the objective."""
    rng = np.random.default_rng(0)
    net = hf.Dense(3, 2)
    x, y = rng.standard_normal((9, 3)), rng.standard_normal((9, 2))
    opt = bare("network", damping=LevenbergMarquardt(3.0), sampling=Prefix(1.0), l2=0.1)
    params, state = net.init(0, np.float64), None
    state = opt.init(params)
    _, state, report = opt.step(net, hf.SquaredError(), params, state, (x, y))
    assert report.rho == pytest.approx(1, rel=ROUNDING)
    assert state.lam == {"network": 2.0}


def test_an_update_that_would_not_move_is_no_accepted_one(problem, run):
    p = problem()
    perfect = (p.batch[0], p.net(p.params, p.batch[0]))                  # zero loss, zero gradient
    same, _, (report,) = run(bare(), SimpleNamespace(**{**vars(p), "batch": perfect}), 1)
    assert same is p.params
    assert not report.accepted
    assert report.problem == "update rejected: the gradient is zero in block 0, 2"
