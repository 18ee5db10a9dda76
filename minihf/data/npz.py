"""Image sets from a user's npz file: x_train, y_train, x_test, y_test; images in grey levels.

Called by the experiments, for data that no package ships.
"""

from __future__ import annotations

from pathlib import Path
from zipfile import BadZipFile

import numpy as np

from minihf.data.dataset import Dataset, from_grey_levels

__all__ = ["read_npz"]


def read_npz(path: str | Path, name: str) -> Dataset:
    """Read images (N, C, H, W) uint8 and labels (N,) from an npz file, without unpickling.

    Parameters
    ----------
    path : path
        The file, with arrays ``x_train``, ``y_train``, ``x_test`` and ``y_test``.
    name : str
        What to call the set.

    Raises
    ------
    ValueError
        If it is no such file: one line that names it and what is wrong.
    """
    path = Path(path)
    wanted = ("x_train", "y_train", "x_test", "y_test")
    try:
        with path.open("rb") as stream, np.load(stream, allow_pickle=False) as file:
            missing = [key for key in wanted if key not in file]
            if missing:
                raise ValueError(f"it has no array {', '.join(missing)}")
            arrays = {key: file[key] for key in wanted}
    except OSError as error:
        raise ValueError(f"cannot read {str(path)!r}: {error.strerror or error}") from None
    except (ValueError, TypeError, BadZipFile, EOFError) as error:
        raise ValueError(f"{str(path)!r} is no npz file of images: {error}") from None
    for part in ("train", "test"):
        x, y = arrays[f"x_{part}"], arrays[f"y_{part}"]
        if x.dtype != np.uint8 or x.ndim != 4 or y.shape != x.shape[:1] or y.dtype.kind not in "iu":
            raise ValueError(
                f"{str(path)!r}: x_{part} is {x.dtype} {x.shape}, y_{part} {y.dtype} {y.shape}; "
                "expected uint8 images (N, C, H, W) and integer labels (N,)"
            )
    n_train, n_test = len(arrays["x_train"]), len(arrays["x_test"])
    height, width = arrays["x_train"].shape[2:]
    return from_grey_levels(
        name,
        arrays,
        white=255,
        source=f"{path.name}: {n_train:,} training and {n_test:,} test images, as given",
        image_shape=(height, width),
    )
