"""``minihf bench``: what Gauss-Newton products cost."""

from __future__ import annotations

import argparse
from typing import Any

from minihf.cli.words import positive

__all__ = ["add_bench"]


def add_bench(commands: Any) -> None:
    """Add the command to the parser's."""
    parser = commands.add_parser(
        "bench",
        help="time Gauss-Newton products next to their bare matrix products, and to JAX",
        description="Time products with the Gauss-Newton matrices of a deep autoencoder, a CNN and "
        "an LSTM next to their bare matrix products, and to JAX where it is installed.",
    )
    parser.set_defaults(run=_bench)
    parser.add_argument(
        "--rounds", type=positive(int), default=15, metavar="N",
        help="how often everything is timed, in turns (default: 15)",
    )  # fmt: skip


def _bench(arguments: argparse.Namespace) -> int:
    from minihf.experiments.bench import bench

    for line in bench(arguments.rounds):
        print(line, flush=True)
    return 0
