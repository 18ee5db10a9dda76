"""Files that appear whole or not at all.

Called by whatever an experiment leaves behind: logs, tables, figures.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

__all__ = ["file_name", "whole", "write_text"]


def file_name(word: str) -> str:
    """Return a method's word as a part of a file name that every system takes.

    Examples
    --------
    >>> file_name("adam:lr=5e-4:batch=512")
    'adam,lr=5e-4,batch=512'
    """
    return re.sub(r"[^\w.=+-]", ",", word)


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
    part = path.with_name(f".{path.stem}.part{path.suffix}")
    try:
        yield part
        os.replace(part, path)
    finally:
        part.unlink(missing_ok=True)


def write_text(path: Path, text: str) -> None:
    """Write a text file, whole or not at all."""
    with whole(path) as part:
        part.write_text(text, encoding="utf-8")
