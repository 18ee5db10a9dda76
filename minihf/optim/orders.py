"""The order in which blocks move: together, or one after the other.

An update goes through groups of blocks. The blocks of a group are solved at the same parameters and
move together; gradient and curvature are evaluated anew for the next group. In the language of
linear systems, one group is block Jacobi and groups of one block are block Gauss-Seidel; in that of
Chan & Szeto (1999), they are the synchronous and the asynchronous update.

Called by `minihf.HessianFree`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping

__all__ = ["ORDERS"]

Groups = list[tuple[str, ...]]


def _simultaneous(names: Iterable[str]) -> Groups:
    return [tuple(names)]


def _sequential(names: Iterable[str]) -> Groups:
    return [(name,) for name in names]


ORDERS: Mapping[str, Callable[[Iterable[str]], Groups]] = {
    "simultaneous": _simultaneous,
    "sequential": _sequential,
}
"""By the names that `HessianFree(update=...)` knows: from block names to groups."""
