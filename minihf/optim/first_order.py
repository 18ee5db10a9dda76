"""The baselines: stochastic gradient descent with momentum, and Adam.

They follow the protocol of `minihf.HessianFree` (``init``, ``step``, a `Report`), so that a race
between methods is one loop; a setting may be a schedule, and after an update there may be a
projection. Both work on the flat vector, in place of nothing: parameters and state
are new arrays after every update.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from time import perf_counter
from typing import Any

from minihf.backend import Array, array_module, floats
from minihf.optim.batches import Batch, generator, gradient, n_cases, with_noise
from minihf.optim.projections import Projection, projected
from minihf.optim.report import Report
from minihf.optim.schedules import resolved
from minihf.optim.settings import must_be_a_part, settle
from minihf.optim.state import must_be_of
from minihf.params import Params

__all__ = ["SGD", "Adam", "AdamState", "SGDState"]


@dataclass(frozen=True)
class SGDState:
    """Updates so far, the velocity (n,), and the state of the generator for noise layers."""

    update: int
    velocity: Array
    rng: Mapping[str, Any]

    def must_suit(self, params: Params, fresh: SGDState) -> None:
        """Refuse to go on from here with another network's parameters."""
        must_be_of(params, self.velocity)


@dataclass(frozen=True)
class SGD:
    """Gradient descent on batches, with classical or Nesterov momentum.

    velocity = momentum * velocity - lr * g
    theta   += velocity,  or with `nesterov`  momentum * velocity - lr * g

    B. T. Polyak (1964); the Nesterov form of I. Sutskever et al., ICML 2013, as rewritten by
    Y. Bengio et al., "Advances in optimizing recurrent networks", ICASSP 2013.

    Examples
    --------
    >>> import numpy as np, minihf as hf
    >>> net, opt = hf.Dense(2, 1), hf.SGD(lr=0.1, momentum=0.9)
    >>> params = net.init(0)
    >>> batch = (np.eye(2, dtype=np.float32), np.ones((2, 1), np.float32))
    >>> params, state, report = opt.step(net, hf.SquaredError(), params, opt.init(params), batch)
    >>> report.accepted, state.update
    (True, 1)
    """

    lr: float = 0.01
    momentum: float = 0.0
    nesterov: bool = False
    l2: float = 0.0
    projection: Projection | None = None

    def __post_init__(self) -> None:
        settle(self, lr="positive", momentum="in [0, 1)", l2="0 or more")
        must_be_a_part(self, "projection", "__call__", "MaxNorm(), or None")

    def init(self, params: Params, seed: int = 0) -> SGDState:
        """Return the first state: no velocity."""
        return SGDState(0, array_module(params.vector).zeros_like(params.vector), generator(seed))

    def step(
        self, net: Callable[..., Any], loss: Any, params: Params, state: SGDState, batch: Batch
    ) -> tuple[Params, SGDState, Report]:
        """Make one update; reject it if the objective or the gradient is not finite."""
        began = perf_counter()
        now = resolved(self, state.update)
        batch, state = with_noise(net, params, batch, state)
        value, g = gradient(net, loss, params, batch, now.l2)
        objective, finite = _seen(value, g)
        if not finite:
            return params, state, _report(objective, batch, began, accepted=False)
        velocity = now.momentum * state.velocity - now.lr * g
        move = now.momentum * velocity - now.lr * g if now.nesterov else velocity
        new = projected(now.projection, params.with_vector(params.vector + move))
        new_state = replace(state, update=state.update + 1, velocity=velocity)
        return new, new_state, _report(objective, batch, began)


@dataclass(frozen=True)
class AdamState:
    """Updates so far, running means of g and g^2, each (n,), and the generator for noise layers."""

    update: int
    mean: Array
    square: Array
    rng: Mapping[str, Any]

    def must_suit(self, params: Params, fresh: AdamState) -> None:
        """Refuse to go on from here with another network's parameters."""
        must_be_of(params, self.mean, self.square)


@dataclass(frozen=True)
class Adam:
    """Steps of about `lr` in every coordinate: running mean of g over root mean square.

    m = beta1 m + (1 - beta1) g,  s = beta2 s + (1 - beta2) g^2, both divided by 1 - beta^t,
    theta -= lr m / (sqrt(s) + eps).

    D. P. Kingma & J. Ba, "Adam: a method for stochastic optimization", ICLR 2015, algorithm 1.
    """

    lr: float = 1e-3
    beta1: float = 0.9
    beta2: float = 0.999
    eps: float = 1e-8
    l2: float = 0.0
    projection: Projection | None = None

    def __post_init__(self) -> None:
        rates = {"beta1": "in [0, 1)", "beta2": "in [0, 1)"}
        settle(self, lr="positive", eps="positive", l2="0 or more", **rates)
        must_be_a_part(self, "projection", "__call__", "MaxNorm(), or None")

    def init(self, params: Params, seed: int = 0) -> AdamState:
        """Return the first state: both means zero."""
        zero = array_module(params.vector).zeros_like(params.vector)
        return AdamState(0, zero, zero, generator(seed))

    def step(
        self, net: Callable[..., Any], loss: Any, params: Params, state: AdamState, batch: Batch
    ) -> tuple[Params, AdamState, Report]:
        """Make one update; reject it if the objective or the gradient is not finite."""
        began = perf_counter()
        now, xp = resolved(self, state.update), array_module(params.vector)
        batch, state = with_noise(net, params, batch, state)
        value, g = gradient(net, loss, params, batch, now.l2)
        objective, finite = _seen(value, g)
        if not finite:
            return params, state, _report(objective, batch, began, accepted=False)
        t = state.update + 1
        mean = now.beta1 * state.mean + (1 - now.beta1) * g
        square = now.beta2 * state.square + (1 - now.beta2) * (g * g)
        scale = xp.sqrt(square / (1 - now.beta2**t)) + now.eps
        moved = params.with_vector(params.vector - now.lr / (1 - now.beta1**t) * mean / scale)
        new = projected(now.projection, moved)
        new_state = replace(state, update=t, mean=mean, square=square)
        return new, new_state, _report(objective, batch, began)


def _seen(value: Array, g: Array) -> tuple[float, bool]:
    """Bring the objective down, and whether it and all of the gradient are numbers."""
    objective, finite = floats(value, array_module(g).isfinite(g).all())
    return objective, bool(finite) and math.isfinite(objective)


def _report(objective: float, batch: Batch, began: float, accepted: bool = True) -> Report:
    return Report(
        objective=objective,
        accepted=accepted,
        problem="" if accepted else "update rejected: the objective or its gradient is not finite",
        cases=n_cases(batch),
        seconds=perf_counter() - began,
    )
