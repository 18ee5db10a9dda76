"""``minihf watch``: what a run or a race in the background is doing."""

from __future__ import annotations

import argparse
from contextlib import suppress
from pathlib import Path
from typing import Any

__all__ = ["add_watch"]


def add_watch(commands: Any) -> None:
    """Add the command to the parser's."""
    parser = commands.add_parser(
        "watch",
        help="show how far a run, or a race, in the background is",
        description="Draw the progress bar of a run that another process makes, or of each run of "
        "a race, by what it leaves in its folder, until it has ended or nobody is at work on it "
        "any more; a run that has ended is shown at once. Ctrl-C ends watching, not the run.",
    )
    parser.set_defaults(run=_watch)
    parser.add_argument("folder", type=Path, metavar="DIR", help="the folder of a run or a race")


def _watch(arguments: argparse.Namespace) -> int:
    from minihf.experiments.watch import Watch

    with suppress(KeyboardInterrupt):
        return 0 if Watch(print)(arguments.folder) else 1
    return 0
