"""The same tasks on a GPU, each held against what its flops would take at the GPU's own best rate.

Called by ``minihf bench --gpu``.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from time import perf_counter

import numpy as np

from minihf.backend import asarray, device, gemm, to_host, use
from minihf.experiments.bench.measuring import ALONE, OURS, measure
from minihf.experiments.bench.page import facts
from minihf.experiments.bench.problems import PROBLEMS, Problem
from minihf.experiments.tables import markdown

__all__ = ["bench_gpu", "gemm_rate", "rooflines"]


def bench_gpu(rounds: int = 15, problems: Sequence[Problem] = PROBLEMS) -> Iterator[str]:
    """Time the problems on the GPU; where none computes, say why and do nothing."""
    try:
        use("cupy")
    except RuntimeError as fault:
        yield f"skipped: {fault}"
        return
    yield from facts((), rounds)
    yield from rooflines(rounds, problems)


def rooflines(rounds: int, problems: Sequence[Problem], size: int = 8192) -> Iterator[str]:
    """Time the problems on the device in use; yield the lines of the tables as they come.

    `size` is that of the square matrices whose product says how fast the device can be.
    """
    rate = gemm_rate(size)
    yield f"- {device()}; float32 products of {size} x {size}: {rate / 1e12:.3g} TFLOP/s"
    for problem in problems:
        measured = measure(problem, (), rounds)
        rows = [["ms", "matrix products", "GFLOP", "roofline", ALONE, OURS, "to the roofline"]]
        for task, seconds in measured.seconds.items():
            gemms = measured.gemms[task]
            least = gemms.flops / rate
            times = [f"{t * 1e3:,.3f}" for t in (least, seconds[ALONE], seconds[OURS])]
            counts = [f"{gemms.count:,}", f"{gemms.flops / 1e9:,.2f}"]
            rows.append([task, *counts, *times, f"{seconds[OURS] / least:.2f}"])
        yield from ("", f"### {problem}", "", markdown(rows))


def gemm_rate(size: int, rounds: int = 5) -> float:
    """Return the flops per second of a product of square float32 matrices, the best of some."""
    a = asarray(np.ones((size, size), np.float32))
    out = gemm(a, a)
    best = float("inf")
    for _ in range(rounds):
        to_host(out[0, :1])                              # waits for what has been asked for
        began = perf_counter()
        gemm(a, a, out)
        to_host(out[0, :1])
        best = min(best, perf_counter() - began)
    return 2 * size**3 / best
