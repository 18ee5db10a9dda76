"""Counting: costs that are the same on every machine and in every run.

`count_gemms` counts matrix products, on any backend. `counted` counts what a device would have to
do, on the stand-in (`minihf.testing.strict`): what crosses the border, where the host waits, and
how many kernels are launched.

Called by tests, the stand-in and the book.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from math import prod

from minihf.backend import observe_gemms

__all__ = ["Counts", "Gemms", "count_gemms", "counted", "record"]


# Matrix products ----------------------------------------------------------------------------


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


# A device's work ----------------------------------------------------------------------------


@dataclass
class Counts:
    """What the stand-in for a device was made to do.

    Attributes
    ----------
    uploads, downloads : int
        Arrays and numbers that went up from the host, and came down to it.
    uploaded, downloaded : int
        Their bytes.
    synchronisations : int
        How often the host waited for the device: at every download, and where the shape of a
        result depends on numbers (a boolean index, `nonzero`).
    launches : int
        Kernels: functions, operators and assignments, one each, matrix products and fills among
        them. A view or an empty array is none; what is fused is one.
    """

    uploads: int = 0
    downloads: int = 0
    uploaded: int = 0
    downloaded: int = 0
    synchronisations: int = 0
    launches: int = 0

    @property
    def crossings(self) -> tuple[int, int, int]:
        """Uploads, downloads, synchronisations: all that a product must do without."""
        return self.uploads, self.downloads, self.synchronisations


_counting: list[Counts] = []


@contextmanager
def counted() -> Iterator[Counts]:
    """Count what the stand-in for a device does inside the ``with`` block.

    Examples
    --------
    >>> import numpy as np, minihf as hf
    >>> from minihf import testing
    >>> testing.install()
    >>> _ = hf.use("strict")
    >>> with counted() as counts:
    ...     x = hf.asarray(np.ones((3, 4), np.float32))
    ...     y = (2 * x.T).sum()
    ...     z = float(y)
    >>> counts.uploads, counts.uploaded, counts.launches, counts.downloads, counts.synchronisations
    (1, 48, 2, 1, 1)
    >>> _ = hf.use("numpy")
    """
    counts = Counts()
    _counting.append(counts)
    try:
        yield counts
    finally:
        _counting[:] = [other for other in _counting if other is not counts]


def record(**amounts: int) -> None:
    """Add to all counts under way; called by the stand-in."""
    for counts in _counting:
        for name, amount in amounts.items():
            setattr(counts, name, getattr(counts, name) + amount)
