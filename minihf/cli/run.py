"""``minihf run``: one network by one method, in a folder of its own."""

from __future__ import annotations

import argparse
from typing import Any

import minihf
from minihf import backend
from minihf.cli.names import known_methods, method
from minihf.cli.printing import add_json, print_record, teller
from minihf.cli.training import (
    add_quiet_and_backend,
    add_seed,
    add_task,
    budget_of,
    how_much_of,
    tasks_and_methods,
)
from minihf.cli.words import folder

__all__ = ["add_run"]


def add_run(commands: Any) -> None:
    """Add the command to the parser's."""
    parser = commands.add_parser(
        "run",
        help="train one network by one method; keep the log and a figure",
        description="Train one of the papers' networks by one method for some seconds; print a "
        "table, and leave a folder: run.json, what was run, under which conditions; log.jsonl, a "
        "record for each look, as soon as it is made; checkpoints; and figure.png. No other run is "
        "ever replaced. Ctrl-C, or SIGTERM, ends the run after the update at hand. Then, or when "
        "it was killed, --resume goes on: minihf run --out DIR --resume, which needs no more than "
        "the folder, or the same command again with --resume.",
        epilog=tasks_and_methods(),
    )
    parser.set_defaults(run=lambda arguments: _run(parser, arguments))
    add_task(parser, optional=True)
    parser.add_argument(
        "--method", type=method, metavar="NAME",
        help=f"{', '.join(known_methods())} (default: minihf)",
    )  # fmt: skip
    parser.add_argument(
        "--out", type=folder, metavar="DIR",
        help="the run's folder, empty or to be made (default: runs/TASK-METHOD-SEED, and numbered "
        "from 2 on where that is there)",
    )  # fmt: skip
    parser.add_argument(
        "--resume", action="store_true",
        help="go on with the run in --out, or, without it, with the last one of this task, method "
        "and seed; with another --seconds or --updates it goes that far",
    )  # fmt: skip
    add_json(parser)
    add_seed(parser)
    add_quiet_and_backend(parser)
    parser.set_defaults(method=None, seed=None)     # so that one sees what was given


def _run(parser: argparse.ArgumentParser, arguments: argparse.Namespace) -> int:
    from minihf.experiments.files import last_folder
    from minihf.experiments.run import go_on, run, usual_folder
    from minihf.experiments.run_folder import read_plan, what_goes_on
    from minihf.experiments.tables import table
    from minihf.experiments.tasks import TASKS
    from minihf.experiments.variants import first_order

    if arguments.task is None and not (arguments.resume and arguments.out):
        parser.error("the following arguments are required: TASK")
    say = teller(arguments)
    options: dict[str, Any] = {"say": say, "progress": not arguments.quiet}
    if arguments.json:
        options["on_record"] = print_record
    word, seed = arguments.method or "minihf", arguments.seed or 0

    say(f"minihf {minihf.__version__} on {backend.device()}")
    if arguments.resume:
        place = arguments.out or last_folder(usual_folder(arguments.task, word, seed))
        history, place = go_on(place, _given(arguments), **options)
    else:
        budget, how_much = how_much_of(arguments)
        history, place = run(
            arguments.task, word, budget, seed, arguments.out, command=arguments.command,
            **how_much, **options,
        )  # fmt: skip
    planned = read_plan(place)
    runs = {planned["method"]: {planned["seed"]: history}}
    say()
    say(table(runs, first_order=first_order(TASKS[planned["task"]].methods, runs)))
    say()
    if history.ended == "interrupted":
        say(f"to go on: {what_goes_on(place, planned)}")
    say(f"run.json, log.jsonl, checkpoints and figure.png: {place.resolve()}")
    return 0 if history.spent else 1


def _given(arguments: argparse.Namespace) -> dict[str, Any]:
    """Return what was said of a run."""
    given = {
        "task": arguments.task, "method": arguments.method, "seed": arguments.seed,
        "scale": arguments.scale,
        "budget": budget_of(arguments) or None,
        "data_path": None if arguments.data is None else str(arguments.data),
    }  # fmt: skip
    return {name: value for name, value in given.items() if value is not None}
