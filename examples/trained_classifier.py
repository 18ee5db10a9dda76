"""A small classifier of the UCI digits, some updates into its training: what 09 to 12 look at."""

from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from typing import Any

import numpy as np

import minihf as hf


@dataclass(frozen=True)
class Trained:
    """A network, its loss and cases, linearized at its present parameters."""

    net: Any
    loss: Any
    params: hf.Params
    x: Any
    y: Any

    @cached_property
    def lin(self):
        """The network, linearized here."""
        return hf.linearize(self.net, self.params, self.x)

    @cached_property
    def g(self):
        """The gradient."""
        return self.lin.vjp(self.loss.grad(self.lin.output, self.y))

    def curvature(self, partition=None, kind=hf.GGN):
        """Return the Gauss-Newton matrix, or another kind, with these blocks."""
        return kind(self.lin, self.loss, self.y, partition)

    def objective(self, step=0.0):
        """Return the loss after a step of the parameters."""
        moved = self.params.with_vector(self.params.vector + step)
        return float(self.loss.value(self.net(moved, self.x), self.y))


def trained(widths=(64, 24, 10), updates=5, cases=500, dtype=np.float64):
    """Train a tanh network of these widths by classical Hessian-free optimization."""
    digits = hf.data.load("digits")
    x, y = digits.x_train[:cases].astype(dtype), digits.y_train[:cases]
    layers = [layer for D, M in pairwise(widths) for layer in (hf.Dense(D, M), hf.Tanh())]
    net, loss = hf.Sequential(*layers[:-1]), hf.SoftmaxCrossEntropy()
    opt, params = hf.papers.martens2010(lam=1.0), net.init(seed=0, dtype=dtype)
    state = opt.init(params)
    for _ in range(updates):
        params, state, _ = opt.step(net, loss, params, state, (x, y))
    return Trained(net, loss, params, x, y)
