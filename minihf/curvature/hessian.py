"""The exact Hessian of the mean loss, by Pearlmutter's R-operator, and its diagonal blocks.

It may be indefinite: `minihf.cg` then stops with a reason. Called by examples and checks, and by
optimizers that can handle negative curvature.
"""

from __future__ import annotations

from typing import Any

from minihf.backend import Array
from minihf.curvature.operator import CurvatureOperator
from minihf.partition import Block
from minihf.tape import Linearization

__all__ = ["Hessian"]


class Hessian(CurvatureOperator):
    """The Hessian operator, block-diagonal in `partition`.

    Parameters
    ----------
    lin, loss, y, partition
        As for `GGN`.

    Notes
    -----
    The primal backward pass runs once, here; a product is a forward walk of tangents and a backward
    walk of R-cotangents, at most 6 L - 4 matrix products for L dense layers in one block.

    Examples
    --------
    >>> import numpy as np, minihf as hf
    >>> net = hf.Sequential(hf.Dense(2, 2), hf.Tanh())
    >>> lin = hf.linearize(net, net.init(0, dtype=np.float64), np.ones((1, 2)))
    >>> H = hf.Hessian(lin, hf.SquaredError(), np.zeros((1, 2))).to_dense()
    >>> bool(np.allclose(H, H.T, rtol=0, atol=1e-12))
    True
    """

    needs = ("hessian",)

    def __init__(self, lin: Linearization, loss: Any, y: Any, partition: Any = None) -> None:
        super().__init__(lin, loss, y, partition)
        self._H_L = loss.hessian(lin.output, y)
        self._cotangents = lin.backward(loss.grad(lin.output, y))

    def product(self, v: Array, block: Block) -> Array:
        """Return R{J_b' dL/dz}."""
        return self.lin.rvjp(v, self._cotangents, self._H_L, block)
