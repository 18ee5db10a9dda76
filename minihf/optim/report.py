"""What an update tells about itself: one `Report` an update, with one `BlockReport` a block.

Plain numbers and strings, so that a log line is ``report.as_dict()``. Called by every optimizer.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

__all__ = ["BlockReport", "Report", "joined"]


@dataclass(frozen=True)
class BlockReport:
    """One block's solve.

    Attributes
    ----------
    iterations, products : int
        CG iterations, and products with the block (one more for a warm start). An exact solve is
        one iteration, and its products are what it took to write the block down.
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
        Cases of the gradient, products with the curvature over all blocks, wall-clock time. A
        sequential update makes as many gradients as blocks, and counts the cases of each. Products
        are those of the solvers; tangents of step rules (`Subspace`, the reduction ratio) and of
        calibration (`Kronecker`: one for each block), half a product each, are not counted. So the
        house method has none.
    step_length : float
        Factor on the direction; of a sequential update, the largest.
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


def joined(turns: Sequence[Report]) -> Report:
    """Return one report for the turns of a sequential update, as if it had been one step.

    Prediction and ratio are those of the turns that were made.
    """
    first, last = turns[0], turns[-1]
    if len(turns) == 1:
        return first
    made = [turn for turn in turns if turn.accepted]
    refused = [turn.problem for turn in turns if not turn.accepted]
    problems = [turn.problem for turn in made if turn.problem]
    if refused:
        problems = [f"{len(refused)} of {len(turns)} blocks: {refused[0]}", *problems]
    predicted = sum(turn.predicted or 0.0 for turn in made)
    changed = sum((turn.rho or 0.0) * (turn.predicted or 0.0) for turn in made)
    return Report(
        objective=first.objective,
        new_objective=last.new_objective,
        accepted=any(turn.accepted for turn in turns),
        problem="; ".join(problems),
        cases=sum(turn.cases for turn in turns),
        products=sum(turn.products for turn in turns),
        seconds=sum(turn.seconds for turn in turns),
        step_length=max(turn.step_length for turn in turns),
        lam=max(turn.lam or 0.0 for turn in turns),
        predicted=predicted,
        rho=changed / predicted if predicted < 0 else math.nan,
        blocks={name: block for turn in turns for name, block in turn.blocks.items()},
    )
