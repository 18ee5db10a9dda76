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

from collections import Counter
from collections.abc import Iterator, Sequence
from math import prod

import numpy as np

from minihf.backend import Array, array_module, asarray, gemm
from minihf.partition import Block
from minihf.tape import Factors, Linearization

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
    walks = 0
    if each < min(K, m):
        rows, walks = _rows_of_all_cases(lin, block)
        if len(rows) == each:
            return xp.stack(rows, axis=1).reshape(K, m), walks
    if m > K:
        U = (asarray(u.reshape(shape), dtype=lin.params.dtype) for u in np.eye(K))
        return xp.stack([lin.vjp(u, block) for u in U]), walks + K
    V = (asarray(v, dtype=lin.params.dtype) for v in np.eye(m))
    return xp.stack([lin.jvp(v, block).reshape(-1) for v in V], axis=1), walks + m


def _rows_of_all_cases(lin: Linearization, block: Block) -> tuple[list[Array], int]:
    """Return J_n' u_n of all cases, (N, m), for u = e_1, e_2, ... in the output; and the walks.

    Not one, after the first walk, if the ops do not state the factors of every use of the block.
    """
    xp, shape = array_module(lin.output), lin.output.shape
    rows: list[Array] = []
    for k in range(prod(shape[1:])):
        u = np.zeros((shape[0], prod(shape[1:])))
        u[:, k] = 1
        uses = lin.factors(asarray(u.reshape(shape), dtype=lin.params.dtype))
        if not rows and not _cover(lin, block, uses):
            return [], 1
        row = xp.zeros((shape[0], block.size), dtype=lin.params.dtype)
        for piece in block.pieces:
            for part in _gradients(uses, piece.name):                  # (N, size of the parameter)
                row[:, piece.within] += part if piece.entries is None else part[:, piece.entries]
        rows.append(row)
    return rows, len(rows)


def _cover(lin: Linearization, block: Block, uses: Sequence[Factors]) -> bool:
    """Tell whether every use of every parameter of the block is among these, case by case."""
    by_case = [use for use in uses if len(use.a) == len(use.s) == len(lin.output)]
    found = Counter(name for use in by_case for name in (*use.weights, use.bias))
    return all(found[piece.name] == lin.count_uses(piece.name) for piece in block.pieces)


def _gradients(uses: Sequence[Factors], name: str) -> Iterator[Array]:
    """Yield, for each use of a parameter, its gradient in every case, flat: (N, size)."""
    for use in uses:
        if name == use.bias:
            yield use.s.sum(axis=1)
        elif name in use.weights:
            xp, (N, _, D), M = array_module(use.a), use.a.shape, use.s.shape[-1]
            places = use.split(xp.arange(D * M).reshape(D, M))         # of a matrix's entries
            where = places[use.weights.index(name)].reshape(-1)
            yield gemm(use.a.swapaxes(1, 2), use.s).reshape(N, D * M)[:, where]
