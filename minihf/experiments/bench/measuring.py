"""Measure a problem: what its tasks count, and what they take, by every library that is right.

A rival is timed only if its products are ours to rounding, again and again: a fast wrong product is
no rival. Called by the benchmark.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from minihf.experiments.bench.counts import Gemms, Memory, alone, count_gemms, memory_of
from minihf.experiments.bench.problems import Case, Problem
from minihf.experiments.bench.rivals import Rival
from minihf.experiments.bench.systems import PRODUCT, SOLVE, SWEEP, System, ours
from minihf.experiments.bench.timing import interleaved_medians

__all__ = ["ALONE", "OURS", "Measured", "measure"]

OURS, ALONE = "minihf", "alone"

WRONG = 1e-3
"""A relative difference that is no rounding: float32 makes 1e-6 of it here."""

REST = 0.25
"""Seconds between two turns: OpenMP's and XLA's threads wait that long for more work."""

SELDOM = {PRODUCT: 1, SOLVE: 5}
"""For so many rounds of products a task has one; where it is not said, for two."""


@dataclass(frozen=True)
class Measured:
    """What a problem came to.

    Attributes
    ----------
    problem : Problem
    gemms : mapping of str to Gemms
        The matrix products of each of our tasks.
    seconds : mapping of str to mapping of str to float
        Of each task, by `OURS`, by the rivals' names, and, for its matrix products, by `ALONE`.
    differences : mapping of str to float
        How far a rival's products are from ours, relative to ours.
    refused : mapping of str to str
        Why a rival is not timed.
    memory : Memory
        Of one product.
    """

    problem: Problem
    gemms: Mapping[str, Gemms]
    seconds: Mapping[str, Mapping[str, float]]
    differences: Mapping[str, float]
    refused: Mapping[str, str]
    memory: Memory


def measure(problem: Problem, rivals: Sequence[Rival], rounds: int) -> Measured:
    """Count our tasks, and time them and those of the rivals, in turns."""
    case = problem.case()
    mine = ours(case)
    gemms = {task: _gemms_of(call) for task, call in mine.tasks.items()}
    memory = memory_of(mine.tasks[PRODUCT])
    systems, differences, refused = _admitted(case, mine, rivals)
    seconds = {}
    for task, made in gemms.items():
        calls = {ALONE: _waiting(mine, alone(made))}
        calls |= {
            name: _waiting(system, system.tasks[task])
            for name, system in systems.items()
            if task in system.tasks
        }
        seconds[task] = interleaved_medians(
            calls, max(1, rounds // SELDOM.get(task, 2)), REST
        )
    return Measured(problem, gemms, seconds, differences, refused, memory)


def _admitted(
    case: Case, mine: System, rivals: Sequence[Rival]
) -> tuple[dict[str, System], dict[str, float], dict[str, str]]:
    """Return us and the rivals that are right, how far off each is, and why others are refused."""
    systems, differences, refused = {OURS: mine}, {}, {}
    for rival in rivals:
        try:
            system = rival.prepare(case)
            differences[rival.name] = _difference(system, mine)
        except Exception as error:                       # whatever another library has to say
            refused[rival.name] = _in_one_line(error)
            continue
        if differences[rival.name] < WRONG:
            systems[rival.name] = system
        else:
            refused[rival.name] = "its products are wrong"
    return systems, differences, refused


def _gemms_of(call: Callable[[], Any]) -> Gemms:
    with count_gemms() as gemms:
        call()
    return gemms


def _difference(system: System, mine: System) -> float:
    """Return the largest relative difference, of a product before and after a sweep, and of it."""
    off = []
    for task in (PRODUCT, SWEEP, PRODUCT):
        expected = mine.flat(mine.tasks[task]())
        found = system.flat(system.tasks[task]())
        off.append(np.linalg.norm(found - expected) / np.linalg.norm(expected))
    return float(np.max(off))                            # NaN, where there is one


def _waiting(system: System, call: Callable[[], Any]) -> Callable[[], None]:
    def run() -> None:
        system.wait(call())

    return run


def _in_one_line(error: Exception) -> str:
    first = str(error).strip().partition("\n")[0]
    return f"{type(error).__name__}: {first}" if first else type(error).__name__
