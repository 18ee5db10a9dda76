"""Seconds, in turns: what one function takes and what another means only side by side.

Called by the benchmark and by tests.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from statistics import median
from time import perf_counter

__all__ = ["interleaved_medians"]


def interleaved_medians(
    functions: Mapping[str, Callable[[], object]], rounds: int
) -> dict[str, float]:
    """Return the median seconds of each function, all called in turns, the first round left out."""
    times: dict[str, list[float]] = {name: [] for name in functions}
    for _ in range(rounds + 1):
        for name, function in functions.items():
            began = perf_counter()
            function()
            times[name].append(perf_counter() - began)
    return {name: median(seconds[1:]) for name, seconds in times.items()}
