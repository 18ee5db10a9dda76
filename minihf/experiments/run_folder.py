"""What a run leaves behind: a folder that says what was run, how it went, and how to go on.

    run.json      what was run: task, method, seed, budget, conditions, and the command
    log.jsonl     how it went: a record for each look, written at once
    latest.npz    where it stood, to go on from; previous.npz, best.npz (`minihf.train.checkpoint`)
    portrait.npz  what the trained network shows (`minihf.experiments.portrait`)
    figure.png    what `minihf run` draws of it

Called by the runner and the race, which make such folders, and by whatever reads them.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from shlex import quote
from typing import Any

from minihf.experiments.conditions import described
from minihf.experiments.experiment import Experiment
from minihf.experiments.portrait import PORTRAIT, Density, portrait_of, write_portrait
from minihf.experiments.variants import variant
from minihf.files import alone_in, sweep, write_text
from minihf.train import History
from minihf.train.budget import Budget

__all__ = [
    "FIGURE",
    "FORMAT",
    "LOG",
    "RACE",
    "RECORD",
    "carry_out",
    "is_of_a_race",
    "must_be_free",
    "plan",
    "read_plan",
    "what_goes_on",
]

FORMAT = 1
RECORD, LOG, FIGURE = "run.json", "log.jsonl", "figure.png"
RACE = "race.json"
"""What the folder of a race has, in which runs' folders may lie."""

KEYS = {
    "format": int, "task": str, "method": str, "label": str, "first_order": bool, "settings": str,
    "seed": int, "budget": dict, "metric_name": str, "summary": str, "conditions": dict,
    "command": str, "started": str,
}  # fmt: skip
"""What every run.json has, and of which kind."""

ABSENT = {"scale": str, "data_path": str, "cases": int, "went_on": list}
"""What it has besides, or null; `went_on` says which conditions the run did not keep."""


def plan(
    experiment: Experiment,
    conditions: Mapping[str, str],
    word: str,
    budget: Mapping[str, Any],
    seed: int,
    *,
    data_path: Path | None = None,
    cases: int | None = None,
    scale: str | None = None,
    command: str = "",
) -> dict[str, Any]:
    """Return what run.json is to hold: all that is needed to read a run, and to go on with it.

    Parameters
    ----------
    experiment : Experiment
    conditions : mapping
        Those of `conditions_of`.
    word : str
        The method, as `variant` takes it.
    budget : mapping
        ``{"updates": 50}`` or ``{"seconds": 60.0}``.
    seed : int
    data_path : path, optional
        The user's own data.
    cases : int, optional
        Of training and test data, the first so many.
    scale : str, optional
        The name of the scale that the task was set to.
    command : str
        The command line.
    """
    method = variant(experiment.task.methods, word)
    return {
        "format": FORMAT,
        "task": conditions["task"],
        "method": word,
        "label": method.label,
        "first_order": method.first_order,
        "settings": described(method),
        "seed": seed,
        "budget": dict(budget),
        "scale": scale,
        "metric_name": experiment.task.metric_name,
        "summary": experiment.task.summary,
        "data_path": None if data_path is None else str(data_path),
        "cases": cases,
        "conditions": dict(conditions),
        "command": command,
        "started": datetime.now(UTC).isoformat(timespec="seconds"),
    }


def read_plan(folder: Path) -> dict[str, Any]:
    """Read a folder's run.json.

    Raises
    ------
    ValueError
        If there is none, or it is of no run: one line that names the file.
    """
    path = folder / RECORD
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise ValueError(f"{str(folder)!r} holds no run: there is no {RECORD}") from None
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{str(path)!r} is not JSON ({error})") from None
    kind = found.get("format", "none") if isinstance(found, dict) else "none"
    if kind != FORMAT:
        raise ValueError(f"{str(path)!r} is of format {kind!r}; this minihf reads {FORMAT}")
    for name, expected in (KEYS | ABSENT).items():
        value = found.get(name)
        if type(value) is not expected and not (name in ABSENT and value is None):
            raise ValueError(
                f"{str(path)!r} is of no run: {name!r} is {found.get(name, 'missing')!r}, "
                f"expected {expected.__name__}"
            )
    try:
        Budget.read(found["budget"])
    except ValueError as error:
        raise ValueError(f"{str(path)!r} is of no run: {error}") from None
    return found


def must_be_free(folder: Path) -> None:
    """Refuse a folder for a new run if anything lies in it.

    Raises
    ------
    ValueError
        With what to do.
    """
    _must_have_no_run(folder)
    if folder.exists() and any(folder.iterdir()):
        raise ValueError(
            f"{str(folder)!r} is not empty; a run wants a folder of its own, such as "
            f"{str(folder / 'run')!r}"
        )


def _must_have_no_run(folder: Path) -> None:
    if (folder / RECORD).exists():
        raise ValueError(
            f"{str(folder)!r} has a run, which stays as it is: --resume goes on with it; or take "
            "another folder"
        )


def is_of_a_race(folder: Path) -> bool:
    """Tell whether a run's folder lies in a race's."""
    return (folder.resolve().parent / RACE).exists()


def what_goes_on(folder: Path, planned: Mapping[str, Any]) -> str:
    """Return the command that goes on with a run."""
    alone = f"minihf run --out {quote(str(folder))} --resume"
    return planned["command"] if is_of_a_race(folder) else alone


def carry_out(
    folder: Path,
    experiment: Experiment,
    planned: Mapping[str, Any],
    resume: bool = False,
    density: Density | None = None,
    **options: Any,
) -> History:
    """Train as run.json says, in its folder, which is there; `options` are those of `minihf.fit`.

    At the end it has its portrait taken, with spectra if a `density` is given.

    Raises
    ------
    RuntimeError
        If another process is at work in the folder.
    ValueError
        If there is a run to `resume`, and it is not to; or as `minihf.fit` does.
    """
    method = variant(experiment.task.methods, planned["method"])
    with alone_in(folder, "run"):
        if not resume:
            _must_have_no_run(folder)                   # another process may have been faster
        sweep(folder)
        write_text(folder / RECORD, json.dumps(planned, indent=2) + "\n")
        history = experiment.train(
            method, planned["budget"], planned["seed"],
            log=folder / LOG, checkpoint=folder, resume=resume, **options,
        )  # fmt: skip
        if history.ended != "interrupted":
            write_portrait(folder / PORTRAIT, portrait_of(experiment, history, density))
        return history
