"""The log of a run: a line of JSON for each record, written as it is made.

Called by `minihf.fit`, which writes, and by the command line; `minihf.History.read` reads it.
"""

from __future__ import annotations

import json
import math
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, TextIO

from minihf.files import write_text

__all__ = ["as_line", "log_file"]


@contextmanager
def log_file(
    path: str | Path | None, before: Sequence[Mapping[str, Any]] = ()
) -> Iterator[Callable[[Mapping[str, Any]], None]]:
    """Give a function that writes a record at once.

    The log has the records `before` from now on, and no others: one that says why a run ended says
    so no more while the run goes further. Without them an old log stays until there is a first
    record. The log's folder is made if it is not there.
    A record that cannot be written later on, for the disk is full, is a warning, and the next one
    brings it along.
    """
    if path is None:
        yield lambda record: None
        return
    log = _Log(Path(path))
    try:
        if before:
            log.write(*before)
        yield log.write
    finally:
        log.close()


class _Log:
    """A log that is open for the next record, or to be written anew."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._records: list[Mapping[str, Any]] = []
        self._file: TextIO | None = None
        self._begun = False

    def write(self, *records: Mapping[str, Any]) -> None:
        self._records += records
        try:
            if self._file is None:
                self._path.parent.mkdir(parents=True, exist_ok=True)
                write_text(self._path, "".join(map(as_line, self._records)))
                self._file = self._path.open("a", encoding="utf-8")
            else:
                self._file.write("".join(map(as_line, records)))
                self._file.flush()
        except OSError as error:
            said = f"cannot write the log {str(self._path)!r}: {error.strerror}"
            if not self._begun:
                raise OSError(said) from None
            self.close()
            warnings.warn(f"{said}; the run goes on", RuntimeWarning, stacklevel=3)
        self._begun = True

    def close(self) -> None:
        """Close it; what could not be written comes with the next record."""
        if self._file is not None:
            with suppress(OSError):
                self._file.close()
        self._file = None


def as_line(record: Mapping[str, Any]) -> str:
    """Return a record as one line of strict JSON: NaN and infinities become null."""

    def plain(value: Any) -> Any:
        if isinstance(value, Mapping):
            return {key: plain(entry) for key, entry in value.items()}
        if isinstance(value, float) and not math.isfinite(value):
            return None
        return value

    return json.dumps(plain(record), allow_nan=False) + "\n"
