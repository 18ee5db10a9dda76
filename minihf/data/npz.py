"""Image sets from a user's npz file: x_train, y_train, x_test, y_test; images in grey levels.

Called by `minihf.data.images`, for data that no package ships.
"""

from __future__ import annotations

from math import prod
from pathlib import Path
from typing import Any
from zipfile import ZIP_DEFLATED, ZIP_STORED, BadZipFile, ZipFile, ZipInfo, is_zipfile

import numpy as np
from numpy.lib import format as npy
from numpy.typing import NDArray

from minihf.data.dataset import Dataset
from minihf.data.given import dataset_of
from minihf.data.streams import Bounded, exactly, in_one_line, must_be_file

__all__ = ["read_npz", "read_npz_arrays"]

ARRAYS = ("x_train", "y_train", "x_test", "y_test")


def read_npz(path: str | Path, name: str, classes: int | None = None) -> Dataset:
    """Read uint8 images and integer labels from an npz file, without unpickling.

    Parameters
    ----------
    path : path
        The file, with arrays ``x_train`` and ``x_test``, images (N, C, H, W), or (N, H, W) of one
        channel; and ``y_train`` and ``y_test``, labels (N,).
    name : str
        What to call the set.
    classes : int, optional
        Labels must be less than that; without it, those of ``y_test`` at most the largest of
        ``y_train``.

    Returns
    -------
    Dataset
        Images (N, C, H, W).

    Raises
    ------
    ValueError
        If it is no such file: one line that names it, the array, and what is wrong.

    Examples
    --------
    >>> import os, tempfile, numpy as np
    >>> from minihf.data import read_npz
    >>> file = os.path.join(tempfile.mkdtemp(), "images.npz")
    >>> x, y = np.zeros((6, 28, 28), np.uint8), np.array([0, 1, 2, 0, 1, 2])
    >>> np.savez(file, x_train=x[:4], y_train=y[:4], x_test=x[4:], y_test=y[4:])
    >>> read_npz(file, "mine").x_train.shape
    (4, 1, 28, 28)
    """
    path = Path(path)
    return dataset_of(path, read_npz_arrays(path), name, classes)


def read_npz_arrays(path: Path) -> dict[str, NDArray[Any]]:
    """Return the four arrays of a file, as they are.

    Raises
    ------
    ValueError
        If it is no npz file, or has not all of them.
    """
    with in_one_line(path, "npz file of images"):
        must_be_file(path)
        try:
            with path.open("rb") as stream:
                if not is_zipfile(stream):
                    raise ValueError("it is not what numpy.savez writes, or not all of it")
                with ZipFile(stream) as archive:
                    members = _members(archive)
                    return {key: _array(archive, members[key], key, path) for key in ARRAYS}
        except (BadZipFile, RuntimeError) as error:       # such as a version there is none of
            raise ValueError(str(error)) from None


def _members(archive: ZipFile) -> dict[str, ZipInfo]:
    members = {member.filename.removesuffix(".npy"): member for member in archive.infolist()}
    missing = [key for key in ARRAYS if key not in members]
    if missing:
        raise ValueError(f"it has no array {', '.join(missing)}")
    return members


def _array(archive: ZipFile, member: ZipInfo, key: str, path: Path) -> NDArray[Any]:
    """Read an array of numbers; its header is believed only as far as there are bytes.

    NumPy parses the header as Python, and can fail in every way that a parser can.
    """
    try:
        if member.compress_type not in (ZIP_STORED, ZIP_DEFLATED):
            raise ValueError
        with archive.open(member) as file:
            stream = Bounded(file, path)
            if npy.read_magic(stream) != (1, 0):
                raise ValueError
            shape, columns_first, dtype = npy.read_array_header_1_0(stream)
            if dtype.hasobject:
                raise ValueError
            content = exactly(stream, prod(shape) * dtype.itemsize)
            if stream.read(1):                         # at the end the zip's checksum is compared
                raise ValueError
        array = np.frombuffer(content, dtype)
        return array.reshape(shape[::-1]).T if columns_first else array.reshape(shape)
    except Exception:
        raise ValueError(f"its {key} is no array of numbers, or damaged") from None
