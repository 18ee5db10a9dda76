"""Files that appear whole or not at all.

What is written goes to a name beside its own first, and takes its own by one rename. Called by
whatever a run leaves behind.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from secrets import token_hex

__all__ = ["aside", "sweep", "whole", "write_text"]


@contextmanager
def aside(path: Path) -> Iterator[Path]:
    """Give a name beside `path` that is nobody else's; at the end nothing is left under it."""
    part = path.with_name(f".{path.stem}.{token_hex(4)}.part{path.suffix}")
    try:
        yield part
    finally:
        part.unlink(missing_ok=True)


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
        os.replace(part, path)


def write_text(path: Path, text: str) -> None:
    """Write a text file, whole or not at all."""
    with whole(path) as part:
        part.write_text(text, encoding="utf-8")


def sweep(folder: Path) -> None:
    """Remove what processes that were killed have left in a folder. Nobody may be writing in it."""
    for part in folder.glob(f".*.{'[0-9a-f]' * 8}.part.*"):
        part.unlink(missing_ok=True)
