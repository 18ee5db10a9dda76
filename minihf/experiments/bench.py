"""How long a product with the Gauss-Newton matrix takes, next to its bare matrix products.

The floor of a product with an L-layer network is its 4 L - 2 matrix products, here written into
arrays that are there already. Both are timed in turns in one process, and only their ratio means
anything on another machine. Called by ``minihf bench``.
"""

from __future__ import annotations

import platform
from collections.abc import Callable, Mapping
from statistics import median
from time import perf_counter

import numpy as np
import scipy

from minihf.backend import observe_gemms
from minihf.curvature import GGN
from minihf.experiments.demo import autoencoder
from minihf.losses import SquaredError
from minihf.tape import linearize

__all__ = ["bench_autoencoder", "interleaved_medians"]


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


def bench_autoencoder(rounds: int = 15, batch: int = 1000) -> str:
    """Time the autoencoder 784-1000-500-250-30, mirrored, float32; return the table."""
    widths = (784, 1000, 500, 250, 30)
    net, rng = autoencoder(*widths), np.random.default_rng(0)
    params = net.init(0)
    x = rng.random((batch, 784), dtype=np.float32)
    v = rng.standard_normal(params.size, dtype=np.float32)
    lin = linearize(net, params, x)
    G = GGN(lin, SquaredError(), x)
    blocks = GGN(lin, SquaredError(), x, "layer")
    parts = [(blocks.block(name), v[block.index]) for name, block in blocks.partition.items()]

    def product() -> None:
        G @ v

    def sweep() -> None:
        for operator, v_b in parts:
            operator @ v_b

    functions = {
        "one product, bare matrix products": _bare(product),
        "one product": product,
        "all layer blocks, bare matrix products": _bare(sweep),
        "all layer blocks": sweep,
    }
    counts = {name: _count(function) for name, function in functions.items()}
    medians = interleaved_medians(functions, rounds)
    lines = [
        f"autoencoder {'-'.join(map(str, widths + widths[-2::-1]))}, batch {batch}, float32",
        f"NumPy {np.__version__}, SciPy {scipy.__version__}, {platform.machine()}, "
        f"medians of {rounds} rounds in turns",
        "",
        f"{'':40}{'GEMMs':>6}{'ms':>9}{'ratio':>8}",
    ]
    floor = 0.0
    for name, seconds in medians.items():
        floor = seconds if name.endswith("bare matrix products") else floor
        lines.append(f"{name:40}{counts[name]:6}{seconds * 1e3:9.1f}{seconds / floor:8.2f}")
    return "\n".join(lines)


def _bare(function: Callable[[], object]) -> Callable[[], None]:
    """Return the matrix products of a call alone: same shapes, into arrays that are there."""
    shapes: list[tuple[tuple[int, ...], tuple[int, ...]]] = []
    with observe_gemms(lambda a, b: shapes.append((a, b))):
        function()
    work = [
        (np.ones(a, np.float32), np.ones(b, np.float32), np.empty((a[0], b[1]), np.float32))
        for a, b in shapes
    ]

    def run() -> None:
        for a, b, out in work:
            np.matmul(a, b, out=out)

    return run


def _count(function: Callable[[], object]) -> int:
    count = 0

    def observe(a: tuple[int, ...], b: tuple[int, ...]) -> None:
        nonlocal count
        count += 1

    with observe_gemms(observe):
        function()
    return count
