"""Short ways through a block: the network after a boundary, written down case by case.

A product with a block, J_b' H_L J_b v, walks from the block's parameters to the output and back.
What lies between the last op that the block can move and the output is the same at every product.
Where all that a block does passes through one value h, its *boundary*, J_b = J_h B, and J_h is one
matrix (K, w) for each case: K outputs by w units. Once that is formed the walk can end at h:

    the walk            J_b' H_L J_b v       to the output and back
    Cut, ByOutputs      B' F' H_L F B v      F_n = J_h (K, w): one walk back for each output
    Cut, ByUnits        B' Q B v             Q_n = J_h' H_L J_h (w, w): one forward for each unit
    Rows                J' H_L J v           J_n = J_b (K, m): no walk is left at all

That is so where a case's output depends on its own h alone. `minihf.curvature.by_case.misses` tells
whether it is.

Called by `minihf.curvature.plan`, which chooses.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from math import prod
from typing import TypeAlias

from minihf.backend import Array, array_module, gemm
from minihf.curvature.by_case import GradientsByCase, unit_cotangents, unit_vectors
from minihf.partition import Block
from minihf.recording import Node
from minihf.tape import Linearization

__all__ = [
    "ByOutputs",
    "ByUnits",
    "Cut",
    "Rows",
    "factors_by_outputs",
    "middle_by_units",
]

LossHessian: TypeAlias = Callable[[Array], Array]
"""The loss's Hessian in the output, as a map."""


@dataclass(frozen=True)
class Cut:
    """B' M B: the walk ends at a boundary, and a middle M stands for what lies beyond it."""

    lin: Linearization
    block: Block
    boundary: Node
    middle: Callable[[Array], Array]

    def __call__(self, v: Array) -> Array:
        """Multiply with the block."""
        Rh = self.lin.jvp_to(self.boundary, v, self.block)
        return self.lin.vjp_from(self.boundary, self.middle(Rh).reshape(Rh.shape), self.block)


@dataclass(frozen=True)
class ByOutputs:
    """M = F' H_L F, with F (N, K, w)."""

    lin: Linearization
    H_L: LossHessian
    F: Array

    def __call__(self, Rh: Array) -> Array:
        """Multiply with the middle."""
        Rz = times(self.F, Rh).reshape(self.lin.output.shape)
        return times(self.F.swapaxes(1, 2), self.H_L(Rz))


@dataclass(frozen=True)
class ByUnits:
    """M = Q (N, w, w)."""

    Q: Array

    def __call__(self, Rh: Array) -> Array:
        """Multiply with the middle."""
        return times(self.Q, Rh)


@dataclass(frozen=True)
class Rows:
    """J' H_L J, with J (N K, m): a row for each output of each case."""

    lin: Linearization
    H_L: LossHessian
    J: Array

    def __call__(self, v: Array) -> Array:
        """Multiply with the block."""
        Rz = gemm(self.J, v[:, None]).reshape(self.lin.output.shape)
        return gemm(self.J.T, self.H_L(Rz).reshape(-1, 1))[:, 0]


def times(factors: Array, vectors: Array) -> Array:
    """Multiply a matrix (a, b) with a vector (b,), in any shape, for each case: (N, a, 1)."""
    return gemm(factors, vectors.reshape(len(vectors), -1, 1))


def middle_by_units(lin: Linearization, H_L: LossHessian, boundary: Node) -> Array:
    """Return Q_n = J_h' H_L J_h (N, w, w): one tangent forward for each of the w units of h."""
    N, w, K = len(lin.output), prod(boundary.shape[1:]), prod(lin.output.shape[1:])
    J = array_module(lin.output).zeros((N, w, K), dtype=lin.output.dtype)
    HJ, way = J.copy(), lin.graph.after(boundary)
    for j, Rh in enumerate(unit_vectors(lin, boundary.shape)):
        Rz = way.push({boundary.output: Rh})[lin.graph.end]
        J[:, j], HJ[:, j] = Rz.reshape(N, K), H_L(Rz).reshape(N, K)
    return gemm(J, HJ.swapaxes(1, 2))


def factors_by_outputs(
    lin: Linearization, cuts: Mapping[Block, Node], rows: Iterable[Block]
) -> tuple[dict[int, Array], dict[Block, Array]]:
    """Return F (N, K, w) at each boundary, and J (N K, m) of each block of rows.

    K walks back for all of them, and no farther than to their parameters.
    """
    xp, dtype = array_module(lin.output), lin.params.dtype
    N, K = len(lin.output), prod(lin.output.shape[1:])
    F = {at.output: xp.zeros((N, K, prod(at.shape[1:])), dtype) for at in cuts.values()}
    rows = list(rows)
    names = dict.fromkeys(name for block in (*cuts, *rows) for name in block.names)
    found = {block: GradientsByCase.of(lin, block) for block in rows}
    gradients = {block: of_block for block, of_block in found.items() if of_block is not None}
    J = {block: xp.empty((N, K, block.size), dtype) for block in gradients}
    for k, u in enumerate(unit_cotangents(lin)):
        kept = lin.backward(u, names=names)
        for output, factor in F.items():
            if output in kept:
                factor[:, k] = kept[output].reshape(N, -1)
        for block, of_block in gradients.items():
            J[block][:, k] = of_block(kept)
    return F, {block: rows.reshape(N * K, -1) for block, rows in J.items()}
