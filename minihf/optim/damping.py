"""How much of lam I is added to the curvature, and how that changes from update to update.

Damping keeps a step where the quadratic model can be trusted: ([C]_b + lam_b I) d_b = -g_b. A rule
gives the first lam and, from a reduction ratio rho, the next. Every block has its lam; a rule that
is not per block is told the same rho for all, and so they stay equal. A rule may also take from the
curvature what it gives to the identity, by a `weight` below 1: (weight [C]_b + lam_b I) d_b = -g_b.
Called by `minihf.HessianFree`.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any, Protocol

from minihf.curvature import CurvatureOperator, StructuralGGN
from minihf.losses import SquaredError
from minihf.optim.schedules import resolved
from minihf.optim.settings import must_be_a_part, settle

__all__ = [
    "ByAcceptance",
    "Constant",
    "ConvexMix",
    "Damping",
    "LevenbergMarquardt",
    "StructuralDamping",
]


class Damping(Protocol):
    """What the optimizer asks of a damping rule."""

    @property
    def initial(self) -> float:
        """The first lam."""

    @property
    def adaptive(self) -> bool:
        """Whether lam follows from how the updates went; if so, rho is measured."""

    @property
    def per_block(self) -> bool:
        """Whether each block has a rho of its own: that of moving by its direction alone."""

    @property
    def weight(self) -> float:
        """What the curvature is multiplied by in the systems that are solved, mostly 1."""

    def update(self, lam: float, rho: float, accepted: bool) -> float:
        """Return the next lam, after an update with reduction ratio rho.

        NaN is no ratio: the update was rejected, or the model promised no fall.
        """


@dataclass(frozen=True)
class Constant:
    """The same lam throughout, or that of a schedule: ``Constant(Geometric(1.0, 0.99))``."""

    initial: float = 0.0
    adaptive = False
    per_block = False
    weight = 1.0

    def __post_init__(self) -> None:
        settle(self, initial="0 or more")

    def update(self, lam: float, rho: float, accepted: bool = True) -> float:
        """Return lam."""
        return lam


@dataclass(frozen=True)
class LevenbergMarquardt:
    """Raise lam where the model promised too much, lower it where it was right.

    rho < low or NaN: lam *= boost;  rho > high: lam *= drop. Martens 2010, section 4.1, with the
    factors 3/2 and 2/3 there. `minimum` is a floor; as it is given it only keeps lam off zero, from
    where no factor leads back, and `maximum` off infinity. With `per_block` each block is judged by
    its own direction, at the price of one forward pass for each.
    """

    initial: float = 45.0
    boost: float = 3 / 2
    drop: float = 2 / 3
    low: float = 1 / 4
    high: float = 3 / 4
    minimum: float = 1e-20
    maximum: float = 1e20
    per_block: bool = False
    adaptive = True
    weight = 1.0

    def __post_init__(self) -> None:
        _settle_with_bounds(self)
        first = resolved(self, 0)
        if not first.low <= first.high:
            raise ValueError(
                f"LevenbergMarquardt: low {first.low} must not be above high {first.high}"
            )

    def update(self, lam: float, rho: float, accepted: bool = True) -> float:
        """Return the next lam, within its bounds."""
        if math.isnan(rho) or rho < self.low:
            lam *= self.boost
        elif rho > self.high:
            lam *= self.drop
        return _within(lam, self.minimum, self.maximum)


@dataclass(frozen=True)
class ByAcceptance:
    """Lower lam after an update that was made, raise it after one that was rejected.

    accepted: lam *= drop;  rejected: lam *= boost. D. W. Marquardt, SIAM Journal 11 (1963), with
    the factors 1/10 and 10 there. It goes with a step rule that makes no step by which the
    objective does not fall. What the model promised is not asked. With `per_block`, and one block
    after the other, each is judged by its own step.
    """

    initial: float = 1.0
    boost: float = 10.0
    drop: float = 1 / 10
    minimum: float = 1e-10
    maximum: float = 1e10
    per_block: bool = False
    adaptive = True
    weight = 1.0

    def __post_init__(self) -> None:
        _settle_with_bounds(self)

    def update(self, lam: float, rho: float, accepted: bool = True) -> float:
        """Return the next lam, within its bounds."""
        return _within(lam * (self.drop if accepted else self.boost), self.minimum, self.maximum)


def _settle_with_bounds(rule: LevenbergMarquardt | ByAcceptance) -> None:
    settle(rule, initial="0 or more", boost="1 or more", drop="in (0, 1]", minimum="0 or more")
    first = resolved(rule, 0)
    if not first.minimum <= first.maximum < math.inf:
        raise ValueError(
            f"{type(rule).__name__}: minimum {first.minimum} must not be above maximum "
            f"{first.maximum}, and both must be finite"
        )


def _within(lam: float, minimum: float, maximum: float) -> float:
    return min(max(lam, minimum), maximum)


@dataclass(frozen=True)
class ConvexMix:
    """(1 - a) C + a I, with the same lam = a throughout, or that of a schedule.

    Chen, Chou & Chang, AAAI 2019, with a = 0.02. It is 1 - a times C + a / (1 - a) I, so that its
    solution is that of `Constant` damping by a / (1 - a), and 1 / (1 - a) times as long.
    """

    a: float = 0.02
    adaptive = False
    per_block = False

    def __post_init__(self) -> None:
        settle(self, a="in [0, 1)")

    @property
    def initial(self) -> float:
        """Return a."""
        return self.a

    @property
    def weight(self) -> float:
        """Return 1 - a."""
        return 1 - self.a

    def update(self, lam: float, rho: float, accepted: bool = True) -> float:
        """Return lam."""
        return lam


@dataclass(frozen=True)
class StructuralDamping:
    """lam mu G_S beside lam I: steps are held back that throw the hidden states far away.

    J. Martens & I. Sutskever, ICML 2011; `minihf.curvature.structural` has the equations. lam is
    that of the damping rule, and only the systems that are solved have the term: reduction ratio
    and step rule know the objective's own model, and lam I.

    Parameters
    ----------
    mu : float
        0 or more; 0 is no structural damping.
    distance : Loss
        Between new and old hidden states.
    """

    mu: float = 1 / 30
    distance: Any = field(default_factory=SquaredError)

    def __post_init__(self) -> None:
        settle(self, mu="0 or more")
        must_be_a_part(self, "distance", "hessian", "SquaredError()")

    def __call__(self, C: CurvatureOperator, lam: float) -> CurvatureOperator:
        """Return C + lam mu G_S; refuses a network without hidden states."""
        if not self.mu:
            return C
        return StructuralGGN(C.lin, C.loss, C.y, C.partition, lam * self.mu, self.distance)
