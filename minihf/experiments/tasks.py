"""Tasks: a network, a loss, data in the shape it wants, and the methods with their settings.

A task is data, not code: to add one, add an entry to `TASKS`. Called by the runner and the command
line.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from minihf import data
from minihf.curvature.partitions import k_units
from minihf.data import Dataset
from minihf.experiments import networks
from minihf.experiments.methods import Method
from minihf.layers import Layer
from minihf.losses import SoftmaxCrossEntropy
from minihf.optim import SGD, Adam, HessianFree, papers

__all__ = ["TASKS", "Task", "error_rate"]


@dataclass(frozen=True)
class Task:
    """What `minihf run` trains.

    Attributes
    ----------
    summary : str
        One line for the table of tasks.
    load : callable of a path or None
        Returns the data in the network's shape; without a path, data that the package embeds.
    network : callable of a Dataset
    loss : Loss
    metric, metric_name : callable of (output, y), str
        What tables and figures show, a mean over cases.
    methods : mapping of str to Method
    """

    summary: str
    load: Callable[[Path | None], Dataset]
    network: Callable[[Dataset], Layer]
    loss: Any
    metric: Callable[[Any, Any], Any]
    metric_name: str
    methods: Mapping[str, Method]


def error_rate(z: Any, y: Any) -> Any:
    """Return the share of cases whose largest output is not the label's."""
    return (z.argmax(axis=-1) != y).mean()


def classifier_methods(
    blocks: Any, lam: float, max_iters: int, batch_size: int = 2048
) -> dict[str, Method]:
    """Return the methods for a classifier; lam and max_iters are zhang2017's for its kind."""
    zhang = papers.zhang2017(blocks, lam=lam, max_iters=max_iters)
    return {
        "adam": Method("Adam", Adam(lr=1e-3), batch_size=128),
        "martens2010": Method("HF (martens2010)", papers.martens2010(lam=1.0), batch_size),
        "zhang2017": Method("BHF (zhang2017)", zhang, batch_size),
        "minihf": Method("minihf", HessianFree(), batch_size=500),
    }


def long_lag_methods(units: int) -> dict[str, Method]:
    """Return the methods for a small recurrent classifier; chan_szeto1999's blocks have `units`."""
    blocks = partial(k_units, k=units)
    return {
        **classifier_methods("layer", lam=0.01, max_iters=100),
        "sgd": Method("SGD", SGD(lr=0.01, momentum=0.9), batch_size=128),
        "chan_szeto1999": Method("block LM (chan_szeto1999)", papers.chan_szeto1999(blocks)),
    }


# Data in the networks' shapes ---------------------------------------------------------------


def _embedded_mnist(path: Path | None, shape: Callable[[np.ndarray], np.ndarray]) -> Dataset:
    if path is not None:
        raise ValueError("this task takes no --data: it reads the embedded MNIST-5k")
    digits = data.load("mnist-5k")
    return replace(digits, x_train=shape(digits.x_train), x_test=shape(digits.x_test))


def pooled_pixels(x: np.ndarray) -> np.ndarray:
    """Average 28 x 28 images to 7 x 7 and read them pixel by pixel: (N, 784) to (N, 49, 1)."""
    return x.reshape(-1, 7, 4, 7, 4).mean(axis=(2, 4), dtype=x.dtype).reshape(-1, 49, 1)


def rows(x: np.ndarray) -> np.ndarray:
    """Read 28 x 28 images row by row: (N, 784) to (N, 28, 28)."""
    return x.reshape(-1, 28, 28)


def _temporal_order(path: Path | None) -> Dataset:
    if path is not None:
        raise ValueError("this task takes no --data: it draws its sequences from a seed")
    return data.load("temporal-order")


def _cifar10_or_mnist(path: Path | None) -> Dataset:
    if path is not None:
        return data.read_npz(path, "cifar10")
    return _embedded_mnist(None, lambda x: x.reshape(-1, 1, 28, 28))


TASKS: Mapping[str, Task] = {
    "lstm-mnist7": Task(
        summary="3-layer LSTM, hidden 10, on MNIST-5k pooled to 7 x 7, pixel by pixel",
        load=lambda path: _embedded_mnist(path, pooled_pixels),
        network=lambda digits: networks.lstm_classifier(1, 10),
        loss=SoftmaxCrossEntropy(),
        metric=error_rate,
        metric_name="error rate",
        methods=classifier_methods(networks.LSTM3_BLOCKS, lam=0.01, max_iters=100),
    ),
    "lstm-mnist-rows": Task(
        summary="3-layer LSTM, hidden 32, on the rows of MNIST-5k",
        load=lambda path: _embedded_mnist(path, rows),
        network=lambda digits: networks.lstm_classifier(28, 32),
        loss=SoftmaxCrossEntropy(),
        metric=error_rate,
        metric_name="error rate",
        methods=classifier_methods(networks.LSTM3_BLOCKS, lam=0.01, max_iters=100),
    ),
    "resnet-cifar10": Task(
        summary="small ResNet without batch norm, on CIFAR-10 (--data PATH) or MNIST-5k images",
        load=_cifar10_or_mnist,
        network=lambda images: networks.resnet(images.x_train.shape[1]),
        loss=SoftmaxCrossEntropy(),
        metric=error_rate,
        metric_name="error rate",
        methods=classifier_methods(networks.RESNET_BLOCKS, lam=0.1, max_iters=30),
    ),
    "temporal-order": Task(
        summary="a tanh RNN of 20 units on sequences of 50 symbols: which two, up to 44 steps ago",
        load=_temporal_order,
        network=lambda sequences: networks.rnn_classifier(6, 20, classes=4),
        loss=SoftmaxCrossEntropy(),
        metric=error_rate,
        metric_name="error rate",
        methods=long_lag_methods(units=5),
    ),
    "temporal-order-lstm": Task(
        summary="the same by an LSTM of 10 units",
        load=_temporal_order,
        network=lambda sequences: networks.lstm_classifier(6, 10, layers=1, classes=4),
        loss=SoftmaxCrossEntropy(),
        metric=error_rate,
        metric_name="error rate",
        methods=long_lag_methods(units=5),
    ),
}
"""By the names of the command line."""
