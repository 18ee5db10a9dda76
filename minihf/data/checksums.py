"""Whether the files of a set are what they should be.

Called by `minihf.data.images`, by fetching and by ``minihf data verify``.
"""

from __future__ import annotations

import gzip
import hashlib
import zlib
from enum import Enum
from pathlib import Path

from minihf.data.places import form_of
from minihf.data.sources import File, Source
from minihf.data.streams import CHUNK, opened

__all__ = ["State", "checksum", "is_whole", "state", "states"]


class State(Enum):
    """What can be said of a file."""

    FINE = "fine"
    DAMAGED = "damaged"
    MISSING = "missing"
    UNREADABLE = "unreadable"


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
    except (gzip.BadGzipFile, EOFError, ValueError, zlib.error):
        return State.DAMAGED
    except OSError:                                   # rights, or a disk that fails
        return State.UNREADABLE


def states(source: Source, path: Path) -> dict[File, State]:
    """Return the state of each file of a set at `path`; empty if there is nothing of it."""
    return {file: state(found, file) for file, found in form_of(source, path).items()}


def is_whole(source: Source, path: Path) -> bool:
    """Tell whether a set is at `path`, each of its files fine; the smallest is looked at first."""
    files = sorted(form_of(source, path).items(), key=lambda item: item[0].size)
    return bool(files) and all(state(found, file) is State.FINE for file, found in files)
