"""The command line: ``minihf demo | run | race | bench | check``.

Exit codes: 0 fine, 1 the run failed or a check did, 2 the command was not understood.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import minihf
from minihf import backend

__all__ = ["main"]


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line and return the exit code."""
    arguments = _parser().parse_args(argv)
    try:
        return arguments.run(arguments)
    except KeyboardInterrupt:
        return _fail("interrupted")
    except (OSError, RuntimeError, ValueError) as error:
        return _fail(str(error))


def _fail(message: str, code: int = 1) -> int:
    print(f"minihf: {message}", file=sys.stderr)
    return code


# Commands -----------------------------------------------------------------------------------


def _demo(arguments: argparse.Namespace) -> int:
    from minihf.experiments import demo, figures, tables

    print(f"minihf {minihf.__version__} on {backend.device()}")
    runs = demo.demo(
        arguments.methods, arguments.seconds, arguments.seed, not arguments.quiet, print
    )
    print()
    print(tables.table(runs))
    figure = figures.draw_race(
        runs, "MNIST-5k autoencoder 784-200-100-30 and back", "squared error per image"
    )
    figures.write_figure(figure, arguments.out)
    print()
    print(f"figure: {arguments.out.resolve()}")
    spent = [history.spent for seeds in runs.values() for history in seeds.values()]
    return 0 if all(spent) and len(spent) == len(arguments.methods) else 1


def _run(arguments: argparse.Namespace) -> int:
    from minihf.experiments.run import run, stem_of
    from minihf.experiments.tables import table

    print(f"minihf {minihf.__version__} on {backend.device()}")
    runs = run(
        arguments.task, arguments.method, arguments.out, _budget(arguments), arguments.seed,
        arguments.data, not arguments.quiet, print,
    )  # fmt: skip
    print()
    print(table(runs))
    print()
    stem = stem_of(arguments.out, arguments.task, arguments.method, arguments.seed)
    print(f"log and figure: {stem.resolve()}.jsonl, .png")
    return 0 if runs[arguments.method][arguments.seed].spent else 1


def _race(arguments: argparse.Namespace) -> int:
    from minihf.experiments.race import race
    from minihf.experiments.tables import table

    print(f"minihf {minihf.__version__} on {backend.device()}")
    out = arguments.out or Path("runs") / f"race-{arguments.task}"
    try:
        runs = race(
            arguments.task, arguments.methods, arguments.seeds, _budget(arguments), out,
            data_path=arguments.data, target=arguments.target, progress=not arguments.quiet,
            say=print,
        )  # fmt: skip
    except KeyboardInterrupt:
        return _fail(f"interrupted; complete runs are in {str(out)!r}: the same command goes on")
    print()
    print(table(runs, arguments.target))
    print()
    print(f"logs, table.md, race.png and race.svg: {out.resolve()}")
    return 0


def _budget(arguments: argparse.Namespace) -> dict[str, Any]:
    """Return what a run may spend, as `minihf.fit` takes it."""
    if arguments.updates is not None:
        return {"updates": arguments.updates}
    return {"seconds": arguments.seconds}


def _bench(arguments: argparse.Namespace) -> int:
    from minihf.experiments.bench import bench

    for line in bench(arguments.rounds):
        print(line, flush=True)
    return 0


def _check(arguments: argparse.Namespace) -> int:
    from minihf.testing import CheckFailure, load
    from minihf.testing.recognise import recognise

    if arguments.target is None:
        return _check_installation(arguments)
    try:
        found = recognise(
            load(arguments.target), arguments.x, arguments.input, dict(arguments.param)
        )
        print(f"{arguments.target} is {found.a_kind}" + (f"; {found.note}" if found.note else ""))
        print(_green(str(found.check(arguments.seed, arguments.cases))))
    except CheckFailure as failure:
        print(_red(str(failure)))
        return 1
    except ValueError as error:
        return _fail(str(error), 2)
    return 0


