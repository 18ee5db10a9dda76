"""What has a name on the command line, and readers of such names.

Called by the commands.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from minihf.cli.words import refusing

__all__ = [
    "dataset",
    "dataset_names",
    "known_methods",
    "method",
    "problem",
    "problem_names",
    "scale",
    "scale_summaries",
    "study",
    "study_titles",
    "task",
    "task_summaries",
]


def a_name(what: str, known: Callable[[], Iterable[str]]) -> Callable[[str], Any]:
    """Return a reader of one of the names that are known, which it asks for when it reads."""

    @refusing
    def read(text: str) -> str:
        from minihf.experiments.variants import one_of

        return one_of(known(), what, text)

    return read


@refusing
def method(text: str) -> str:
    """Read a method, with settings or without."""
    from minihf.experiments.methods import METHODS
    from minihf.experiments.variants import variant

    variant(METHODS, text)
    return text


def known_methods() -> list[str]:
    """Return the names of the methods."""
    from minihf.experiments.methods import METHODS

    return list(METHODS)


def task_summaries() -> dict[str, str]:
    """Return a line on each task, by name."""
    from minihf.experiments.tasks import TASKS

    return {name: task.summary for name, task in TASKS.items()}


def study_titles() -> dict[str, str]:
    """Return a line on each study, by name."""
    from minihf.experiments.studies import STUDIES

    return {name: study.title for name, study in STUDIES.items()}


def scale_summaries() -> dict[str, str]:
    """Return a line on each scale, by name."""
    from minihf.experiments.scales import SCALES

    return {name: scale.summary for name, scale in SCALES.items()}


def dataset_names() -> list[str]:
    """Return the names of the data sets."""
    from minihf.data import names

    return list(names)


def problem_names() -> list[str]:
    """Return the names of the benchmark's problems."""
    from minihf.experiments.bench import PROBLEMS

    return [problem.name for problem in PROBLEMS]


task = a_name("task", task_summaries)
study = a_name("study", lambda: [*study_titles(), "all"])
scale = a_name("scale", scale_summaries)
dataset = a_name("dataset", dataset_names)
problem = a_name("problem", problem_names)
