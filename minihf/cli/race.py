"""``minihf race``: methods under equal conditions, over several seeds."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import minihf
from minihf import backend
from minihf.cli.printing import add_json, print_record, teller
from minihf.cli.training import (
    add_methods,
    add_quiet_and_backend,
    add_task,
    how_much_of,
    tasks_and_methods,
)
from minihf.cli.words import folder, natural, positive, several

__all__ = ["add_race"]


def add_race(commands: Any) -> None:
    """Add the command to the parser's."""
    parser = commands.add_parser(
        "race",
        help="race methods on a task, over several seeds; keep runs, a table and a figure",
        description="Train one of the papers' networks by several methods from several seeds, each "
        "run for the same seconds or updates, the methods in turns; print a table of medians and "
        "ranges over the seeds, and draw the errors over updates, seconds, products with the "
        "curvature in the solvers, and passes through the data. Complete runs stay in the folder: "
        "interrupted, or called again with more methods or seeds, the race goes on with what is "
        "missing, a run that was under way from its checkpoint, and only under the same "
        "conditions. A call with fewer shows those. One race at a time runs in a folder.",
        epilog=tasks_and_methods(),
    )
    parser.set_defaults(run=_race)
    add_task(parser)
    add_methods(parser, ["adam", "minihf"])
    parser.add_argument(
        "--seeds", type=several("seed", natural), default=[0, 1, 2], metavar="N,M",
        help="seeds of the initial weights and of the batches (default: 0,1,2)",
    )  # fmt: skip
    parser.add_argument(
        "--target", type=positive(float), metavar="X",
        help="in the table, the seconds until a training error of X (default: what the best method "
        "that goes by gradients alone came to, else the second best method)",
    )  # fmt: skip
    parser.add_argument(
        "--out", type=folder, metavar="DIR",
        help="the folder, made if it is not there (default: runs/race-TASK)",
    )  # fmt: skip
    add_json(parser)
    add_quiet_and_backend(parser)


def _race(arguments: argparse.Namespace) -> int:
    from minihf.experiments.race import race
    from minihf.experiments.tables import table
    from minihf.experiments.tasks import TASKS
    from minihf.experiments.variants import first_order

    say = teller(arguments)
    say(f"minihf {minihf.__version__} on {backend.device()}")
    out = arguments.out or Path("runs") / f"race-{arguments.task}"
    budget, how_much = how_much_of(arguments)
    try:
        runs = race(
            arguments.task, arguments.methods, arguments.seeds, budget, out,
            target=arguments.target, command=arguments.command, progress=not arguments.quiet,
            on_record=print_record if arguments.json else None, say=say, **how_much,
        )  # fmt: skip
    except KeyboardInterrupt:
        raise RuntimeError(
            f"interrupted; what there is, is in {str(out)!r}: the same command goes on"
        ) from None
    say()
    say(table(runs, arguments.target, first_order(TASKS[arguments.task].methods, runs)))
    say()
    say(f"runs, table.md, race.png and race.svg: {out.resolve()}")
    return 0
