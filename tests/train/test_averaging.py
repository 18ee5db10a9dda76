"""Polyak averaging: what the mean is, and that looking at it changes nothing else."""

import math

import numpy as np
import pytest

import minihf as hf
from minihf.optim import Report
from minihf.train.averaging import RunningMean

ROUNDING = 1e-12      # float64: a weighted sum in another order


def points(n, size=3):
    rng = np.random.default_rng(n)
    return [hf.Params.from_dict({"w": hf.asarray(rng.standard_normal(size))}) for _ in range(n)]


@pytest.mark.parametrize("share", [0.05, 0.3, 1.0])
def test_the_weights_fade_over_a_share_of_the_updates(share, backend):
    n = 40
    told = points(n)
    mean = RunningMean(share)
    for params in told:
        mean.add(params)
    weights = np.zeros(n)
    for t in range(1, n + 1):
        newest = min(1.0, 1 / (share * t))
        weights[: t - 1] *= 1 - newest
        weights[t - 1] = newest
    assert weights.sum() == pytest.approx(1.0)
    expected = sum(w * hf.to_host(p.vector) for w, p in zip(weights, told, strict=True))
    np.testing.assert_allclose(hf.to_host(mean.params.vector), expected, rtol=0, atol=ROUNDING)
    lag = n - weights @ np.arange(1, n + 1)
    assert lag <= share * n


def test_a_share_of_one_is_the_plain_mean():
    told = points(7)
    mean = RunningMean(1.0)
    for params in told:
        mean.add(params)
    expected = np.mean([params.vector for params in told], axis=0)
    np.testing.assert_allclose(mean.params.vector, expected, rtol=0, atol=ROUNDING)


def test_what_it_is_told_stays_as_it_was():
    told = points(5)
    before = [params.vector.copy() for params in told]
    mean = RunningMean(0.9)
    for params in told:
        mean.add(params)
    assert all((params.vector == old).all() for params, old in zip(told, before, strict=True))


def test_looking_at_the_mean_changes_no_update(fit, task):
    plain, averaged = fit(updates=12, batch_size=4), fit(updates=12, batch_size=4, averaging=0.5)
    assert (plain.params.vector == averaged.params.vector).all()
    assert (plain.mean.vector == plain.params.vector).all()
    assert not (averaged.mean.vector == averaged.params.vector).all()
    x, y = task.data
    seen = float(task.loss.value(task.net(averaged.mean, x), y))
    assert averaged.last["train"] == pytest.approx(seen, rel=1e-6)
    assert averaged.records[0]["train"] == plain.records[0]["train"]


@pytest.mark.parametrize("averaging", [0.0, -0.1, 1.5, float("nan")])
def test_a_share_that_makes_no_sense_is_refused(averaging, fit):
    with pytest.raises(ValueError, match=r"^fit: averaging must be in \(0, 1\], or None, got"):
        fit(updates=1, averaging=averaging)


def test_the_mean_is_nearer_to_a_minimum_than_noisy_updates():
    rng = np.random.default_rng(0)
    x = rng.standard_normal((400, 3))
    y = x @ rng.standard_normal((3, 1)) + rng.standard_normal((400, 1))
    net = hf.Dense(3, 1)
    params = net.init(0, dtype=np.float64)

    def trained(averaging):
        history = hf.fit(
            net, hf.SquaredError(), hf.SGD(lr=0.3), (x, y), updates=400, batch_size=4, looks=0,
            params=params, averaging=averaging, progress=False,
        )  # fmt: skip
        return history.last["train"]

    best = hf.fit(
        net, hf.SquaredError(), hf.papers.martens2010(lam=1e-3), (x, y), updates=30, looks=0,
        params=params, progress=False,
    ).last["train"]  # fmt: skip
    assert trained(0.3) - best < 0.2 * (trained(None) - best)


def test_a_mean_that_is_fine_does_not_hide_parameters_that_are_not(fit):
    """The last update goes where the loss overflows; the mean of four does not."""

    class Leaps:
        def init(self, params, seed=0):
            return 0

        def step(self, net, loss, params, state, batch):
            there = 1.2e19 if state == 3 else float(state)
            report = Report(objective=1.0, accepted=True, cases=len(batch[0]), seconds=0.0)
            return params.with_vector(np.full_like(params.vector, there)), state + 1, report

    x = np.ones((4, 1), np.float32)
    history = fit(
        Leaps(), net=hf.Dense(1, 1), data=(x, x), updates=4, looks=0, averaging=1.0
    )
    assert math.isfinite(history.last["train"])
    assert (history.params.vector == 2.0).all()                 # those before the leap
