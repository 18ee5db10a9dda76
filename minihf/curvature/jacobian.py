"""The Jacobian of a block, written down: as many walks as the cheapest way takes.

J_b has a row for each entry of the output and a column for each parameter of the block. There are
three ways to fill it:

    columns                 one jvp for each parameter
    rows                    one vjp for each entry of the output
    rows of all cases       one walk back for each entry of *one case's* output: an op that states
                            its factors has the cotangents of every case in its hands,
                            J_n' u_n = sum over p of a[n, p] s[n, p]'

The last is what back-propagation through time does for the errors of a recurrent network. It is
right where a case's output depends on its own input alone, which one more walk tells.

Called by `minihf.curvature.ggn`, for blocks small enough to be solved exactly.
"""

from __future__ import annotations

import numpy as np

from minihf.backend import Array, array_module, asarray, gemm
from minihf.curvature.by_case import GradientsByCase, misses, unit_cotangents
from minihf.partition import Block
from minihf.tape import Linearization

__all__ = ["jacobian"]


def jacobian(lin: Linearization, block: Block) -> tuple[Array, int]:
    """Write J_b down.

    Parameters
    ----------
    lin : Linearization
    block : Block
        ``partition[name]``, of m parameters.

    Returns
    -------
    array, shape (K, m)
        With the K entries of the output in C order, cases first.
    int
        The walks that were made: each costs what a jvp or a vjp costs, half a product.

    Examples
    --------
    >>> import numpy as np, minihf as hf
    >>> net = hf.Sequential(hf.Dense(4, 3), hf.Tanh(), hf.Dense(3, 2))
    >>> lin = hf.linearize(net, net.init(0), np.ones((5, 4), np.float32))
    >>> top = hf.Partition.of(lin.params, "layer")["2"]
    >>> J, walks = jacobian(lin, top)
    >>> J.shape, walks                               # two outputs in each case, and a look
    ((10, 8), 3)
    """
    xp, K, m = array_module(lin.output), lin.output.size, block.size
    each, made = K // len(lin.output), 0
    if each < min(K, m):
        J = _of_all_cases(lin, block)
        made = 0 if J is None else each + 1
        if J is not None and _is_right(J, lin, block):
            return J, made
    if m > K:
        U = (asarray(u.reshape(lin.output.shape), dtype=lin.params.dtype) for u in np.eye(K))
        return xp.stack([lin.vjp(u, block) for u in U]), made + K
    V = (asarray(v, dtype=lin.params.dtype) for v in np.eye(m))
    return xp.stack([lin.jvp(v, block).reshape(-1) for v in V], axis=1), made + m


def _of_all_cases(lin: Linearization, block: Block) -> Array | None:
    """Return J_b (K, m) by a walk back for each entry of one case's output, if ops tell factors."""
    gradients = GradientsByCase.of(lin, block)
    if gradients is None:
        return None
    rows = [gradients(lin.backward(u)) for u in unit_cotangents(lin)]
    return array_module(lin.output).stack(rows, axis=1).reshape(-1, block.size)


def _is_right(J: Array, lin: Linearization, block: Block) -> bool:
    """Tell by one walk whether J takes a tangent to where the network takes it."""
    def written(v: Array) -> Array:
        return gemm(J, v[:, None])[:, 0]

    def walked(v: Array, block: Block) -> Array:
        return lin.jvp(v, block).reshape(-1)

    return not misses({block: written}, walked, lin)
