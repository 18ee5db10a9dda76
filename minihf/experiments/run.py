"""Run one method on one task: train in a folder of its own, draw a figure.

Called by ``minihf run``.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from minihf.experiments.conditions import conditions_of
from minihf.experiments.experiment import Experiment
from minihf.experiments.figures import draw_race, write_figure
from minihf.experiments.files import file_name, folder, new_folder
from minihf.experiments.refusals import must_suit
from minihf.experiments.run_folder import FIGURE, carry_out, must_be_free, plan
from minihf.experiments.tasks import TASKS
from minihf.experiments.variants import variant
from minihf.train import History

__all__ = ["RUNS", "run"]

RUNS = Path("runs")
"""Where runs lie that are not told where to."""


def run(
    task_name: str,
    word: str,
    budget: Mapping[str, Any],
    seed: int = 0,
    out: Path | None = None,
    data_path: Path | None = None,
    command: str = "",
    say: Callable[[str], None] = lambda line: None,
    **options: Any,
) -> tuple[History, Path]:
    """Train, and leave a run's folder with its figure.

    Without `out` it is ``runs/TASK-METHOD-SEED``, or, where a run has left that, numbered,
    ``runs/TASK-METHOD-SEED-2`` and so on: nothing is ever replaced. `options` are keywords of
    `minihf.fit`.

    Returns
    -------
    history : History
    folder : path

    Raises
    ------
    ValueError
        If the data do not fit the task, or the method not its network, or something lies in `out`.
    OSError
        If the folder cannot be made or written into.
    """
    task = TASKS[task_name]
    if out is not None:
        must_be_free(out)
    variant(task.methods, word)
    experiment = Experiment.of(task, data_path)
    say(f"{task_name}: {task.summary}")
    say(experiment.facts)
    must_suit(experiment, word)
    conditions = conditions_of(experiment, task_name, budget)
    planned = plan(
        experiment, conditions, word, budget, seed, data_path=data_path, command=command
    )
    place = out or new_folder(RUNS / f"{task_name}-{file_name(word)}-{seed}")
    with folder(place):
        history = carry_out(place, experiment, planned, **options)
        figure = draw_race({word: {seed: history}}, task_name, task.metric_name)
        write_figure(figure, place / FIGURE)
    return history, place
