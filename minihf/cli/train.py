"""``minihf demo | run | race``: train, and compare."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import minihf
from minihf import backend
from minihf.cli.names import known_methods, method, task, task_summaries
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
    _add_seconds(parser, 25.0)
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
        "record for each look, as soon as it is made; and figure.png. No other run is ever "
        "replaced. Ctrl-C ends the run after the update at hand.",
        epilog=_tasks_and_methods(),
    )
    parser.set_defaults(run=_run)
    _add_task(parser)
    parser.add_argument(
        "--method", default="minihf", type=method, metavar="NAME",
        help=f"{', '.join(known_methods())} (default: minihf)",
    )  # fmt: skip
    parser.add_argument(
        "--out", type=folder, metavar="DIR",
        help="the run's folder, empty or to be made (default: runs/TASK-METHOD-SEED, and numbered "
        "from 2 on where that is there)",
    )  # fmt: skip
    _add_seed(parser)
    _add_quiet_and_backend(parser)


def _run(arguments: argparse.Namespace) -> int:
    from minihf.experiments.run import run
    from minihf.experiments.tables import table
    from minihf.experiments.tasks import TASKS
    from minihf.experiments.variants import first_order

    print(f"minihf {minihf.__version__} on {backend.device()}")
    history, place = run(
        arguments.task, arguments.method, _budget(arguments), arguments.seed, arguments.out,
        arguments.data, arguments.command, print, progress=not arguments.quiet,
    )  # fmt: skip
    runs = {arguments.method: {arguments.seed: history}}
    print()
    print(table(runs, first_order=first_order(TASKS[arguments.task].methods, runs)))
    print()
    print(f"run.json, log.jsonl and figure.png: {place.resolve()}")
    return 0 if history.spent else 1


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
        "missing, and only under the same conditions. A call with fewer shows those. One race at a "
        "time runs in a folder.",
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
    try:
        runs = race(
            arguments.task, arguments.methods, arguments.seeds, _budget(arguments), out,
            data_path=arguments.data, target=arguments.target, command=arguments.command,
            progress=not arguments.quiet, say=print,
        )  # fmt: skip
    except KeyboardInterrupt:
        raise RuntimeError(
            f"interrupted; complete runs are in {str(out)!r}: the same command goes on"
        ) from None
    print()
    print(table(runs, arguments.target, first_order(TASKS[arguments.task].methods, runs)))
    print()
    print(f"runs, table.md, race.png and race.svg: {out.resolve()}")
    return 0


# What they share -----------------------------------------------------------------------------


def _budget(arguments: argparse.Namespace) -> dict[str, Any]:
    """Return what a run may spend, as `minihf.fit` takes it."""
    if arguments.updates is not None:
        return {"updates": arguments.updates}
    return {"seconds": arguments.seconds}


def _add_task(parser: argparse.ArgumentParser) -> None:
    """Add what is trained, on which data, for how long."""
    parser.add_argument("task", type=task, metavar="TASK", help=", ".join(task_summaries()))
    parser.add_argument(
        "--data", type=Path, metavar="PATH",
        help="mnist, fashion-mnist or cifar10, where `minihf data` finds it; a folder with IDX "
        "files; an archive or a folder of batches of CIFAR-10; or an npz file with x_train, "
        "y_train, x_test, y_test: uint8 images (N, C, H, W) or (N, H, W), integer labels (N,)",
    )  # fmt: skip
    budget = parser.add_mutually_exclusive_group()
    _add_seconds(budget, 120.0)
    budget.add_argument(
        "--updates", type=positive(int), metavar="N", help="so many updates, not seconds"
    )


def _add_seconds(parser: argparse._ActionsContainer, default: float) -> None:
    parser.add_argument(
        "--seconds", type=positive(float), default=default, metavar="S",
        help=f"seconds of updates for each run (default: {default:g})",
    )  # fmt: skip


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
