"""Counting: costs that are the same on every machine and in every run.

`count_gemms` counts matrix products, on any backend. `counted` counts what a device would have to
do, on the stand-in (`minihf.testing.strict`): what crosses the border, where the host waits, and
how many kernels are launched.

Called by tests, the stand-in and the book.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from minihf.experiments.bench.counts import Gemms, count_gemms

__all__ = ["Counts", "Gemms", "count_gemms", "counted", "record"]


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
