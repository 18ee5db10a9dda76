"""Seconds, in turns: what one function takes and what another means only side by side.

Called by the benchmark and by tests.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from statistics import median
from time import perf_counter, sleep

__all__ = ["interleaved_medians"]


def interleaved_medians(
    functions: Mapping[str, Callable[[], object]], rounds: int, rest: float = 0.0
) -> dict[str, float]:
    """Return the median seconds of each function, all called in turns, the first round left out.

    Between two turns there is a rest of so many seconds, for threads that stay awake after their
    work: they would cost whoever comes next.
    """
    times: dict[str, list[float]] = {name: [] for name in functions}
    for _ in range(rounds + 1):
        for name, function in functions.items():
            sleep(rest)
            began = perf_counter()
            function()
            times[name].append(perf_counter() - began)
    return {name: median(seconds[1:]) for name, seconds in times.items()}
