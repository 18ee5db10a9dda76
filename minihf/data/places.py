"""Where a set is.

It is looked for at a path that was given, and only there; without one, in this order:

1. in ``$MINIHF_DATA``, a folder of sets;
2. in the user's cache, ``~/.cache/minihf``, where ``minihf data fetch`` puts it;
3. where packages of the system put it, ``/usr/local/share/datasets`` and ``/usr/share/datasets``;
4. for MNIST, in the package itself, which has a subset.

In a folder of sets each has its own, such as ``mnist``; one that torchvision filled does as well.

Called by `minihf.data.images`, `minihf.data.fetch` and the command line.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from importlib.resources import files
from itertools import product
from pathlib import Path

from minihf.data import cache
from minihf.data.checksums import located
from minihf.data.sources import SOURCES, Source

__all__ = ["EMBEDDED", "FOLDER", "GIVEN", "Place", "by_hand", "find", "folder_of_sets", "found"]

FOLDER = "MINIHF_DATA"
"""The environment variable of the user's folder of sets."""

SYSTEM = (Path("/usr/local/share/datasets"), Path("/usr/share/datasets"))

GIVEN = "given"

EMBEDDED = {"digits": "digits.npz", "mnist-5k": "mnist-5k.npz"}


@dataclass(frozen=True)
class Place:
    """Where a set is.

    Attributes
    ----------
    path : path
        A folder or a file.
    where : str
        How it was found: ``"given"``, ``"$MINIHF_DATA"``, ``"the user's cache"``, ``"the system"``
        or ``"the package"``.
    subset : bool
        Whether it is only a part of what was asked for.
    """

    path: Path
    where: str
    subset: bool = False


def find(name: str, path: str | Path | None = None) -> Place:
    """Say where a set is.

    Parameters
    ----------
    name : str
        ``"mnist"``, ``"fashion-mnist"``, ``"cifar10"``, or one that the package embeds.
    path : path, optional
        Where it is to be, and nowhere else: a folder or a file.

    Returns
    -------
    Place

    Raises
    ------
    ValueError
        If no set that is a file or a folder has this name.
    FileNotFoundError
        If it is not there, or not all of it: one line that says where was looked, and what to do.

    Examples
    --------
    >>> find("digits").where
    'the package'
    """
    if path is not None:
        if not Path(path).exists():
            raise FileNotFoundError(f"cannot read {str(path)!r}: no such file or folder")
        return Place(Path(path), GIVEN)
    if name in EMBEDDED:
        return _embedded(name)
    if name not in SOURCES:
        known = ", ".join([*SOURCES, *EMBEDDED])
        raise ValueError(f"no set {name!r} lies anywhere; those that do: {known}")
    places = found(SOURCES[name])
    for place, missing in places:
        if not missing:
            return place
    if name == "mnist":
        return Place(_embedded("mnist-5k").path, "the package", subset=True)
    raise FileNotFoundError(_not_there(SOURCES[name], places))


def found(source: Source) -> list[tuple[Place, list[str]]]:
    """Return where a set is or a part of it, in order, with the names of the files it lacks."""
    places = []
    for where, sets in _folders_of_sets():
        for folder, form in product(source.folders, source.forms):
            path = sets / folder / form.path
            found_files = located(form, path)
            if any(found_files.values()):
                missing = [file.name for file, at in found_files.items() if at is None]
                places.append((Place(path, where), missing))
    return places


def folder_of_sets() -> Path:
    """Return where sets are fetched to: ``$MINIHF_DATA`` if there is one, else the user's cache.

    Raises
    ------
    RuntimeError
        If there is neither.
    """
    return Path(os.environ[FOLDER]) if os.environ.get(FOLDER) else cache.folder()


def _folders_of_sets() -> Iterator[tuple[str, Path]]:
    """Give each folder of sets, and what to call it."""
    if os.environ.get(FOLDER):
        yield f"${FOLDER}", Path(os.environ[FOLDER])
    with suppress(RuntimeError):                           # no home, no cache
        yield "the user's cache", cache.folder()
    for folder in SYSTEM:
        yield "the system", folder


def _embedded(name: str) -> Place:
    return Place(Path(str(files("minihf.data") / EMBEDDED[name])), "the package")


def _not_there(source: Source, parts: list[tuple[Place, list[str]]]) -> str:
    """Return what to say of a set that was not found, one line."""
    for place, missing in parts:
        return (
            f"{source.name} is not all there: {str(place.path)!r} has no {', '.join(missing)}; "
            f"`minihf data fetch {source.name}` gets what is missing"
        )
    looked = [str(folder) for _, folder in _folders_of_sets()]
    unset = "" if os.environ.get(FOLDER) else f" (${FOLDER} is not set)"
    return (
        f"{source.name} is not here: looked for {source.folders[0]!r} in {', '.join(looked)}{unset}"
        f"; `minihf data fetch {source.name}` fetches it{by_hand(source)}"
    )


def by_hand(source: Source) -> str:
    """Return how a set is to be had without fetching it, the end of a line; empty if it is not."""
    archives = [form.path for form in source.forms if form.path.endswith(".gz")]
    return f"; or put {' or '.join(archives)}, from {source.homepage}, there" if archives else ""
