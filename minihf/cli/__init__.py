"""The command line: ``minihf demo | run | race | report | bench | check``.

Exit codes: 0 fine, 1 the run failed or a check did, 2 the command was not understood. Each command
stands beside its arguments; the library is imported when a command wants it.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

import minihf
from minihf.cli.bench import add_bench
from minihf.cli.check import add_check
from minihf.cli.report import add_report
from minihf.cli.train import add_demo, add_race, add_run
from minihf.memory import keep_freed_memory

__all__ = ["main"]


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line and return the exit code."""
    arguments = _parser().parse_args(argv)
    keep_freed_memory()
    try:
        return arguments.run(arguments)
    except KeyboardInterrupt:
        problem = "interrupted"
    except (OSError, RuntimeError, ValueError) as error:
        problem = str(error)
    print(f"minihf: {problem}", file=sys.stderr)
    return 1


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="minihf", description="Block-diagonal Hessian-free optimization, from scratch."
    )
    parser.add_argument("--version", action="version", version=f"minihf {minihf.__version__}")
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)
    for add in (add_demo, add_run, add_race, add_report, add_bench, add_check):
        add(commands)
    return parser
