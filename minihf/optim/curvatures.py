"""Curvature with settings: what makes the operator, where a type alone does not say.

Called by `minihf.HessianFree`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol

from minihf.curvature import PCH, AveragedPCH, CurvatureOperator
from minihf.curvature.pch import MODES
from minihf.tape import Linearization

__all__ = ["Curvature", "PositiveCurvature"]


class Curvature(Protocol):
    """What the optimizer asks of a curvature: types such as `GGN` and `Hessian` are ones.

    One that needs more of a loss than its value and gradient names the methods in an attribute
    `needs`.
    """

    def __call__(self, lin: Linearization, loss: Any, y: Any, partition: Any) -> CurvatureOperator:
        """Return the operator on the curvature batch, in these blocks."""


@dataclass(frozen=True)
class PositiveCurvature:
    """The positive-curvature Hessian: `PCH`, or `AveragedPCH` by expectations, in one of its modes.

    Parameters
    ----------
    mode : "abs", "clip", "identity" or "zero"
    averaged : bool
    """

    mode: str = "abs"
    averaged: bool = False
    needs = ("hessian",)

    def __post_init__(self) -> None:
        if self.mode not in MODES:
            raise ValueError(
                f"PositiveCurvature: mode must be one of {', '.join(MODES)}, got {self.mode!r}"
            )

    def __call__(self, lin: Linearization, loss: Any, y: Any, partition: Any) -> CurvatureOperator:
        """Return the operator."""
        return (AveragedPCH if self.averaged else PCH)(lin, loss, y, partition, self.mode)
