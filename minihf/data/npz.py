"""Image sets from a user's npz file: x_train, y_train, x_test, y_test; images in grey levels.

Called by the experiments, for data that no package ships.
"""

from __future__ import annotations

import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from zipfile import BadZipFile, is_zipfile

import numpy as np

from minihf.data.dataset import Dataset, from_grey_levels

__all__ = ["read_npz"]

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
    arrays = _read(path)
    for part in ("train", "test"):
        x, y = arrays[f"x_{part}"], arrays[f"y_{part}"]
        if x.ndim == 3:
            arrays[f"x_{part}"] = x = x[:, None]                       # one channel
        if x.dtype != np.uint8 or x.ndim != 4 or y.shape != x.shape[:1] or y.dtype.kind not in "iu":
            raise ValueError(
                f"{str(path)!r}: x_{part} is {x.dtype} {x.shape}, y_{part} {y.dtype} {y.shape}; "
                "expected uint8 images (N, C, H, W) or (N, H, W), and integer labels (N,)"
            )
        if x.size == 0:
            raise ValueError(f"{str(path)!r}: x_{part} is empty, {x.shape}; expected images")
    train, test = arrays["x_train"].shape[1:], arrays["x_test"].shape[1:]
    if train != test:
        raise ValueError(
            f"{str(path)!r}: x_train has images of {train} channels, rows and columns, x_test of "
            f"{test}; expected the same"
        )
    highest = int(arrays["y_train"].max()) if classes is None else classes - 1
    for part in ("y_train", "y_test"):
        for label in (int(arrays[part].min()), int(arrays[part].max())):
            if not 0 <= label <= highest:
                raise ValueError(
                    f"{str(path)!r}: {part} has a label {label}; expected 0 to {highest}"
                    + ("" if classes else ", the labels of y_train")
                )
    n_train, n_test = len(arrays["x_train"]), len(arrays["x_test"])
    return from_grey_levels(
        name,
        arrays,
        white=255,
        source=f"{path.name}: {n_train:,} training and {n_test:,} test images, as given",
        image_shape=(train[1], train[2]),
    )


def _read(path: Path) -> dict[str, Any]:
    """Return the four arrays."""
    try:
        with path.open("rb") as stream:
            if not is_zipfile(stream):
                raise ValueError("it is not what numpy.savez writes, or not all of it")
            stream.seek(0)
            with np.load(stream, allow_pickle=False) as file:
                missing = [key for key in ARRAYS if key not in file]
                if missing:
                    raise ValueError(f"it has no array {', '.join(missing)}")
                return {key: _array(file, key) for key in ARRAYS}
    except OSError as error:
        raise ValueError(f"cannot read {str(path)!r}: {error.strerror or error}") from None
    except (ValueError, BadZipFile) as error:
        raise ValueError(f"{str(path)!r} is no npz file of images: {error}") from None


def _array(file: Mapping[str, Any], key: str) -> Any:
    try:
        array = file[key]
    except (ValueError, EOFError, BadZipFile, zlib.error):    # Python objects, or a damaged one
        raise ValueError(f"its {key} is no array of numbers, or damaged") from None
    if not isinstance(array, np.ndarray):
        raise ValueError(f"its {key} is no array")
    return array
