"""Run a study: its methods race on its task, and what they came to is kept as a small file.

Called by ``minihf reproduce``.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

from minihf.experiments.machine import processor
from minihf.experiments.race import RECORD, race
from minihf.experiments.results import Result
from minihf.experiments.studies import STUDIES

__all__ = ["reproduce"]

LOOKS = 50
"""How often a run is looked at."""


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
        A folder: NAME is the race, NAME.json the result.
    seeds : sequence of int, optional
        Other ones than the scale's.
    data_path : path, optional
        As the task takes it; without one, what the package has, or at scale "paper" the whole set.
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
    task_name, task = study.task_at(scale_name)
    say(f"{name}: {study.title} ({study.source})")
    runs = race(
        task_name, study.methods, scale.seeds, scale.budget, out / name,
        data_path=data_path or task.path_of(scale.whole),
        cases=scale.cases, scale=scale_name, looks=LOOKS, command=command, progress=progress,
        say=say,
    )  # fmt: skip
    conditions = json.loads((out / name / RECORD).read_text(encoding="utf-8"))
    methods = {word: conditions["methods"][word] for word in study.methods}
    common = {key: value for key, value in conditions.items() if isinstance(value, str)}
    result = Result(name, scale_name, common, processor(), methods, runs)
    result.write(out / f"{name}.json")
    return result