def _check_installation(arguments: argparse.Namespace) -> int:
    from minihf.testing import CheckFailure
    from minihf.testing.builtin import BUILTIN
    from minihf.testing.installation import facts

    for word, line in facts():
        print(f"{word:10} {line}")
    print(flush=True)
    wrong = 0
    for name, row in BUILTIN.items():
        try:
            verdict = row.check(seed=arguments.seed, cases=arguments.cases)
            print(_green(f"{name:26} right in {verdict.cases} cases"), flush=True)
        except CheckFailure as failure:
            wrong += 1
            print(_red(f"{name:26} wrong\n{failure}"), flush=True)
    right = f"{len(BUILTIN) - wrong} of {len(BUILTIN)} built-in ops are right"
    print()
    print(_red(right) if wrong else _green(right))
    return 1 if wrong else 0


def _green(text: str) -> str:
    return _coloured(text, 32)


def _red(text: str) -> str:
    return _coloured(text, 31)


def _coloured(text: str, colour: int) -> str:
    """Colour the first line, where the terminal has colours and nobody objects (no-color.org)."""
    if not sys.stdout.isatty() or os.environ.get("NO_COLOR") or os.environ.get("TERM") == "dumb":
        return text
    first, newline, rest = text.partition("\n")
    return f"\x1b[{colour}m{first}\x1b[0m{newline}{rest}"


