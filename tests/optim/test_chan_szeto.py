"""Block-diagonal Levenberg-Marquardt: what it must be where one knows what it must be."""

import dataclasses
import math
from functools import partial

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import minihf as hf
from minihf.curvature.partitions import arbitrary, correlated, k_units
from minihf.optim import ByAcceptance, Cholesky, Constant, Prefix, SumThenMean
from minihf.optim.steps import Outlook

ROUNDING = 1e-8       # relative, float64: normal equations at condition numbers up to 1e6
CONVERGED = 1e-9      # of a sweep that goes on until it has found the solution

seeds = st.integers(0, 2**32 - 1)
ORDERS = ("simultaneous", "sequential")


def residuals(p, params):
    """Return e and J of E = 1/2 |e|^2 / N, by vjps of single outputs."""
    x, y = p.batch
    lin = hf.linearize(p.net, params, x)
    e = (lin.output - y).reshape(-1)
    J = np.stack([lin.vjp(u.reshape(lin.output.shape)) for u in np.eye(e.size)])
    return e, J


def classical(p, mu, updates):
    """Levenberg-Marquardt as the textbooks have it, on sums of squares: mu up and down by 10."""
    params, path = p.params, []
    for _ in range(updates):
        e, J = residuals(p, params)
        step = np.linalg.solve(J.T @ J + mu * np.eye(params.size), -J.T @ e)
        moved = params.with_vector(params.vector + step)
        falls = np.sum(residuals(p, moved)[0] ** 2) < np.sum(e**2)
        params, mu = (moved, mu / 10) if falls else (params, mu * 10)
        path.append((params.vector, mu))
    return path


def test_it_is_what_its_docstring_says():
    opt = hf.papers.chan_szeto1999()
    assert (opt.blocks, opt.update, opt.solver) == ("layer", "sequential", Cholesky(2000))
    rule = opt.damping
    assert (rule.initial, rule.boost, rule.drop) == (1.0, 10, 0.1)
    assert rule.per_block
    assert not hf.papers.chan_szeto1999(update="simultaneous").damping.per_block
    assert opt.step_rule == SumThenMean()
    assert (opt.sampling, opt.rho_on, opt.l2) == (Prefix(1.0), "gradient", 0.0)
    assert (opt.curvature, opt.preconditioner) == (hf.GGN, None)


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("update", ORDERS)
def test_one_block_is_classical_levenberg_marquardt(update, seed, problem, run):
    """Through accepted and rejected steps. The mean over N cases makes lam of mu: mu / N."""
    p = problem(seed, N=20, sizes=(2, 4, 1))
    p.params = p.params.with_vector(3 * p.params.vector)       # far out, where steps fail
    N, updates = 20, 12
    params, state, falls = p.params, None, []
    for vector, mu in classical(p, 1e-4 * N, updates):
        opt = hf.papers.chan_szeto1999("network", lam=1e-4, update=update)
        params, state, (report,) = run(opt, p, 1, params, state)
        np.testing.assert_allclose(params.vector, vector, rtol=0, atol=ROUNDING)
        assert state.lam["network"] == pytest.approx(mu / N)
        falls.append(report.accepted)
    assert True in falls


def test_the_classical_path_has_rejected_steps_somewhere(problem):
    """Else the test above would say little."""
    mus = []
    for seed in range(3):
        p = problem(seed, N=20, sizes=(2, 4, 1))
        p.params = p.params.with_vector(3 * p.params.vector)
        mus.append([mu for _, mu in classical(p, 1e-4 * 20, 12)])
    assert any(np.diff(path).max() > 0 for path in mus)


def test_blocks_of_one_weight_are_the_diagonal(problem, run, dense):
    p = problem(sizes=(2, 3, 1))
    opt = hf.papers.chan_szeto1999(
        partial(arbitrary, count=p.params.size), lam=0.1, update="simultaneous"
    )
    params, _, (report,) = run(opt, p, 1)
    d = dense(p)
    step = -d.g / (np.diag(d.G) + 0.1)
    moved = params.vector - p.params.vector
    factor = moved[0] / step[0]
    np.testing.assert_allclose(moved, factor * step, rtol=ROUNDING)
    assert min(abs(factor - 1), abs(factor - 1 / p.params.size)) <= ROUNDING
    assert report.accepted


