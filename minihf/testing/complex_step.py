"""The complex step: derivatives to the last digit, from the function itself.

    f(x + i h v) = f(x) + i h f'(x) v - O(h^2)    so    f'(x) v = Im f(x + i h v) / h

Nothing is subtracted, so h can be so small that the error vanishes: what comes out is good to
machine precision, where central differences lose half the digits. It needs an analytic f: plain
transposes, no conjugate, no absolute value, comparisons on the real part. Called by tests.

W. Squire & G. Trapp, "Using complex variables to estimate derivatives of real functions", SIAM
Review 40 (1998).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from minihf.backend import Array, array_module, asarray, to_host

__all__ = ["derivative", "jacobian", "relative_error"]

STEP = 1e-30


def derivative(f: Callable[..., Any], at: Sequence[Array], along: Sequence[Array | None]) -> Any:
    """Return the derivative of ``f(*at)`` along tangents (None: zero), in the form of f's result.

    Examples
    --------
    >>> import numpy as np
    >>> float(derivative(np.exp, [np.array(1.0)], [np.array(1.0)]) - np.e)
    0.0
    """
    moved = (x if v is None else x + 1j * STEP * v for x, v in zip(at, along, strict=True))
    result = f(*moved)
    if isinstance(result, tuple | list):
        return type(result)(None if part is None else part.imag / STEP for part in result)
    return result.imag / STEP


def jacobian(f: Callable[[Array], Array], x: Array) -> np.ndarray:
    """Return the matrix of f's derivatives at the vector x, on the host: one column per entry."""
    basis = (asarray(row) for row in np.eye(x.size))
    columns = [to_host(derivative(f, [x], [e]).reshape(-1)) for e in basis]
    return np.stack(columns, axis=1)


def relative_error(found: Any, expected: Any) -> float:
    """Return |found - expected| / |expected| in the 2-norm, or |found| where nothing is expected.

    Raises
    ------
    ValueError
        If the shapes differ.
    """
    found, expected = (x if array_module(x) is np else to_host(x) for x in (found, expected))
    if np.shape(found) != np.shape(expected):
        raise ValueError(f"found shape {np.shape(found)}, expected {np.shape(expected)}")
    scale = np.linalg.norm(np.ravel(expected))
    return float(np.linalg.norm(np.ravel(found - expected)) / (scale or 1.0))
