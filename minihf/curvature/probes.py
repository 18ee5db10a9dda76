"""Random vectors that measure a matrix by products alone, E[v v'] = I.

In the mean they tell a trace and an energy (Hutchinson 1990):

    E v' A v = tr A,    E |F v|^2 = tr F' F

Called by `minihf.curvature.spectrum` and `minihf.curvature.energy`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from numbers import Integral
from typing import Any

import numpy as np

from minihf.backend import Array, array_module

__all__ = ["PROBES", "must_be_a_generator", "must_be_counts", "squared_norm"]

PROBES: Mapping[str, Callable[[np.random.Generator, int], np.ndarray]] = {
    "signs": lambda rng, n: 2.0 * rng.integers(2, size=n) - 1,
    "normal": lambda rng, n: rng.standard_normal(n),
}
"""Random vectors (n,) by name. The signs are also known as Rademacher's."""


def squared_norm(x: Array) -> Array:
    """Return |x|^2 in double precision: squares in single soon are 0, or infinite."""
    wide = x.astype(np.float64, copy=False)
    return array_module(wide).vdot(wide, wide)


def must_be_a_generator(function: str, rng: Any) -> None:
    """Raise a `ValueError` if rng cannot draw."""
    if not isinstance(rng, np.random.Generator):
        raise ValueError(
            f"{function}: rng is {rng!r}, expected a generator: np.random.default_rng(0)"
        )


def must_be_counts(function: str, **counts: Any) -> None:
    """Raise a `ValueError` if one of them is not a whole number from 1."""
    for name, count in counts.items():
        if isinstance(count, bool) or not isinstance(count, Integral) or count < 1:
            raise ValueError(f"{function}: {name} is {count!r}, expected 1 or more")
