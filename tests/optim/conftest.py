"""Small problems to optimise, and what dense linear algebra says about them."""

from itertools import pairwise
from types import SimpleNamespace

import numpy as np
import pytest

import minihf as hf


def make_problem(seed=0, N=12, sizes=(4, 5, 3), loss=None, dtype=np.float64):
    """Return a tanh network, a loss, parameters with biases off zero, and a batch."""
    loss = loss or hf.SquaredError()
    rng = np.random.default_rng(seed)
    layers = [layer for D, M in pairwise(sizes) for layer in (hf.Dense(D, M), hf.Tanh())]
    net = hf.Sequential(*layers[:-1])
    params = net.init(seed, dtype)
    params.vector[...] = params.vector + hf.asarray(0.1 * rng.standard_normal(params.size), dtype)
    x = rng.standard_normal((N, sizes[0]))
    if isinstance(loss, hf.SoftmaxCrossEntropy):
        y = hf.asarray(rng.integers(0, sizes[-1], N))
    else:
        y = hf.asarray(rng.random((N, sizes[-1])), dtype=dtype)
    return SimpleNamespace(
        net=net, loss=loss, params=params, batch=(hf.asarray(x, dtype=dtype), y)
    )


@pytest.fixture(scope="session")
def problem():
    """Give the function that makes a problem."""
    return make_problem


@pytest.fixture(scope="session")
def dense():
    """Give the function that writes objective, gradient and Gauss-Newton matrix on the host."""

    def values(problem, batch=None, params=None, l2=0.0, curvature=hf.GGN):
        params = params or problem.params
        x, y = batch or problem.batch
        lin = hf.linearize(problem.net, params, x)
        theta = hf.to_host(params.vector)
        return SimpleNamespace(
            f=float(problem.loss.value(lin.output, y)) + l2 / 2 * theta @ theta,
            g=hf.to_host(lin.vjp(problem.loss.grad(lin.output, y))) + l2 * theta,
            G=hf.to_host(curvature(lin, problem.loss, y).to_dense()) + l2 * np.eye(params.size),
        )

    return values


@pytest.fixture(scope="session")
def run():
    """Give the function that makes some updates and returns (params, state, reports)."""

    def updates(opt, problem, count, params=None, state=None):
        params = params or problem.params
        state = state or opt.init(params)
        reports = []
        for _ in range(count):
            params, state, report = opt.step(
                problem.net, problem.loss, params, state, problem.batch
            )
            reports.append(report)
        return params, state, reports

    return updates
