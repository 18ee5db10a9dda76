"""The Jacobian of a block, written down: as many walks as the cheapest way takes.

J_b has a row for each entry of the output and a column for each parameter of the block. There are
three ways to fill it:

    columns                 one jvp for each parameter
    rows                    one vjp for each entry of the output
    rows of all cases       one walk back for each entry of *one case's* output: an op that states
                            its factors has the cotangents of every case in its hands,
                            J_n' u_n = sum over p of a[n, p] s[n, p]'

The last is what back-propagation through time does for the errors of a recurrent network. It takes
for granted that a case's output depends on its own input alone.

Called by `minihf.curvature.ggn`, for blocks small enough to be solved exactly.
"""

from __future__ import annotations

from math import prod

import numpy as np

from minihf.backend import Array, array_module, asarray
from minihf.curvature.by_case import GradientsByCase, unit_cotangents
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
    >>> J.shape, walks                               # ten outputs, two of them in each case
    ((10, 8), 2)
    """
    xp, shape = array_module(lin.output), lin.output.shape
    each, K, m = prod(shape[1:]), prod(shape), block.size
    gradients = GradientsByCase.of(lin, block) if each < min(K, m) else None
    if gradients is not None:
        rows = [gradients(lin.backward(u)) for u in unit_cotangents(lin)]
        return xp.stack(rows, axis=1).reshape(K, m), each
    if m > K:
        U = (asarray(u.reshape(shape), dtype=lin.params.dtype) for u in np.eye(K))
        return xp.stack([lin.vjp(u, block) for u in U]), K
    V = (asarray(v, dtype=lin.params.dtype) for v in np.eye(m))
    return xp.stack([lin.jvp(v, block).reshape(-1) for v in V], axis=1), m
