"""Curvature as an operator: multiplied with, cut into blocks, never written down.

A subclass says in a few lines what its product is (`CurvatureOperator.product`); this file gives
it ``G @ v``, ``G.block(name) @ v_b``, ``G.to_dense()`` and ``G.to_scipy()``. An operator is
block-diagonal with the blocks of its partition, and the full matrix is the case of one block.

Called by `minihf.curvature.ggn`, `minihf.curvature.hessian` and, for damping, the optimizers.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import scipy.sparse.linalg

from minihf.backend import Array, array_module, asarray, shape_of, to_host
from minihf.partition import Block, Partition
from minihf.tape import Linearization

__all__ = ["BlockOperator", "CurvatureOperator", "Shifted", "pairwise_sums"]

DENSE_LIMIT = 4096
"""`to_dense` refuses larger operators unless told: 4096 columns are 134 MB and 4096 products."""


class CurvatureOperator:
    """A symmetric (n, n) operator at one linearization, block-diagonal in its partition.

    Parameters
    ----------
    lin : Linearization
        Of the network on the curvature batch.
    loss : Loss
    y : array
        Targets of that batch.
    partition : Partition or what `Partition.of` takes, optional
        The blocks; without, one block for everything.
    """

    def __init__(self, lin: Linearization, loss: Any, y: Any, partition: Any = None) -> None:
        self.lin, self.loss, self.y = lin, loss, y
        self.partition = Partition.of(lin.params, "network" if partition is None else partition)
        self.shape = (lin.params.size, lin.params.size)
        self.dtype = lin.params.dtype
        loss.value(lin.output, y)  # an unfit target is refused here, not in mid-product

    def product(self, v: Array, block: Block) -> Array:
        """Multiply one diagonal block with the block's own vector. What a subclass states."""
        raise NotImplementedError

    def quadratic_form(self, v: Array, block: Block | None = None) -> Array:
        """Return v' C v for the whole matrix C, off-diagonal blocks included, or for one block.

        One product; half of one where C is J' H_L J.
        """
        Cv = self._whole(v) if block is None else self.product(v, block)
        return (v * Cv).sum()

    def gram(self, vectors: Sequence[Array]) -> Array:
        """Return v_i' C v_j (k, k) for k vectors (n,) and the whole matrix C: k products."""
        return pairwise_sums(vectors, [self._whole(v) for v in vectors])

    def _whole(self, v: Array) -> Array:
        return self.product(v, Block.whole(self.lin.params))

    def written(self, block: Block) -> tuple[Array, int]:
        """Write one diagonal block down: the matrix (m, m), and the products that took."""
        return _columns(BlockOperator(self, block)), block.size

    def planned(self, products: int, names: Iterable[str] | None = None) -> CurvatureOperator:
        """Return the same operator, made ready for so many products with each of these blocks.

        It is itself, where a subclass knows no shorter way than the one of a single product.
        """
        return self

    def block(self, name: str) -> BlockOperator:
        """Return the diagonal block of that name as an operator of its own."""
        return BlockOperator(self, self.partition[name])

    def __matmul__(self, v: Array) -> Array:
        _must_fit(self, v)
        blocks = list(self.partition.values())
        if len(blocks) == 1:
            return self.product(v, blocks[0])
        xp = array_module(v)
        out = xp.empty(v.shape, dtype=xp.result_type(v.dtype, self.dtype))
        for block in blocks:
            out[block.index] = self.product(v[block.index], block)
        return out

    def to_dense(self, limit: int = DENSE_LIMIT) -> Array:
        """Write the matrix down, column by column. Refuses more than `limit` columns."""
        return _to_dense(self, limit)

    def to_scipy(self) -> scipy.sparse.linalg.LinearOperator:
        """Return a `scipy.sparse.linalg.LinearOperator` on host vectors: eigsh, lsmr and so on."""
        return _to_scipy(self)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.shape[0]} parameters, {self.partition!r})"


