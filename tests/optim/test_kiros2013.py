"""Stochastic Hessian-free optimization: its constants, one function an update, HF as a limit."""

import copy
import dataclasses
from itertools import pairwise
from types import SimpleNamespace

import numpy as np
import pytest

import minihf as hf
from minihf.optim import (
    BacktrackingArmijo,
    ConjugateGradients,
    Geometric,
    Independent,
    LevenbergMarquardt,
    MaxNorm,
    Prefix,
    Scaled,
    SquaredGradients,
)
from minihf.solvers import every_iterate, martens_grid
from minihf.testing import check_optimizer

on_every_backend = pytest.mark.usefixtures("backend")

EPOCH = 3             # updates


def noisy(N=40, dtype=np.float32, dropout=0.5, corruption=0.2):
    """A ReLU classifier with noise at the input and before the last layer."""
    rng = np.random.default_rng(0)
    x, y = rng.random((N, 6)), rng.integers(0, 3, N)
    rule = hf.Glorot(count_bias=True, bias_value=0.1)
    net = hf.Sequential(
        hf.Dropout(corruption, 6),
        hf.Dense(6, 12, init_with=rule), hf.ReLU(),
        hf.Dense(12, 12, init_with=rule), hf.ReLU(), hf.Dropout(dropout, 12),
        hf.Dense(12, 3),
    )  # fmt: skip
    return SimpleNamespace(
        net=net,
        loss=hf.SoftmaxCrossEntropy(),
        params=net.init(0, dtype),
        batch=(hf.asarray(x, dtype), hf.asarray(y)),
    )


def bits(vector):
    return hf.to_host(vector).tobytes()


def test_it_is_what_the_authors_code_says():
    opt = hf.papers.kiros2013(updates_per_epoch=60)
    assert (opt.blocks, opt.curvature, opt.l2, opt.rho_on) == ("network", hf.GGN, 2e-7, "gradient")
    assert opt.preconditioner == SquaredGradients(exponent=0.75)
    assert opt.damping == LevenbergMarquardt(0.1, 1 / 0.99, 0.99, 1 / 4, 3 / 4)
    assert opt.sampling == Prefix(0.1)
    assert opt.projection == MaxNorm()
    assert (opt.solver.max_iters, opt.solver.record) == (5, every_iterate)
    assert opt.solver.warm_start == Geometric(0.5, 1.01, 0.99, every=60)
    step = BacktrackingArmijo(c=0.01, factor=0.8, max_tries=60)
    assert opt.step_rule == Scaled(step, Geometric(1.0, 0.998, every=60))


# Dropout --------------------------------------------------------------------------------------


@dataclasses.dataclass(frozen=True)
class Twice(ConjugateGradients):
    """CG that asks for the same product at its beginning, in between, and at its end."""

    seen: list = dataclasses.field(default_factory=list)

    def __call__(self, A, b, previous, M):
        products = [A @ b]

        def between(v):
            products.append(A @ b)
            return A @ v

        result = super().__call__(between, b, previous, M)
        self.seen.append([bits(product) for product in (*products, A @ b)])
        return result


@on_every_backend
@pytest.mark.parametrize("sampling", [Prefix(0.25), Independent(0.25)])
def test_the_products_of_one_solve_are_with_one_matrix_under_dropout(sampling, run):
    p, solver = noisy(), Twice(5, warm_start=0.5)
    opt = dataclasses.replace(hf.papers.kiros2013(EPOCH), solver=solver, sampling=sampling)
    run(opt, p, 2)
    assert [len(products) for products in solver.seen] == [7, 8]
    for products in solver.seen:
        assert len(set(products)) == 1
    assert solver.seen[0][0] != solver.seen[1][0]


@on_every_backend
@pytest.mark.parametrize("sampling", [Prefix(0.25), Independent(0.25)])
def test_gradient_curvature_and_objectives_of_an_update_see_the_same_masks(sampling, run):
    """Beside the seen masks, each case keeps its own: the first feature tells which case it is."""
    p, calls = noisy(dropout=0.5, corruption=0.0), []
    x = hf.to_host(p.batch[0]).copy()
    x[:, 0] = np.arange(len(x)) / 64                        # exact in single precision
    p.batch = (hf.asarray(x), p.batch[1])

    def watched(params, x):
        masks = params.scope("5").noise("mask")
        cases = hf.to_host(x)[:, 0] * 64
        calls.append((cases.astype(int), hf.to_host(masks).copy()))
        return p.net(params, x)

    watched.draw = p.net.draw
    seen = SimpleNamespace(**vars(p) | {"net": watched})
    opt = dataclasses.replace(hf.papers.kiros2013(EPOCH), sampling=sampling)
    state, params, rounds = opt.init(p.params), p.params, []
    for _ in range(2 * EPOCH):
        calls.clear()
        params, state, (report,) = run(opt, seen, 1, params, state)
        sizes = sorted(len(cases) for cases, _ in calls)
        assert sizes[0] == 10                                # the curvature's slice
        assert set(sizes[1:]) == {40}                        # gradient, line search, the way's end
        masks = calls[0][1]
        for cases, mask in calls:
            np.testing.assert_array_equal(mask, masks[cases])
        rounds.append(masks)
        assert report.accepted
    assert all((one != other).any() for one, other in pairwise(rounds))


