"""The network case by case: unit vectors in every case, and gradients that are not summed.

Where a case's output depends on its own input alone, one walk back does for all cases at once what
N walks would do one by one. Whoever takes that for granted asks `misses`: a tangent drawn at random
must be taken to where a walk takes it.

Called by `minihf.curvature.jacobian` and `minihf.curvature.cuts`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from math import prod

import numpy as np

from minihf.backend import Array, array_module, asarray, floats, gemm
from minihf.graph import Use
from minihf.op import Op
from minihf.partition import Block, Piece
from minihf.recording import Node
from minihf.tape import Linearization

__all__ = ["GradientsByCase", "misses", "unit_cotangents", "unit_vectors", "uses_of"]


def unit_cotangents(lin: Linearization) -> Iterator[Array]:
    """Yield u = e_1, e_2, ... in the output of every case."""
    yield from unit_vectors(lin, lin.output.shape)


def unit_vectors(lin: Linearization, shape: tuple[int, ...]) -> Iterator[Array]:
    """Yield e_1, e_2, ... in every case, for a value (N, ...) of that shape."""
    N, w = shape[0], prod(shape[1:])
    for j in range(w):
        e = array_module(lin.output).zeros((N, w), dtype=lin.params.dtype)
        e[:, j] = 1
        yield e.reshape(shape)


@dataclass(frozen=True)
class GradientsByCase:
    """J_n' u_n of all cases at once, for the parameters of one block.

    Attributes
    ----------
    lin : Linearization
    block : Block
    uses : list of (Use, array or None)
        What the block's weights are used by, each with its activations a (N, P, D), where these are
        the same for every u.
    """

    lin: Linearization
    block: Block
    uses: list[tuple[Use, Array | None]]

    @classmethod
    def of(cls, lin: Linearization, block: Block) -> GradientsByCase | None:
        """Find all uses. None, if an op states no factors, or has not a row for each case there."""
        found = uses_of(lin, block)
        if found is None:
            return None
        return cls(lin, block, [(use, _activations(use.node)) for use in found])

    def __call__(self, kept: Mapping[int, Array]) -> Array:
        """Return (N, m), from what `Linearization.backward` kept of u."""
        xp, N = array_module(self.lin.output), len(self.lin.output)
        total = xp.zeros((N, self.block.size), dtype=self.lin.params.dtype)
        for (node, weights, bias), known in self.uses:
            if node.output not in kept:
                continue
            a, s = _factors(node, kept[node.output], known)
            of_bias = [piece for piece in self.block.pieces if piece.name == bias]
            of_weights = [piece for piece in self.block.pieces if piece.name in weights]
            for piece in of_bias:
                total[:, piece.within] += _entries(piece, s.sum(axis=1))
            if of_weights:
                D, M = a.shape[-1], s.shape[-1]
                gradient = gemm(a.swapaxes(1, 2), s).reshape(N, D * M)
                places = node.op.split(node.residuals, xp.arange(D * M).reshape(D, M))
                for piece in of_weights:
                    where = _entries(piece, places[weights.index(piece.name)].reshape(1, -1))[0]
                    total[:, piece.within] += gradient[:, where]
        return total


def uses_of(lin: Linearization, block: Block) -> list[Use] | None:
    """Return all uses of a block's parameters; None, if one is by an op that states no factors.

    Or by one whose output has not a row for each case.
    """
    uses = [
        use for use in lin.graph.uses()
        if not set(block.names).isdisjoint((*use.weights, use.bias))
        and use.node.shape[0] == len(lin.output)
    ]  # fmt: skip
    found = Counter(name for use in uses for name in (*use.weights, use.bias))
    return uses if all(found[name] == lin.graph.count_uses(name) for name in block.names) else None


def misses(
    ways: Mapping[Block, Callable[[Array], Array]],
    walk: Callable[[Array, Block], Array],
    lin: Linearization,
) -> list[Block]:
    """Return the blocks whose short way does not lead where the walk leads, a random tangent says.

    The difference may be rounding: the square root of the dtype's precision. A device is waited for
    once.
    """
    if not ways:
        return []
    v = asarray(np.random.default_rng(0).standard_normal(lin.params.size), lin.params.dtype)
    xp, limit = array_module(v), float(np.finfo(v.dtype).eps)
    sums = []
    for block, way in ways.items():
        right = walk(v[block.index], block)
        error = way(v[block.index]) - right
        sums += [xp.vdot(error, error), xp.vdot(right, right)]
    squares = floats(*sums)
    return [
        block
        for block, error, right in zip(ways, squares[::2], squares[1::2], strict=True)
        if not error <= limit * right
    ]


def _activations(node: Node) -> Array | None:
    """Return the rows a of an op, unless it makes them together with s, in `factors` of its own."""
    op = node.op
    return op.activations(node.residuals) if type(op).factors is Op.factors else None


def _factors(node: Node, u: Array, known: Array | None) -> tuple[Array, Array]:
    if known is None:
        return node.op.factors(node.residuals, u)
    return known, node.op.sensitivities(node.residuals, u)


def _entries(piece: Piece, flat: Array) -> Array:
    return flat if piece.entries is None else flat[:, piece.entries]
