"""Derivatives from the function itself, to compare a rule with: what every check is made of.

**The complex step.**

    f(x + i h v) = f(x) + i h f'(x) v - O(h^2)    so    f'(x) v = Im f(x + i h v) / h

Nothing is subtracted, so h can be so small that the error vanishes: what comes out is good to
machine precision. It needs an analytic f: plain transposes, no conjugate, no absolute value,
comparisons on the real part.

**Central differences**, five points, for functions that are not: good to about ten digits of
sixteen, and they say where they met a kink.

**Taylor's remainder** needs no second way to a derivative: |f(x + h v) - f(x) - h J v| falls by
four when h is halved if J v is right, by two if it is wrong.

W. Squire & G. Trapp, "Using complex variables to estimate derivatives of real functions", SIAM
Review 40 (1998). Called by the checks, by tests and by the book.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np

from minihf.backend import Array, array_module, asarray, to_host

__all__ = [
    "CentralDifference",
    "Remainders",
    "central_difference_jvp",
    "complex_step_jvp",
    "dense_matrix",
    "jacobian",
    "relative_error",
    "taylor_remainders",
]

STEP = 1e-30
EPS = float(np.finfo(np.float64).eps)


def complex_step_jvp(
    f: Callable[..., Any], at: Sequence[Array], along: Sequence[Array | None]
) -> Any:
    """Return the derivative of ``f(*at)`` along tangents, to the last digit, in the form of f's.

    Parameters
    ----------
    f : callable
        Analytic; gives an array, or a tuple or list of arrays or None.
    at : sequence of float64 array
    along : sequence of array or None
        A tangent of each argument's shape; None is zero, and keeps the argument real.

    Examples
    --------
    >>> import numpy as np
    >>> float(complex_step_jvp(np.exp, [np.array(1.0)], [np.array(1.0)]) - np.e)
    0.0
    """
    moved = (x if v is None else x + 1j * STEP * v for x, v in zip(at, along, strict=True))
    result = f(*moved)
    if isinstance(result, tuple | list):
        return type(result)(None if part is None else part.imag / STEP for part in result)
    return result.imag / STEP


class CentralDifference(NamedTuple):
    """What `central_difference_jvp` gives: the derivative, and where the function has a kink."""

    jvp: np.ndarray
    kinks: np.ndarray


def central_difference_jvp(
    f: Callable[..., Array],
    at: Sequence[Array],
    along: Sequence[Array | None],
    step: float = 1e-3,
) -> CentralDifference:
    """Return the derivative of ``f(*at)`` along tangents by five points, and where it has kinks.

    (f(-2h) - 8 f(-h) + 8 f(h) - f(2h)) / 12h, an error of O(h^4) and of rounding, O(eps / h).

    Parameters
    ----------
    f : callable
        Real arrays to one array. It need not be analytic.
    at, along
        As for `complex_step_jvp`.
    step : float
        h, in units of the tangents.

    Returns
    -------
    CentralDifference
        ``jvp`` and ``kinks`` (booleans), host arrays of f's shape. An entry has a kink within 2h
        if the slopes to the left and to the right do not come closer as h is halved. Do not
        believe the derivative there.

    Examples
    --------
    >>> import numpy as np
    >>> found = central_difference_jvp(np.abs, [np.array([1.0, 0.0])], [np.ones(2)])
    >>> found.jvp.round(6), found.kinks
    (array([1., 0.]), array([False,  True]))
    """

    def value(t: float) -> np.ndarray:
        moved = (x if v is None else x + t * v for x, v in zip(at, along, strict=True))
        return np.asarray(to_host(f(*moved)), dtype=np.float64)

    h = step
    here, half = value(0.0), {s: value(s * h / 2) for s in (-1, 1)}
    far = {s: value(s * h) for s in (-2, -1, 1, 2)}
    jvp = (far[-2] - 8 * far[-1] + 8 * far[1] - far[2]) / (12 * h)
    bend = np.abs((far[1] - here) - (here - far[-1])) / h
    closer = np.abs((half[1] - here) - (here - half[-1])) / (h / 2)
    size = np.max([np.abs(v) for v in (here, *half.values(), *far.values())], axis=0)
    return CentralDifference(jvp, (closer > 0.75 * bend) & (closer > 64 * EPS * size / h))


class Remainders(NamedTuple):
    """Taylor's remainders |f(x + h v) - f(x) - h J v| on one line: what `taylor_remainders` gives.

    ``steps`` are the h, falling; ``forward`` and ``backward`` the remainders for h and for -h;
    ``noise`` is the size of rounding errors in them.
    """

    steps: np.ndarray
    forward: np.ndarray
    backward: np.ndarray
    noise: float

    @property
    def rate(self) -> float:
        """The order in h, 2 if J v is right; infinite if the remainders are nothing but rounding.

        Taken at the smallest steps at which rounding does not count. A kink close to x spoils it on
        one side, a wrong derivative on both: the better side decides. A wrong derivative fades into
        the rounding by halves; what is gone from one step to the next was a kink further away.
        """
        return max(self._rate(self.forward), self._rate(self.backward))

    def _rate(self, remainders: np.ndarray) -> float:
        rounding = 100 * self.noise
        clear = np.flatnonzero(remainders > rounding)
        if len(clear) < 3:
            return np.inf
        last = remainders[clear[-3:]]
        if clear[-1] + 1 < len(remainders) and last[-1] > 4 * rounding:
            return np.inf
        return float(np.min(np.log2(last[:-1] / last[1:])))


def taylor_remainders(
    f: Callable[[Array], Array], x: Array, v: Array, Jv: Array, steps: Sequence[float] | None = None
) -> Remainders:
    """Measure how fast f leaves its tangent: |f(x + h v) - f(x) - h J v| for falling h.

    Parameters
    ----------
    f : callable of an array
    x, v : array
        A point and a direction, of the same shape.
    Jv : array
        What is claimed to be the derivative of f at x along v.
    steps : sequence of float, optional
        Each half of the one before; by default 2^-3 to 2^-14.

    Examples
    --------
    >>> import numpy as np
    >>> x, v = np.array([0.3, 1.0]), np.array([1.0, -2.0])
    >>> right, wrong = (taylor_remainders(np.exp, x, v, Jv) for Jv in (np.exp(x) * v, x * v))
    >>> round(right.rate, 1), round(wrong.rate, 1)
    (2.0, 1.0)
    """
    hs = 0.5 ** np.arange(3, 15) if steps is None else np.asarray(steps, dtype=np.float64)
    here, slope = to_host(f(x)), to_host(Jv)

    def remainder(h: float) -> float:
        return float(np.linalg.norm(np.ravel(to_host(f(x + h * v)) - here - h * slope)))

    forward, backward = (np.array([remainder(h) for h in side]) for side in (hs, -hs))
    size = np.linalg.norm(np.ravel(here)) + np.linalg.norm(np.ravel(slope)) * float(hs[0])
    return Remainders(hs, forward, backward, EPS * float(size))


def dense_matrix(A: Any, n: int | None = None) -> np.ndarray:
    """Write an operator, or a linear function of one vector, down: one column per product.

    Parameters
    ----------
    A : operator or callable
        ``A @ v``, or ``A(v)``, for v of shape (n,); its result may have any shape.
    n : int, optional
        Without it, ``A.shape[1]``.

    Returns
    -------
    numpy.ndarray, shape (m, n)
        On the host, float64.

    Examples
    --------
    >>> import numpy as np
    >>> dense_matrix(lambda v: v[::-1], 2)
    array([[0., 1.],
           [1., 0.]])
    """
    n = A.shape[1] if n is None else n
    apply = (lambda v: A @ v) if hasattr(A, "__matmul__") else A
    columns = [np.ravel(to_host(apply(asarray(e)))) for e in np.eye(n)]
    return np.stack(columns, axis=1).astype(np.float64, copy=False)


def jacobian(f: Callable[[Array], Array], x: Array) -> np.ndarray:
    """Return the matrix of f's derivatives at the vector x, by the complex step, on the host."""
    return dense_matrix(lambda v: complex_step_jvp(f, [x], [v]), x.size)


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
