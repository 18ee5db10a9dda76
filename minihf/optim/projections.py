"""Projections: after an update the parameters are brought back into a set that they may not leave.

The step is chosen as if there was no such set, and the projection comes last. So the objective that
an optimizer reports is measured after it, at the parameters that it returns; line search and
reduction ratio know the step before it. Called by the optimizers.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import sqrt
from typing import Protocol

from minihf.backend import array_module
from minihf.optim.settings import settle
from minihf.params import Params

__all__ = ["MaxNorm", "Projection", "projected"]


class Projection(Protocol):
    """What an optimizer asks of a projection."""

    def __call__(self, params: Params) -> Params:
        """Return the nearest parameters in the set: the very same if they are in it."""


@dataclass(frozen=True)
class MaxNorm:
    """No unit's incoming weights have a squared norm above round(sqrt(fan-in)), or `most`.

    Weights that are too long are scaled down, each unit's on its own. A unit is a column of a
    matrix (D, M), of dense and recurrent layers, and a filter of a convolution (F, C, KH, KW);
    vectors, biases that is, stay as they are.

    N. Srebro & A. Shraibman, COLT 2005; with dropout: G. E. Hinton et al., arXiv 1207.0580 (2012).
    The bound by the fan-in is that of Kiros 2013.

    Parameters
    ----------
    most : float, optional
        The squared norm that every unit may have; positive.

    Examples
    --------
    >>> import numpy as np, minihf as hf
    >>> params = hf.Params.from_dict({"W": np.array([[3.0, 0.1], [4.0, 0.2]]), "b": np.ones(2)})
    >>> MaxNorm(1.0)(params)["W"]
    array([[0.6, 0.1],
           [0.8, 0.2]])
    """

    most: float | None = None

    def __post_init__(self) -> None:
        settle(self, most="positive")

    def __call__(self, params: Params) -> Params:
        """Return parameters with all norms within bounds."""
        xp = array_module(params.vector)
        new = params.with_vector(params.vector.copy())
        for name in params.names:
            W = new[name]
            if W.ndim < 2:
                continue
            incoming = 0 if W.ndim == 2 else tuple(range(1, W.ndim))
            square = (W * W).sum(axis=incoming, keepdims=True)
            most = float(self.most or round(sqrt(W.size / square.size)))
            W *= xp.sqrt(most / xp.maximum(square, most))                      # 1 for most units
        return new if bool((new.vector != params.vector).any()) else params


def projected(projection: Projection | None, params: Params) -> Params:
    """Return the parameters, projected if there is a projection."""
    return params if projection is None else projection(params)
