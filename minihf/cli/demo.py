"""``minihf demo``: four methods side by side, and a figure."""

from __future__ import annotations

import argparse
from typing import Any

import minihf
from minihf import backend
from minihf.cli.training import (
    add_methods,
    add_quiet_and_backend,
    add_seed,
)
from minihf.cli.words import figure, positive

__all__ = ["add_demo"]


def add_demo(commands: Any) -> None:
    """Add the command to the parser's."""
    from minihf.experiments.demo import METHODS

    parser = commands.add_parser(
        "demo",
        help="train an autoencoder by four methods, compare, and draw a figure",
        description="Train an autoencoder of MNIST digits (784-200-100-30 and back, the first "
        "5,000 images) by Adam, Hessian-free and block-diagonal Hessian-free optimization and the "
        "house method for the same seconds each; print a table and draw the errors.",
    )
    parser.set_defaults(run=_demo)
    parser.add_argument(
        "--seconds", type=positive(float), default=25.0, metavar="S",
        help="seconds of updates for each run (default: 25)",
    )  # fmt: skip
    add_methods(parser, list(METHODS))
    parser.add_argument(
        "--out", type=figure, default="minihf-demo.png", metavar="FILE",
        help="the figure: .png, .pdf or .svg (default: minihf-demo.png)",
    )  # fmt: skip
    add_seed(parser)
    add_quiet_and_backend(parser)


def _demo(arguments: argparse.Namespace) -> int:
    from minihf.experiments import demo, figures, tables, variants

    print(f"minihf {minihf.__version__} on {backend.device()}")
    runs = demo.demo(
        arguments.methods, arguments.seconds, arguments.seed, not arguments.quiet, print
    )
    print()
    baselines = variants.first_order(demo.TASK.methods, arguments.methods)
    labels = [variants.variant(demo.TASK.methods, word).label for word in baselines]
    print(tables.table(runs, first_order=labels))
    drawn = figures.draw_race(
        runs, "MNIST-5k autoencoder 784-200-100-30 and back", "squared error per image"
    )
    figures.write_figure(drawn, arguments.out)
    print()
    print(f"figure: {arguments.out.resolve()}")
    spent = [history.spent for seeds in runs.values() for history in seeds.values()]
    return 0 if all(spent) and len(spent) == len(arguments.methods) else 1