# Arguments ----------------------------------------------------------------------------------


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="minihf", description="Block-diagonal Hessian-free optimization, from scratch."
    )
    parser.add_argument("--version", action="version", version=f"minihf {minihf.__version__}")
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)

    demo = commands.add_parser(
        "demo",
        help="train an autoencoder by four methods, compare, and draw a figure",
        description="Train an autoencoder of MNIST digits (784-200-100-30 and back, the first "
        "5,000 images) by Adam, Hessian-free and block-diagonal Hessian-free optimization and the "
        "house method for the same seconds each; print a table and draw the errors.",
    )
    demo.set_defaults(run=_demo)
    _add_seconds(demo, 25.0)
    _add_methods(demo, _demo_methods())
    demo.add_argument(
        "--out", type=_figure, default=Path("minihf-demo.png"), metavar="FILE",
        help="the figure: .png, .pdf or .svg (default: minihf-demo.png)",
    )  # fmt: skip
    _add_seed(demo)
    _add_quiet_and_backend(demo)

    run = commands.add_parser(
        "run",
        help="train one network by one method; keep the log and a figure",
        description="Train one of the papers' networks by one method for some seconds; print a "
        "table, and leave the log (JSON lines) and a figure in a folder.",
        epilog=_tasks_and_methods(),
    )
    run.set_defaults(run=_run)
    _add_task(run)
    run.add_argument(
        "--method", default="minihf", type=_method, metavar="NAME",
        help=f"{', '.join(_known_methods())} (default: minihf)",
    )  # fmt: skip
    run.add_argument(
        "--out", type=Path, default=Path("runs"), metavar="DIR",
        help="the folder for log and figure, made if it is not there (default: runs)",
    )  # fmt: skip
    _add_seed(run)
    _add_quiet_and_backend(run)

    race = commands.add_parser(
        "race",
        help="race methods on a task, over several seeds; keep logs, a table and a figure",
        description="Train one of the papers' networks by several methods from several seeds, each "
        "run for the same seconds or updates, the methods in turns; print a table of medians and "
        "ranges over the seeds, and draw the errors over updates, seconds, products with the "
        "curvature, and passes through the data. Complete runs stay in the folder: interrupted, or "
        "called again with more methods or seeds, the race goes on with what is missing, and only "
        "under the same conditions. A call with fewer shows those.",
        epilog=_tasks_and_methods(),
    )
    race.set_defaults(run=_race)
    _add_task(race)
    _add_methods(race, ["adam", "minihf"])
    race.add_argument(
        "--seeds", type=_seeds, default=[0, 1, 2], metavar="N,M",
        help="seeds of the initial weights and of the batches (default: 0,1,2)",
    )  # fmt: skip
    race.add_argument(
        "--target", type=_positive(float), metavar="X",
        help="in the table, the seconds until a training error of X (default: what the best method "
        "without curvature came to, else the second best method)",
    )  # fmt: skip
    race.add_argument(
        "--out", type=Path, metavar="DIR",
        help="the folder, made if it is not there (default: runs/race-TASK)",
    )  # fmt: skip
    _add_quiet_and_backend(race)

    bench = commands.add_parser(
        "bench",
        help="time Gauss-Newton products next to their bare matrix products, and to JAX",
        description="Time products with the Gauss-Newton matrices of a deep autoencoder, a CNN and "
        "an LSTM next to their bare matrix products, and to JAX where it is installed.",
    )
    bench.set_defaults(run=_bench)
    bench.add_argument(
        "--rounds", type=_positive(int), default=15, metavar="N",
        help="how often everything is timed, in turns (default: 15)",
    )  # fmt: skip

    check = commands.add_parser(
        "check",
        help="check a layer, op, loss, optimizer or solver of your own; or this installation",
        description="Find out whether the derivatives of a thing of your own are right: climb a "
        "ladder of checks, from shapes to second derivatives, and at the first broken rung say "
        "what is wrong, how much, in which smallest case, and probably why. Without a target, "
        "check this installation: versions, backend, BLAS, GPU, and the built-in ops.",
        epilog="A class, or a function, is given whole numbers named as its parameters are, and "
        "these are names of sizes, too: for MyLayer(width, depth) write --x 'N width'. Without "
        "--x the attribute `example` counts, else some usual shapes are tried. Exit code: 0 right, "
        "1 wrong, 2 nothing that can be checked.",
    )
    check.set_defaults(run=_check)
    check.add_argument(
        "target", nargs="?", metavar="FILE.py:NAME",
        help="a class, an object, or a function that makes one, in a Python file",
    )  # fmt: skip
    check.add_argument(
        "--x", metavar="SHAPE",
        help="the input's shape: 'N D', 'N T 3', 'N 2 H+4 W+4'; axes are numbers or names of sizes",
    )  # fmt: skip
    check.add_argument(
        "--input", action="append", default=[], metavar="SHAPE",
        help="for an op: the shape of a further input, 'D M'; as often as there are inputs",
    )  # fmt: skip
    check.add_argument(
        "--param", action="append", default=[], type=_parameter, metavar="NAME=SHAPE",
        help="for a function of (params, x): a parameter's shape, 'W=D M'; once for each",
    )  # fmt: skip
    check.add_argument(
        "--profile", type=_profile, metavar="NAME",
        help="how many cases: dev, ci, grade or nightly (default: $MINIHF_PROFILE, else dev)",
    )  # fmt: skip
    check.add_argument(
        "--cases", type=_positive(int), metavar="N", help="how many cases (default: the profile's)"
    )
    check.add_argument(
        "--seed", type=_natural, default=0, metavar="N", help="seed of the first case (default: 0)"
    )
    _add_backend(check)
    return parser


def _add_task(parser: argparse.ArgumentParser) -> None:
    """Add what is trained, on which data, for how long."""
    parser.add_argument("task", type=_task, metavar="TASK", help=", ".join(_task_summaries()))
    parser.add_argument(
        "--data", type=Path, metavar="FILE",
        help="an npz file with x_train, y_train, x_test, y_test: uint8 images (N, C, H, W)",
    )  # fmt: skip
    budget = parser.add_mutually_exclusive_group()
    _add_seconds(budget, 120.0)
    budget.add_argument(
        "--updates", type=_positive(int), metavar="N", help="so many updates, not seconds"
    )


def _add_seconds(parser: argparse._ActionsContainer, default: float) -> None:
    parser.add_argument(
        "--seconds", type=_positive(float), default=default, metavar="S",
        help=f"seconds of updates for each run (default: {default:g})",
    )  # fmt: skip


