"""From a data set to batches: uploaded once, checked once, drawn in an order that the seed decides.

On a device, data of up to `RESIDENT` bytes stay there from the beginning, and all that goes up
later is the order of the cases, once an epoch. Of larger data a batch goes up for each update,
while the update before it is at work.

Called by `minihf.fit`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from minihf.backend import array_module, asarray, device, prefetched, to_host
from minihf.optim.batches import Batch, leaves_of, n_cases, resume, rows

__all__ = ["RESIDENT", "Batches", "first_of", "test_of", "train_of", "upload"]

RESIDENT = 2**30
"""Bytes of data that stay on a device; of more, one batch at a time is there."""


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


def upload(which: str, batch: Batch, in_parts: bool = True) -> Batch:
    """Bring the data to the backend in use, and refuse what could not be trained on.

    Of data that are too large, and wanted in parts only, what is on the host stays there.
    """
    n_cases(batch)
    size = sum(array.nbytes for array in leaves_of(batch))
    stays = in_parts and _elsewhere(batch) and size > RESIDENT

    def bring(part: Any, label: str) -> Any:
        if isinstance(part, tuple):
            return tuple(bring(entry, f"{label}[{i}]") for i, entry in enumerate(part))
        array = part if stays else asarray(part)
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


class Batches(Iterator[Batch]):
    """Batches for ever: all cases as they are, or `size` in a new order each epoch.

    They are on the backend in use, wherever the data are.

    Attributes
    ----------
    place : mapping or None
        Where the next one begins: the generator's state at the beginning of the epoch, and the
        batches of it that are gone. Plain numbers, to go on from. None where batches are all cases,
        and before the first one.
    """

    def __init__(
        self,
        train: Batch,
        size: int | None,
        rng: np.random.Generator,
        place: Mapping[str, Any] | None = None,
    ) -> None:
        N = n_cases(train)
        if size is not None and not (isinstance(size, int) and 1 <= size <= N):
            raise ValueError(
                f"fit: batch_size is {size!r}, expected a whole number from 1 to {N}, all cases"
            )
        self.place = place
        if place is not None:
            rng = resume(place["rng"])
        gone = 0 if place is None else place["gone"]
        self._items = prefetched(_endless(train, size, rng, gone))

    def __next__(self) -> Batch:
        batch, self.place = next(self._items)
        return batch


def _endless(
    train: Batch, size: int | None, rng: np.random.Generator, gone: int
) -> Iterator[tuple[Batch, Mapping[str, Any] | None]]:
    """Yield each batch with the place after it: who takes one ahead is not there yet."""
    N = n_cases(train)
    while size is None:
        yield train, None
    while True:
        state = rng.bit_generator.state
        order = rng.permutation(N)
        order = order if _elsewhere(train) else asarray(order)
        for number in range(gone, N // size):
            index = order[number * size : (number + 1) * size]
            yield rows(train, index), {"rng": state, "gone": number + 1}
        gone = 0


def first_of(train: Batch, size: int | None) -> Batch:
    """Return the data, if they are on the backend in use; if not, their first batch, there."""
    return next(prefetched([rows(train, slice(0, size))])) if _elsewhere(train) else train


def _elsewhere(batch: Batch) -> bool:
    """Tell whether all of a batch is on the host, while a device computes."""
    on_host = all(isinstance(array, np.ndarray) for array in leaves_of(batch))
    return on_host and device().backend != "numpy"
