"""The thing itself, or a maker of it: what a check is given.

A check that is given ``Dense(3, 2)`` checks that layer. Given the class ``Dense``, or a function
such as ``lambda D, M: Dense(D, M)``, it makes one for every case, with the sizes of that case.

Called by the checks.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from typing import Any

__all__ = ["made", "sizes_wanted"]


def sizes_wanted(thing: Any, is_one: Callable[[Any], bool]) -> tuple[str, ...]:
    """Return the sizes that a maker must be given; none for the thing itself."""
    if not isinstance(thing, type) and is_one(thing):
        return ()
    return tuple(
        p.name for p in _parameters(thing)
        if p.default is p.empty and p.kind in (p.POSITIONAL_OR_KEYWORD, p.KEYWORD_ONLY)
    )  # fmt: skip


def made(thing: Any, sizes: Mapping[str, int], is_one: Callable[[Any], bool], check: str) -> Any:
    """Return `thing` if it is one already, else what it makes of the sizes that it wants.

    Raises
    ------
    ValueError
        If it is neither one nor a maker of one.
    """
    if not isinstance(thing, type) and is_one(thing):
        return thing
    if not callable(thing):
        raise ValueError(f"{check}: {thing!r} is not what it checks, nor does it make one")
    name = getattr(thing, "__name__", repr(thing))
    given = {p.name: sizes[p.name] for p in _parameters(thing) if p.name in sizes}
    try:
        it = thing(**given)
    except TypeError as error:
        words = ", ".join(f"{key} = {size}" for key, size in given.items()) or "nothing"
        raise ValueError(f"{check}: {name} cannot be made of {words}: {error}") from error
    if isinstance(it, type) or not is_one(it):
        raise ValueError(f"{check}: {name} made {it!r}, which is not what it checks")
    return it


def _parameters(maker: Any) -> list[inspect.Parameter]:
    try:
        return list(inspect.signature(maker).parameters.values())
    except (TypeError, ValueError):  # not callable, or written in C
        return []
