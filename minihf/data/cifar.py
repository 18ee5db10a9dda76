"""CIFAR-10 as its authors give it: five batches of training images and one of test images.

A record of the binary batches is the label and then the image, 1 + 3 * 32 * 32 bytes: the red
pixels, the green and the blue, each row by row from the top. The Python batches are pickles of a
dictionary with the same bytes; they are not unpickled (`minihf.data.batch_pickle`). Both are read
from their archive or from a folder that it was unpacked into.

Called by `minihf.data.images`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from minihf.data import batch_pickle
from minihf.data.archives import members
from minihf.data.streams import in_one_line, opened, packed_or_not, rest

__all__ = ["BATCHES", "binary_batch", "python_batch", "read_cifar_archive", "read_cifar_folder"]

SHAPE = (3, 32, 32)
PIXELS = 3 * 32 * 32

MOST = 2**26
"""Bytes that are taken from a batch that was packed: twice one of theirs."""

Bytes = bytes | bytearray
Images = tuple[NDArray[np.uint8], NDArray[Any]]


def binary_batch(content: Bytes) -> Images:
    """Return the images (N, 3, 32, 32) and the labels (N,) of a binary batch.

    Raises
    ------
    ValueError
        If it is no whole number of records.
    """
    if not content or len(content) % (1 + PIXELS):
        raise ValueError(f"has {len(content):,} bytes; expected whole records of {1 + PIXELS:,}")
    records = np.frombuffer(content, np.uint8).reshape(-1, 1 + PIXELS)
    return records[:, 1:].reshape(-1, *SHAPE), records[:, 0]


def python_batch(content: Bytes) -> Images:
    """Return the images (N, 3, 32, 32) and the labels (N,) of a pickled batch.

    Raises
    ------
    ValueError
        If the pickle holds anything else, or has an instruction that no batch needs.
    """
    try:
        batch = batch_pickle.read(content)
    except ValueError as error:
        raise ValueError(f"is no batch: {error}") from None
    if not isinstance(batch, dict) or not {b"data", b"labels"} <= batch.keys():
        raise ValueError("is no batch: it is no dictionary of data and labels")
    pixels, labels = _pixels(batch[b"data"]), batch[b"labels"]
    if not isinstance(labels, list) or not all(type(it) is int and 0 <= it < 10 for it in labels):
        raise ValueError("is no batch: its labels are no list of numbers from 0 to 9")
    if len(pixels) != len(labels):
        raise ValueError(f"has {len(pixels):,} images and {len(labels):,} labels")
    return pixels.reshape(-1, *SHAPE), np.array(labels, np.uint8)


def _pixels(recipe: Any) -> NDArray[np.uint8]:
    """Follow the recipe of an array of bytes (N, 3072), and of nothing else."""
    match recipe:
        case batch_pickle.Recipe(
            name="numpy.core.multiarray _reconstruct" | "numpy._core.multiarray _reconstruct",
            state=(
                1, (int(rows), 3072), batch_pickle.Recipe("numpy dtype", ("u1" | b"u1", *_)),
                False, bytes(content),
            ),
        ) if len(content) == rows * PIXELS:  # fmt: skip
            return np.frombuffer(content, np.uint8).reshape(rows, PIXELS)
    raise ValueError("is no batch: its data are no array of bytes of shape (N, 3072)")


_NAMES = {"x_train": [f"data_batch_{i}" for i in (1, 2, 3, 4, 5)], "x_test": ["test_batch"]}
_KINDS: dict[str, tuple[str, Callable[[Bytes], Images]]] = {
    "cifar-10-batches-bin": (".bin", binary_batch),
    "cifar-10-batches-py": ("", python_batch),
}
BATCHES = {
    folder: [name + ending for names in _NAMES.values() for name in names]
    for folder, (ending, _) in _KINDS.items()
}
"""The names of the six batches of either kind, by the folder that the archive has them in."""


def read_cifar_archive(path: Path) -> dict[str, NDArray[Any]]:
    """Read the batches out of the authors' archive.

    Returns
    -------
    dict of str to array
        ``x_train, x_test`` uint8 (N, 3, 32, 32) and ``y_train, y_test`` (N,).

    Raises
    ------
    ValueError
        If it is no such archive, or a batch is missing or damaged: one line that names it.
    """
    names = [f"{folder}/{name}" for folder, batches in BATCHES.items() for name in batches]
    with in_one_line(path, "archive of CIFAR-10"):
        found = members(path, names)
        for folder in BATCHES:
            batches = {
                name.removeprefix(f"{folder}/"): content
                for name, content in found.items()
                if name.startswith(f"{folder}/")
            }
            if batches:
                return _arrays(folder, batches)
        raise ValueError(f"it has no {' and no '.join(BATCHES)}")


def read_cifar_folder(path: Path) -> dict[str, NDArray[Any]]:
    """Read the batches in a folder, each packed by gzip or not; as `read_cifar_archive`."""
    for folder, batches in BATCHES.items():
        there = {name: at for name in batches if (at := packed_or_not(path / name))}
        if there:
            contents = {name: _content(at) for name, at in there.items()}
            with in_one_line(path, "folder of CIFAR-10"):
                return _arrays(folder, contents)
    raise ValueError(f"{str(path)!r} has no batches of CIFAR-10")


def _content(path: Path) -> bytearray:
    with in_one_line(path, "batch of CIFAR-10"), opened(path, most=MOST) as stream:
        return rest(stream)


def _arrays(folder: str, batches: Mapping[str, Bytes]) -> dict[str, NDArray[Any]]:
    ending, decode = _KINDS[folder]
    arrays = {}
    for x, names in _NAMES.items():
        images = [_decoded(name + ending, batches, decode) for name in names]
        arrays[x] = np.concatenate([pixels for pixels, _ in images])
        arrays[x.replace("x", "y")] = np.concatenate([labels for _, labels in images])
    return arrays


def _decoded(name: str, batches: Mapping[str, Bytes], decode: Callable[[Bytes], Images]) -> Images:
    if name not in batches:
        raise ValueError(f"it has no {name}")
    try:
        return decode(batches[name])
    except ValueError as error:
        raise ValueError(f"its {name} {error}") from None
