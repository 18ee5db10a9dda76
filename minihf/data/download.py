"""A file over HTTP, which goes on where an earlier try was cut off.

Called by `minihf.data.routes`.
"""

from __future__ import annotations

from http import HTTPStatus
from http.client import HTTPException, HTTPResponse
from pathlib import Path
from typing import BinaryIO
from urllib.error import HTTPError, URLError
from urllib.request import Request, urlopen

from tqdm import tqdm

from minihf.data.streams import CHUNK

__all__ = ["CannotWrite", "download"]

TIMEOUT = 20.0
"""Seconds without a byte after which a server counts as gone."""

TRIES = 5


class CannotWrite(RuntimeError):
    """The disk is full, or the folder is not for us to write into: another server will not help."""


def download(url: str, part: Path, most: int, show: bool = False) -> None:
    """Get a file, adding to what `part` has of it.

    A connection that is cut is made again as long as bytes come, `TRIES` in all; then what there
    is stays in `part`, for the next call.

    Parameters
    ----------
    url : str
    part : path
        The file to write.
    most : int
        Bytes; a server that sends more is refused.
    show : bool
        Draw a progress bar.

    Raises
    ------
    OSError, ValueError
        If the server cannot be reached, or does not do what it should.
    CannotWrite
        If it is our disk.
    """
    with _appended(part) as file:
        for _ in range(TRIES):
            before = file.seek(0, 2)
            try:
                return _transfer(url, file, most, show)
            except (OSError, HTTPException) as error:
                problem = _in_words(error)
            if file.seek(0, 2) <= before:
                break
    raise OSError(problem)


def _transfer(url: str, file: BinaryIO, most: int, show: bool) -> None:
    """Append what is missing from the file; all of it, where the server sends all of it."""
    had = file.seek(0, 2)
    request = Request(url, headers={"Range": f"bytes={had}-"} if had else {})
    try:
        answer: HTTPResponse = urlopen(request, timeout=TIMEOUT)
    except HTTPError as error:
        error.close()
        if had and error.code == HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE:
            return                                              # there is no more to be had
        raise
    with answer:
        if had and answer.status != HTTPStatus.PARTIAL_CONTENT:
            had = 0
            file.truncate(0)
        elif had and not answer.headers.get("Content-Range", "").startswith(f"bytes {had}-"):
            raise ValueError("the server sent another part of the file than it was asked for")
        rest = answer.headers.get("Content-Length")
        total = had + int(rest) if rest and rest.isdecimal() else None
        with tqdm(
            total=total, initial=had, unit="B", unit_scale=True, desc=url.rpartition("/")[2],
            disable=not show,
        ) as bar:  # fmt: skip
            while piece := answer.read1(CHUNK):      # what has come, and no waiting for more
                had += len(piece)
                if had > most:
                    raise ValueError(f"the server sends more than {most:,} bytes")
                _write(file, piece)
                bar.update(len(piece))
    if total is not None and had < total:
        raise ConnectionError(f"the connection was cut after {had:,} of {total:,} bytes")


def _write(file: BinaryIO, piece: bytes) -> None:
    try:
        file.write(piece)
        file.flush()
    except OSError as error:
        raise CannotWrite(
            f"cannot write {file.name!r}: {error.strerror}; the same command goes on from there"
        ) from None


def _appended(part: Path) -> BinaryIO:
    try:
        return part.open("ab")
    except OSError as error:
        raise CannotWrite(f"cannot write {str(part)!r}: {error.strerror}") from None


def _in_words(error: Exception) -> str:
    """Return what went wrong in one line, whatever characters the server has put into it."""
    if isinstance(error, URLError) and isinstance(error.reason, Exception):
        error = error.reason
    if isinstance(error, HTTPError):
        words = f"the server says {error.code} {error.reason}"
    elif isinstance(error, OSError) and error.strerror:
        words = error.strerror
    else:
        words = str(error)
    printable = "".join(c if c.isprintable() else " " for c in words)
    return " ".join(printable.split()) or type(error).__name__
