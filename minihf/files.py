"""Files that appear whole or not at all, in folders that are made, swept and held by one process.

What is written goes to a name beside its own first, then to the disk, and takes its own by one
rename: whoever looks finds all of the old file or all of the new one, even after a power cut. Of a
process that is killed a file with such a name may remain, which nobody takes for anything;
`sweep` removes it.

Called by whatever leaves files behind: data sets, checkpoints, logs, runs, tables, figures.
"""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from secrets import token_hex
from tempfile import TemporaryFile
from time import sleep

if sys.platform != "win32":
    import fcntl

__all__ = [
    "alone_in",
    "aside",
    "folder",
    "is_held",
    "must_be_writable",
    "put",
    "sweep",
    "whole",
    "writable",
    "write_text",
]

LOCK = ".lock"
ATTEMPTS, MOMENT = 5, 0.01
"""How often a lock that is taken is tried again, and the seconds between."""


# Files ----------------------------------------------------------------------------------------


@contextmanager
def aside(path: Path) -> Iterator[Path]:
    """Give a name beside `path` that is nobody else's; at the end nothing is left under it.

    A file or a folder may be made there.
    """
    part = path.with_name(f".{path.stem}.{token_hex(4)}.part{path.suffix}")
    try:
        yield part
    finally:
        _remove(part)


def put(part: Path, path: Path) -> None:
    """Bring a file to the disk, and move it from beside `path` into its place.

    Raises
    ------
    OSError
        If it cannot be written; or in its place is a folder, a device or a pipe, which stays.
    """
    if path.exists() and not path.is_file():
        raise OSError(f"cannot write {str(path)!r}: it is no file")
    with part.open("rb+") as file:
        os.fsync(file.fileno())
    os.replace(part, path)
    _sync_folder(path.parent)


@contextmanager
def whole(path: Path) -> Iterator[Path]:
    """Give a temporary name beside `path`; what is there at the end is put in place.

    Where the block is left by an exception, nothing is put in place and nothing remains.

    Examples
    --------
    >>> import tempfile
    >>> path = Path(tempfile.mkdtemp()) / "a.txt"
    >>> with whole(path) as part:
    ...     _ = part.write_text("complete")
    >>> path.read_text(), [file.name for file in path.parent.iterdir()]
    ('complete', ['a.txt'])
    """
    with aside(path) as part:
        yield part
        put(part, path)


def write_text(path: Path, text: str) -> None:
    """Write a text file, whole or not at all."""
    with whole(path) as part:
        part.write_text(text, encoding="utf-8")


def writable(path: str | Path) -> Path:
    """Return a path if a file can be written there: said before the work, not after it.

    Of a link it is where that leads: /dev/stdout must not be replaced, nor what somebody set up.

    Raises
    ------
    ValueError
        If it is no file, or its folder is not there or not for us to write into.
    """
    path = Path(path)
    path = path.resolve() if path.is_symlink() else path
    if path.exists() and not path.is_file():
        what = "it is a folder" if path.is_dir() else "it is no file"
        raise ValueError(f"cannot write {str(path)!r}: {what}")
    try:
        must_be_writable(path.parent)
    except OSError:
        raise ValueError(
            f"cannot write {str(path)!r}: no writable folder {str(path.parent)!r}"
        ) from None
    return path


def sweep(folder: Path, stem: str = "*") -> None:
    """Remove what processes that were killed have left in a folder. Nobody may be writing in it.

    With a `stem` only what is left of files of this name, such as ``latest`` for ``latest.npz``.
    """
    for part in folder.glob(f".{stem}.{'[0-9a-f]' * 8}.part*"):
        _remove(part)


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)


def _sync_folder(path: Path) -> None:
    """Bring to the disk which files a folder has, where a system can."""
    with suppress(OSError):
        descriptor = os.open(path, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


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


def must_be_writable(path: Path) -> None:
    """Raise the system's OSError if no file can be made in a folder: rights alone do not tell."""
    with TemporaryFile(dir=path):
        pass


@contextmanager
def alone_in(path: Path, what: str = "race", chosen_by: str = "--out") -> Iterator[None]:
    """Hold a folder for oneself; the system lets go of it when the process ends, in any way.

    In the words of the refusal, `what` is done in it, and `chosen_by` is how to take another one.

    On Windows, which has no ``flock``, and on a file system without locks nothing is held.

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
            taken = not _lock(file.fileno()) or _is_gone(path / LOCK, file.fileno())
        except OSError:                                  # a file system without locks
            taken = False
        if taken:
            raise RuntimeError(
                f"another {what} is running in {str(path)!r}; wait for its end, or take another "
                f"folder ({chosen_by})"
            )
        try:
            yield
        finally:
            (path / LOCK).unlink(missing_ok=True)


def _lock(descriptor: int) -> bool:
    """Lock a file and tell whether it was free; one who only looks has it for a moment."""
    for _ in range(ATTEMPTS):
        with suppress(BlockingIOError):
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return True
        sleep(MOMENT)
    return False


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
