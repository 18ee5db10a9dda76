"""What a study is: a question that a paper answers, and runs that answer it again.

A study is data: a task, methods, how long, and what the paper says of them as claims that a
computer can judge. Called by each study's file.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from minihf.experiments.claims import Claim
from minihf.experiments.scales import SCALES, Scale
from minihf.experiments.tasks import TASKS, Task

__all__ = ["LAPTOP_MINUTES", "Study"]

LAPTOP_MINUTES = 15
"""What all runs of a study at laptop scale may take, on two cores."""


@dataclass(frozen=True)
class Study:
    """What is asked, and how it is answered.

    Attributes
    ----------
    title : str
    source : str
        The paper, in short.
    says : str
        What it says, in our words.
    task : str
    methods : tuple of str
        Words, as `minihf.experiments.variants.variant` takes them.
    claims : tuple of Claim
        What the runs are asked.
    seconds, cases : float, int, optional
        Of a run at laptop scale: how long, and on how many cases of the training and of the test
        data; without it, all.
    at : mapping of str to str
        By scale, another task: a smaller network, say.
    remark : str
        What explains the answers, where they are not what the paper says.
    """

    title: str
    source: str
    says: str
    task: str
    methods: tuple[str, ...]
    claims: tuple[Claim, ...]
    seconds: float
    cases: int | None = None
    at: Mapping[str, str] = field(default_factory=dict)
    remark: str = ""

    def task_at(self, scale: str) -> tuple[str, Task]:
        """Return the task at a scale, and its name."""
        name = self.at.get(scale, self.task)
        return name, TASKS[name]

    def scaled(self, scale: str) -> Scale:
        """Return how much is trained at a scale."""
        if scale == "laptop":
            return replace(SCALES[scale], budget={"seconds": self.seconds}, cases=self.cases)
        return SCALES[scale]
