"""What a call costs on every machine: its matrix products, and the memory that it takes.

Matrix products are counted to the last, with their flops and the bytes of operands and results;
made alone, in the same shapes and into arrays that are there already, they are the floor that a
call's time is held against. Memory is what `tracemalloc` sees of NumPy.

Called by the benchmark and, for the counting, by ``minihf.testing``.
"""

from __future__ import annotations

import tracemalloc
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from math import prod
from typing import Any, NamedTuple

import numpy as np

from minihf.backend import array_module, asarray, observe_gemms

__all__ = ["Gemms", "Memory", "alone", "count_gemms", "memory_of"]


@dataclass
class Gemms:
    """The matrix products made so far: the shapes of their operands, in order."""

    shapes: list[tuple[tuple[int, ...], tuple[int, ...]]] = field(default_factory=list)

    @property
    def count(self) -> int:
        """How many there were."""
        return len(self.shapes)

    @property
    def flops(self) -> int:
        """Their multiplications and additions: 2 m k n for (m, k) times (k, n)."""
        return sum(2 * prod(a) * b[-1] for a, b in self.shapes)

    @property
    def numbers(self) -> int:
        """The numbers in their operands and results; 4 bytes each in float32."""
        return sum(prod(a) + prod(b) + prod(a[:-1]) * b[-1] for a, b in self.shapes)


@contextmanager
def count_gemms() -> Iterator[Gemms]:
    """Count the matrix products that the library makes inside the ``with`` block.

    Examples
    --------
    >>> import numpy as np, minihf as hf
    >>> net = hf.Sequential(hf.Dense(4, 3), hf.Tanh(), hf.Dense(3, 2))
    >>> x, y = np.ones((5, 4)), np.ones((5, 2))
    >>> G = hf.GGN(hf.linearize(net, net.init(0, np.float64), x), hf.SquaredError(), y)
    >>> with count_gemms() as gemms:
    ...     _ = G @ np.ones(23)
    >>> gemms.count                                     # 4 L - 2 for L = 2 layers
    6
    """
    gemms = Gemms()
    with observe_gemms(lambda a, b: gemms.shapes.append((a, b))):
        yield gemms


def alone(gemms: Gemms) -> Callable[[], list[Any]]:
    """Return a function that makes these matrix products in float32, and nothing else.

    It returns the result of the last one, flat, in a list.
    """
    arrays = {
        (a, b): [asarray(np.ones(shape, np.float32)) for shape in (a, b, (*a[:-1], b[-1]))]
        for a, b in set(gemms.shapes)
    }
    operands = [arrays[pair] for pair in gemms.shapes]

    def run() -> list[Any]:
        for a, b, out in operands:
            array_module(a).matmul(a, b, out=out)
        return [out.reshape(-1)]

    return run


class Memory(NamedTuple):
    """Bytes that a call took: at most at once, and those that stay, its result's among them."""

    peak: int
    kept: int
    result: int


def memory_of(call: Callable[[], Sequence[Any]]) -> Memory:
    """Measure a call that gives arrays, and has been made before: its workspaces are there."""
    tracemalloc.start()
    try:
        before, _ = tracemalloc.get_traced_memory()
        tracemalloc.reset_peak()
        result = call()
        after, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    return Memory(peak - before, after - before, sum(array.nbytes for array in result))
