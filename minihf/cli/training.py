"""What commands that train take, and what they make of it.

Called by ``minihf demo``, ``run`` and ``race``.
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from typing import Any

from minihf.cli.names import known_methods, method, scale, scale_summaries, task, task_summaries
from minihf.cli.words import add_backend, images, natural, positive, several

__all__ = [
    "add_methods",
    "add_quiet_and_backend",
    "add_seed",
    "add_task",
    "budget_of",
    "how_much_of",
    "tasks_and_methods",
]


def how_much_of(arguments: argparse.Namespace) -> tuple[Mapping[str, Any], dict[str, Any]]:
    """Return what a run may spend, and on which data: what was said, else what the scale says."""
    from minihf.experiments.scales import SCALES
    from minihf.experiments.tasks import TASKS

    name = arguments.scale or "laptop"
    scale, task = SCALES[name], TASKS[arguments.task]
    data_path = arguments.data or task.path_of(scale.whole)
    how_much = {"data_path": data_path, "cases": scale.cases, "scale": name}
    return budget_of(arguments) or scale.budget, how_much


def budget_of(arguments: argparse.Namespace) -> dict[str, Any]:
    """Return what a run may spend, as `minihf.fit` takes it; nothing, if nothing was said."""
    if arguments.updates is not None:
        return {"updates": arguments.updates}
    return {} if arguments.seconds is None else {"seconds": arguments.seconds}


def add_task(parser: argparse.ArgumentParser, optional: bool = False) -> None:
    """Add what is trained, on which data, for how long."""
    parser.add_argument(
        "task", type=task, nargs="?" if optional else None, metavar="TASK",
        help=", ".join(task_summaries()),
    )  # fmt: skip
    parser.add_argument(
        "--data", type=images, metavar="PATH",
        help="mnist, fashion-mnist or cifar10, where `minihf data` finds it; a folder with IDX "
        "files; an archive or a folder of batches of CIFAR-10; or an npz file with x_train, "
        "y_train, x_test, y_test: uint8 images (N, C, H, W) or (N, H, W), integer labels (N,)",
    )  # fmt: skip
    parser.add_argument(
        "--scale", type=scale, metavar="NAME",
        help="; ".join(f"{name}: {summary}" for name, summary in scale_summaries().items())
        + " (default: laptop)",
    )  # fmt: skip
    budget = parser.add_mutually_exclusive_group()
    budget.add_argument(
        "--seconds", type=positive(float), metavar="S",
        help="seconds of updates for each run (default: what the scale says, 120 for laptop)",
    )  # fmt: skip
    budget.add_argument(
        "--updates", type=positive(int), metavar="N", help="so many updates, not seconds"
    )


def add_methods(parser: argparse.ArgumentParser, default: list[str]) -> None:
    """Add --methods."""
    parser.add_argument(
        "--methods", type=several("method", method), default=default, metavar="A,B",
        help=f"which methods, in order (default: {','.join(default)})",
    )  # fmt: skip


def tasks_and_methods() -> str:
    """Return what the end of a help says."""
    return (
        f"Methods: {', '.join(known_methods())}; with settings of your own as "
        "NAME:FIELD=VALUE, such as adam:lr=5e-4:batch=512 or zhang2017:solver.max_iters=3. "
        "Tasks: " + "; ".join(f"{name}: {task}" for name, task in task_summaries().items())
    )


def add_seed(parser: argparse.ArgumentParser) -> None:
    """Add --seed."""
    parser.add_argument(
        "--seed", type=natural, default=0, metavar="N",
        help="seed of the initial weights and of the batches (default: 0)",
    )  # fmt: skip


def add_quiet_and_backend(parser: argparse.ArgumentParser) -> None:
    """Add what every command that trains takes."""
    parser.add_argument("--quiet", action="store_true", help="no progress bars")
    add_backend(parser)
