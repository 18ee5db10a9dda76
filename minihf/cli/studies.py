"""``minihf reproduce | results``: ask again what the papers claim, and write down the answers."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import minihf
from minihf import backend
from minihf.cli.names import scale, scale_summaries, study, study_titles
from minihf.cli.words import add_backend, folder, images, markdown, natural, several

__all__ = ["add_reproduce", "add_results"]


def add_reproduce(commands: Any) -> None:
    """Add the command to the parser's."""
    parser = commands.add_parser(
        "reproduce",
        help="run the papers' experiments again, as races over several seeds",
        description="Run studies: each has a task, methods, and what a paper says of them. Its "
        "runs are a race in a folder of its name, which goes on with what is missing when it is "
        "called again; what they came to is kept in NAME.json, of which minihf results makes a "
        "page.",
        epilog="Studies: " + "; ".join(f"{name}: {title}" for name, title in study_titles().items())
        + ". Scales: " + "; ".join(f"{name}: {what}" for name, what in scale_summaries().items())
        + ".",
    )  # fmt: skip
    parser.set_defaults(run=_reproduce)
    parser.add_argument(
        "studies", type=study, nargs="+", metavar="STUDY",
        help="names of studies, or all",
    )  # fmt: skip
    parser.add_argument(
        "--scale", type=scale, default="laptop", metavar="NAME",
        help=f"{', '.join(scale_summaries())} (default: laptop)",
    )  # fmt: skip
    parser.add_argument(
        "--seeds", type=several("seed", natural), metavar="N,M",
        help="other seeds than the scale's",
    )  # fmt: skip
    parser.add_argument(
        "--data", type=images, metavar="FILE",
        help="data for the studies whose task takes some, as minihf run takes them",
    )  # fmt: skip
    parser.add_argument(
        "--out", type=folder, metavar="DIR",
        help="the folder, made if it is not there (default: runs/SCALE)",
    )  # fmt: skip
    parser.add_argument("--quiet", action="store_true", help="no progress bars")
    add_backend(parser)


def _reproduce(arguments: argparse.Namespace) -> int:
    from minihf.experiments.reproduce import must_have_data, reproduce
    from minihf.experiments.studies import STUDIES

    print(f"minihf {minihf.__version__} on {backend.device()}")
    out = arguments.out or Path("runs") / arguments.scale
    names = list(STUDIES) if "all" in arguments.studies else list(dict.fromkeys(arguments.studies))
    must_have_data(names, arguments.scale, arguments.data)
    for name in names:
        try:
            reproduce(
                name, arguments.scale, out, seeds=arguments.seeds, data_path=arguments.data,
                command=arguments.command, progress=not arguments.quiet, say=print,
            )  # fmt: skip
        except KeyboardInterrupt:
            raise RuntimeError(
                f"interrupted; complete runs are in {str(out)!r}: the same command goes on"
            ) from None
        print(f"result: {(out / name).resolve()}.json")
        print()
    return 0


def add_results(commands: Any) -> None:
    """Add the command to the parser's."""
    parser = commands.add_parser(
        "results",
        help="write a page from the results of studies",
        description="Write a page (Markdown) of what the papers claim and what was measured, from "
        "the NAME.json that minihf reproduce left, with a figure for each study in a folder of the "
        "page's name.",
    )
    parser.set_defaults(run=_results)
    parser.add_argument("place", type=Path, metavar="DIR", help="where the results are")
    parser.add_argument(
        "--out", type=markdown, default="results.md", metavar="FILE",
        help="the page (default: results.md)",
    )  # fmt: skip


def _results(arguments: argparse.Namespace) -> int:
    from minihf.experiments.results_page import read_results, write_page

    results = read_results(arguments.place)
    write_page(results, arguments.place, arguments.out)
    print(f"{len(results)} studies: {arguments.out.resolve()}")
    return 0
