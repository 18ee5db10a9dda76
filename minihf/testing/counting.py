"""Counting matrix products: a cost that is the same on every machine and in every run.

Called by tests and by the book.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from math import prod

from minihf.backend import observe_gemms

__all__ = ["Gemms", "count_gemms"]


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
