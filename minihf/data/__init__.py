"""The data of the examples and experiments, by name.

==================  ==================================================  ===============  ===========
name                what                                                train / test     a case
==================  ==================================================  ===============  ===========
``cifar10``         photographs of ten kinds of animals and vehicles    50,000 / 10,000  3 x 32 x 32
``curves``          CURVES-like strokes, from a seed, unlabeled         20,000 / 10,000  28 x 28
``digits``          handwritten digits of the UCI repository            1,437 / 360      8 x 8
``fashion-mnist``   pictures of ten kinds of clothes                    60,000 / 10,000  28 x 28
``mnist``           handwritten digits                                  60,000 / 10,000  28 x 28
``mnist-5k``        the first 5,000 and 1,000 images of MNIST           5,000 / 1,000    28 x 28
``temporal-order``  sequences of symbols, from a seed, 4 classes        1,000 / 1,000    50 x 6
==================  ==================================================  ===============  ===========

Four of them work without a network: ``digits`` and ``mnist-5k`` lie in the package (attribution and
licences in ``NOTICE`` beside this file), ``curves`` and ``temporal-order`` are drawn on the spot,
``curves`` to be kept in the user's cache folder. The other three are files that the user has, or
gets by ``minihf data fetch NAME``; nothing here ever fetches them by itself. `find` says where.
Data live on the host, as NumPy arrays; whoever trains uploads them.

A new set is one new file with a function that returns a `Dataset`, and one line in a table below,
or an entry of `minihf.data.sources.SOURCES`.

Called by the experiments, the command line and users.
"""

from __future__ import annotations

from collections.abc import Callable
from difflib import get_close_matches
from pathlib import Path

import numpy as np

from minihf.data import curves, embedded, temporal_order
from minihf.data.dataset import Dataset, first
from minihf.data.images import load_known, read_images
from minihf.data.npz import read_npz
from minihf.data.places import Place, find
from minihf.data.sources import SOURCES

__all__ = [
    "Dataset",
    "Place",
    "curves",
    "find",
    "first",
    "load",
    "names",
    "read_images",
    "read_npz",
    "temporal_order",
]

_FIXED: dict[str, Callable[[], Dataset]] = {
    "digits": embedded.digits,
    "mnist-5k": embedded.mnist_5k,
}
_GENERATED: dict[str, Callable[[int], Dataset]] = {      # these take a seed
    "curves": curves.curves,
    "temporal-order": temporal_order.temporal_order,
}

names: tuple[str, ...] = tuple(sorted(_FIXED | _GENERATED | SOURCES))
"""What `load` knows."""


def load(name: str, *, path: str | Path | None = None, seed: int | None = None) -> Dataset:
    """Load a dataset.

    Parameters
    ----------
    name : str
        One of `names`.
    path : path, optional
        For ``mnist``, ``fashion-mnist`` and ``cifar10``: where it is, a path of any kind that
        `read_images` reads and never a name, instead of where `find` finds it.
    seed : int, optional
        Which draw of a generated set (``curves``, ``temporal-order``), 0 or more; 0 if not given.
        The others are fixed and take none.

    Returns
    -------
    Dataset
        With float32 numbers in [0, 1], images as rows, those of ``cifar10`` (N, 3, 32, 32),
        sequences (N, T, D), and int64 labels, all read-only. Where all of MNIST is not here,
        ``mnist`` is the embedded subset: its name is ``mnist-5k``, its `Dataset.subset` true, and a
        warning says so.

    Raises
    ------
    ValueError
        If no dataset has this name, for a path or a seed that is of no use, or a damaged file.
    FileNotFoundError
        If it is not here: one line that says where was looked, and how it is to be had.

    Examples
    --------
    >>> from minihf.data import load
    >>> digits = load("digits")
    >>> digits.x_train.shape, digits.y_test[:5].tolist()
    ((1437, 64), [2, 3, 4, 5, 6])
    >>> load("digits", seed=1)
    Traceback (most recent call last):
    ValueError: dataset 'digits' is always the same and takes no seed, but got 1
    """
    if name not in names:
        close = get_close_matches(str(name).lower(), names, n=1)
        hint = f" (did you mean {close[0]!r}?)" if close else ""
        raise ValueError(f"unknown dataset {name!r}; known: {', '.join(names)}{hint}")
    if path is not None and name not in SOURCES:
        raise ValueError(f"dataset {name!r} comes with the package, but got a path, {str(path)!r}")
    if name in _GENERATED:
        seed = 0 if seed is None else seed
        if not isinstance(seed, int | np.integer) or seed < 0:
            raise ValueError(f"dataset {name!r}: the seed is {seed!r}, but must be 0, 1, 2, ...")
        return _GENERATED[name](seed)
    if seed is not None:
        raise ValueError(f"dataset {name!r} is always the same and takes no seed, but got {seed}")
    return _FIXED[name]() if name in _FIXED else load_known(name, path)
