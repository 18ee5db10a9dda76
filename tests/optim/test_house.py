"""The house method, `hf.HessianFree()`: what it is made of, and that it is calm without tuning."""

import dataclasses
import math
import pickle

import numpy as np
import pytest

import minihf as hf
from minihf.optim import (
    ConjugateGradients,
    Kronecker,
    LevenbergMarquardt,
    PreconditionerOnly,
    Prefix,
    Subspace,
)
from minihf.optim.batches import rows
from minihf.train.feed import Batches

TASKS = {
    "autoencoder": (
        hf.Sequential(hf.Dense(64, 24), hf.Tanh(), hf.Dense(24, 6), hf.Dense(6, 64)),
        hf.SquaredError(),
    ),
    "classifier": (
        hf.Sequential(hf.Dense(64, 24), hf.ReLU(), hf.Dropout(0.2, 24), hf.Dense(24, 10)),
        hf.SoftmaxCrossEntropy(),
    ),
}
VARIANTS = {
    "as it is": {},
    "more CG": {"solver": ConjugateGradients(3, warm_start=0.0)},
    "calibrated": {"preconditioner": Kronecker(calibrate=True)},
    "damped per block": {"damping": LevenbergMarquardt(0.1, minimum=1e-4, per_block=True)},
    "lengths one by one": {"step_rule": Subspace(one_by_one=True)},
}


def data_of(task):
    digits = hf.data.load("digits")
    return digits.x_train, digits.x_train if task == "autoencoder" else digits.y_train


def train(task, updates, opt=None, seed=0, batch_size=200):
    net, loss = TASKS[task]
    opt = opt or hf.HessianFree()
    params = net.init(seed)
    state, reports = opt.init(params, seed), []
    batches = Batches(data_of(task), batch_size, np.random.default_rng(seed))
    for _ in range(updates):
        params, state, report = opt.step(net, loss, params, state, next(batches))
        reports.append(report)
    return params, state, reports


def test_its_parts():
    opt = hf.HessianFree()
    assert opt.blocks == "layer"
    assert opt.curvature is hf.GGN
    assert opt.solver == PreconditionerOnly()
    assert opt.preconditioner == Kronecker(decay=0.9, refresh=3, calibrate=None)
    assert opt.damping == LevenbergMarquardt(initial=0.1, minimum=1e-4)
    assert opt.step_rule == Subspace(one_by_one=False, momentum=True)
    assert opt.sampling == Prefix(0.25)
    assert (opt.l2, opt.rho_on) == (1e-5, "gradient")


@pytest.mark.parametrize("variant", VARIANTS)
@pytest.mark.parametrize("task", TASKS)
def test_an_accepted_update_never_raises_the_objective_on_its_batch(task, variant):
    opt = dataclasses.replace(hf.HessianFree(), **VARIANTS[variant])
    _, _, reports = train(task, 30, opt)
    assert all(r.new_objective <= r.objective for r in reports if r.accepted)
    assert all(r.new_objective == r.objective for r in reports if not r.accepted)
    assert sum(r.accepted for r in reports) >= 25


@pytest.mark.parametrize("task", TASKS)
def test_it_learns_in_forty_updates(task):
    net, loss = TASKS[task]
    (x, y), before = data_of(task), net.init(0)
    after, _, _ = train(task, 40)
    assert float(loss.value(net(after, x), y)) < 0.25 * float(loss.value(net(before, x), y))


@pytest.mark.slow
@pytest.mark.parametrize("task", TASKS)
def test_from_no_seed_it_diverges(task):
    net, loss = TASKS[task]
    x, y = data_of(task)
    for seed in range(20):
        params, _, _ = train(task, 25, seed=seed, batch_size=100)
        start = float(loss.value(net(net.init(seed), x), y))
        assert float(loss.value(net(params, x), y)) < 0.5 * start


def test_a_run_that_goes_on_from_a_file_was_never_stopped():
    net, loss = TASKS["classifier"]
    whole, final, _ = train("classifier", 9)
    params, state, _ = train("classifier", 4)
    opt, state = hf.HessianFree(), pickle.loads(pickle.dumps(state))
    batches = Batches(data_of("classifier"), 200, np.random.default_rng(0))
    for _ in range(4):
        next(batches)
    for _ in range(5):
        params, state, _ = opt.step(net, loss, params, state, next(batches))
    assert params.vector.tobytes() == whole.vector.tobytes()
    assert state.memory["A"]["0.W"].tobytes() == final.memory["A"]["0.W"].tobytes()
    assert (state.lam, state.rng) == (final.lam, final.rng)


def test_curvature_that_is_not_finite_rejects_the_update_and_raises_lam():
    net, loss = TASKS["classifier"]
    params, state, _ = train("classifier", 3)
    x, y = rows(data_of("classifier"), slice(0, 50))
    same, after, report = hf.HessianFree().step(
        net, loss, params, state, (x, y), curvature_batch=(x * math.nan, y)
    )
    assert same is params
    assert not report.accepted
    assert "not finite" in report.problem
    assert after.lam == {name: 1.5 * lam for name, lam in state.lam.items()}
    assert after.memory is state.memory
    healed, _, report = hf.HessianFree().step(net, loss, same, after, (x, y))
    assert report.accepted
    assert np.isfinite(healed.vector).all()
