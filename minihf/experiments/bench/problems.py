"""Three networks with random data: what the benchmark multiplies with.

A deep autoencoder (matrix products, and little else), a convolutional network (columns to be made),
three layers of LSTM (step by step). Called by the benchmark, and by the test that counts what their
products cost.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from minihf.backend import Array, asarray
from minihf.experiments.networks import autoencoder, lstm_classifier
from minihf.layers import Conv2d, Dense, GlobalAvgPool2d, Layer, ReLU, Sequential
from minihf.losses import Loss, SoftmaxCrossEntropy, SquaredError
from minihf.params import Params
from minihf.partition import Partition
from minihf.tape import Linearization, linearize

__all__ = ["PROBLEMS", "Case", "Problem"]


@dataclass(frozen=True)
class Problem:
    """A network and the shape of its data; targets are the data, or ten classes.

    Attributes
    ----------
    name : str
        A word for it, as the command line knows it.
    title : str
        The network in words, without the batch.
    net : Layer
    shape : tuple of int
        Of the data, the batch first.
    classifies : bool
        Softmax cross-entropy on ten classes; else the squared error of the data themselves.
    """

    name: str
    title: str
    net: Layer
    shape: tuple[int, ...]
    classifies: bool

    def __str__(self) -> str:
        return f"{self.title}, batch {self.shape[0]}"

    def with_batch(self, n: int) -> Problem:
        """Return the same on n cases."""
        return replace(self, shape=(n, *self.shape[1:]))

    def case(self) -> Case:
        """Draw parameters, data and a vector, float32, on the backend in use; always the same."""
        rng = np.random.default_rng(0)
        params = self.net.init(0)
        x = asarray(rng.random(self.shape, dtype=np.float32))
        y = asarray(rng.integers(0, 10, self.shape[0])) if self.classifies else x
        v = asarray(rng.standard_normal(params.size, dtype=np.float32))
        loss = SoftmaxCrossEntropy() if self.classifies else SquaredError()
        return Case(self, params, x, y, v, loss)


@dataclass(frozen=True)
class Case:
    """A problem with its numbers: parameters, data (x, y), and a vector v to multiply with."""

    problem: Problem
    params: Params
    x: Array
    y: Array
    v: Array
    loss: Loss

    @cached_property
    def lin(self) -> Linearization:
        """The network at the parameters."""
        return linearize(self.problem.net, self.params, self.x)

    @cached_property
    def layers(self) -> Partition:
        """A block for each layer."""
        return Partition.of(self.params, "layer")


PROBLEMS = (
    Problem(
        "autoencoder", "autoencoder 784-1000-500-250-30 and back",
        autoencoder(784, 1000, 500, 250, 30), (1000, 784), classifies=False,
    ),
    Problem(
        "cnn", "CNN 16-32/2-32-64/2 on 28 x 28",
        Sequential(
            Conv2d(1, 16, 3, padding=1), ReLU(),
            Conv2d(16, 32, 3, stride=2, padding=1), ReLU(),
            Conv2d(32, 32, 3, padding=1), ReLU(),
            Conv2d(32, 64, 3, stride=2, padding=1), ReLU(),
            GlobalAvgPool2d(), Dense(64, 10),
        ),
        (256, 1, 28, 28), classifies=True,
    ),
    Problem(
        "lstm", "LSTM 3 x 128 on 28 rows of 28",
        lstm_classifier(28, 128), (256, 28, 28), classifies=True,
    ),
)  # fmt: skip
