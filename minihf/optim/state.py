"""What Hessian-free optimization carries from update to update.

Plain arrays and numbers, so that a checkpoint is one file and a resumed run goes on bit for bit.
Called by the optimizers, and by `minihf.fit` before it goes on from a state.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from minihf.backend import Array
from minihf.optim.preconditioners import Memory
from minihf.params import Params

__all__ = ["HessianFreeState", "must_be_of"]


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
        The solver's last result in every block, for the warm start: that of a rejected step, too,
        if it is finite. None where the solver never looks at it.
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

    def must_suit(self, params: Params, fresh: HessianFreeState) -> None:
        """Refuse to go on from here with these parameters, where a new run has the state `fresh`.

        Raises
        ------
        ValueError
            If this state is of other blocks, or of another network.
        """
        if self.lam.keys() != fresh.lam.keys():
            raise ValueError(
                f"the state is of the blocks {', '.join(self.lam)}, not of {', '.join(fresh.lam)}; "
                "go on by params= alone"
            )
        must_be_of(params, self.solution, self.move)


def must_be_of(params: Params, *vectors: Array | None) -> None:
    """Refuse what an optimizer carries (n,), if it is not of the size of the parameters."""
    for vector in vectors:
        if vector is not None and vector.shape != params.vector.shape:
            raise ValueError(
                f"the state is of a network of {vector.size:,} parameters, this one has "
                f"{params.size:,}; go on by params= alone"
            )
