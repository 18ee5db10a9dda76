"""The generalised Gauss-Newton matrix G = J' H_L J, and its diagonal blocks.

Of the Hessian J' H_L J + sum_k (dL/dz_k) d2 z_k it keeps the first term: the curvature of the loss,
seen through the linearized network. It is positive semi-definite whenever the loss is convex in the
output, and a product with it is one tangent forward, one loss Hessian, one cotangent backward.

N. N. Schraudolph, Neural Computation 14 (2002), section 4; J. Martens, ICML 2010, section 3.
Called by the optimizers, and by anyone who wants to look at curvature.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import partial
from typing import Any

from minihf.backend import Array, array_module, gemm
from minihf.curvature.jacobian import jacobian
from minihf.curvature.operator import CurvatureOperator, pairwise_sums
from minihf.curvature.plan import MEMORY, Plan
from minihf.parallel import each
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

    def planned(
        self, products: int, names: Iterable[str] | None = None, memory: int = MEMORY
    ) -> GGN:
        """Return the same matrix, made ready for many products with each block.

        Parameters
        ----------
        products : int
            That will be made with each block: the iterations of CG, say. For one nothing is done,
            and nothing in a subclass that has a product of its own.
        names : iterable of str, optional
            The blocks that they are made with; without, all.
        memory : int
            Bytes that may be held for it, with what is needed to form that.

        Returns
        -------
        GGN
            Whose blocks take the ways that `minihf.curvature.plan` has chosen; `explain` prints
            them.

        Raises
        ------
        ValueError
            If a number is no whole one. `KeyError` if there is no such block.

        Examples
        --------
        >>> import numpy as np, minihf as hf
        >>> net = hf.Sequential(hf.Dense(50, 40), hf.Tanh(), hf.Dense(40, 40), hf.Dense(40, 2))
        >>> x, y = np.ones((100, 50), np.float32), np.zeros((100, 2), np.float32)
        >>> G = hf.GGN(hf.linearize(net, net.init(0), x), hf.SquaredError(), y, "layer")
        >>> G.planned(30).explain()
        30 products with each block; costs in 10^6 flops, where a number moved counts for 40
        block         parameters      walk    chosen      once     MB  ratio
        0                  2,040       4.4     2.432     9.792  0.032   0.63  outputs of dense (40,)
        2                  1,640      1.68      1.68         0      0   1.00  walk
        3                     82      0.08      0.08         0      0   1.00  walk
        all blocks: 0.73 of walking; 0.89 of as many products with all parameters
        (by walking 1.21; flops alone, when all is formed, 0.72)
        """
        if isinstance(products, bool) or not isinstance(products, int) or products < 0:
            raise ValueError(f"planned: products is {products!r}, expected a whole number")
        if isinstance(memory, bool) or not isinstance(memory, int) or memory < 0:
            raise ValueError(f"planned: memory is {memory!r}, expected a whole number of bytes")
        names = [names] if isinstance(names, str) else names
        blocks = [self.partition[name] for name in (self.partition if names is None else names)]
        if products < 2 or type(self).product not in (GGN.product, PlannedGGN.product):
            return self
        walk = partial(GGN.product, self)
        return PlannedGGN(self, Plan.of(self.lin, self._H_L, walk, blocks, products, memory))

    def explain(self) -> None:
        """Print the ways that products with the blocks take, and the arithmetic of their choice."""
        print("every product walks to the output and back; see GGN.planned")

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
        R = each(self.lin.jvp, vectors)
        HR = [self._H_L(Rz) for Rz in R]
        return pairwise_sums(R, HR)


class PlannedGGN(GGN):
    """The same matrix, whose blocks take the ways of a `Plan`: what `GGN.planned` returns."""

    def __init__(self, G: GGN, plan: Plan) -> None:
        super().__init__(G.lin, G.loss, G.y, G.partition)
        self.plan = plan

    def explain(self) -> None:
        """Print the ways that products with the blocks take, and the arithmetic of their choice."""
        print(self.plan)

    def product(self, v: Array, block: Block) -> Array:
        """Return J_b' H_L J_b v, by the way that was chosen."""
        way = self.plan.ways.get(block)
        return super().product(v, block) if way is None else way(v)