@given(seed=seeds, count=st.integers(2, 5))
def test_on_a_quadratic_the_asynchronous_update_is_block_gauss_seidel(seed, count, run, problem):
    """A linear network; l2 in the place of mu, which then does not follow the parameters about:
    the sweeps end in the solution of (J'J / N + l2) d = -J'e / N, Levenberg and Marquardt's."""
    rng = np.random.default_rng(seed)
    p = problem(seed, N=8)
    p.net = hf.Dense(3, 2)
    p.params = p.net.init(0, np.float64).with_vector(np.zeros(8))
    p.batch = (rng.standard_normal((8, 3)), rng.standard_normal((8, 2)))
    e, J = residuals(p, p.params)
    A, b = J.T @ J / 8 + 0.3 * np.eye(8), -J.T @ e / 8
    partition = arbitrary(p.params, count, seed)
    opt = dataclasses.replace(
        hf.papers.chan_szeto1999(partition), damping=Constant(0.0), l2=0.3
    )
    params, state, _ = run(opt, p, 1)
    d = np.zeros(8)
    for block in partition.values():                           # a sweep by hand
        at = np.arange(8)[block.index]
        d[at] += np.linalg.solve(A[np.ix_(at, at)], (b - A @ d)[at])
    np.testing.assert_allclose(params.vector, d, rtol=0, atol=ROUNDING)
    for _ in range(300):
        params, state, (report,) = run(opt, p, 1, params, state)
        if not report.accepted:
            break
    np.testing.assert_allclose(params.vector, np.linalg.solve(A, b), rtol=0, atol=1e-6)


@pytest.mark.parametrize("update", ORDERS)
@pytest.mark.parametrize("net", [hf.RNN(2, 3), hf.LSTM(2, 2)], ids=["rnn", "lstm"])
@pytest.mark.parametrize(
    "blocks",
    ["network", "layer", partial(k_units, k=1), partial(arbitrary, count=4)],
    ids=["network", "layer", "units", "arbitrary"],
)
def test_the_error_never_rises_and_falls_in_the_end(blocks, net, update):
    rng = np.random.default_rng(0)
    net = hf.Sequential(net, hf.LastStep(), hf.Dense(net.hidden_size, 2))
    batch = rng.standard_normal((20, 5, 2)), rng.integers(0, 2, 20)
    opt = hf.papers.chan_szeto1999(blocks, lam=0.1, update=update)
    params = net.init(0, np.float64)
    state, values = opt.init(params), []
    for _ in range(12):
        params, state, report = opt.step(net, hf.SoftmaxCrossEntropy(), params, state, batch)
        values += [report.objective, report.new_objective]
        assert report.accepted == (report.new_objective < report.objective)
    assert np.diff(values).max() <= 1e-12
    assert values[-1] < 0.7 * values[0]


def test_correlated_blocks_of_the_curvature_train_too(problem, run):
    p = problem()
    G = hf.GGN(hf.linearize(p.net, p.params, p.batch[0]), p.loss, p.batch[1])
    _, _, reports = run(hf.papers.chan_szeto1999(correlated(G, p.params, 5), lam=0.1), p, 5)
    assert reports[-1].new_objective < 0.5 * reports[0].objective


def test_it_gives_the_same_numbers_on_every_backend(backend):
    rng = np.random.default_rng(0)
    net = hf.Sequential(hf.RNN(2, 3), hf.LastStep(), hf.Dense(3, 2))
    x, y = rng.standard_normal((8, 4, 2)), rng.integers(0, 2, 8)

    def train(asarray):
        params = net.init(0, np.float64)
        opt = hf.papers.chan_szeto1999(partial(k_units, k=2), lam=0.1)
        state, batch = opt.init(params), (asarray(x), asarray(y))
        for _ in range(3):
            params, state, _ = opt.step(net, hf.SoftmaxCrossEntropy(), params, state, batch)
        return hf.to_host(params.vector)

    here = train(hf.asarray)
    hf.use("numpy")
    np.testing.assert_allclose(here, train(np.asarray), rtol=0, atol=ROUNDING)
    hf.use(backend)


