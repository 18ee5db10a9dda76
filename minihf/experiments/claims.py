"""Claims about methods that runs can bear out, or not.

A claim reads its answer off the records of runs, and says the numbers that it goes by. Seeds decide
how sure it is: an order of two medians counts only if the ranges over the seeds keep clear of each
other. Called by the studies.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Protocol

from minihf.experiments.summary import Runs, Spread, around, final_error, short
from minihf.train import History

__all__ = ["Ahead", "Answer", "Claim", "GetsBelow", "NeverRises", "Verdict"]


class Verdict(Enum):
    """What runs say to a claim."""

    YES = "yes"
    NO = "no"
    UNDECIDED = "undecided"


@dataclass(frozen=True)
class Answer:
    """A verdict, and the numbers that it goes by, in words."""

    verdict: Verdict
    numbers: str


class Claim(Protocol):
    """What a study asks of its runs."""

    def words(self, labels: Mapping[str, str]) -> str:
        """Return the claim as a sentence, with these labels of methods."""

    def answer(self, runs: Runs) -> Answer:
        """Return what the runs say."""


@dataclass(frozen=True)
class Ahead:
    """That a method has less error than another, where both have spent the same.

    They are compared at the largest cost that all of their runs have come to. One that gave up does
    not count there: to the end it stays where it was. Errors are of the cases that looks measure,
    the same for both. Between two looks at a run nothing is known,
    and both are in its method's range. A single seed decides nothing, and no method is ahead whose
    error is not below that at the beginning.

    Attributes
    ----------
    method, other : str
    over : str
        What is spent: ``"updates"``, ``"seconds"``, ``"products"`` or ``"data_passes"``.
    error : str
        ``"train"`` or ``"test"``.

    Examples
    --------
    >>> import minihf as hf
    >>> def run(*errors):
    ...     return hf.History([{"updates": i, "train": e} for i, e in enumerate(errors)])
    >>> runs = {"a": {0: run(9, 3, 1), 1: run(9, 4, 1)}, "b": {0: run(9, 5), 1: run(9, 6)}}
    >>> Ahead("a", "b", "updates").answer(runs).numbers
    '3.5 (3 to 4) against 5.5 (5 to 6) after 1 updates'
    """

    method: str
    other: str
    over: str
    error: str = "train"

    def words(self, labels: Mapping[str, str]) -> str:
        """Return the claim as a sentence."""
        which = {"train": "training", "test": "test"}[self.error]
        return (
            f"{labels[self.method]} has a smaller {which} error than {labels[self.other]} after "
            f"equal {self.over.replace('_', ' ')}"
        )

    def answer(self, runs: Runs) -> Answer:
        """Compare medians, and ranges over the seeds."""
        both = [runs[self.method], runs[self.other]]
        end = self._common([history for seeds in both for history in seeds.values()])
        cost = self.over.replace("_", " ")
        if not end:
            return Answer(Verdict.UNDECIDED, f"nothing to compare: there are runs of 0 {cost}")
        mine, others = (
            Spread.of(
                error
                for history in seeds.values()
                for error in around(history, self.over, self.error, end)
            )
            for seeds in both
        )
        seeds = min(map(len, both))
        begun = Spread.of(
            history.records[0][self.error] for seeds in both for history in seeds.values()
        ).low
        numbers = f"{mine.words()} against {others.words()} after {end:,.4g} {cost}"
        if seeds == 1:
            return Answer(Verdict.UNDECIDED, f"{numbers}, of a single seed")
        if mine.high < min(others.low, begun):
            return Answer(Verdict.YES, numbers)
        if others.high < min(mine.low, begun):
            return Answer(Verdict.NO, numbers)
        return Answer(Verdict.UNDECIDED, numbers)

    def _common(self, histories: Sequence[History]) -> float:
        """Return the largest cost that all have come to, but those that gave up."""
        ends: list[float] = [history.last[self.over] for history in histories]
        going = [end for end, it in zip(ends, histories, strict=True) if it.spent or not it.ended]
        return min(going, default=max(ends))


@dataclass(frozen=True)
class GetsBelow:
    """That a method's training error ends below a number: a plateau that others stay on, say.

    It is the error at the end, of all cases that are measured there.

    Examples
    --------
    >>> import minihf as hf
    >>> runs = {"a": {0: hf.History([{"train": 9.0}, {"train": 0.5}])}}
    >>> GetsBelow("a", 1.0, "half of the plateau").answer(runs)
    Answer(verdict=<Verdict.YES: 'yes'>, numbers='0.5 at the end')
    """

    method: str
    error: float
    what: str

    def words(self, labels: Mapping[str, str]) -> str:
        """Return the claim as a sentence."""
        return f"{labels[self.method]} gets below {short(self.error)}, {self.what}"

    def answer(self, runs: Runs) -> Answer:
        """Look at the ends of the runs."""
        end = final_error(runs[self.method], "train")
        verdicts = {end.low < self.error, end.high < self.error}
        verdict = Verdict.UNDECIDED if len(verdicts) > 1 else _of(verdicts.pop())
        return Answer(verdict, f"{end.words()} at the end")


@dataclass(frozen=True)
class NeverRises:
    """That no accepted update of a method has raised its objective.

    Examples
    --------
    >>> import minihf as hf
    >>> runs = {"a": {0: hf.History([{"updates": 5, "rose": 1}])}}
    >>> NeverRises("a").answer(runs)
    Answer(verdict=<Verdict.NO: 'no'>, numbers='1 of 5 updates raised it')
    """

    method: str

    def words(self, labels: Mapping[str, str]) -> str:
        """Return the claim as a sentence."""
        return f"the objective of {labels[self.method]} never rises"

    def answer(self, runs: Runs) -> Answer:
        """Count the updates that raised it."""
        ends = [history.last for history in runs[self.method].values()]
        rose, updates = sum(end["rose"] for end in ends), sum(end["updates"] for end in ends)
        return Answer(_of(rose == 0), f"{rose} of {updates} updates raised it")


def _of(held: bool) -> Verdict:
    return Verdict.YES if held else Verdict.NO
