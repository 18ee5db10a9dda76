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

from minihf.backend import Array, array_module, asarray, device, observe_gemms
from minihf.curvature import GGN
from minihf.experiments.networks import autoencoder
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
    x = asarray(rng.random((batch, 784), dtype=np.float32))
    v = asarray(rng.standard_normal(params.size, dtype=np.float32))
    lin = linearize(net, params, x)
    G = GGN(lin, SquaredError(), x)
    blocks = GGN(lin, SquaredError(), x, "layer")
    parts = [(blocks.block(name), v[block.index]) for name, block in blocks.partition.items()]

    def product() -> None:
        G @ v

    def sweep() -> None:
        for operator, v_b in parts:
            operator @ v_b

    timed = {"one product": product, "all layer blocks": sweep}
    bare = {name: _gemms_of(function) for name, function in timed.items()}
    functions: dict[str, Callable[[], object]] = {}
    for name, function in timed.items():
        functions |= {f"{name}, bare": _run_all(bare[name]), name: function}
    medians = interleaved_medians(functions, rounds)
    lines = [
        f"autoencoder {'-'.join(map(str, widths + widths[-2::-1]))}, batch {batch}, float32",
        f"{device().backend}, NumPy {np.__version__}, SciPy {scipy.__version__}, "
        f"{platform.machine()}, "
        f"medians of {rounds} rounds in turns",
        "",
        f"{'':20}{'matrix products':>16}{'their ms':>10}{'ms':>8}{'ratio':>8}",
    ]
    for name, gemms in bare.items():
        floor, whole = medians[f"{name}, bare"] * 1e3, medians[name] * 1e3
        lines.append(f"{name:20}{len(gemms):16}{floor:10.1f}{whole:8.1f}{whole / floor:8.2f}")
    return "\n".join(lines)


def _gemms_of(function: Callable[[], object]) -> list[tuple[Array, ...]]:
    """Return operands and results in the shapes of the matrix products that a call makes."""
    gemms: list[tuple[Array, ...]] = []

    def observe(a: tuple[int, ...], b: tuple[int, ...]) -> None:
        shapes = (a, b, (a[0], b[1]))
        gemms.append(tuple(asarray(np.ones(shape, np.float32)) for shape in shapes))

    with observe_gemms(observe):
        function()
    return gemms


def _run_all(gemms: list[tuple[Array, ...]]) -> Callable[[], None]:
    def run() -> None:
        for a, b, out in gemms:
            array_module(a).matmul(a, b, out=out)

    return run
