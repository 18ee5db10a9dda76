"""How long products with the Gauss-Newton matrix take: next to their matrix products, and to JAX.

Three problems, float32: a deep autoencoder, a convolutional network, three layers of LSTM. A
product's floor is its own matrix products, here written into arrays that are there already (4 L - 2
of them for L dense layers). All are timed in turns in one process, and only their ratios mean
anything on another machine. Called by ``minihf bench``.
"""

from __future__ import annotations

import platform
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from statistics import median
from time import perf_counter
from typing import Any

import numpy as np
import scipy

from minihf.backend import Array, array_module, asarray, device, observe_gemms, to_host
from minihf.curvature import GGN
from minihf.experiments import rivals
from minihf.experiments.networks import autoencoder, lstm_classifier
from minihf.layers import Conv2d, Dense, GlobalAvgPool2d, Layer, ReLU, Sequential
from minihf.losses import SoftmaxCrossEntropy, SquaredError
from minihf.tape import linearize

__all__ = ["PROBLEMS", "Problem", "bench", "interleaved_medians"]


@dataclass(frozen=True)
class Problem:
    """A network with random data of a shape; targets are the data, or ten classes."""

    name: str
    net: Layer
    shape: tuple[int, ...]
    classifies: bool
    rival: Callable[[Mapping[str, Any], Any], Any]


def _cnn() -> Sequential:
    return Sequential(
        Conv2d(1, 16, 3, padding=1), ReLU(),
        Conv2d(16, 32, 3, stride=2, padding=1), ReLU(),
        Conv2d(32, 32, 3, padding=1), ReLU(),
        Conv2d(32, 64, 3, stride=2, padding=1), ReLU(),
        GlobalAvgPool2d(), Dense(64, 10),
    )  # fmt: skip


PROBLEMS = (
    Problem(
        "autoencoder 784-1000-500-250-30 and back, batch 1000",
        autoencoder(784, 1000, 500, 250, 30), (1000, 784), False, rivals.tanh_autoencoder,
    ),
    Problem(
        "CNN 16-32/2-32-64/2 on 28 x 28, batch 256", _cnn(), (256, 1, 28, 28), True, rivals.cnn
    ),
    Problem(
        "LSTM 3 x 128 on 28 rows of 28, batch 256",
        lstm_classifier(28, 128), (256, 28, 28), True, rivals.lstm3,
    ),
)  # fmt: skip


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


def bench(rounds: int = 15, problems: tuple[Problem, ...] = PROBLEMS) -> Iterator[str]:
    """Time the problems; yield the lines of the table as they come."""
    yield (
        f"{device().backend}, NumPy {np.__version__}, SciPy {scipy.__version__}, "
        f"{platform.machine()}; float32, medians of {rounds} rounds in turns"
    )
    for problem in problems:
        yield ""
        yield problem.name
        heads = f"{'their ms':>10}{'ms':>8}{'ratio':>7}{'JAX ms':>9}{'ratio':>7}"
        yield f"  {'':18}{'matrix products':>16}{heads}"
        yield from _rows(problem, rounds)


def _rows(problem: Problem, rounds: int) -> Iterator[str]:
    rng = np.random.default_rng(0)
    params = problem.net.init(0)
    x = asarray(rng.random(problem.shape, dtype=np.float32))
    y = asarray(rng.integers(0, 10, problem.shape[0])) if problem.classifies else x
    v = asarray(rng.standard_normal(params.size, dtype=np.float32))
    loss = SoftmaxCrossEntropy() if problem.classifies else SquaredError()
    lin = linearize(problem.net, params, x)
    G = GGN(lin, loss, y)
    blocks = GGN(lin, loss, y, "layer")
    parts = [(blocks.block(name), v[block.index]) for name, block in blocks.partition.items()]

    def sweep() -> None:
        for operator, v_b in parts:
            operator @ v_b

    timed: dict[str, Callable[[], object]] = {"one product": lambda: G @ v, "layer blocks": sweep}
    gemms = {name: _gemms_of(function) for name, function in timed.items()}
    functions: dict[str, Callable[[], object]] = {}
    for name, function in timed.items():
        functions |= {f"{name}, bare": _run_all(gemms[name]), name: function}
    rival = None
    if array_module(x) is np:
        rival = rivals.jax_product(problem.rival, params, x, v, problem.classifies)
    if rival is not None:
        functions["JAX"] = rival
    medians = interleaved_medians(functions, rounds)
    for name in timed:
        floor, whole = medians[f"{name}, bare"] * 1e3, medians[name] * 1e3
        row = f"  {name:18}{len(gemms[name]):16}{floor:10.1f}{whole:8.1f}{whole / floor:7.2f}"
        if name == "one product" and rival is not None:
            theirs = medians["JAX"] * 1e3
            row += f"{theirs:9.1f}{whole / theirs:7.2f}"
        yield row
    if rival is not None:
        ours = to_host(G @ v)
        error = np.linalg.norm(rival() - ours) / np.linalg.norm(ours)
        yield f"  relative difference from JAX's product: {error:.0e}"


def _gemms_of(function: Callable[[], object]) -> list[tuple[Array, ...]]:
    """Return operands and results in the shapes of the matrix products that a call makes."""
    shapes: list[tuple[tuple[int, ...], tuple[int, ...]]] = []
    with observe_gemms(lambda a, b: shapes.append((a, b))):
        function()
    arrays = {
        (a, b): tuple(
            asarray(np.ones(shape, np.float32)) for shape in (a, b, (*a[:-1], b[-1]))
        )
        for a, b in set(shapes)
    }
    return [arrays[pair] for pair in shapes]


def _run_all(gemms: list[tuple[Array, ...]]) -> Callable[[], None]:
    def run() -> None:
        for a, b, out in gemms:
            array_module(a).matmul(a, b, out=out)

    return run
