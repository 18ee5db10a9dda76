"""Run a study: its methods race on its task, and what they came to is kept as a small file.

Called by ``minihf reproduce``.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

from minihf.experiments.race import RECORD, complete_runs, race
from minihf.experiments.results import Result
from minihf.experiments.studies import STUDIES
from minihf.experiments.tasks import TASKS

__all__ = ["must_have_data", "reproduce"]


def reproduce(
    name: str,
    scale_name: str,
    out: Path,
    *,
    seeds: Sequence[int] | None = None,
    data_path: Path | None = None,
    command: str = "",
    progress: bool = True,
    say: Callable[[str], None] = lambda line: None,
) -> Result:
    """Run a study, as far as `out` does not have its runs already.

    Parameters
    ----------
    name : str
        Of the study.
    scale_name : str
        ``"smoke"``, ``"laptop"`` or ``"paper"``.
    out : path
        A folder: NAME is the race, NAME.json the result, with all seeds that the race has run from.
    seeds : sequence of int, optional
        Other ones than the scale's.
    data_path : path, optional
        As the task takes it, if it takes one; without one, what the package has, or at scale
        "paper" the whole set.
    command : str
        The command line, which the runs' folders keep.

    Raises
    ------
    ValueError, OSError, RuntimeError, KeyboardInterrupt
        As `minihf.experiments.race.race` does.
    """
    study = STUDIES[name]
    scale = study.scaled(scale_name)
    scale = scale if seeds is None else replace(scale, seeds=tuple(seeds))
    task_name, _ = study.task_at(scale_name)
    say(f"{name}: {study.title} ({study.source})")
    race(
        task_name, study.methods, scale.seeds, scale.budget, out / name,
        data_path=_data_of(name, scale_name, data_path),
        cases=scale.cases, scale=scale_name, command=command, progress=progress,
        say=say,
    )  # fmt: skip
    conditions = json.loads((out / name / RECORD).read_text(encoding="utf-8"))
    methods = {word: conditions["methods"][word] for word in study.methods}
    runs = complete_runs(out / name, study.methods, conditions["seeds"])
    common = {key: value for key, value in conditions.items() if isinstance(value, str)}
    result = Result(name, scale_name, common, methods, runs)
    result.write(out / f"{name}.json")
    return result


def must_have_data(names: Sequence[str], scale_name: str, data_path: Path | None) -> None:
    """Load the data of studies, so that a set that is not here is told before the first one runs.

    Raises
    ------
    ValueError
        If a study's data cannot be had: one line that names it; or none of them takes a path.
    """
    study_of = {STUDIES[name].task_at(scale_name)[0]: name for name in names}
    if data_path is not None and not any(TASKS[task].takes_data for task in study_of):
        raise ValueError(f"none of these studies takes data, but got {str(data_path)!r}")
    for task, name in study_of.items():
        path = _data_of(name, scale_name, data_path)
        try:
            if path is not None:
                TASKS[task].load(path)
        except (OSError, ValueError) as error:
            raise ValueError(f"{name}: {error}") from None


def _data_of(name: str, scale_name: str, given: Path | None) -> Path | None:
    """Return the path of a study's data, None for what the package has."""
    _, task = STUDIES[name].task_at(scale_name)
    if given is not None and task.takes_data:
        return given
    return task.path_of(STUDIES[name].scaled(scale_name).whole)
