"""From words to values: every reader of an argument, and what it says of a wrong one.

Called by the commands.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import Any

from minihf import backend, files

__all__ = [
    "add_backend",
    "figure",
    "folder",
    "images",
    "markdown",
    "natural",
    "page",
    "parameter",
    "positive",
    "profile",
    "refusing",
    "several",
]


def refusing(read: Callable[[str], Any]) -> Callable[[str], Any]:
    """Turn a reader's ValueError into argparse's: usage, one line, exit code 2."""

    def convert(text: str) -> Any:
        try:
            return read(text)
        except (OSError, RuntimeError, ValueError) as error:
            raise argparse.ArgumentTypeError(str(error)) from None

    return convert


def positive(kind: type) -> Callable[[str], Any]:
    """Return a reader of a positive int or float."""
    def read(text: str) -> Any:
        try:
            value = kind(text)
        except ValueError:
            value = 0
        if not 0 < value < float("inf"):
            noun = "a whole number of 1 or more" if kind is int else "a positive number"
            raise ValueError(f"expected {noun}, got {text!r}")
        return value

    return refusing(read)


@refusing
def natural(text: str) -> int:
    """Read a whole number of 0 or more."""
    if not text.isdecimal():
        raise ValueError(f"expected a whole number of 0 or more, got {text!r}")
    return int(text)


def several(what: str, read: Callable[[str], Any]) -> Callable[[str], list[Any]]:
    """Return a reader of one or more, separated by commas, each once."""

    def convert(text: str) -> list[Any]:
        found = [read(part.strip()) for part in text.split(",")]
        if len(set(found)) < len(found):
            raise argparse.ArgumentTypeError(f"a {what} is named twice in {text!r}")
        return found

    return convert


@refusing
def figure(text: str) -> Path:
    """Read where a figure can be written."""
    from minihf.experiments.figures import must_be_drawable

    return must_be_drawable(text)


@refusing
def folder(text: str) -> Path:
    """Read a folder that can be written into: there, or to be made."""
    with files.folder(Path(text)):
        return Path(text)


@refusing
def page(text: str) -> Path:
    """Read where a page can be written."""
    return files.writable(text)


def images(text: str) -> Path:
    """Read the name of a set, or a path of images: ``./mnist`` is a path."""
    from minihf.data.places import name_or_path

    return name_or_path(text)


@refusing
def markdown(text: str) -> Path:
    """Read where a page of Markdown can be written, with a folder of its name beside it."""
    path: Path = page(text)
    if path.suffix != ".md":
        raise ValueError(f"{text!r} is no page of Markdown: its name must end in .md")
    return path


@refusing
def profile(text: str) -> str:
    """Use the profile of that name."""
    from minihf.testing import use_profile

    return use_profile(text).name


@refusing
def parameter(text: str) -> tuple[str, str]:
    """Read NAME=SHAPE."""
    name, equals, shape = text.partition("=")
    if not name or not equals:
        raise ValueError(f"expected NAME=SHAPE such as 'W=D M', got {text!r}")
    return name, shape


def add_backend(parser: argparse.ArgumentParser) -> None:
    """Add --backend."""
    parser.add_argument(
        "--backend", type=_backend, metavar="NAME",
        help="auto, numpy or cupy (default: $MINIHF_BACKEND, else auto)",
    )  # fmt: skip


@refusing
def _backend(text: str) -> str:
    return backend.use(text).backend
