"""Bytes from files that may lie about what is in them.

A header says how much follows, and nobody here believes it: memory is taken as bytes arrive, never
as they are announced, and there is an end to how many are taken.

Called by the readers of this package.
"""

from __future__ import annotations

import gzip
import tarfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, Protocol

__all__ = [
    "CHUNK",
    "LARGEST",
    "Bounded",
    "Stream",
    "exactly",
    "in_one_line",
    "is_packed",
    "must_be_file",
    "opened",
    "packed_or_not",
    "rest",
]

LARGEST = 2**30
"""Bytes that are taken from a file that was packed: five times CIFAR-10."""

CHUNK = 2**20


class Stream(Protocol):
    """What can be read a piece at a time."""

    def read(self, n: int, /) -> bytes:
        """Return up to n bytes, and none at the end."""


class Bounded:
    """A stream that gives up where it goes on and on.

    That is at `LARGEST`, or `most` if that is given, or at the size of its file if that is more.
    """

    def __init__(self, stream: Stream, path: Path, most: int | None = None) -> None:
        self.stream = stream
        self.most = self.left = max(most or LARGEST, path.stat().st_size)

    def read(self, n: int = CHUNK, /) -> bytes:
        """Return up to n bytes, and none at the end."""
        piece = self.stream.read(min(n, CHUNK))
        self.left -= len(piece)
        if self.left < 0:
            raise ValueError(f"it has more than {self.most:,} bytes, unpacked")
        return piece


@contextmanager
def opened(path: Path, *, unpack: bool = True, most: int | None = None) -> Iterator[Stream]:
    """Open a file; one that is packed by gzip is read unpacked, unless told not to.

    Raises
    ------
    OSError
        If it is none that can be read.
    """
    must_be_file(path)
    with path.open("rb") as file:
        if unpack and is_packed(file):
            with gzip.open(file) as unpacked:
                yield Bounded(unpacked, path, most)
        else:
            yield Bounded(file, path, most)


def must_be_file(path: Path) -> None:
    """Raise an OSError at a pipe or a device: one who reads it may wait forever."""
    if path.exists() and not path.is_file():
        raise OSError("it is no file")


def packed_or_not(path: Path) -> Path | None:
    """Return the path of a file, or of that with ``.gz``; None if there is neither."""
    packed = path.with_name(f"{path.name}.gz")
    return next((found for found in (path, packed) if found.exists()), None)


def is_packed(file: BinaryIO) -> bool:
    """Tell whether a file begins as gzip's do; it is left at its start."""
    begins = file.read(2)
    file.seek(0)
    return begins == b"\x1f\x8b"


def exactly(stream: Stream, n: int) -> bytearray:
    """Read n bytes.

    Raises
    ------
    ValueError
        If there are fewer.

    Examples
    --------
    >>> import io
    >>> exactly(io.BytesIO(b"four, and more"), 4)
    bytearray(b'four')
    >>> exactly(io.BytesIO(b"four"), 2**29)
    Traceback (most recent call last):
    ValueError: it ends after 4 of 536,870,912 bytes
    """
    if n < 0:
        raise ValueError(f"it announces {n:,} bytes")
    content = bytearray()
    while len(content) < n:
        piece = stream.read(min(CHUNK, n - len(content)))
        if not piece:
            raise ValueError(f"it ends after {len(content):,} of {n:,} bytes")
        content += piece
    return content


def rest(stream: Stream) -> bytearray:
    """Read to the end."""
    content = bytearray()
    while piece := stream.read(CHUNK):
        content += piece
    return content


@contextmanager
def in_one_line(path: Path, what: str) -> Iterator[None]:
    """Turn whatever goes wrong with a file into a ValueError of one line that names it."""
    try:
        yield
    except (gzip.BadGzipFile, zlib.error, EOFError):
        raise ValueError(f"{str(path)!r} is no {what}: its gzip is damaged or cut off") from None
    except OSError as error:
        raise ValueError(f"cannot read {str(path)!r}: {error.strerror or error}") from None
    except (ValueError, tarfile.TarError) as error:
        raise ValueError(f"{str(path)!r} is no {what}: {error}") from None
