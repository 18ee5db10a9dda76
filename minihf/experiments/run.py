"""Run one method on one task: train, keep the log, draw a figure.

Called by ``minihf run``.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from minihf.experiments.experiment import Experiment
from minihf.experiments.figures import draw_race, write_figure
from minihf.experiments.files import file_name
from minihf.experiments.summary import Runs
from minihf.experiments.tasks import TASKS
from minihf.experiments.variants import variant

__all__ = ["run", "stem_of"]


def stem_of(out: Path, task_name: str, word: str, seed: int) -> Path:
    """Return where a run leaves its files, but for their endings."""
    return out / f"{task_name}-{file_name(word)}-{seed}"


def run(
    task_name: str,
    word: str,
    out: Path,
    budget: Mapping[str, Any],
    seed: int = 0,
    data_path: Path | None = None,
    progress: bool = True,
    say: Callable[[str], None] = lambda line: None,
) -> Runs:
    """Train, and leave ``TASK-METHOD-SEED.jsonl`` and ``.png`` in the folder `out`.

    Raises
    ------
    ValueError
        If the data do not fit the task, or the method not its network.
    OSError
        If `out` cannot be made or written into.
    """
    task = TASKS[task_name]
    method = variant(task.methods, word)
    experiment = Experiment.of(task, data_path)
    stem = stem_of(out, task_name, word, seed)
    say(f"{task_name}: {task.summary}")
    say(experiment.facts)
    history = experiment.train(method, budget, seed, log=f"{stem}.jsonl", progress=progress)
    runs = {word: {seed: history}}
    write_figure(draw_race(runs, task_name, task.metric_name), Path(f"{stem}.png"))
    return runs
