"""Three LSTM layers that read digits: pixel by pixel, as Zhang et al. 2017 do, or row by row."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np

from minihf.data import Dataset
from minihf.experiments.methods import SMALL_BATCHES, Method
from minihf.experiments.networks import LSTM3_BLOCKS, lstm_classifier
from minihf.experiments.tasks.task import LOOKS, Task, error_rate, mnist, reshaped
from minihf.losses import SoftmaxCrossEntropy
from minihf.optim import papers

__all__ = ["TASKS", "pooled_pixels"]


def pooled_pixels(x: np.ndarray) -> np.ndarray:
    """Average 28 x 28 images to 7 x 7 and read them pixel by pixel: (N, 784) to (N, 49, 1)."""
    return x.reshape(-1, 7, 4, 7, 4).mean(axis=(2, 4), dtype=x.dtype).reshape(-1, 49, 1)


def _pooled(path: Path | None) -> Dataset:
    return reshaped(mnist((784,))(path), pooled_pixels)


FEW_LOOKS = replace(LOOKS, cases=250)

LSTM_SETTINGS = {
    "minihf": SMALL_BATCHES,
    "zhang2017": Method(
        "BHF (zhang2017)", papers.zhang2017(LSTM3_BLOCKS, lam=0.01, max_iters=100), 2048
    ),
}

TASKS = {
    "lstm-mnist7": Task(
        summary="3-layer LSTM, hidden 10, on MNIST-5k pooled to 7 x 7, pixel by pixel",
        load=_pooled,
        network=lambda digits: lstm_classifier(1, 10),
        loss=SoftmaxCrossEntropy(),
        metric=error_rate,
        metric_name="error rate",
        settings=LSTM_SETTINGS,
        looks=FEW_LOOKS,
        whole="mnist",
    ),
    "lstm-mnist-rows": Task(
        summary="3-layer LSTM, hidden 32, on the rows of MNIST-5k",
        load=mnist((28, 28)),
        network=lambda digits: lstm_classifier(28, 32),
        loss=SoftmaxCrossEntropy(),
        metric=error_rate,
        metric_name="error rate",
        settings=LSTM_SETTINGS,
        looks=FEW_LOOKS,
        whole="mnist",
    ),
}
