"""What products with the Gauss-Newton matrix cost: next to their matrix products, and to rivals.

    problems    three networks with random data
    systems     the tasks, and minihf doing them; `rivals` has the other libraries
    counts      what a task costs on every machine
    measuring   what it takes on this one, all systems in turns
    page        the tables, and the page of the book that they go into
    gpu         the same on a GPU, held against its rate of matrix products
    growth      how costs grow with the size of a problem

Called by ``minihf bench``.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from minihf.experiments.bench.gpu import bench_gpu
from minihf.experiments.bench.growth import growth, growth_page
from minihf.experiments.bench.measuring import measure
from minihf.experiments.bench.page import facts, page, report
from minihf.experiments.bench.problems import PROBLEMS, Problem
from minihf.experiments.bench.rivals import RIVALS
from minihf.experiments.bench.timing import interleaved_medians

__all__ = [
    "PROBLEMS",
    "Problem",
    "bench",
    "bench_gpu",
    "growth",
    "growth_page",
    "interleaved_medians",
    "page",
]


def bench(rounds: int = 15, problems: Sequence[Problem] = PROBLEMS) -> Iterator[str]:
    """Time the problems; yield the lines of the tables as they come."""
    yield from facts(RIVALS, rounds)
    rivals = [rival for rival in RIVALS if not rival.missing]
    for problem in problems:
        yield ""
        yield from report(measure(problem, rivals, rounds))
