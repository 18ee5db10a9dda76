"""The runs below a folder, read back; of what cannot be read, one line each that says why.

A run directory is a folder with run.json, what was run, and log.jsonl, what came of it; and, if it
was made, portrait.npz. Called by the page.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields
from itertools import pairwise
from pathlib import Path
from textwrap import shorten
from typing import Any

from minihf.experiments.logs import AXES, read_log
from minihf.experiments.portrait import PORTRAIT, Portrait, read_portrait
from minihf.experiments.run_folder import LOG, RECORD, read_plan
from minihf.train import History
from minihf.train.budget import Budget

__all__ = ["Facts", "Found", "Run", "cleaned", "find_runs"]


LONGEST = 300
"""Characters of a line on a problem: it may quote what is wrong."""

MOST = 1e15
"""Updates, seconds and so on that no run has."""

UNPRINTABLE = re.compile(r"[\x00-\x1f\x7f-\x9f\ud800-\udfff\ufffe\uffff]")


@dataclass(frozen=True)
class Facts:
    """What run.json says: what was run, how, and under which conditions."""

    task: str
    method: str
    label: str
    first_order: bool
    settings: str
    seed: int
    budget: dict[str, Any]
    metric_name: str
    summary: str
    conditions: dict[str, Any]
    command: str
    started: str
    scale: Any = None
    went_on: list[Any] | None = None

    @property
    def spends(self) -> str:
        """The budget in words."""
        return Budget.read(self.budget).name


@dataclass(frozen=True, eq=False)
class Run:
    """A run that can be shown: `folder` is its path below the folder that was looked through."""

    folder: str
    facts: Facts
    history: History
    portrait: Portrait

    @property
    def is_finished(self) -> bool:
        """Whether it ended by itself."""
        return self.history.ended not in ("", "interrupted")

    @property
    def ended(self) -> str:
        """How it ended, in words."""
        return self.history.ended or "killed, or still running"


@dataclass(frozen=True)
class Found:
    """The runs that can be shown, in the order they were started; and a line on each problem."""

    runs: Sequence[Run]
    problems: Sequence[str]


def find_runs(root: Path) -> Found:
    """Read all runs at and below a folder.

    Raises
    ------
    OSError
        If it is no folder, or has no run, not even a damaged one.
    """
    if not root.is_dir():
        raise OSError(f"{str(root)!r} is no folder; expected one with runs, such as 'runs'")
    runs: list[Run] = []
    problems: list[str] = []
    for path in _run_folders(root):
        folder = path.relative_to(root).as_posix()
        name = cleaned(path.resolve().name if folder == "." else folder)
        try:
            run, problem = _read(path, name)
            runs.append(run)
        except (OSError, RecursionError, ValueError) as error:
            problem = str(error)
        if problem:
            said = cleaned(problem.replace(f"{path}{os.sep}", ""))
            problems.append(f"{name}: {shorten(said, LONGEST, placeholder=' ...')}")
    if not runs and not problems:
        raise OSError(
            f"no run at or below {str(root)!r}: expected folders with {RECORD} and {LOG}, as "
            "minihf run and minihf race leave them"
        )
    return Found(sorted(runs, key=lambda run: run.facts.started), problems)


def _run_folders(root: Path) -> Iterator[Path]:
    for path, folders, files in os.walk(root):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        if RECORD in files or LOG in files:
            yield Path(path)


def _read(path: Path, name: str) -> tuple[Run, str]:
    """Return a run, and what of it cannot be shown."""
    facts = _facts(path)
    if not (path / LOG).exists():
        raise ValueError(f"no {LOG}: nothing is known of how it went")
    history = read_log(path / LOG)
    if not history.records:
        raise ValueError(f"{LOG} has no record yet")
    _must_go_on(history)
    records = [cleaned(record) for record in history]
    history = History(records, ended=cleaned(history.ended))
    portrait: Portrait = {}
    problem = ""
    if (path / PORTRAIT).exists():
        try:
            portrait = read_portrait(path / PORTRAIT)
        except (OSError, ValueError) as error:
            problem = str(error)
    return Run(name, facts, history, portrait), problem


def _must_go_on(history: History) -> None:
    """Refuse a log whose costs are below zero, fall, or are beyond all that can be drawn."""
    for name in AXES:
        column = [0, *history.column(name)]
        wrong = next((i for i, (a, b) in enumerate(pairwise(column)) if not a <= b < MOST), None)
        if wrong is not None:
            raise ValueError(
                f"{LOG}, line {wrong + 1}: {name!r} is {column[wrong + 1]!r} after "
                f"{column[wrong]!r}, expected numbers that grow"
            )


def _facts(folder: Path) -> Facts:
    if not (folder / RECORD).exists():
        raise ValueError(f"no {RECORD}: what was run is not known")
    held = read_plan(folder)
    return Facts(**{field.name: cleaned(held.get(field.name)) for field in fields(Facts)})


def cleaned(value: Any) -> Any:
    r"""Replace, in all words of a value, characters that neither XML nor UTF-8 can hold.

    Examples
    --------
    >>> cleaned({"problem": "two\nlines"})
    {'problem': 'two lines'}
    """
    if isinstance(value, str):
        return UNPRINTABLE.sub("\ufffd", re.sub(r"\s+", " ", value))
    if isinstance(value, dict):
        return {cleaned(key): cleaned(entry) for key, entry in value.items()}
    if isinstance(value, list):
        return [cleaned(entry) for entry in value]
    return value
