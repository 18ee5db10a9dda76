"""What Hessian-free optimization carries from update to update.

Plain arrays and numbers, so that a checkpoint is one file and a resumed run goes on bit for bit.
Called by `minihf.HessianFree`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from minihf.backend import Array
from minihf.optim.preconditioners import Memory

__all__ = ["HessianFreeState"]


@dataclass(frozen=True)
class HessianFreeState:
    """What is carried from update to update: plain arrays and numbers.

    Attributes
    ----------
    update : int
        Updates tried so far.
    lam : dict of str to float
        The damping of each block in the next one.
    solution : array, shape (n,), or None
        CG's last iterate of every block, for the warm start.
    rng : dict
        State of the `numpy.random.Generator` that noise layers, sampling and preconditioners draw
        from.
    memory : None, or nested dicts of arrays and numbers
        What the preconditioner remembers.
    move : array, shape (n,), or None
        The last update that was accepted, for a step rule with momentum.
    """

    update: int
    lam: Mapping[str, float]
    solution: Array | None
    rng: Mapping[str, Any]
    memory: Memory = None
    move: Array | None = None
