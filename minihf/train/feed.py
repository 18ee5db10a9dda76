"""From a data set to batches: uploaded once, checked once, drawn in an order that the seed decides.

Called by `minihf.fit`.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from minihf.backend import array_module, asarray, to_host
from minihf.optim.batches import Batch, n_cases, rows

__all__ = ["batches_of", "test_of", "train_of", "upload"]


def train_of(data: Any) -> Batch:
    """Return the training pair of a `Dataset`, or the pair itself."""
    if isinstance(data, tuple):
        return data
    if not hasattr(data, "x_train"):
        raise ValueError(f"fit: data is a Dataset or a tuple (x, y), got {type(data).__name__}")
    if data.y_train is None:
        raise ValueError(f"fit: dataset {data.name!r} has no labels; train on data.autoencoding()")
    return data.x_train, data.y_train


def test_of(data: Any, test: Batch | None) -> Batch | None:
    """Return the test pair given, else the one that a `Dataset` brings along."""
    if test is None and hasattr(data, "x_test"):
        return data.x_test, data.y_test
    return test


def upload(which: str, batch: Batch) -> Batch:
    """Bring the data to the backend in use, and refuse what could not be trained on."""
    n_cases(batch)

    def bring(part: Any, label: str) -> Any:
        if isinstance(part, tuple):
            return tuple(bring(entry, f"{label}[{i}]") for i, entry in enumerate(part))
        array = asarray(part)
        if array.dtype.kind in "fc":
            finite = array_module(array).isfinite(array).reshape(len(array), -1).all(axis=1)
            if not bool(finite.all()):
                bad = np.flatnonzero(~to_host(finite))
                raise ValueError(
                    f"fit: {label}_{which} holds NaN or Inf in {len(bad)} of {len(array)} cases, "
                    f"first in case {bad[0]}; clean the data"
                )
        return array

    x, y = batch
    return bring(x, "x"), bring(y, "y")


def batches_of(train: Batch, size: int | None, rng: np.random.Generator) -> Iterator[Batch]:
    """Yield batches for ever: all cases as they are, or `size` in a new order each epoch."""
    N = n_cases(train)
    if size is not None and not (isinstance(size, int) and 1 <= size <= N):
        raise ValueError(
            f"fit: batch_size is {size!r}, expected a whole number from 1 to {N}, all cases"
        )
    return _endless(train, size, rng)


def _endless(train: Batch, size: int | None, rng: np.random.Generator) -> Iterator[Batch]:
    N = n_cases(train)
    while size is None:
        yield train
    while True:
        order = rng.permutation(N)
        for start in range(0, N - size + 1, size):
            yield rows(train, asarray(order[start : start + size]))
