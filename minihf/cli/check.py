"""``minihf check``: whether a thing of one's own is right, or this installation."""

from __future__ import annotations

import argparse
import os
import sys
from typing import Any

from minihf.cli.words import add_backend, natural, parameter, positive, profile

__all__ = ["add_check"]


def add_check(commands: Any) -> None:
    """Add the command to the parser's."""
    parser = commands.add_parser(
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
    parser.set_defaults(run=_check)
    parser.add_argument(
        "target", nargs="?", metavar="FILE.py:NAME",
        help="a class, an object, or a function that makes one, in a Python file",
    )  # fmt: skip
    parser.add_argument(
        "--x", metavar="SHAPE",
        help="the input's shape: 'N D', 'N T 3', 'N 2 H+4 W+4'; axes are numbers or names of sizes",
    )  # fmt: skip
    parser.add_argument(
        "--input", action="append", default=[], metavar="SHAPE",
        help="for an op: the shape of a further input, 'D M'; as often as there are inputs",
    )  # fmt: skip
    parser.add_argument(
        "--param", action="append", default=[], type=parameter, metavar="NAME=SHAPE",
        help="for a function of (params, x): a parameter's shape, 'W=D M'; once for each",
    )  # fmt: skip
    parser.add_argument(
        "--profile", type=profile, metavar="NAME",
        help="how many cases: dev, ci, grade or nightly (default: $MINIHF_PROFILE, else dev)",
    )  # fmt: skip
    parser.add_argument(
        "--cases", type=positive(int), metavar="N", help="how many cases (default: the profile's)"
    )
    parser.add_argument(
        "--seed", type=natural, default=0, metavar="N", help="seed of the first case (default: 0)"
    )
    add_backend(parser)


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
        print(f"minihf: {error}", file=sys.stderr)
        return 2
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
