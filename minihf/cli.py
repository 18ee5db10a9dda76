"""The command line: ``minihf demo | run | bench | check``.

Exit codes: 0 fine, 1 the run failed or a check did, 2 the command was not understood.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable, Sequence
from difflib import get_close_matches
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
    demo.add_argument(
        "--seconds", type=_positive(float), default=25.0, metavar="S",
        help="seconds of updates for each method (default: 25)",
    )  # fmt: skip
    demo.add_argument(
        "--methods", type=_methods, default=_demo_methods(), metavar="A,B",
        help=f"which methods, in order (default: {','.join(_demo_methods())})",
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
        "--method", default="minihf", type=_method, metavar="NAME",
        help=f"{', '.join(_known_methods())} (default: minihf)",
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


def _add_common(parser: argparse.ArgumentParser) -> None:
    """Add what every command that trains takes."""
    parser.add_argument(
        "--seed", type=_natural, default=0, metavar="N",
        help="seed of the initial weights and of the batches (default: 0)",
    )  # fmt: skip
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


@_refusing
def _methods(text: str) -> list[str]:
    names = [_one_of(_known_methods(), "method", name.strip()) for name in text.split(",")]
    if len(set(names)) < len(names):
        raise ValueError(f"a method is named twice in {text!r}")
    return names


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
    return _one_of(list(_task_summaries()), "task", text)


@_refusing
def _method(text: str) -> str:
    return _one_of(_known_methods(), "method", text)


def _one_of(known: Sequence[str], what: str, text: str) -> str:
    if text not in known:
        close = get_close_matches(text, known, n=1)
        hint = f" (did you mean {close[0]!r}?)" if close else ""
        raise ValueError(f"unknown {what} {text!r}; known: {', '.join(known)}{hint}")
    return text


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
