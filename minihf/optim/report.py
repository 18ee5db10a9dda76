"""What an update tells about itself: one `Report` an update, with one `BlockReport` a block.

Plain numbers and strings, so that a log line is ``report.as_dict()``. Called by every optimizer.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

__all__ = ["BlockReport", "Report"]


@dataclass(frozen=True)
class BlockReport:
    """One block's solve.

    Attributes
    ----------
    iterations, products : int
        CG iterations, and products with the block (one more for a warm start).
    reason : str
        Name of the `minihf.Reason` that ended it.
    lam : float
        The damping it was solved with.
    predicted : float
        The block's damped quadratic at its solution; the fall it promises, negative.
    seconds : float
        Wall-clock time of the solve.
    rho : float
        The reduction ratio that its next damping was chosen by.
    """

    iterations: int
    products: int
    reason: str
    lam: float
    predicted: float
    seconds: float
    rho: float = math.nan


@dataclass(frozen=True)
class Report:
    """One update.

    Attributes
    ----------
    objective : float
        On the gradient batch, before the update, L2 included.
    new_objective : float or None
        Likewise after it; None where the method does not look (SGD, Adam).
    accepted : bool
        Whether the parameters moved.
    problem : str
        Empty, or one line about what went wrong: a rejected update, a rising objective.
    cases, products, seconds : int, int, float
        Cases of the gradient, products with the curvature over all blocks, wall-clock time.
    step_length : float
        Factor on the direction.
    lam, predicted, rho : float or None
        Damping (of the block with most of it); the quadratic model's change of the
        objective, damping left out; and the reduction ratio of actual to predicted change.
    blocks : dict of str to BlockReport
    """

    objective: float
    accepted: bool
    cases: int
    seconds: float
    new_objective: float | None = None
    problem: str = ""
    products: int = 0
    step_length: float = 1.0
    lam: float | None = None
    predicted: float | None = None
    rho: float | None = None
    blocks: Mapping[str, BlockReport] = field(default_factory=dict)

    @property
    def iterations(self) -> int:
        """CG iterations, over all blocks."""
        return sum(block.iterations for block in self.blocks.values())

    def as_dict(self) -> dict[str, Any]:
        """Return nested dicts of numbers and strings, for JSON."""
        return asdict(self)
