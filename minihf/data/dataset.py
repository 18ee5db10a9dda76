"""What a dataset is: four arrays, and where they come from.

Images are kept as they were made, whole grey levels, and become numbers in [0, 1] here and nowhere
else: x = level / white. The arrays are read-only, for an example that writes into its data would
spoil every later one that shares them; ``x_train[rows]`` and ``x_train.copy()`` are the caller's.

Called by every reader and generator of this package.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

__all__ = ["Dataset", "first", "from_grey_levels"]


@dataclass(frozen=True, eq=False)
class Dataset:
    """Images, or sequences, for training and test, with their targets.

    Attributes
    ----------
    name : str
        The name it was loaded by.
    x_train, x_test : float32 array, shape (N, D)
        One image per row, row by row from the top, values in [0, 1]; images of several channels,
        or from a user's file, (N, C, H, W); or sequences (N, T, D).
    y_train, y_test : int64 array, shape (N,), or None
        Class labels from 0; None if the data have none. After `autoencoding`: the images.
    source : str
        One line for reports: which file, whole or which part of it, and its licence.
    image_shape : tuple of int
        Height and width, of product D; of a sequence, T and D.
    subset : bool
        Whether it is a part of a larger set, whose results it must not be taken for.
    where : str
        How it was found, as `minihf.data.Place` has it: ``"the user's cache"``, ``"the package"``;
        empty if it was made.

    Examples
    --------
    >>> from minihf.data import load
    >>> digits = load("digits")
    >>> digits.x_train[0].reshape(digits.image_shape).shape, int(digits.y_train[0])
    ((8, 8), 0)
    """

    name: str
    x_train: NDArray[np.float32] = field(repr=False)
    y_train: NDArray[np.generic] | None = field(repr=False)
    x_test: NDArray[np.float32] = field(repr=False)
    y_test: NDArray[np.generic] | None = field(repr=False)
    source: str
    image_shape: tuple[int, int]
    subset: bool = False
    where: str = ""

    def autoencoding(self) -> Dataset:
        """Return the same images as their own targets, without a copy.

        Examples
        --------
        >>> from minihf.data import load
        >>> pairs = load("digits").autoencoding()
        >>> pairs.y_train is pairs.x_train, pairs.y_test.shape
        (True, (360, 64))
        """
        return replace(self, y_train=self.x_train, y_test=self.x_test)


def first(data: Dataset, cases: int) -> Dataset:
    """Return the first so many cases of the training and of the test data.

    `source` says so and, where there were more, `subset`.

    Examples
    --------
    >>> from minihf.data import load
    >>> few = first(load("digits"), 50)
    >>> len(few.x_train), len(few.y_test), few.source[-28:]
    (50, 50, 'the first 50 of each of them')
    """
    kept = replace(
        data,
        x_train=data.x_train[:cases],
        y_train=None if data.y_train is None else data.y_train[:cases],
        x_test=data.x_test[:cases],
        y_test=None if data.y_test is None else data.y_test[:cases],
        subset=data.subset or cases < max(len(data.x_train), len(data.x_test)),
        source=f"{data.source}; the first {cases:,} of each of them",
    )
    return kept.autoencoding() if data.y_train is data.x_train else kept


def from_grey_levels(
    name: str,
    levels: Mapping[str, NDArray[np.uint8]],
    *,
    white: int,
    source: str,
    image_shape: tuple[int, int],
    subset: bool = False,
    where: str = "",
) -> Dataset:
    """Make a `Dataset` of images in whole grey levels.

    Parameters
    ----------
    name, source, image_shape, subset, where
        As in `Dataset`.
    levels : mapping of str to array
        ``x_train`` and ``x_test``, uint8 (N, D) or (N, C, H, W), and, if there are labels,
        ``y_train`` and ``y_test``, integers (N,).
    white : int
        The level that becomes 1.0.

    Returns
    -------
    Dataset
        Its arrays are new and read-only.

    Examples
    --------
    >>> import numpy as np
    >>> image = np.array([[0, 5, 10, 20]], dtype=np.uint8)
    >>> data = from_grey_levels("tiny", {"x_train": image, "x_test": image}, white=20,
    ...                         source="made up", image_shape=(2, 2))
    >>> data.x_train.tolist(), data.y_train
    ([[0.0, 0.25, 0.5, 1.0]], None)
    """
    return Dataset(
        name=name,
        x_train=_intensities(levels["x_train"], white),
        y_train=_labels(levels.get("y_train")),
        x_test=_intensities(levels["x_test"], white),
        y_test=_labels(levels.get("y_test")),
        source=source,
        image_shape=image_shape,
        subset=subset,
        where=where,
    )


def _intensities(levels: NDArray[np.uint8], white: int) -> NDArray[np.float32]:
    x = levels.astype(np.float32)
    x /= white
    x.flags.writeable = False
    return x


def _labels(levels: NDArray[np.uint8] | None) -> NDArray[np.int64] | None:
    if levels is None:
        return None
    y = levels.astype(np.int64)
    y.flags.writeable = False
    return y
