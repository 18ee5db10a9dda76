"""IDX, the files of MNIST and Fashion-MNIST: a magic number, the axes, then one byte after another.

::

    0  0  8  k      unsigned bytes along k axes
    n_1 ... n_k     four bytes each, the most significant first
    data            n_1 * ... * n_k bytes, the last axis the fastest

Called by `minihf.data.images`.
"""

from __future__ import annotations

import struct
from math import prod
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from minihf.data.streams import exactly, in_one_line, opened, packed_or_not

__all__ = ["FILES", "read_idx", "read_idx_folder"]

FILES = {
    "x_train": "train-images-idx3-ubyte",
    "y_train": "train-labels-idx1-ubyte",
    "x_test": "t10k-images-idx3-ubyte",
    "y_test": "t10k-labels-idx1-ubyte",
}
"""Names of the four files of a set, each with or without ``.gz``."""


def read_idx(path: Path, axes: int) -> NDArray[np.uint8]:
    """Read a file of unsigned bytes, packed by gzip or not.

    Parameters
    ----------
    path : path
    axes : int
        How many axes it must have: 3 for images (N, H, W), 1 for labels (N,).

    Returns
    -------
    uint8 array

    Raises
    ------
    ValueError
        If it is no such file, ends too soon or goes on after its end: one line that names it.

    Examples
    --------
    >>> import tempfile
    >>> path = Path(tempfile.mkdtemp()) / "labels"
    >>> _ = path.write_bytes(bytes([0, 0, 8, 1,  0, 0, 0, 3,  7, 2, 1]))
    >>> read_idx(path, axes=1)
    array([7, 2, 1], dtype=uint8)
    """
    with in_one_line(path, f"IDX file of {axes} axes"), opened(path) as stream:
        magic, expected = exactly(stream, 4), bytes([0, 0, 8, axes])
        if magic != expected:
            raise ValueError(f"it begins with {magic.hex(' ')}; expected {expected.hex(' ')}")
        shape = struct.unpack(f">{axes}I", exactly(stream, 4 * axes))
        content = exactly(stream, prod(shape))
        if stream.read(1):
            raise ValueError(f"it goes on after the {prod(shape):,} bytes that it announces")
    return np.frombuffer(content, np.uint8).reshape(shape)


def read_idx_folder(folder: Path) -> dict[str, NDArray[np.uint8]]:
    """Read the four files of a set.

    Returns
    -------
    dict of str to uint8 array
        ``x_train, x_test`` (N, H, W) and ``y_train, y_test`` (N,).

    Raises
    ------
    ValueError
        If one is missing, or is no such file.
    """
    arrays = {}
    for key, name in FILES.items():
        path = packed_or_not(folder / name)
        if path is None:
            raise ValueError(f"{str(folder)!r} has no {name}, and no {name}.gz")
        arrays[key] = read_idx(path, axes=3 if key.startswith("x") else 1)
    return arrays
