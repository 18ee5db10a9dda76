"""A method that cannot treat a task's network: why not, and a word that names one that can.

The library says what to pass in Python; whoever has only words wants a word. Called by the runner
and the race.
"""

from __future__ import annotations

from minihf.experiments.experiment import Experiment
from minihf.experiments.variants import variant

__all__ = ["must_suit"]

INSTEAD = ("solver=ConjugateGradients", "curvature=GGN", "structural=none")
"""Settings without which, or with which, a refused method may do; the first that helps is named."""


def must_suit(experiment: Experiment, word: str) -> None:
    """Refuse the method that the word names if it cannot treat the network.

    Raises
    ------
    ValueError
        With the reason, and a word that would do.
    """
    try:
        experiment.must_suit(variant(experiment.task.methods, word))
    except ValueError as error:
        heads = dict.fromkeys((word, word.partition(":")[0]))
        words = (f"{head}:{setting}" for head in heads for setting in INSTEAD)
        instead = next((other for other in words if _suits(experiment, other)), "")
        advice = f"; as a method here: {instead}" if instead else ""
        raise ValueError(f"{error}{advice}") from None


def _suits(experiment: Experiment, word: str) -> bool:
    try:
        experiment.must_suit(variant(experiment.task.methods, word))
    except ValueError:
        return False
    return True
