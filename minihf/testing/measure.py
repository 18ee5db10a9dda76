"""How wrong is wrong: the size of an error, and the limits that the checks share.

All errors are relative, and there is no absolute floor: a derivative of 1e-7 must be right to as
many digits as any other. Called by every check.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from minihf.backend import to_host
from minihf.testing.derivatives import EPS

__all__ = ["ADJOINT", "EXACT", "RATE", "ROUNDING", "SAME", "error_of", "norm", "same"]

EXACT = 1e-10  # the complex step is good to 1e-15; conditioning costs a rule some digits of its own
ADJOINT = 1e-12  # two sums of the same products in float64, in another order
RATE = 0.2  # the remainder's order is 2 up to terms of higher order
ROUNDING = 64 * EPS  # what is left where terms of ordinary size cancel
SAME = 1e-7  # two results agree but for rounding, or are related by accident


def norm(x: Any) -> float:
    """Return the 2-norm of all entries."""
    return float(np.linalg.norm(np.ravel(to_host(x))))


def same(a: np.ndarray, b: np.ndarray, tolerance: float = SAME) -> bool:
    """Tell whether two arrays agree, relative to the second."""
    return a.shape == b.shape and norm(a - b) <= tolerance * norm(b)


def error_of(found: np.ndarray, expected: np.ndarray, scale: float) -> float:
    """Return |found - expected| / scale, and 0 or infinity where the scale is 0.

    `scale` is that of results that do not happen to cancel, the largest of several tangents.
    """
    distance = norm(found - expected)
    if distance == 0:
        return 0.0
    return distance / scale if scale else np.inf
