"""Four arrays from somebody's files, checked, become a `Dataset`; its source says what they are.

Called by every reader of files.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from minihf.data.dataset import Dataset, from_grey_levels
from minihf.data.sources import SOURCES, Source

__all__ = ["dataset_of"]


def dataset_of(
    path: Path,
    arrays: Mapping[str, NDArray[Any]],
    name: str,
    classes: int | None,
    source: Source | None = None,
    where: str = "given",
) -> Dataset:
    """Make a `Dataset` of grey levels and labels.

    Parameters
    ----------
    path : path
        Where they come from, for messages.
    arrays : mapping of str to array
        ``x_train, x_test`` uint8 (N, C, H, W), or (N, H, W) of one channel; ``y_train, y_test``
        integers (N,).
    name, classes
        As in `minihf.data.read_images`.
    source : Source, optional
        The set that these are, if that is known.
    where : str
        How it was found.

    Raises
    ------
    ValueError
        If they are no such arrays: one line that names the file, the array, and what is wrong.
    """
    arrays = dict(arrays)
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
    _check_labels(path, arrays, classes)
    line, subset = _source_line(path, arrays, name, source)
    return from_grey_levels(
        name, arrays, white=255, source=line, image_shape=(train[1], train[2]), subset=subset,
        where=where,
    )  # fmt: skip


def _check_labels(path: Path, arrays: Mapping[str, NDArray[Any]], classes: int | None) -> None:
    there = min(int(arrays["y_train"].max()), np.iinfo(np.int64).max)
    highest = there if classes is None else classes - 1
    for part in ("y_train", "y_test"):
        for label in (int(arrays[part].min()), int(arrays[part].max())):
            if not 0 <= label <= highest:
                raise ValueError(
                    f"{str(path)!r}: {part} has a label {label}; expected 0 to {highest}"
                    + ("" if classes else ", the labels of y_train")
                )


def _source_line(
    path: Path, arrays: Mapping[str, NDArray[Any]], name: str, source: Source | None
) -> tuple[str, bool]:
    """Return what these images are, in one line, and whether they are a part of a larger set."""
    n_train, n_test = len(arrays["x_train"]), len(arrays["x_test"])
    if source is not None:
        numbers = f"{n_train:,} training and {n_test:,} test images"
        return f"{source.title}: all {numbers}; {source.licence}", False
    larger = SOURCES.get(name)
    alike = larger is not None and larger.shape == arrays["x_train"].shape[1:]
    if larger and alike and (n_train < larger.n_train or n_test < larger.n_test):
        return (
            f"{path.name}: subset, {n_train:,} of {larger.n_train:,} training and {n_test:,} of "
            f"{larger.n_test:,} test images of {larger.title}, as given"
        ), True
    return f"{path.name}: {n_train:,} training and {n_test:,} test images, as given", False
