"""What goes to the standard output, and what becomes of it when nobody reads it any more.

Called by the commands.
"""

from __future__ import annotations

import argparse
import io
import os
import signal
import sys
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

__all__ = ["add_json", "leave_it", "print_any_letter", "print_record", "teller"]


def add_json(parser: argparse.ArgumentParser) -> None:
    """Add --json."""
    parser.add_argument(
        "--json", action="store_true",
        help="print the records, a line of JSON each, and all else to the standard error",
    )


def teller(arguments: argparse.Namespace) -> Callable[..., None]:
    """Return what prints a line for people: where records go to the output, beside it."""
    return partial(print, file=sys.stderr if arguments.json else sys.stdout)


def print_record(record: Mapping[str, Any]) -> None:
    """Print a record for other programs, at once; the run ends as by Ctrl-C if none reads it."""
    from minihf.train.log import as_line

    try:
        print(as_line(record), end="", flush=True)
    except BrokenPipeError:
        leave_it()
        signal.raise_signal(signal.SIGINT)


def print_any_letter() -> None:
    """Print a letter that the terminal's encoding lacks, of a folder's name say, as its code."""
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")


def leave_it() -> None:
    """Let what is still to be printed go nowhere: Python would try again when it ends."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, sys.stdout.fileno())
    os.close(nowhere)
