"""How much of a curvature matrix lies between its blocks: what a block-diagonal method drops.

The energy of a matrix is the sum of its squared entries. With F_ab the rows of block a and the
columns of block b, and v_b random signs,

    |F_ab|^2 = E |F_ab v_b|^2                                                                 (1)

(Hutchinson 1990, for F_ab' F_ab). So one product with the whole matrix for each block gives an
estimate of the B x B table of energies, of which a block-diagonal method keeps the diagonal. Unit
vectors in the place of signs give it exactly, for n products.

Called by examples and by whoever chooses blocks.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from minihf.backend import Array, array_module, asarray, floats
from minihf.curvature.operator import DENSE_LIMIT, CurvatureOperator
from minihf.curvature.probes import PROBES, must_be_a_generator, must_be_counts, squared_norm
from minihf.partition import Block

__all__ = ["BlockEnergy", "block_energy"]


@dataclass(frozen=True, eq=False)
class BlockEnergy:
    """Where the squared entries of a matrix are, block by block: what `block_energy` returns.

    Attributes
    ----------
    names : tuple of str
        Of the B blocks.
    tables : numpy.ndarray, shape (m, B, B)
        The energies by each of m probes; column b is measured by signs in block b.
    n_products : int
        With the whole matrix.
    exact : bool
        Whether unit vectors were the probes.
    """

    names: tuple[str, ...]
    tables: np.ndarray
    n_products: int
    exact: bool

    @property
    def table(self) -> np.ndarray:
        """The energy between each two blocks, shape (B, B), symmetric as the matrix is."""
        mean = self.tables.mean(axis=0)
        return (mean + mean.T) / 2

    @property
    def off_diagonal(self) -> float:
        """The share of the energy that lies off the diagonal blocks, from 0 to 1."""
        total = self.table.sum()
        return float(_off(self.table) / total) if total else 0.0

    @property
    def standard_error(self) -> float:
        """How far `off_diagonal` may be off by the choice of probes; NaN with a single one.

        That of a ratio of two means, to first order: with m probes both share the same signs.
        """
        if self.exact:
            return 0.0
        totals, m = self.tables.sum(axis=(1, 2)), len(self.tables)
        if m == 1:
            return math.nan
        if not totals.any():
            return 0.0
        missed = _off(self.tables) - self.off_diagonal * totals
        return float(np.sqrt((missed**2).sum() / (m * (m - 1))) / totals.mean())


def block_energy(
    C: CurvatureOperator,
    rng: np.random.Generator | None = None,
    probes: int = 10,
    limit: int = DENSE_LIMIT,
) -> BlockEnergy:
    """Measure the energy of the whole matrix C between the blocks of its partition.

    Parameters
    ----------
    C : CurvatureOperator
        Such as a `GGN`, with the partition that is asked about.
    rng : numpy.random.Generator, optional
        Draws the signs, on the host. Without it the answer is exact, for n products.
    probes : int
        m: B products each.
    limit : int
        Without `rng`, refuse more than so many parameters.

    Returns
    -------
    BlockEnergy

    Raises
    ------
    ValueError
        If C is no curvature with a partition, there are more parameters than `limit`, `rng` is no
        generator, or `probes` is not a whole number from 1.
    FloatingPointError
        If a product with C is not finite.

    Examples
    --------
    >>> import numpy as np, minihf as hf
    >>> rng = np.random.default_rng(0)
    >>> net = hf.Sequential(hf.Dense(4, 3), hf.Tanh(), hf.Dense(3, 2))
    >>> x, y = rng.standard_normal((50, 4)), rng.standard_normal((50, 2))
    >>> lin = hf.linearize(net, net.init(0, dtype=np.float64), x)
    >>> G = hf.GGN(lin, hf.SquaredError(), y, partition="layer")
    >>> exact, some = hf.block_energy(G), hf.block_energy(G, rng, probes=50)
    >>> exact.table.shape, exact.n_products, some.n_products
    ((2, 2), 23, 100)
    >>> abs(some.off_diagonal - exact.off_diagonal) < 3 * some.standard_error
    True
    """
    must_be_counts("block_energy", probes=probes)
    if rng is not None:
        must_be_a_generator("block_energy", rng)
    if not isinstance(C, CurvatureOperator):
        raise ValueError(
            f"block_energy: C is a {type(C).__name__}, expected curvature with a partition, as "
            'hf.GGN(lin, loss, y, "layer")'
        )
    params, blocks = C.lin.params, list(C.partition.values())
    if rng is None and params.size > limit:
        raise ValueError(
            f"block_energy: exact energies of {params.size} parameters are as many products; "
            f"pass limit={params.size} if you mean it, or a generator rng for an estimate"
        )
    whole = Block.whole(params)
    tables = np.zeros((1 if rng is None else probes, len(blocks), len(blocks)))
    n_products = 0
    for table in tables:
        for b, block in enumerate(blocks):
            for v in _probes(block, params.vector, rng):
                Fv = C.product(v, whole)
                n_products += 1
                table[:, b] += floats(*(squared_norm(Fv[a.index]) for a in blocks))
                if not np.isfinite(table[:, b]).all():
                    raise FloatingPointError(
                        f"block_energy: product {n_products} with the matrix is not finite"
                    )
    return BlockEnergy(C.partition.names, tables, n_products, exact=rng is None)


def _probes(block: Block, like: Array, rng: np.random.Generator | None) -> Iterator[Array]:
    """Give one vector of signs in the block, or, without a generator, its unit vectors."""
    xp = array_module(like)
    if rng is None:
        inside = (np.eye(1, block.size, j)[0] for j in range(block.size))
    else:
        inside = (PROBES["signs"](rng, block.size) for _ in range(1))
    for entries in inside:
        v = xp.zeros_like(like)
        v[block.index] = asarray(entries, dtype=like.dtype)
        yield v


def _off(tables: np.ndarray) -> np.ndarray:
    """Return the sums (...) of what is off the diagonals of tables (..., B, B)."""
    return np.where(np.eye(tables.shape[-1], dtype=bool), 0, tables).sum(axis=(-2, -1))
