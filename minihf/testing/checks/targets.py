"""Targets for a loss that nobody has described: tried until the loss takes them.

Called by the checks of losses and of networks.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from minihf.backend import Array, asarray

__all__ = ["TARGETS", "draw_targets"]

TARGETS: Mapping[str, Callable[[np.random.Generator, Array], np.ndarray]] = {
    "unit": lambda rng, z: rng.random(z.shape),
    "like z": lambda rng, z: rng.standard_normal(z.shape),
    "labels": lambda rng, z: rng.integers(0, z.shape[-1], z.shape[:-1]),
}
"""Numbers in [0, 1], any numbers, or a class for each row."""


def draw_targets(loss: Any, z: Array, rng: np.random.Generator, targets: Any = None) -> Array:
    """Draw y for the output z: by a function (rng, z), by a name of `TARGETS`, or by trying them.

    Raises
    ------
    ValueError
        If there is no such name, or the loss takes none of them, with what it said.
    """
    if callable(targets):
        return targets(rng, z)
    if targets is not None and targets not in TARGETS:
        raise ValueError(f"unknown targets {targets!r}; choose one of: {', '.join(TARGETS)}")
    said = []
    for name in TARGETS if targets is None else [targets]:
        y = asarray(TARGETS[name](rng, z))
        try:
            loss.value(z, y)
        except (ValueError, TypeError, IndexError) as error:
            said.append(f"{name}: {error}".splitlines()[0])
            continue
        return y
    raise ValueError(
        f"{type(loss).__name__} takes none of the targets tried ({'; '.join(said)}); "
        "pass targets=, a function of (rng, z)"
    )
