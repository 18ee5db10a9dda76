"""How much of lam I is added to the curvature, and how that changes from update to update.

Damping keeps a step where the quadratic model can be trusted: (G + lam I) d = -g. A rule gives the
first lam and, from the reduction ratio rho, the next. Called by `minihf.HessianFree`.
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

    def update(self, lam: float, rho: float) -> float:
        """Return the next lam, after a step with reduction ratio rho (NaN: it failed)."""


@dataclass(frozen=True)
class Constant:
    """The same lam throughout."""

    initial: float = 0.0
    adaptive = False

    def __post_init__(self) -> None:
        settle(self, initial="0 or more")

    def update(self, lam: float, rho: float) -> float:
        """Return lam."""
        return lam


@dataclass(frozen=True)
class LevenbergMarquardt:
    """Raise lam where the model promised too much, lower it where it was right.

    rho < low or NaN: lam *= boost;  rho > high: lam *= drop. Martens 2010, section 4.1, with the
    factors 3/2 and 2/3 there. `minimum` keeps lam off zero, from where no factor leads back.
    """

    initial: float = 45.0
    boost: float = 3 / 2
    drop: float = 2 / 3
    low: float = 1 / 4
    high: float = 3 / 4
    minimum: float = 1e-20
    maximum: float = math.inf
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
