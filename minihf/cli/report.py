"""``minihf report``: all runs below a folder, on one page."""

from __future__ import annotations

import argparse
import webbrowser
from pathlib import Path
from typing import Any

from minihf.cli.words import folder, page

__all__ = ["add_report"]


def add_report(commands: Any) -> None:
    """Add the command to the parser's."""
    parser = commands.add_parser(
        "report",
        help="show all runs below a folder on one page, with figures",
        description="Read the runs at and below a folder, such as those of minihf run and minihf "
        "race, and write a page of HTML that needs nothing beside it: tables, figures whose values "
        "show where one points, what the trained networks show, settings, commands and conditions; "
        "and the figures as PNG. Runs that cannot be read are named on it, each with the reason.",
    )
    parser.set_defaults(run=_report)
    parser.add_argument(
        "folder", type=Path, metavar="DIR", help="a run, a race, or any folder above some"
    )
    parser.add_argument(
        "--out", type=page, metavar="FILE", help="the page (default: report.html in DIR)"
    )
    figures = parser.add_mutually_exclusive_group()
    figures.add_argument(
        "--png", type=folder, metavar="DIR",
        help="the folder for the figures as PNG (default: report-figures beside the page, named "
        "after it)",
    )  # fmt: skip
    figures.add_argument("--no-png", action="store_true", help="the page alone")
    parser.add_argument("--open", action="store_true", help="show the page in a browser")


def _report(arguments: argparse.Namespace) -> int:
    from minihf.experiments.report import report

    out = arguments.out or arguments.folder / "report.html"
    png = None if arguments.no_png else arguments.png or out.with_name(f"{out.stem}-figures")
    figures = report(arguments.folder, out, png)
    print(f"page: {out.resolve()}")
    if figures and png is not None:
        print(f"{figures} figures: {png.resolve()}")
    if arguments.open:
        webbrowser.open(out.resolve().as_uri())
    return 0
