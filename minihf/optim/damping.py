"""How much of lam I is added to the curvature, and how that changes from update to update.

Damping keeps a step where the quadratic model can be trusted: ([C]_b + lam_b I) d_b = -g_b. A rule
gives the first lam and, from a reduction ratio rho, the next. Every block has its lam; a rule that
is not per block is told the same rho for all, and so they stay equal. Called by
`minihf.HessianFree`.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Protocol

from minihf.optim.settings import settle

__all__ = ["Constant", "Damping", "LevenbergMarquardt"]


class Damping(Protocol):
    """What the optimizer asks of a damping rule."""

    @property
    def initial(self) -> float:
        """The first lam."""

    @property
    def adaptive(self) -> bool:
        """Whether `update` looks at rho."""

    @property
    def per_block(self) -> bool:
        """Whether each block has a rho of its own: that of moving by its direction alone."""

    def update(self, lam: float, rho: float) -> float:
        """Return the next lam, after a step with reduction ratio rho (NaN: it failed)."""


@dataclass(frozen=True)
class Constant:
    """The same lam throughout."""

    initial: float = 0.0
    adaptive = False
    per_block = False

    def __post_init__(self) -> None:
        settle(self, initial="0 or more")

    def update(self, lam: float, rho: float) -> float:
        """Return lam."""
        return lam


@dataclass(frozen=True)
class LevenbergMarquardt:
    """Raise lam where the model promised too much, lower it where it was right.

    rho < low or NaN: lam *= boost;  rho > high: lam *= drop. Martens 2010, section 4.1, with the
    factors 3/2 and 2/3 there. `minimum` is a floor; as it is given it only keeps lam off zero, from
    where no factor leads back. With `per_block` each block is judged by its own direction, at the
    price of one forward pass for each.
    """

    initial: float = 45.0
    boost: float = 3 / 2
    drop: float = 2 / 3
    low: float = 1 / 4
    high: float = 3 / 4
    minimum: float = 1e-20
    maximum: float = math.inf
    per_block: bool = False
    adaptive = True

    def __post_init__(self) -> None:
        settle(self, initial="0 or more", boost="1 or more", drop="in (0, 1]", minimum="0 or more")
        if not (self.low <= self.high and self.minimum <= self.maximum):
            raise ValueError(
                f"LevenbergMarquardt: low {self.low} must not be above high {self.high}, "
                f"nor minimum {self.minimum} above maximum {self.maximum}"
            )

    def update(self, lam: float, rho: float) -> float:
        """Return the next lam, within its bounds."""
        if math.isnan(rho) or rho < self.low:
            lam *= self.boost
        elif rho > self.high:
            lam *= self.drop
        return min(max(lam, self.minimum), self.maximum)