# The sum, then the mean -----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("objective", "moved", "looks"),
    [
        (lambda step: float(step[0]), None, 2),        # rises along both
        (lambda step: 0.0, None, 2),                   # and not to fall is not enough
        (lambda step: -float(step[0]), 1.0, 1),
        (lambda step: (float(step[0]) - 0.4) ** 2 - 0.17, 0.25, 2),
        (lambda step: math.nan, None, 2),
        (lambda step: -math.inf, None, 2),
    ],
)
def test_the_sum_is_tried_first_and_then_the_mean(objective, moved, looks):
    asked = []

    def objective_at(step):
        asked.append(step)
        return objective(step)

    here = Outlook(np.ones(1), 0.0, objective_at, C=None, lam=dict.fromkeys("abcd", 0.1))
    step = SumThenMean()([lambda: np.ones(1)], here)
    assert len(asked) == looks
    if moved is None:
        assert (step.length, step.objective) == (0.0, 0.0)
    else:
        assert (step.length, step.direction[0]) == (1.0, moved)
        assert step.objective == step.whole == objective(step.direction)


@given(seed=seeds, B=st.integers(2, 5))
def test_the_mean_of_exact_block_steps_never_raises_the_quadratic(seed, B):
    """x'Gx <= B sum_b x_b'G_b x_b, with and without damping."""
    rng = np.random.default_rng(seed)
    root = rng.standard_normal((12, 4))
    G, g = root @ root.T, root @ rng.standard_normal(4)
    lam = float(rng.choice([1e-3, 1.0]))
    owner = rng.permutation(np.arange(12) % B)
    blocks = np.where(owner[:, None] == owner, G, 0) + lam * np.eye(12)
    d = -np.linalg.solve(blocks, g) / B
    assert g @ d + 0.5 * d @ G @ d <= 0


def test_the_damping_of_a_rejected_step_goes_up_tenfold_and_is_bounded():
    rule = hf.papers.chan_szeto1999(lam=2.0).damping
    assert isinstance(rule, ByAcceptance)
    assert [rule.update(2.0, math.nan, accepted) for accepted in (False, True)] == [20, 0.2]
    assert rule.update(1e10, math.nan, False) == 1e10
    assert rule.update(1e-10, 1.0, True) == 1e-10


@pytest.mark.parametrize("update", ORDERS)
@pytest.mark.parametrize("blocks", ["layer", partial(arbitrary, count=8)], ids=["layer", "many"])
def test_mu_falls_with_every_step_that_is_made_and_rises_with_no_step(blocks, update, problem, run):
    """Also where the sum of the blocks' steps is made against what the model promised."""
    against = 0
    for seed in range(6):
        p = problem(seed, N=20, sizes=(3, 6, 2))
        p.params = p.params.with_vector(2 * p.params.vector)
        opt = hf.papers.chan_szeto1999(blocks, lam=1e-4, update=update)
        params, state = p.params, opt.init(p.params)
        for _ in range(5):                                      # mu keeps off its bounds
            before = dict(state.lam)
            params, state, (report,) = run(opt, p, 1, params, state)
            if update == "simultaneous":
                factor = 0.1 if report.new_objective < report.objective else 10
                expected = {name: factor * lam for name, lam in before.items()}
                assert state.lam == pytest.approx(expected)
                against += report.accepted and report.predicted >= 0
            else:
                factors = {round(state.lam[name] / before[name], 6) for name in before}
                assert factors <= {0.1, 10.0}
                assert report.accepted == (0.1 in factors)
    if update == "simultaneous" and blocks != "layer":
        assert against
