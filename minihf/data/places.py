"""Where a set is.

It is looked for at a path that was given, and only there; by its name, in this order:

1. in ``$MINIHF_DATA``, a folder of sets or several with a colon between them (on Windows a
   semicolon), which may begin with ``~``;
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
from dataclasses import dataclass, replace
from importlib.resources import files
from itertools import product
from pathlib import Path

from minihf.data import cache
from minihf.data.sources import SOURCES, File, Form, Source
from minihf.data.streams import packed_or_not

__all__ = [
    "EMBEDDED",
    "FOLDER",
    "GIVEN",
    "SUBSETS",
    "Place",
    "by_hand",
    "find",
    "find_whole",
    "folder_of_sets",
    "form_of",
    "found",
    "located",
    "name_or_path",
    "only_a_subset",
]

FOLDER = "MINIHF_DATA"
"""The environment variable of the user's folders of sets."""

SYSTEM = (Path("/usr/local/share/datasets"), Path("/usr/share/datasets"))

GIVEN = "given"

EMBEDDED = {"digits": "digits.npz", "mnist-5k": "mnist-5k.npz"}

SUBSETS = {"mnist": "mnist-5k"}


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
    RuntimeError
        If ``$MINIHF_DATA`` names the home of nobody.

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
    if name in SUBSETS:
        return replace(_embedded(SUBSETS[name]), subset=True)
    raise FileNotFoundError(_not_there(SOURCES[name], places))


def find_whole(name: str) -> Place:
    """Say where all of a set is, by its name; as `find`, but that a subset is none.

    Raises
    ------
    FileNotFoundError
        Also where there is only a subset of it.
    ValueError, RuntimeError
        As `find` does.
    """
    place = find(name)
    if place.subset:
        raise FileNotFoundError(only_a_subset(name))
    return place


def only_a_subset(name: str) -> str:
    """Return what to say of a set of which only the subset is here, one line."""
    return (
        f"of {name} only a subset is here, {SUBSETS[name]} in the package; `minihf data fetch "
        f"{name}` fetches all of it"
    )


def name_or_path(given: str | Path) -> Path:
    """Return a path that is the bare name of a set only if that was given.

    ``mnist`` is the set, wherever it is found, whatever lies here under that name; ``./mnist`` is
    what lies here, in full, for a `Path` forgets the dot. As a `Path` it must be given in full.

    Examples
    --------
    >>> str(name_or_path("mnist")), name_or_path("./mnist").is_absolute()
    ('mnist', True)
    """
    path = Path(given)
    return path.absolute() if str(path) in SOURCES and str(given) not in SOURCES else path


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


def located(form: Form, path: Path) -> dict[File, Path | None]:
    """Return where the files of a form are, `path` being their folder, or the only one of them."""
    if path.is_dir():
        return {file: packed_or_not(path / file.name) for file in form.files}
    (first, *others) = form.files
    return {first: path} if path.name == first.name and path.exists() and not others else {}


def form_of(source: Source, path: Path) -> dict[File, Path | None]:
    """Return the files of the form that `path` has, most of it at least; none if it has nothing."""
    forms = [located(form, path) for form in source.forms]
    most = max(forms, key=lambda files: sum(found is not None for found in files.values()))
    return most if any(most.values()) else {}


def folder_of_sets() -> Path:
    """Return where sets are fetched to: the first of ``$MINIHF_DATA``, else the user's cache.

    Raises
    ------
    RuntimeError
        If there is neither.
    """
    return next(iter(_users_folders()), None) or cache.folder()


def _users_folders() -> list[Path]:
    """Return the folders that the user names; no shell may have seen their ``~``."""
    named = [Path(it) for it in os.environ.get(FOLDER, "").split(os.pathsep) if it]
    try:
        return [path.expanduser().absolute() for path in named]
    except RuntimeError:
        raise RuntimeError(
            f"${FOLDER} is {os.environ[FOLDER]!r}, but there is no such user's home"
        ) from None


def _folders_of_sets() -> Iterator[tuple[str, Path]]:
    """Give each folder of sets, and what to call it."""
    for users in _users_folders():
        yield f"${FOLDER}", users
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
    unset = "" if _users_folders() else f" (${FOLDER} is not set)"
    return (
        f"{source.name} is not here: looked for {source.folders[0]!r} in {', '.join(looked)}{unset}"
        f"; `minihf data fetch {source.name}` fetches it{by_hand(source)}"
    )


def by_hand(source: Source) -> str:
    """Return how a set is to be had without fetching it, the end of a line; empty if it is not."""
    archives = [form.path for form in source.forms if form.path.endswith(".gz")]
    return f"; or put {' or '.join(archives)}, from {source.homepage}, there" if archives else ""
