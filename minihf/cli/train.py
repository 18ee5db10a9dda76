"""``minihf demo | run | race``: train, and compare."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

import minihf
from minihf import backend
from minihf.cli.names import (
    known_methods,
    method,
    scale,
    scale_summaries,
    task,
    task_summaries,
)
from minihf.cli.words import add_backend, figure, folder, natural, positive, several

__all__ = ["add_demo", "add_race", "add_run"]


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
    _add_methods(parser, list(METHODS))
    parser.add_argument(
        "--out", type=figure, default=Path("minihf-demo.png"), metavar="FILE",
        help="the figure: .png, .pdf or .svg (default: minihf-demo.png)",
    )  # fmt: skip
    _add_seed(parser)
    _add_quiet_and_backend(parser)


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


def add_run(commands: Any) -> None:
    """Add the command to the parser's."""
    parser = commands.add_parser(
        "run",
        help="train one network by one method; keep the log and a figure",
        description="Train one of the papers' networks by one method for some seconds; print a "
        "table, and leave a folder: run.json, what was run, under which conditions; log.jsonl, a "
        "record for each look, as soon as it is made; checkpoints; and figure.png. No other run is "
        "ever replaced. Ctrl-C ends the run after the update at hand. Then, or when it was killed, "
        "--resume goes on: minihf run --out DIR --resume, which needs no more than the folder, or "
        "the same command again with --resume.",
        epilog=_tasks_and_methods(),
    )
    parser.set_defaults(run=lambda arguments: _run(parser, arguments))
    _add_task(parser, optional=True)
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
    parser.add_argument(
        "--json", action="store_true",
        help="print the records, a line of JSON each, and all else to the standard error",
    )
    _add_seed(parser)
    _add_quiet_and_backend(parser)
    parser.set_defaults(method=None, seed=None)     # so that one sees what was given


def _run(parser: argparse.ArgumentParser, arguments: argparse.Namespace) -> int:
    from minihf.experiments.files import last_folder
    from minihf.experiments.run import go_on, run, usual_folder
    from minihf.experiments.run_folder import read_plan, what_goes_on
    from minihf.experiments.tables import table
    from minihf.experiments.tasks import TASKS
    from minihf.experiments.variants import first_order
    from minihf.train.log import as_line

    if arguments.task is None and not (arguments.resume and arguments.out):
        parser.error("the following arguments are required: TASK")
    say = partial(print, file=sys.stderr if arguments.json else sys.stdout)
    options: dict[str, Any] = {"say": say, "progress": not arguments.quiet}
    if arguments.json:
        options["on_record"] = lambda record: print(as_line(record), end="", flush=True)
    word, seed = arguments.method or "minihf", arguments.seed or 0

    say(f"minihf {minihf.__version__} on {backend.device()}")
    if arguments.resume:
        place = arguments.out or last_folder(usual_folder(arguments.task, word, seed))
        history, place = go_on(place, _given(arguments), **options)
    else:
        budget, how_much = _how_much(arguments)
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
        "budget": _budget(arguments) or None,
        "data_path": None if arguments.data is None else str(arguments.data),
    }  # fmt: skip
    return {name: value for name, value in given.items() if value is not None}


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
        epilog=_tasks_and_methods(),
    )
    parser.set_defaults(run=_race)
    _add_task(parser)
    _add_methods(parser, ["adam", "minihf"])
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
    _add_quiet_and_backend(parser)


def _race(arguments: argparse.Namespace) -> int:
    from minihf.experiments.race import race
    from minihf.experiments.tables import table
    from minihf.experiments.tasks import TASKS
    from minihf.experiments.variants import first_order

    print(f"minihf {minihf.__version__} on {backend.device()}")
    out = arguments.out or Path("runs") / f"race-{arguments.task}"
    budget, how_much = _how_much(arguments)
    try:
        runs = race(
            arguments.task, arguments.methods, arguments.seeds, budget, out,
            target=arguments.target, command=arguments.command, progress=not arguments.quiet,
            say=print, **how_much,
        )  # fmt: skip
    except KeyboardInterrupt:
        raise RuntimeError(
            f"interrupted; what there is, is in {str(out)!r}: the same command goes on"
        ) from None
    print()
    print(table(runs, arguments.target, first_order(TASKS[arguments.task].methods, runs)))
    print()
    print(f"runs, table.md, race.png and race.svg: {out.resolve()}")
    return 0


# What they share -----------------------------------------------------------------------------


def _how_much(arguments: argparse.Namespace) -> tuple[Mapping[str, Any], dict[str, Any]]:
    """Return what a run may spend, and on which data: what was said, else what the scale says."""
    from minihf.experiments.scales import SCALES
    from minihf.experiments.tasks import TASKS

    name = arguments.scale or "laptop"
    scale, task = SCALES[name], TASKS[arguments.task]
    data_path = arguments.data or task.path_of(scale.whole)
    how_much = {"data_path": data_path, "cases": scale.cases, "scale": name}
    return _budget(arguments) or scale.budget, how_much


def _budget(arguments: argparse.Namespace) -> dict[str, Any]:
    """Return what a run may spend, as `minihf.fit` takes it; nothing, if nothing was said."""
    if arguments.updates is not None:
        return {"updates": arguments.updates}
    return {} if arguments.seconds is None else {"seconds": arguments.seconds}


def _add_task(parser: argparse.ArgumentParser, optional: bool = False) -> None:
    """Add what is trained, on which data, for how long."""
    parser.add_argument(
        "task", type=task, nargs="?" if optional else None, metavar="TASK",
        help=", ".join(task_summaries()),
    )  # fmt: skip
    parser.add_argument(
        "--data", type=Path, metavar="PATH",
        help="mnist, fashion-mnist or cifar10, where `minihf data` finds it; a folder with IDX "
        "files; an archive or a folder of batches of CIFAR-10; or an npz file with x_train, "
        "y_train, x_test, y_test: uint8 images (N, C, H, W) or (N, H, W), integer labels (N,)",
    )  # fmt: skip
    parser.add_argument(
        "--scale", type=scale, metavar="NAME",
        help="; ".join(f"{name}: {summary}" for name, summary in scale_summaries().items())
        + " (default: laptop)",
    )  # fmt: skip
    budget = parser.add_mutually_exclusive_group()
    budget.add_argument(
        "--seconds", type=positive(float), metavar="S",
        help="seconds of updates for each run (default: what the scale says, 120 for laptop)",
    )  # fmt: skip
    budget.add_argument(
        "--updates", type=positive(int), metavar="N", help="so many updates, not seconds"
    )


def _add_methods(parser: argparse.ArgumentParser, default: list[str]) -> None:
    parser.add_argument(
        "--methods", type=several("method", method), default=default, metavar="A,B",
        help=f"which methods, in order (default: {','.join(default)})",
    )  # fmt: skip


def _tasks_and_methods() -> str:
    """Return what the end of a help says."""
    return (
        f"Methods: {', '.join(known_methods())}; with settings of your own as "
        "NAME:FIELD=VALUE, such as adam:lr=5e-4:batch=512 or zhang2017:solver.max_iters=3. "
        "Tasks: " + "; ".join(f"{name}: {task}" for name, task in task_summaries().items())
    )


def _add_seed(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--seed", type=natural, default=0, metavar="N",
        help="seed of the initial weights and of the batches (default: 0)",
    )  # fmt: skip


def _add_quiet_and_backend(parser: argparse.ArgumentParser) -> None:
    """Add what every command that trains takes."""
    parser.add_argument("--quiet", action="store_true", help="no progress bars")
    add_backend(parser)
