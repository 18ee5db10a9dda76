"""The network case by case: unit cotangents, gradients that are not summed, and cases set apart.

Where a case's output depends on its own input alone, one walk back does for all cases at once what
N walks would do one by one. `cases_apart` tells whether that is so; the others take it for granted.

Called by `minihf.curvature.jacobian` and `minihf.curvature.cuts`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from math import prod

import numpy as np

from minihf.backend import Array, array_module, asarray, floats, gemm
from minihf.op import Op
from minihf.partition import Block, Piece
from minihf.recording import Node
from minihf.tape import Linearization, Use

__all__ = ["GradientsByCase", "cases_apart", "unit_cotangents", "unit_vectors", "uses_of"]


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


def cases_apart(lin: Linearization, nodes: Iterable[Node]) -> bool:
    """Tell whether the output of a case depends on no other case's part of these nodes' outputs.

    A cotangent that is zero in half of the cases must leave exact zeros there. A device is waited
    for once.
    """
    nodes, N = list(nodes), len(lin.output)
    if not nodes:
        return True
    u = np.random.default_rng(0).standard_normal(lin.output.shape)
    u[N // 2 :] = 0
    kept = lin.backward(asarray(u, dtype=lin.params.dtype))
    reached = [node for node in nodes if node.output in kept]
    if any(node.shape[:1] != (N,) for node in reached):
        return False
    leaks = [(kept[node.output][N // 2 :] != 0).any() for node in reached]
    return not leaks or not any(floats(*leaks))


@dataclass(frozen=True)
class GradientsByCase:
    """J_n' u_n of all cases at once, for the parameters of one block.

    Attributes
    ----------
    block : Block
    cases : int
    uses : list of (Use, array)
        What the block's weights are used by, each with its activations a (N, P, D).
    """

    block: Block
    cases: int
    uses: list[tuple[Use, Array]]

    @classmethod
    def of(cls, lin: Linearization, block: Block) -> GradientsByCase | None:
        """Find all uses. None, if an op states no factors, or has not a row for each case there."""
        found = uses_of(lin, block)
        if found is None:
            return None
        return cls(
            block, len(lin.output),
            [(use, use.node.op.activations(use.node.residuals)) for use in found],
        )  # fmt: skip

    def __call__(self, kept: Mapping[int, Array]) -> Array:
        """Return (N, m), from what `Linearization.backward` kept of u."""
        xp = array_module(*(a for _, a in self.uses))
        total = xp.zeros((self.cases, self.block.size), dtype=self.uses[0][1].dtype)
        for (node, weights, bias), a in self.uses:
            if node.output not in kept:
                continue
            s = node.op.sensitivities(node.residuals, kept[node.output])
            of_bias = [piece for piece in self.block.pieces if piece.name == bias]
            of_weights = [piece for piece in self.block.pieces if piece.name in weights]
            for piece in of_bias:
                total[:, piece.within] += _entries(piece, s.sum(axis=1))
            if of_weights:
                D, M = a.shape[-1], s.shape[-1]
                gradient = gemm(a.swapaxes(1, 2), s).reshape(self.cases, D * M)
                places = node.op.split(node.residuals, xp.arange(D * M).reshape(D, M))
                for piece in of_weights:
                    where = places[weights.index(piece.name)].reshape(-1)
                    total[:, piece.within] += _entries(piece, gradient[:, where])
        return total


def uses_of(lin: Linearization, block: Block) -> list[Use] | None:
    """Return all uses of a block's parameters; None, if one is by an op that states no factors.

    Or by one whose output has not a row for each case.
    """
    uses = [
        use for use in lin.uses()
        if not set(block.names).isdisjoint((*use.weights, use.bias))
        and type(use.node.op).sensitivities is not Op.sensitivities
        and use.node.shape[0] == len(lin.output)
    ]  # fmt: skip
    found = Counter(name for use in uses for name in (*use.weights, use.bias))
    return uses if all(found[name] == lin.count_uses(name) for name in block.names) else None


def _entries(piece: Piece, flat: Array) -> Array:
    return flat if piece.entries is None else flat[:, piece.entries]
