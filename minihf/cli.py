"""The command line: ``minihf demo | run | bench``.

Exit codes: 0 fine, 1 the run failed, 2 the command was not understood.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Sequence
from difflib import get_close_matches
from pathlib import Path
from typing import Any

import minihf
from minihf import backend

__all__ = ["main"]

METHODS = ("adam", "martens2010", "zhang2017", "minihf")


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line and return the exit code."""
    arguments = _parser().parse_args(argv)
    try:
        return arguments.run(arguments)
    except KeyboardInterrupt:
        return _fail("interrupted")
    except (OSError, RuntimeError, ValueError) as error:
        return _fail(str(error))


def _fail(message: str) -> int:
    print(f"minihf: {message}", file=sys.stderr)
    return 1


# Commands -----------------------------------------------------------------------------------


def _demo(arguments: argparse.Namespace) -> int:
    from minihf.experiments import demo, figures

    print(f"minihf {minihf.__version__} on {backend.device()}")
    histories = demo.race(
        arguments.methods, arguments.seconds, arguments.seed, not arguments.quiet, print
    )
    print()
    print(demo.table(histories))
    figure = figures.draw_race(
        histories, "MNIST-5k autoencoder 784-200-100-30 and back", "squared error per image"
    )
    figures.write_figure(figure, arguments.out)
    print()
    print(f"figure: {arguments.out.resolve()}")
    finished = [history.ended.endswith("seconds") for history in histories.values()]
    return 0 if all(finished) and len(finished) == len(arguments.methods) else 1


def _run(arguments: argparse.Namespace) -> int:
    from minihf.experiments.demo import table
    from minihf.experiments.run import run

    print(f"minihf {minihf.__version__} on {backend.device()}")
    history = run(
        arguments.task, arguments.method, arguments.out, arguments.seconds, arguments.seed,
        arguments.data, not arguments.quiet, print,
    )  # fmt: skip
    print()
    print(table({arguments.method: history}))
    print()
    stem = f"{arguments.task}-{arguments.method}-{arguments.seed}"
    print(f"log and figure: {(arguments.out / stem).resolve()}.jsonl, .png")
    return 0 if history.ended.endswith("seconds") else 1


def _bench(arguments: argparse.Namespace) -> int:
    from minihf.experiments.bench import bench

    for line in bench(arguments.rounds):
        print(line, flush=True)
    return 0


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
    demo.add_argument(
        "--seconds", type=_positive(float), default=25.0, metavar="S",
        help="seconds of updates for each method (default: 25)",
    )  # fmt: skip
    demo.add_argument(
        "--methods", type=_methods, default=_methods(",".join(METHODS)), metavar="A,B",
        help=f"which methods, in order (default: {','.join(METHODS)})",
    )  # fmt: skip
    demo.add_argument(
        "--out", type=_figure, default=Path("minihf-demo.png"), metavar="FILE",
        help="the figure: .png, .pdf or .svg (default: minihf-demo.png)",
    )  # fmt: skip
    _add_common(demo)

    run = commands.add_parser(
        "run",
        help="train one network by one method; keep the log and a figure",
        description="Train one of the papers' networks by one method for some seconds; print a "
        "table, and leave the log (JSON lines) and a figure in a folder.",
        epilog="tasks: " + "; ".join(f"{name}: {task}" for name, task in _task_summaries().items()),
    )
    run.set_defaults(run=_run)
    run.add_argument("task", type=_task, metavar="TASK", help=", ".join(_task_summaries()))
    run.add_argument(
        "--method", default="zhang2017", choices=_task_methods(), metavar="NAME",
        help=f"{', '.join(METHODS)}; some tasks have more: "
        f"{', '.join(name for name in _task_methods() if name not in METHODS)} "
        "(default: zhang2017)",
    )  # fmt: skip
    run.add_argument(
        "--seconds", type=_positive(float), default=120.0, metavar="S",
        help="seconds of updates (default: 120)",
    )  # fmt: skip
    run.add_argument(
        "--data", type=Path, metavar="FILE",
        help="an npz file with x_train, y_train, x_test, y_test: uint8 images (N, C, H, W)",
    )  # fmt: skip
    run.add_argument(
        "--out", type=Path, default=Path("runs"), metavar="DIR",
        help="the folder for log and figure, made if it is not there (default: runs)",
    )  # fmt: skip
    _add_common(run)

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
    return parser


def _add_common(parser: argparse.ArgumentParser) -> None:
    """Add what every command that trains takes."""
    parser.add_argument(
        "--seed", type=_natural, default=0, metavar="N",
        help="seed of the initial weights and of the batches (default: 0)",
    )  # fmt: skip
    parser.add_argument("--quiet", action="store_true", help="no progress bars")
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


@_refusing
def _methods(text: str) -> list[str]:
    from minihf.experiments.methods import AUTOENCODER_METHODS as known

    names = [name.strip() for name in text.split(",")]
    for name in names:
        if name not in known:
            close = get_close_matches(name, known, n=1)
            hint = f" (did you mean {close[0]!r}?)" if close else ""
            raise ValueError(f"unknown method {name!r}; known: {', '.join(known)}{hint}")
    if len(set(names)) < len(names):
        raise ValueError(f"a method is named twice in {text!r}")
    return names


def _task_summaries() -> dict[str, str]:
    from minihf.experiments.tasks import TASKS

    return {name: task.summary for name, task in TASKS.items()}


def _task_methods() -> list[str]:
    """Return the methods that any task has."""
    from minihf.experiments.tasks import TASKS

    return list(dict.fromkeys(name for task in TASKS.values() for name in task.methods))


@_refusing
def _task(text: str) -> str:
    known = _task_summaries()
    if text not in known:
        close = get_close_matches(text, known, n=1)
        hint = f" (did you mean {close[0]!r}?)" if close else ""
        raise ValueError(f"unknown task {text!r}; known: {', '.join(known)}{hint}")
    return text


@_refusing
def _figure(text: str) -> Path:
    from minihf.experiments.figures import must_be_drawable

    return must_be_drawable(text)


@_refusing
def _backend(text: str) -> str:
    return backend.use(text).backend
