"""The command line: ``minihf demo``, ``run``, ``race`` and so on, by `minihf --help`.

Exit codes: 0 fine, 1 the run failed or a check did, 2 the command was not understood. Each command
stands beside its arguments; the library is imported when a command wants it.
"""

from __future__ import annotations

import argparse
import shlex
import sys
import warnings
from collections.abc import Sequence
from contextlib import suppress
from typing import Any

import minihf
from minihf.cli.bench import add_bench
from minihf.cli.check import add_check
from minihf.cli.data import add_data
from minihf.cli.demo import add_demo
from minihf.cli.printing import leave_it, print_any_letter
from minihf.cli.race import add_race
from minihf.cli.report import add_report
from minihf.cli.run import add_run
from minihf.cli.studies import add_reproduce, add_results
from minihf.cli.watch import add_watch
from minihf.memory import keep_freed_memory
from minihf.train.console import terminable

__all__ = ["main"]


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line and return the exit code."""
    words = sys.argv[1:] if argv is None else argv
    arguments = _parser().parse_args(words)
    arguments.command = shlex.join(["minihf", *words])
    keep_freed_memory()
    print_any_letter()
    try:
        with warnings.catch_warnings(), terminable():
            warnings.showwarning = _warn
            code = arguments.run(arguments)
            print(end="", flush=True)
            return code
    except BrokenPipeError:                                  # nobody reads it any more
        leave_it()
        return 1
    except KeyboardInterrupt:
        problem = "interrupted"
    except (OSError, RuntimeError, ValueError) as error:
        problem = str(error)
    print(f"minihf: {problem}", file=sys.stderr)
    return 1


def _warn(message: Warning | str, *where: Any, **more: Any) -> None:
    """Show a warning as one line, above the progress bars."""
    from tqdm import tqdm

    if sys.stderr is not None:
        with suppress(OSError):
            tqdm.write(f"minihf: {message}", file=sys.stderr)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="minihf", description="Block-diagonal Hessian-free optimization, from scratch."
    )
    parser.add_argument("--version", action="version", version=f"minihf {minihf.__version__}")
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)
    for add in (
        add_demo, add_run, add_race, add_watch, add_report, add_reproduce, add_results, add_data,
        add_bench, add_check,
    ):  # fmt: skip
        add(commands)
    return parser