def _add_methods(parser: argparse.ArgumentParser, default: list[str]) -> None:
    parser.add_argument(
        "--methods", type=_methods, default=default, metavar="A,B",
        help=f"which methods, in order (default: {','.join(default)})",
    )  # fmt: skip


def _tasks_and_methods() -> str:
    """Return what the end of a help says."""
    return (
        f"Methods: {', '.join(_known_methods())}; with settings of your own as "
        "NAME:FIELD=VALUE, such as adam:lr=5e-4:batch=512 or minihf:solver.max_iters=3. "
        "Tasks: " + "; ".join(f"{name}: {task}" for name, task in _task_summaries().items())
    )


def _add_seed(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--seed", type=_natural, default=0, metavar="N",
        help="seed of the initial weights and of the batches (default: 0)",
    )  # fmt: skip


def _add_quiet_and_backend(parser: argparse.ArgumentParser) -> None:
    """Add what every command that trains takes."""
    parser.add_argument("--quiet", action="store_true", help="no progress bars")
    _add_backend(parser)


def _add_backend(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--backend", type=_backend, metavar="NAME",
        help="auto, numpy or cupy (default: $MINIHF_BACKEND, else auto)",
    )  # fmt: skip


def _refusing(read: Callable[[str], Any]) -> Callable[[str], Any]:
    """Turn a reader's ValueError into argparse's: usage, one line, exit code 2."""

    def convert(text: str) -> Any:
        try:
            return read(text)
        except (RuntimeError, ValueError) as error:
            raise argparse.ArgumentTypeError(str(error)) from None

    return convert


def _positive(kind: type) -> Callable[[str], Any]:
    def read(text: str) -> Any:
        try:
            value = kind(text)
        except ValueError:
            value = 0
        if not 0 < value < float("inf"):
            noun = "a whole number of 1 or more" if kind is int else "a positive number"
            raise ValueError(f"expected {noun}, got {text!r}")
        return value

    return _refusing(read)


@_refusing
def _natural(text: str) -> int:
    if not text.isdecimal():
        raise ValueError(f"expected a whole number of 0 or more, got {text!r}")
    return int(text)


def _several(what: str, read: Callable[[str], Any]) -> Callable[[str], list[Any]]:
    """Return a reader of one or more, separated by commas, each once."""

    def convert(text: str) -> list[Any]:
        found = [read(part.strip()) for part in text.split(",")]
        if len(set(found)) < len(found):
            raise argparse.ArgumentTypeError(f"a {what} is named twice in {text!r}")
        return found

    return convert


@_refusing
def _method(text: str) -> str:
    from minihf.experiments.methods import METHODS
    from minihf.experiments.variants import variant

    variant(METHODS, text)
    return text


_methods = _several("method", _method)
_seeds = _several("seed", _natural)


def _demo_methods() -> list[str]:
    from minihf.experiments.demo import METHODS

    return list(METHODS)


def _known_methods() -> list[str]:
    from minihf.experiments.methods import METHODS

    return list(METHODS)


def _task_summaries() -> dict[str, str]:
    from minihf.experiments.tasks import TASKS

    return {name: task.summary for name, task in TASKS.items()}


@_refusing
def _task(text: str) -> str:
    from minihf.experiments.variants import one_of

    return one_of(_task_summaries(), "task", text)


@_refusing
def _figure(text: str) -> Path:
    from minihf.experiments.figures import must_be_drawable

    return must_be_drawable(text)


@_refusing
def _backend(text: str) -> str:
    return backend.use(text).backend


@_refusing
def _profile(text: str) -> str:
    from minihf.testing import use_profile

    return use_profile(text).name


@_refusing
def _parameter(text: str) -> tuple[str, str]:
    name, equals, shape = text.partition("=")
    if not name or not equals:
        raise ValueError(f"expected NAME=SHAPE such as 'W=D M', got {text!r}")
    return name, shape
