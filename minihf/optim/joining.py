"""Blocks' vectors and the vector of all parameters: putting the ones into the other.

Called by `minihf.HessianFree`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from minihf.backend import Array, array_module
from minihf.curvature import CurvatureOperator
from minihf.solvers import CGResult

__all__ = ["candidates", "join", "within"]


def candidates(
    C: CurvatureOperator, solves: Mapping[str, CGResult]
) -> list[Callable[[], Array]]:
    """Join the blocks' kept iterates, last to first; a block with fewer repeats its first."""
    depth = max(len(solve.iterates) for solve in solves.values())

    def joined(back: int) -> Callable[[], Array]:
        chosen = {
            name: solve.iterates[max(len(solve.iterates) - 1 - back, 0)][1]
            for name, solve in solves.items()
        }
        return lambda: join(C, chosen)

    return [joined(back) for back in range(depth)]


def join(C: CurvatureOperator, parts: Mapping[str, Array]) -> Array:
    """Put blocks' vectors into one (n,), zeros in the blocks that have none."""
    xp, like = array_module(C.lin.params.vector), C.lin.params.vector
    whole = xp.empty_like(like) if len(parts) == len(C.partition) else xp.zeros_like(like)
    for name, part in parts.items():
        whole[C.partition[name].index] = part
    return whole


def within(
    C: CurvatureOperator, group: Sequence[str], vector: Array, elsewhere: Array | None = None
) -> Array:
    """Return the vector in the blocks of a group, and zeros or `elsewhere` outside of them."""
    if len(group) == len(C.partition):
        return vector
    parts = {} if elsewhere is None else {n: elsewhere[b.index] for n, b in C.partition.items()}
    return join(C, {**parts, **{name: vector[C.partition[name].index] for name in group}})
