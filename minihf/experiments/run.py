"""Run one method on one task: train, keep the log, print a table, draw a figure.

Called by ``minihf run``.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from minihf.experiments.figures import draw_race, write_figure
from minihf.experiments.tasks import TASKS
from minihf.train import History, fit

__all__ = ["run"]


def run(
    task_name: str,
    method_name: str,
    out: Path,
    seconds: float,
    seed: int = 0,
    data_path: Path | None = None,
    progress: bool = True,
    say: Callable[[str], None] = lambda line: None,
) -> History:
    """Train, and leave ``TASK-METHOD-SEED.jsonl`` and ``.png`` in the folder `out`.

    Raises
    ------
    ValueError
        If the data do not fit the task, or the method not its network.
    OSError
        If `out` cannot be made or written into.
    """
    task = TASKS[task_name]
    method = task.methods[method_name]
    dataset = task.load(data_path)
    net = task.network(dataset)
    stem = out / f"{task_name}-{method_name}-{seed}"
    say(f"{task_name}: {task.summary}")
    say(f"{net.init(seed).size:,} parameters, {dataset.source}")
    history = fit(
        net, task.loss, method.opt, dataset,
        seconds=seconds, batch_size=_at_most(method.batch_size, len(dataset.x_train)), seed=seed,
        metric=task.metric, log=stem.with_suffix(".jsonl"), progress=progress, name=method.label,
    )  # fmt: skip
    figure = draw_race({method.label: history}, task_name, task.metric_name)
    write_figure(figure, stem.with_suffix(".png"))
    return history


def _at_most(batch_size: int | None, n_cases: int) -> int | None:
    return None if batch_size is None else min(batch_size, n_cases)