# Its cost, and its gentleness -----------------------------------------------------------------


def test_a_solve_has_at_most_five_iterations_of_a_product_each_and_one_for_its_warm_start(run):
    _, _, reports = run(hf.papers.kiros2013(EPOCH), noisy(), 4)
    blocks = [report.blocks["network"] for report in reports]
    assert [(block.iterations, block.products) for block in blocks] == [(5, 5)] + 3 * [(5, 6)]


def test_warm_start_and_step_change_once_an_epoch(run):
    p, opt = noisy(), hf.papers.kiros2013(EPOCH, warm_start_growth=1.1, step_decay=0.5)
    solver, starts = opt.solver, []

    class Watched(ConjugateGradients):
        def __call__(self, A, b, previous, M):
            starts.append(self.warm_start)
            return super().__call__(A, b, previous, M)

    opt = dataclasses.replace(opt, solver=Watched(**vars(solver)))
    _, _, reports = run(opt, p, 3 * EPOCH)
    assert starts == pytest.approx(np.repeat([0.5, 0.55, 0.605], EPOCH))
    rates = [report.step_length * 2 ** (i // EPOCH) for i, report in enumerate(reports)]
    armijo = 0.8 ** np.arange(61)
    assert all(np.isclose(rate, armijo, rtol=1e-6).any() for rate in rates)


@on_every_backend
def test_weights_never_leave_the_ball(run):
    p = noisy()
    p.params.vector *= 10
    new, _, _ = run(hf.papers.kiros2013(EPOCH), p, 1)
    for name, most in (("1.W", 2), ("3.W", 3), ("6.W", 3)):              # round(sqrt(fan-in))
        W = hf.to_host(new[name])
        assert (W * W).sum(axis=0).max() <= most * (1 + 1e-5)


# Its limit ------------------------------------------------------------------------------------


@on_every_backend
@pytest.mark.parametrize("make", ["noisy", "plain"])
def test_with_all_cases_for_the_curvature_it_is_hessian_free_bit_for_bit(make, problem, run):
    p = noisy() if make == "noisy" else problem(dtype=np.float32)
    limit = hf.papers.kiros2013(
        lam=1.0, max_iters=250, curvature_fraction=1.0, warm_start=0.95, warm_start_growth=1.0,
        step_decay=1.0, drop=2 / 3, l2=2e-5,
    )  # fmt: skip
    limit = dataclasses.replace(
        limit, projection=None, solver=dataclasses.replace(limit.solver, record=martens_grid)
    )
    classical = hf.papers.martens2010(lam=1.0, curvature_chunks=1)
    (one, ours, reports), (other, theirs, same) = (run(opt, p, 6) for opt in (limit, classical))
    assert bits(one.vector) == bits(other.vector)
    assert bits(ours.solution) == bits(theirs.solution)
    assert ours.lam == theirs.lam != {"network": 1.0}
    for name in ("objective", "new_objective", "products", "step_length", "predicted"):
        assert [getattr(r, name) for r in reports] == [getattr(r, name) for r in same]


# As an optimizer ------------------------------------------------------------------------------


def test_it_keeps_the_protocol():
    check_optimizer(hf.papers.kiros2013(EPOCH), cases=2)


@pytest.mark.parametrize("sampling", [Prefix(0.25), Independent(0.25)])
def test_a_run_that_goes_on_from_a_copied_state_was_never_stopped(sampling, run):
    p, opt = noisy(), dataclasses.replace(hf.papers.kiros2013(EPOCH), sampling=sampling)
    through, last, _ = run(opt, p, 8)
    params, state, _ = run(opt, p, 4)
    resumed, again, _ = run(opt, p, 4, params, copy.deepcopy(state))
    assert bits(resumed.vector) == bits(through.vector)
    assert (again.update, again.rng, again.lam) == (last.update, last.rng, last.lam)


def test_it_learns_digits_with_dropout():
    net = hf.Sequential(
        hf.Dropout(0.2, 64), hf.Dense(64, 50), hf.ReLU(), hf.Dropout(0.5, 50), hf.Dense(50, 10)
    )
    history = hf.fit(
        net, hf.SoftmaxCrossEntropy(), hf.papers.kiros2013(2), hf.data.load("digits"),
        updates=30, batch_size=479, looks=0, progress=False,
        metric=lambda z, y: (z.argmax(axis=-1) != y).mean(),
    )  # fmt: skip
    assert history.records[0]["test"] > 0.7
    assert history.last["test"] < 0.25
