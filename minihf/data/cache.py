"""Arrays that take a while to make, kept in the user's cache folder.

A cache is a convenience and never an error: a file that cannot be read is made again, and one that
cannot be written is not written. A file appears whole or not at all (`minihf.files`), and the zip
format's checksum tells a damaged one.

Called by the generators of this package.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from minihf.files import sweep, whole

__all__ = ["cached", "folder"]


def folder() -> Path:
    """Return ``$XDG_CACHE_HOME/minihf``, or ``~/.cache/minihf`` if that is not an absolute path.

    Raises
    ------
    RuntimeError
        If the user has no home either.
    """
    base = Path(os.environ.get("XDG_CACHE_HOME", ""))
    return (base if base.is_absolute() else Path.home() / ".cache") / "minihf"


def cached(
    file: str, shape: tuple[int, ...], make: Callable[[], NDArray[np.uint8]]
) -> NDArray[np.uint8]:
    """Return an array from the cache, or make it and keep it there.

    Parameters
    ----------
    file : str
        Name of the file, ending in ``.npz``. It must tell apart whatever `make` may return.
    shape : tuple of int
        What the array must look like; anything else in the file counts as damage.
    make : callable
        Makes the array, uint8 of that shape.

    Returns
    -------
    uint8 array
        Of the given shape.
    """
    array = _read(file, shape)
    if array is None:
        array = make()
        _write(file, array)
    return array


def _read(file: str, shape: tuple[int, ...]) -> NDArray[np.uint8] | None:
    # A damaged file can fail in every way there is (zip, zlib, the array's header, a shape beyond
    # the memory), and to all of them the answer is the same.
    try:
        with open(folder() / file, "rb") as stream, np.load(stream, allow_pickle=False) as arrays:
            array: NDArray[np.uint8] = arrays["array"]
    except Exception:
        return None
    return array if array.dtype == np.uint8 and array.shape == shape else None


def _write(file: str, array: NDArray[np.uint8]) -> None:
    with suppress(OSError, RuntimeError):            # a full or read-only disk; no home
        target = folder() / file
        target.parent.mkdir(parents=True, exist_ok=True)
        sweep(target.parent, target.stem)            # another that writes it loses a copy at most
        with whole(target) as part:
            np.savez(part, array=array)
