"""What a task is: a network, a loss, data in the shape it wants, and settings of the methods."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from minihf import data
from minihf.backend import Array
from minihf.data import Dataset
from minihf.experiments.methods import METHODS, Method
from minihf.layers import Layer
from minihf.losses import SquaredError
from minihf.ops import sigmoid
from minihf.train import Looks

__all__ = [
    "LOOKS",
    "Task",
    "embedded",
    "error_rate",
    "image_error",
    "logistic_image_error",
    "mnist",
    "reshaped",
]

LOOKS = Looks(often=60, at=tuple(2**k for k in range(32)), share=0.015, cases=500)
"""Looks that with the one at the end take less than 3 % of a run of a minute.

After 1, 2, 4, ... updates in any case, since one method may make hundreds while another makes one,
and they are compared.
"""


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
    settings : mapping of str to Method
        Methods that have settings of their own here.
    looks : Looks
        When runs are looked at, and on how many cases.
    whole : str, optional
        The name of the data set that `load` takes for a path, where the package has a part of it.
    """

    summary: str
    load: Callable[[Path | None], Dataset]
    network: Callable[[Dataset], Layer]
    loss: Any
    metric: Callable[[Any, Any], Any]
    metric_name: str
    settings: Mapping[str, Method] = field(default_factory=dict)
    looks: Looks = LOOKS
    whole: str | None = None

    @property
    def takes_data(self) -> bool:
        """Whether `load` takes a path."""
        return self.whole is not None

    def path_of(self, whole: bool) -> Path | None:
        """Return the path of the data that the package has, None, or of all there are."""
        return Path(self.whole) if whole and self.whole is not None else None

    @property
    def methods(self) -> Mapping[str, Method]:
        """All methods by name, with this task's settings."""
        return {**METHODS, **self.settings}


# What is measured ---------------------------------------------------------------------------


def error_rate(z: Array, y: Array) -> Array:
    """Return the share of cases whose largest output is not the label's."""
    return (z.argmax(axis=-1) != y).mean()


def image_error(z: Array, x: Array) -> Array:
    """Return the squared error of an image, summed over pixels: the mean over images."""
    return 2 * SquaredError().value(z, x)


def logistic_image_error(z: Array, x: Array) -> Array:
    """Return the same of an image that is given as logits."""
    return image_error(sigmoid(z), x)


# Data ---------------------------------------------------------------------------------------


def embedded(name: str) -> Callable[[Path | None], Dataset]:
    """Return a loader that gives the embedded set, and refuses a path."""

    def load(path: Path | None) -> Dataset:
        if path is not None:
            raise ValueError(f"this task takes no --data: it has data of its own, {name!r}")
        return data.load(name)

    return load


def mnist(
    shape: tuple[int, ...], classes: int | None = 10
) -> Callable[[Path | None], Dataset]:
    """Return a loader of MNIST-5k, or of images from a path, each case in this shape."""

    def load(path: Path | None) -> Dataset:
        if path is None:
            digits = data.load("mnist-5k")
        else:
            digits = data.read_images(path, path.stem, classes)
            if digits.x_train[0].shape != (1, 28, 28):
                raise ValueError(
                    f"{str(path)!r} has images of {digits.x_train[0].shape} channels, rows and "
                    "columns; this task wants (1, 28, 28)"
                )
        return reshaped(digits, lambda x: x.reshape(len(x), *shape))

    return load


def reshaped(images: Dataset, shape: Callable[[np.ndarray], np.ndarray]) -> Dataset:
    """Return the same data with each image in another shape."""
    return replace(images, x_train=shape(images.x_train), x_test=shape(images.x_test))
