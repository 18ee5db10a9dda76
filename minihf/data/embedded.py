"""The two small sets that lie in the package, so that the examples run without a network.

Each is one ``.npz`` file of uint8 arrays ``x_train, y_train, x_test, y_test`` beside this file,
read as a package resource: an installed wheel and a zip on the path do as well as a folder. They
were made by ``make_embedded.py``; attribution and licences are in ``NOTICE``.

Called by `minihf.data.load`.
"""

from __future__ import annotations

import io
from importlib.resources import files

import numpy as np
from numpy.typing import NDArray

from minihf.data.dataset import Dataset, from_grey_levels

__all__ = ["digits", "mnist_5k"]


def digits() -> Dataset:
    """Handwritten digits, 8 x 8 pixels of 17 grey levels: 1,437 for training, 360 for test.

    Returns
    -------
    Dataset
        Labeled 0 to 9, all classes about equally frequent. ``x * 16`` are the original counts.

    Notes
    -----
    These are the 1,797 images by 13 people that Alpaydin and Kaynak keep for testing, in their
    order; the last fifth is the test set here. A pixel counts the inked dots in a 4 x 4 cell of a
    32 x 32 scan. So error rates do not compare with those quoted for the original split.

    Examples
    --------
    >>> for row in digits().x_test[4].reshape(8, 8):
    ...     print("".join(" .:*#"[round(4 * float(value))] for value in row).rstrip())
      :#
      *:
     .#
     .# .
     :####.
     .#: :*
      #:.*:
      .*#*
    """
    return from_grey_levels(
        "digits",
        _read("digits.npz"),
        white=16,
        source="Optical Recognition of Handwritten Digits (UCI; Alpaydin and Kaynak): "
        "all 1,797 images of optdigits.tes, first 1,437 train, last 360 test; CC BY 4.0",
        image_shape=(8, 8),
        where="the package",
    )


def mnist_5k() -> Dataset:
    """MNIST, the first 5,000 training and the first 1,000 test images, 28 x 28 pixels.

    Returns
    -------
    Dataset
        Labeled 0 to 9.

    Notes
    -----
    A twelfth of the training set: results are not those of MNIST, and must say that they are of
    a subset.

    Examples
    --------
    >>> mnist = mnist_5k()
    >>> mnist.x_train.shape, mnist.x_test.shape, mnist.y_train[:5].tolist()
    ((5000, 784), (1000, 784), [5, 0, 4, 1, 9])
    """
    return from_grey_levels(
        "mnist-5k",
        _read("mnist-5k.npz"),
        white=255,
        source="MNIST (LeCun, Cortes and Burges): subset, the first 5,000 of 60,000 training "
        "and the first 1,000 of 10,000 test images; CC BY-SA 3.0",
        image_shape=(28, 28),
        subset=True,
        where="the package",
    )


def _read(file: str) -> dict[str, NDArray[np.uint8]]:
    content = files("minihf.data").joinpath(file).read_bytes()
    with np.load(io.BytesIO(content), allow_pickle=False) as arrays:
        return dict(arrays)
