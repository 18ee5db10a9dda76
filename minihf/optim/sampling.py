"""Which cases of the gradient batch the curvature is measured on.

Curvature needs fewer cases than the gradient, because an error in it bends the step but leaves the
place where the gradient vanishes. Called by `minihf.HessianFree`.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import ceil
from typing import Protocol

import numpy as np

from minihf.backend import asarray
from minihf.optim.batches import Batch, n_cases, rows
from minihf.optim.settings import settle

__all__ = ["CycledChunks", "Independent", "Prefix", "Sampling"]


class Sampling(Protocol):
    """What the optimizer asks of a sampling rule."""

    def draw(self, batch: Batch, update: int, rng: np.random.Generator) -> Batch:
        """Return the curvature batch of the update with that number, counted from 0.

        `rng` goes on from update to update. Take cases by `minihf.optim.batches.rows`:
        with them comes their noise, if there is any.
        """


@dataclass(frozen=True)
class Prefix:
    """The first part of the gradient batch (whose order is random where it was drawn so)."""

    fraction: float = 0.25

    def __post_init__(self) -> None:
        settle(self, fraction="in (0, 1]")

    def draw(self, batch: Batch, update: int, rng: np.random.Generator) -> Batch:
        """Return the first ceil(fraction N) cases."""
        return rows(batch, slice(0, ceil(self.fraction * n_cases(batch))))


@dataclass(frozen=True)
class Independent:
    """A part of the gradient batch drawn at random, anew for each update, without replacement.

    For a batch that is the same at every update, or whose order means something.
    """

    fraction: float = 0.25

    def __post_init__(self) -> None:
        settle(self, fraction="in (0, 1]")

    def draw(self, batch: Batch, update: int, rng: np.random.Generator) -> Batch:
        """Return ceil(fraction N) cases, in the order in which the batch has them."""
        N = n_cases(batch)
        chosen = rng.choice(N, ceil(self.fraction * N), replace=False)
        return rows(batch, asarray(np.sort(chosen)))


@dataclass(frozen=True)
class CycledChunks:
    """The gradient batch cut into equal chunks that take turns (Martens 2010, author's code)."""

    count: int = 4

    def __post_init__(self) -> None:
        settle(self, count="1 or more")

    def draw(self, batch: Batch, update: int, rng: np.random.Generator) -> Batch:
        """Return chunk ``update % count``; with fewer cases than chunks, a single case."""
        N = n_cases(batch)
        count = min(self.count, N)
        i = update % count
        return rows(batch, slice(i * N // count, (i + 1) * N // count))
