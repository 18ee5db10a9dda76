"""Whether the files of a set are what they should be.

Called by `minihf.data.places`, `minihf.data.fetch` and ``minihf data verify``.
"""

from __future__ import annotations

import hashlib
import zlib
from enum import Enum
from pathlib import Path

from minihf.data.sources import File, Form, Source
from minihf.data.streams import CHUNK, opened, packed_or_not

__all__ = ["State", "checksum", "form_of", "is_whole", "located", "state", "states"]


class State(Enum):
    """What can be said of a file."""

    FINE = "fine"
    DAMAGED = "damaged"
    MISSING = "missing"


def checksum(path: Path, file: File) -> str:
    """Return what `File.checksum` would be if it were of the file at `path`.

    Raises
    ------
    OSError, EOFError, ValueError, zlib.error
        If it cannot be read, or not be unpacked.
    """
    algorithm = file.checksum.partition(":")[0]
    digest = hashlib.new(algorithm, usedforsecurity=False)
    with opened(path, unpack=file.unpacked) as stream:
        while piece := stream.read(CHUNK):
            digest.update(piece)
    return f"{algorithm}:{digest.hexdigest()}"


def state(path: Path | None, file: File) -> State:
    """Say whether the file at `path` is the one that it should be; no path is a missing one."""
    if path is None:
        return State.MISSING
    try:
        return State.FINE if checksum(path, file) == file.checksum else State.DAMAGED
    except (OSError, EOFError, ValueError, zlib.error):
        return State.DAMAGED


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


def states(source: Source, path: Path) -> dict[File, State]:
    """Return the state of each file of a set at `path`; empty if there is nothing of it."""
    return {file: state(found, file) for file, found in form_of(source, path).items()}


def is_whole(source: Source, path: Path) -> bool:
    """Tell whether a set is at `path`, each of its files fine; the smallest is looked at first."""
    files = sorted(form_of(source, path).items(), key=lambda item: item[0].size)
    return bool(files) and all(state(found, file) is State.FINE for file, found in files)
