"""Folders: made, numbered, held by one process; and what files in them are called.

Files themselves appear whole or not at all (`minihf.train.files`). Called by whatever an experiment
leaves behind: runs, tables, figures.
"""

from __future__ import annotations

import hashlib
import os
import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from itertools import count
from pathlib import Path
from tempfile import TemporaryFile

from minihf.train.files import aside, sweep, whole, write_text

if sys.platform != "win32":
    import fcntl

__all__ = [
    "alone_in",
    "aside",
    "file_name",
    "folder",
    "is_held",
    "last_folder",
    "must_be_writable",
    "new_folder",
    "sweep",
    "whole",
    "write_text",
]

LONGEST = 120
"""Characters of a method's word in a file name; file systems take 255 for the whole name."""

LOCK = ".lock"


def file_name(word: str) -> str:
    """Return a method's word as a part of a file name that every system takes.

    A long one is cut, and ends in a digest of what it was.

    Examples
    --------
    >>> file_name("adam:lr=5e-4:batch=512")
    'adam,lr=5e-4,batch=512'
    """
    name = re.sub(r"[^\w.=+-]", ",", word, flags=re.ASCII)
    if len(name) <= LONGEST:
        return name
    digest = hashlib.sha256(word.encode()).hexdigest()[:12]
    return f"{name[: LONGEST - len(digest) - 1]},{digest}"


# Folders --------------------------------------------------------------------------------------


@contextmanager
def folder(path: Path) -> Iterator[None]:
    """Make a folder if it is not there; at the end it goes again if nothing lies in it.

    Raises
    ------
    OSError
        If it cannot be made or written into, one line that names it.
    """
    made: list[Path] = []
    try:
        try:
            made = [place for place in (path, *path.parents) if not place.exists()]
            path.mkdir(parents=True, exist_ok=True)
            must_be_writable(path)
        except (FileExistsError, NotADirectoryError):
            file = next((place for place in (path, *path.parents) if place.is_file()), path)
            raise OSError(f"{str(file)!r} is a file; expected a folder") from None
        except OSError as error:
            raise OSError(f"cannot write into {str(path)!r}: {error.strerror}") from None
        yield
    finally:
        for place in made:
            with suppress(OSError):                     # not there, or something lies in it
                place.rmdir()


def new_folder(path: Path) -> Path:
    """Make the first of PATH, PATH-2, PATH-3 and so on that is not there, and return it.

    Raises
    ------
    OSError
        If it cannot be made, one line that names it.

    Examples
    --------
    >>> import tempfile
    >>> path = Path(tempfile.mkdtemp()) / "digits-adam,lr=0.1-0"
    >>> [new_folder(path).name for _ in range(2)]
    ['digits-adam,lr=0.1-0', 'digits-adam,lr=0.1-0-2']
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        for number in count(1):
            name = path if number == 1 else path.with_name(f"{path.name}-{number}")
            with suppress(FileExistsError):
                name.mkdir()
                return name
    except OSError as error:
        raise OSError(f"cannot write into {str(path.parent)!r}: {error.strerror}") from None
    raise AssertionError("whole numbers have no end")


def last_folder(path: Path) -> Path:
    """Return the one that `new_folder` made last; the first, if there is none.

    Examples
    --------
    >>> import tempfile
    >>> path = Path(tempfile.mkdtemp()) / "digits-adam,lr=0.1-0"
    >>> made = [new_folder(path) for _ in range(3)]
    >>> last_folder(path) == made[-1]
    True
    """
    ends = (other.name.removeprefix(f"{path.name}-") for other in path.parent.glob("*-*"))
    number = max((int(end) for end in ends if end.isdecimal()), default=1)
    return path if number == 1 else path.with_name(f"{path.name}-{number}")


def must_be_writable(path: Path) -> None:
    """Raise the system's OSError if no file can be made in a folder: rights alone do not tell."""
    with TemporaryFile(dir=path):
        pass


@contextmanager
def alone_in(path: Path, what: str = "race") -> Iterator[None]:
    """Hold a folder for oneself; the system lets go of it when the process ends, in any way.

    `what` is done in it, in the words of the refusal.

    On Windows, which has no ``flock``, nothing is held.

    Raises
    ------
    RuntimeError
        If another process holds it.
    """
    if sys.platform == "win32":
        yield
        return
    with (path / LOCK).open("a") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            taken = _is_gone(path / LOCK, file.fileno())
        except BlockingIOError:
            taken = True
        if taken:
            raise RuntimeError(
                f"another {what} is running in {str(path)!r}; wait for its end, or take another "
                "folder (--out)"
            )
        try:
            yield
        finally:
            (path / LOCK).unlink(missing_ok=True)


def is_held(path: Path) -> bool | None:
    """Tell whether a process holds a folder by `alone_in`; None where that cannot be known."""
    if sys.platform == "win32":
        return None
    try:
        with (path / LOCK).open() as file:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except FileNotFoundError:
        return False
    except BlockingIOError:
        return True
    except OSError:                                      # not ours to open
        return None
    return False


def _is_gone(path: Path, descriptor: int) -> bool:
    """Tell whether a file that was opened is not the one under that name any more."""
    try:
        return not os.path.samestat(path.stat(), os.fstat(descriptor))
    except FileNotFoundError:
        return True
