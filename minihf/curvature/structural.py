"""Gauss-Newton with structural damping: it also feels how far the hidden states move.

A recurrent network uses its weights at every step, and a small change of them may throw the hidden
states far away, to where the quadratic model knows nothing. So their distance to the old ones is
made part of the matrix:

    D = G + w G_S,    G_S = J_h' H_S J_h

h are the hidden values marked by `tap`, J_h is their Jacobian, and H_S the Hessian of the distance
in the new states, where these are the old ones. Both terms share both walks:

    R{z}, R{h} = J v, J_h v               one tangent forward
    J' H_L R{z} + J_h' (w H_S R{h})       one cotangent back, which R{h} joins where h is

J. Martens & I. Sutskever, "Learning recurrent neural networks with Hessian-free optimization", ICML
2011. Called by `minihf.HessianFree`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from minihf.backend import Array
from minihf.curvature.ggn import GGN
from minihf.curvature.operator import CurvatureOperator, pairwise_sums
from minihf.losses import SquaredError
from minihf.partition import Block
from minihf.tape import Linearization

__all__ = ["StructuralGGN"]


class StructuralGGN(GGN):
    """The operator G + weight G_S, block-diagonal in `partition`.

    Parameters
    ----------
    lin, loss, y, partition
        As for `GGN`.
    weight : float
        Of the distance, 0 or more: lam mu in the paper.
    distance : Loss
        Between new and old hidden states, with a method `hessian` as losses have it: a mean over
        cases, a sum over steps and units. `SquaredError` by default, H_S = I / N.

    Raises
    ------
    ValueError
        If the network has no taps.

    Notes
    -----
    A product costs what one with `GGN` costs, and a few passes over the hidden sequences.

    Examples
    --------
    >>> import numpy as np, minihf as hf
    >>> net = hf.Sequential(hf.RNN(2, 3), hf.LastStep(), hf.Dense(3, 1))
    >>> params, rng = net.init(0, dtype=np.float64), np.random.default_rng(0)
    >>> x, y = rng.standard_normal((4, 7, 2)), rng.standard_normal((4, 1))
    >>> lin = hf.linearize(net, params, x)
    >>> D = StructuralGGN(lin, hf.SquaredError(), y, weight=0.1)
    >>> G, v = hf.GGN(lin, hf.SquaredError(), y), np.ones(params.size)
    >>> bool(v @ (D @ v) > v @ (G @ v) > 0)
    True
    """

    def __init__(
        self,
        lin: Linearization,
        loss: Any,
        y: Any,
        partition: Any = None,
        weight: float = 1.0,
        distance: Any = None,
    ) -> None:
        super().__init__(lin, loss, y, partition)
        if not lin.taps:
            raise ValueError(
                "structural damping: the network marks no hidden states; it takes a layer RNN or "
                "LSTM, or hf.tap(name, h) in a network of your own; without such states use "
                "hf.papers.martens2010"
            )
        distance = SquaredError() if distance is None else distance
        self.weight = float(weight)
        self._H_S = {name: distance.hessian(h, h) for name, h in lin.taps.items()}

    def product(self, v: Array, block: Block) -> Array:
        """Return J_b' H_L J_b v + weight J_hb' H_S J_hb v."""
        Rz, Rh = self.lin.jvp(v, block, taps=True)
        HRh = {name: self.weight * self._H_S[name](R) for name, R in Rh.items()}
        return self.lin.vjp(self._H_L(Rz), block, taps=HRh)

    def written(self, block: Block) -> tuple[Array, int]:
        """Write a block down, column by column."""
        return CurvatureOperator.written(self, block)

    def quadratic_form(self, v: Array, block: Block | None = None) -> Array:
        """Return v' D v for the whole D: half a product; or for one block."""
        if block is not None:
            return CurvatureOperator.quadratic_form(self, v, block)
        return self.gram([v])[0, 0]

    def gram(self, vectors: Sequence[Array]) -> Array:
        """Return v_i' D v_j for the whole D: k tangents forward."""
        R = [self.lin.jvp(v, taps=True) for v in vectors]
        total = pairwise_sums([Rz for Rz, _ in R], [self._H_L(Rz) for Rz, _ in R])
        for name, H_S in self._H_S.items():
            HRh = [self.weight * H_S(Rh[name]) for _, Rh in R]
            total = total + pairwise_sums([Rh[name] for _, Rh in R], HRh)
        return total
