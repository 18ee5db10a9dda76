"""The demo: a deep autoencoder of MNIST digits, four methods, the same seconds each.

784-200-100-30 and back, tanh, linear code and output, squared error, on the first 5,000 images of
MNIST. A race of one seed that leaves no folder. Called by ``minihf demo``.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from minihf.experiments.experiment import Experiment
from minihf.experiments.summary import Runs
from minihf.experiments.tasks import TASKS
from minihf.experiments.variants import variant

__all__ = ["METHODS", "TASK", "demo"]

METHODS = ("adam", "martens2010", "zhang2017", "minihf")
TASK = TASKS["autoencoder-mnist-small"]


def demo(
    methods: Sequence[str],
    seconds: float,
    seed: int = 0,
    progress: bool = True,
    say: Callable[[str], None] = lambda line: None,
) -> Runs:
    """Train with each method for the same seconds, from the same parameters.

    Returns
    -------
    Runs
        By the method's label; fewer than asked for if the demo was interrupted.
    """
    experiment = Experiment.of(TASK)
    say(f"autoencoder 784-200-100-30-100-200-784 on {experiment.data.source}")
    say(f"{len(methods)} method(s), {seconds:g} s each; squared error per image")
    runs = {}
    for method in (variant(TASK.methods, word) for word in methods):
        history = experiment.train(
            method, {"seconds": seconds}, seed,
            progress=progress, name=f"{method.label:16}",
        )  # fmt: skip
        runs[method.label] = {seed: history}
        if history.ended == "interrupted":
            break
    return runs
