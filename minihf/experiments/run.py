"""Run one method on one task: train, keep the log, draw a figure.

Called by ``minihf run``.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from minihf.experiments.experiment import Experiment
from minihf.experiments.figures import draw_race, write_figure
from minihf.experiments.files import aside, file_name, folder, unused
from minihf.experiments.refusals import must_suit
from minihf.experiments.summary import Runs
from minihf.experiments.tasks import TASKS
from minihf.experiments.variants import variant

__all__ = ["run"]


def run(
    task_name: str,
    word: str,
    out: Path,
    budget: Mapping[str, Any],
    seed: int = 0,
    data_path: Path | None = None,
    progress: bool = True,
    say: Callable[[str], None] = lambda line: None,
) -> tuple[Runs, Path]:
    """Train, and leave a log and a figure in the folder `out`, made if it is not there.

    They are ``TASK-METHOD-SEED.jsonl`` and ``.png``. Where a run has left these, they stay, and the
    new ones are numbered, ``TASK-METHOD-SEED-2.jsonl`` and so on. The log appears when the run has
    ended, also by Ctrl-C.

    Returns
    -------
    runs : Runs
        The one run.
    stem : path
        Where log and figure lie, but for their endings.

    Raises
    ------
    ValueError
        If the data do not fit the task, or the method not its network.
    OSError
        If `out` cannot be made or written into.
    """
    task = TASKS[task_name]
    method = variant(task.methods, word)
    stem = out / f"{task_name}-{file_name(word)}-{seed}"
    with folder(out):
        experiment = Experiment.of(task, data_path)
        say(f"{task_name}: {task.summary}")
        say(experiment.facts)
        must_suit(experiment, word)
        with aside(Path(f"{stem}.jsonl")) as part:
            history = experiment.train(method, budget, seed, log=part, progress=progress)
            stem = unused(stem, ".jsonl", ".png")
            os.replace(part, f"{stem}.jsonl")
        runs = {word: {seed: history}}
        write_figure(draw_race(runs, task_name, task.metric_name), Path(f"{stem}.png"))
    return runs, stem
