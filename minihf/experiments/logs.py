"""Logs of runs, read back: complete, or to be made again, or none at all.

Called by whatever goes on with runs or reads them.
"""

from __future__ import annotations

import math
import sys
from pathlib import Path
from typing import Any

from minihf.train import History

__all__ = ["AT_END", "AXES", "ERRORS", "fits", "is_complete", "read_log"]

AXES = ("updates", "seconds", "products", "data_passes")
ERRORS = ("train", "test")
AT_END = ("train_at_end", "test_at_end")
"""What the last record has besides, if looks measured fewer cases than the end."""


def read_log(path: Path) -> History:
    """Read a log that has all that tables and figures want.

    Raises
    ------
    ValueError
        If it is no such log: one line that names file, line and column, and says what to do.
    """
    try:
        history = History.read(path)
        for number, record in enumerate(history, start=1):
            for name in (*AXES, *ERRORS, *(name for name in AT_END if name in record)):
                if not fits(name, record.get(name, "missing")):
                    raise ValueError(
                        f"{path}, line {number}: {name!r} is {record.get(name, 'missing')!r}, "
                        "expected a number"
                    )
    except ValueError as error:
        raise ValueError(f"{error}; delete it, and the same command makes it again") from None
    return history


def is_complete(path: Path) -> bool:
    """Tell whether a run's log is there, with the record that says why the run ended."""
    return path.exists() and read_log(path).ended not in ("", "interrupted")


def fits(name: str, value: Any) -> bool:
    """Tell whether a value is a number; an error that was not finite, or not measured, is None."""
    if value is None or (isinstance(value, float) and not math.isfinite(value)):
        return name in ERRORS + AT_END
    return type(value) in (int, float) and abs(value) <= sys.float_info.max
