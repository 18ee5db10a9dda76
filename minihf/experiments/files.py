"""What an experiment's files and folders are called.

Called by runs, races and the report.
"""

from __future__ import annotations

import hashlib
import re
from contextlib import suppress
from itertools import count
from pathlib import Path

__all__ = ["file_name", "last_folder", "new_folder"]

LONGEST = 120
"""Characters of a method's word in a file name; file systems take 255 for the whole name."""


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
