"""Images from whatever a path leads to: IDX files, CIFAR-10 in or out of its archive, an npz file.

Called by `minihf.data.load` and the experiments.
"""

from __future__ import annotations

import warnings
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from minihf.data import embedded
from minihf.data.checksums import State, is_whole, states
from minihf.data.cifar import BATCHES, read_cifar_archive, read_cifar_folder
from minihf.data.dataset import Dataset
from minihf.data.given import dataset_of
from minihf.data.idx import FILES, read_idx_folder
from minihf.data.npz import read_npz_arrays
from minihf.data.places import GIVEN, Place, find, find_whole, name_or_path, only_a_subset
from minihf.data.sources import SOURCES, Source
from minihf.data.streams import in_one_line, opened, packed_or_not

__all__ = ["load_known", "read_images"]

EXPECTED = (
    "expected an npz file, an archive or a folder of batches of CIFAR-10, or a folder with the "
    f"IDX files {', '.join(FILES.values())}"
)


def read_images(path: str | Path, name: str, classes: int | None = None) -> Dataset:
    """Read images and labels from a path of any kind that is known here.

    Parameters
    ----------
    path : path
        A folder with the four IDX files of a set, each with ``.gz`` or without; the binary or the
        Python archive of CIFAR-10, or the folder it was unpacked into; or an npz file, as
        `minihf.data.read_npz` has it. Or the bare name of a set that may be fetched, such as
        ``mnist``: the set, from where `minihf.data.find` finds it, even if something lies here
        under that name, which is ``./mnist`` or, as a `Path`, ``Path("mnist").absolute()``.
    name : str
        What to call the set, if it is none that is known by its checksums.
    classes : int, optional
        Labels must be less than that; without it, those of ``y_test`` at most the largest of
        ``y_train``.

    Returns
    -------
    Dataset
        Images (N, C, H, W). Its source says which set it is, if it is a known one, and of how many
        images these are where `name` is that of a larger set.

    Raises
    ------
    ValueError
        If it is no such thing, or damaged: one line that names it, and what is wrong.
    FileNotFoundError
        If it is the name of a set that is not here, or only a subset of it.
    """
    path = name_or_path(path)
    if str(path) not in SOURCES:
        return _given(path, name, classes)
    try:
        return _known(SOURCES[str(path)], find_whole(str(path)))
    except FileNotFoundError as error:
        here = f"; what lies here under that name is './{path}'" if path.exists() else ""
        raise FileNotFoundError(f"{error}{here}") from None


def load_known(name: str, path: str | Path | None = None) -> Dataset:
    """Load a set of `SOURCES`, from where it is found.

    Returns
    -------
    Dataset
        Images of one channel are rows (N, D), others (N, C, H, W).

    Raises
    ------
    FileNotFoundError
        If it is not here.
    ValueError
        If it is damaged, or what is at the path is another set or of another shape.

    Warns
    -----
    UserWarning
        If it is MNIST, and only the embedded subset is here.
    """
    place = find(name, path)
    if place.subset:
        warnings.warn(only_a_subset(name), stacklevel=3)
        return embedded.mnist_5k()
    if place.where == GIVEN:
        images = _given(place.path, name, classes=10)
        _must_be(name, images, place.path)
    else:
        images = _known(SOURCES[name], place)
    if images.x_train.shape[1] > 1:
        return images
    rows = (len(images.x_train), -1), (len(images.x_test), -1)
    return replace(
        images, x_train=images.x_train.reshape(rows[0]), x_test=images.x_test.reshape(rows[1])
    )


def _must_be(name: str, images: Dataset, path: Path) -> None:
    """Refuse images that are known to be another set, or cannot be of this one."""
    if images.name != name:
        raise ValueError(f"{str(path)!r} is {images.name}; expected {name}")
    expected, shape = SOURCES[name].shape, images.x_train.shape[1:]
    if shape != expected:
        raise ValueError(
            f"{str(path)!r} has images of {shape} channels, rows and columns; expected {expected}, "
            f"as {name} has"
        )


def _known(source: Source, place: Place) -> Dataset:
    """Read a set from its own place, where it must be that set to the last bit."""
    path = place.path
    found = states(source, path)
    damaged = [file.name for file, it in found.items() if it in (State.DAMAGED, State.MISSING)]
    if damaged:
        raise ValueError(
            f"{source.name} is damaged: {', '.join(damaged)} in {str(path)!r} has not the checksum "
            f"that it should have; `minihf data fetch {source.name}` fetches it anew"
        )
    return dataset_of(path, _arrays(path), source.name, 10, source, place.where)


def _given(path: Path, name: str, classes: int | None) -> Dataset:
    """Read what a user gives, whatever it is; checksums tell whether it is a set that is known."""
    path = _inside(path)
    source = next((source for source in SOURCES.values() if is_whole(source, path)), None)
    return dataset_of(path, _arrays(path), source.name if source else name, classes, source)


def _inside(path: Path) -> Path:
    """Return the archive or the batches that a folder has in it, unless it has IDX files."""
    if _has_idx(path):
        return path
    inner = [path / form.path for source in SOURCES.values() for form in source.forms if form.path]
    return next((place for place in inner if place.exists()), path)


def _arrays(path: Path) -> dict[str, np.ndarray[Any, Any]]:
    """Return the four arrays of whatever is there."""
    if path.is_dir():
        if _has_idx(path):
            return read_idx_folder(path)
        if any(packed_or_not(path / name) for names in BATCHES.values() for name in names):
            return read_cifar_folder(path)
        raise ValueError(f"{str(path)!r} is a folder without images; {EXPECTED}")
    begins = _beginning(path)
    if begins[:2] == b"PK" or path.suffix == ".npz":
        return read_npz_arrays(path)
    if begins[:2] == b"\x1f\x8b" or begins[257:262] == b"ustar":
        return read_cifar_archive(path)
    raise ValueError(f"{str(path)!r} is not a file of images that is known here; {EXPECTED}")


def _has_idx(path: Path) -> bool:
    return any(packed_or_not(path / name) for name in FILES.values())


def _beginning(path: Path) -> bytes:
    with in_one_line(path, "file of images"), opened(path, unpack=False) as stream:
        return stream.read(512)
