"""Watch runs that another process makes, by what they leave behind.

A run's log is read again and again, and drawn as the bar that the run itself draws. Whether
somebody is still at work, the lock of the folder tells, which the system lets go of when a process
ends in any way. Nothing is written. Called by ``minihf watch``.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from minihf.experiments.conditions import read_race
from minihf.experiments.race import run_folder
from minihf.experiments.run_folder import LOG, RACE, RECORD, read_plan, what_goes_on
from minihf.files import is_held
from minihf.train import History
from minihf.train.budget import Budget
from minihf.train.console import progress_bar
from minihf.train.progress import in_one_line

__all__ = ["Watch"]

SILENCE = 60.0
"""Seconds without a record after which the bar says so."""


@dataclass(frozen=True)
class Watch:
    """How to watch.

    Attributes
    ----------
    say : callable
        It is told, in the end, how it ended.
    pause : float
        Seconds from one look at the log to the next.
    sleep, now : callable
        How to wait; the time, in seconds since the epoch.
    """

    say: Callable[[str], None]
    pause: float = 1.0
    sleep: Callable[[float], None] = time.sleep
    now: Callable[[], float] = time.time

    def __call__(self, folder: Path) -> bool:
        """Draw the bars of a run, or of a race's runs, until it has ended or nobody is at work.

        Returns
        -------
        bool
            Whether it has ended: complete, or by Ctrl-C.

        Raises
        ------
        ValueError
            If the folder holds neither a run nor a race, or a log cannot be read.
        """
        if (folder / RACE).exists():
            return self._race(folder)
        if not (folder / RECORD).exists():
            raise ValueError(f"{str(folder)!r} holds no run and no race: no {RECORD}, no {RACE}")
        ended = self._run(folder)
        if ended in ("", "interrupted"):
            state = ended or "nobody is at work on it, and it has not ended"
            self.say(f"{state}; to go on: {what_goes_on(folder, read_plan(folder))}")
        else:
            self.say(f"ended: {ended}")
        return ended != ""

    def _race(self, folder: Path) -> bool:
        drawn: set[Path] = set()
        while True:
            held = is_held(folder)  # before the runs: what ends in between is seen
            race = read_race(folder / RACE)
            runs = [
                run_folder(folder, word, seed) for seed in race["seeds"] for word in race["methods"]
            ]
            for run in runs:
                awaited = run not in drawn and (run / RECORD).exists()
                if awaited and (is_held(run) or _is_complete(run)):
                    self._run(run)
                    drawn.add(run)
            complete = sum(map(_is_complete, runs))
            if complete == len(runs):
                self.say(f"ended: {complete} runs")
                return True
            if held is False:
                self.say(
                    f"nobody is at work on it, and {complete} of {len(runs)} runs are complete: "
                    "the same command goes on"
                )
                return False
            self.sleep(self.pause)

    def _run(self, folder: Path) -> str:
        """Draw a run's bar until it has ended or nobody is at work; say why it ended, if it has."""
        planned = read_plan(folder)
        budget = Budget.read(planned["budget"])
        name = f"{planned['method']}, seed {planned['seed']}"
        begun = 0.0 if _is_complete(folder) else _shown(folder, _read(folder), budget)[0]
        with progress_bar(name, True, begun) as draw:
            while True:
                held = is_held(folder)  # before the log: what ends in between is seen
                history = _read(folder)
                ended = history.ended
                if history.records:
                    spent, line = _shown(folder, history, budget)
                    draw(spent, line if ended else line + self._silence(folder))
                if ended not in ("", "interrupted") or held is False or (ended and not held):
                    return ended
                self.sleep(self.pause)

    def _silence(self, folder: Path) -> str:
        """Say for how long there has been no record, if it is long."""
        seconds = self.now() - (folder / LOG).stat().st_mtime
        return f", no record for {seconds / 60:.0f} min" if seconds >= SILENCE else ""


def _read(folder: Path) -> History:
    path = folder / LOG
    return History.read(path) if path.exists() else History()


def _is_complete(folder: Path) -> bool:
    return _read(folder).ended not in ("", "interrupted")


def _shown(folder: Path, history: History, budget: Budget) -> tuple[float, str]:
    """Return the share of the budget that is spent, all of a complete run's, and the last record.

    Raises
    ------
    ValueError
        If it is no record of a run: one line that names the log.
    """
    if not history.records:
        return 0.0, ""
    try:
        spent, line = min(budget.spent(history.last), 1.0), in_one_line(history.last)
    except (KeyError, TypeError, ValueError):
        raise ValueError(
            f"{str(folder / LOG)!r}, line {len(history)}: expected a record as a run writes it"
        ) from None
    return (spent if history.ended in ("", "interrupted") else 1.0), line
