"""The generalised Gauss-Newton matrix G = J' H_L J, and its diagonal blocks.

Of the Hessian J' H_L J + sum_k (dL/dz_k) d2 z_k it keeps the first term: the curvature of the loss,
seen through the linearized network. It is positive semi-definite whenever the loss is convex in the
output, and a product with it is one tangent forward, one loss Hessian, one cotangent backward.

N. N. Schraudolph, Neural Computation 14 (2002), section 4; J. Martens, ICML 2010, section 3.
Called by the optimizers, and by anyone who wants to look at curvature.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from minihf.backend import Array, array_module, gemm
from minihf.curvature.jacobian import jacobian
from minihf.curvature.operator import CurvatureOperator, pairwise_sums
from minihf.partition import Block
from minihf.tape import Linearization

__all__ = ["GGN"]


class GGN(CurvatureOperator):
    """The Gauss-Newton operator, block-diagonal in `partition`.

    Parameters
    ----------
    lin : Linearization
        ``hf.linearize(net, params, x)`` on the curvature batch.
    loss : Loss
    y : array
        Targets of that batch.
    partition : Partition or what `Partition.of` takes, optional
        Without it, one block: the classical full matrix.

    Notes
    -----
    Cost of a product: for L dense layers 4 L - 2 matrix products in one block; a layer's own block
    pays only for the layers from it to the output.

    Examples
    --------
    >>> import numpy as np, minihf as hf
    >>> net = hf.Sequential(hf.Dense(4, 3), hf.Tanh(), hf.Dense(3, 2))
    >>> params = net.init(0, dtype=np.float64)
    >>> rng = np.random.default_rng(0)
    >>> x, y = rng.standard_normal((5, 4)), rng.standard_normal((5, 2))
    >>> G = hf.GGN(hf.linearize(net, params, x), hf.SquaredError(), y, partition="layer")
    >>> G.shape, G.block("2").shape, bool(np.linalg.eigvalsh(G.to_dense())[0] > -1e-12)
    ((23, 23), (8, 8), True)
    """

    needs = ("hessian",)

    def __init__(self, lin: Linearization, loss: Any, y: Any, partition: Any = None) -> None:
        super().__init__(lin, loss, y, partition)
        self._H_L = loss.hessian(lin.output, y)

    def product(self, v: Array, block: Block) -> Array:
        """Return J_b' H_L J_b v."""
        Rz = self.lin.jvp(v, block)
        HRz = self._H_L(Rz)
        return self.lin.vjp(HRz, block)

    def written(self, block: Block) -> tuple[Array, int]:
        """Write J_b' H_L J_b down by way of J_b, and tell the products: two walks are one."""
        J, walks = jacobian(self.lin, block)                           # (K, m)
        HJ = [self._H_L(R.reshape(self.lin.output.shape)).reshape(-1) for R in J.T]
        return gemm(array_module(J).stack(HJ), J), (walks + 1) // 2

    def quadratic_form(self, v: Array, block: Block | None = None) -> Array:
        """Return v' G v = (J v)' H_L (J v) for the whole G, or for one block: half a product."""
        Rz = self.lin.jvp(v, block)
        return (Rz * self._H_L(Rz)).sum()

    def gram(self, vectors: Sequence[Array]) -> Array:
        """Return v_i' G v_j = (J v_i)' H_L (J v_j) for the whole G: k tangents forward."""
        R = [self.lin.jvp(v) for v in vectors]
        HR = [self._H_L(Rz) for Rz in R]
        return pairwise_sums(R, HR)