class BlockOperator:
    """One diagonal block of a `CurvatureOperator`: (m, m) for a block of m parameters."""

    def __init__(self, whole: CurvatureOperator, block: Block) -> None:
        self.whole, self.of = whole, block
        self.shape = (block.size, block.size)
        self.dtype = whole.dtype

    def __matmul__(self, v: Array) -> Array:
        _must_fit(self, v)
        return self.whole.product(v, self.of)

    def quadratic_form(self, v: Array) -> Array:
        """Return v' C_b v."""
        return self.whole.quadratic_form(v, self.of)

    def to_dense(self, limit: int = DENSE_LIMIT) -> Array:
        """Write the block down, column by column. Refuses more than `limit` columns."""
        return _to_dense(self, limit)

    def written(self) -> tuple[Array, int]:
        """Write the block down by the cheapest way: the matrix (m, m), and the products it took."""
        return self.whole.written(self.of)

    def to_scipy(self) -> scipy.sparse.linalg.LinearOperator:
        """Return a `scipy.sparse.linalg.LinearOperator` on host vectors."""
        return _to_scipy(self)

    def __repr__(self) -> str:
        return f"{type(self.whole).__name__}.block({self.of.name!r}), shape {self.shape}"


class Shifted:
    """weight A + shift I: how damping and L2 enter a solve."""

    def __init__(self, A: Any, shift: float, weight: float = 1.0) -> None:
        self.A, self.shift, self.weight, self.shape = A, shift, weight, A.shape

    @property
    def dtype(self) -> Any:
        """That of A."""
        return self.A.dtype

    def written(self) -> tuple[Array, int]:
        """Write it down: the matrix, and the products it took."""
        matrix, n_products = self.A.written()
        identity = array_module(matrix).eye(len(matrix), dtype=matrix.dtype)
        return self._weighted(matrix) + self.shift * identity, n_products

    def __matmul__(self, v: Array) -> Array:
        shifted = self.shift * v  # not into A @ v: it may be the caller's
        shifted += self._weighted(self.A @ v)
        return shifted

    def _weighted(self, of_A: Array) -> Array:
        return of_A if self.weight == 1 else self.weight * of_A


def pairwise_sums(left: Sequence[Array], right: Sequence[Array]) -> Array:
    """Return the inner products of each array on the left with each on the right: (k, m)."""
    xp = array_module(*left)
    rows = [[xp.vdot(x.reshape(-1), y.reshape(-1)) for y in right] for x in left]
    return xp.stack([xp.stack(row) for row in rows])


def _must_fit(A: Any, v: Any) -> None:
    if tuple(getattr(v, "shape", ())) != (A.shape[1],):
        raise ValueError(
            f"{type(A).__name__} @ v: the operator is {A.shape}, v has shape "
            f"{shape_of(v)}, expected ({A.shape[1]},)"
        )


def _to_dense(A: Any, limit: int) -> Array:
    n = A.shape[0]
    if n > limit:
        raise ValueError(
            f"to_dense: {n} columns are {n * n * 8 / 1e9:.2g} GB and {n} products; "
            f"pass limit={n} if you mean it, or use to_scipy() with eigsh"
        )
    return _columns(A)


def _columns(A: Any) -> Array:
    n = A.shape[0]
    columns = [A @ asarray(np.eye(1, n, j, dtype=A.dtype)[0]) for j in range(n)]
    return array_module(columns[0]).stack(columns, axis=1)


def _to_scipy(A: Any) -> scipy.sparse.linalg.LinearOperator:
    def matvec(v: np.ndarray) -> np.ndarray:
        return to_host(A @ asarray(v.reshape(-1), dtype=np.result_type(v.dtype, A.dtype)))

    return scipy.sparse.linalg.LinearOperator(A.shape, matvec=matvec, rmatvec=matvec, dtype=A.dtype)
