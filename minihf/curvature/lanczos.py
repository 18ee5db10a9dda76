"""Lanczos' recurrence: what k products with a symmetric matrix tell of its eigenvalues.

From a vector v of length 1 it makes an orthonormal basis Q of what k products can reach, in which
the matrix is tridiagonal:

    A Q = Q T + beta_k q_k+1 e_k',    Q'Q = I,    Q e_1 = v                                   (1)

The eigenvalues theta_i of T, and the squares tau_i^2 of the first entries of its eigenvectors, are
the nodes and the weights of a Gauss quadrature rule:

    v' f(A) v = sum over i of tau_i^2 f(theta_i)    for every polynomial f of degree < 2 k    (2)

C. Lanczos 1950; G. H. Golub & G. Meurant, "Matrices, Moments and Quadrature with Applications",
2010, chapter 6. Called by `minihf.curvature.spectrum`.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from minihf.backend import Array, array_module, floats, gemm, shape_of
from minihf.curvature.probes import must_be_counts, squared_norm

__all__ = ["GaussRule", "gauss_rule", "lanczos"]

ASYMMETRY = 1e-3
"""What (A q)'p and q'(A p) may differ by, as a share of A's size. In single precision they may by
any: of a network that is sure of all its cases, rounding is most of A."""


@dataclass(frozen=True, eq=False)
class GaussRule:
    """A quadrature rule for the eigenvalues as one probe sees them: equation (2).

    Attributes
    ----------
    nodes : numpy.ndarray, shape (k,)
        Within the range of the eigenvalues, rising. Outer ones come close to eigenvalues soon.
    weights : numpy.ndarray, shape (k,)
        Not negative; their sum is 1.
    """

    nodes: np.ndarray
    weights: np.ndarray

    def mean(self, f: Callable[[np.ndarray], np.ndarray]) -> float:
        """Return v' f(A) v, exactly for polynomials of degree below 2 k."""
        return float(self.weights @ f(self.nodes))


def gauss_rule(A: Any, v: Array, steps: int) -> GaussRule:
    """Return the quadrature rule (2) for a symmetric A, from a vector v (n,) of any length but 0.

    Raises
    ------
    ValueError
        If v does not fit, or A is not symmetric as far as double precision shows.
    FloatingPointError
        If a product with A is not finite.

    Examples
    --------
    >>> import numpy as np
    >>> rule = gauss_rule(np.diag([1.0, 2.0, 4.0]), np.ones(3), steps=2)
    >>> round(3 * rule.mean(lambda t: t**3), 9), 1 + 8 + 64
    (73.0, 73)
    """
    must_be_counts("gauss_rule", steps=steps)
    diagonal, beside = lanczos(A, v, steps)
    T = np.diag(diagonal) + np.diag(beside, 1) + np.diag(beside, -1)
    nodes, vectors = np.linalg.eigh(T)
    return GaussRule(nodes, vectors[0] ** 2)


def lanczos(A: Any, v: Array, steps: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the diagonal (k,) of T in (1), and what stands beside it (k - 1,), on the host.

    k is `steps`, or less where the products with v span no more: from there on beta is rounding.
    """
    xp, n, eps = array_module(v), v.size, _rounding_of(A, v)
    steps = min(steps, n)
    Q = xp.empty((steps, n), dtype=v.dtype)
    q = v / _length_of(v)
    diagonal: list[float] = []
    beside: list[float] = []
    scale = 0.0
    for j in range(steps):
        Q[j] = q
        Aq = A @ q
        with np.errstate(over="ignore", invalid="ignore"):  # becomes an error
            w = _orthogonal_to(Q[: j + 1], _orthogonal_to(Q[: j + 1], Aq))
            alpha, beta, before = floats(xp.vdot(q, Aq), _norm(w), xp.vdot(Q[max(j - 1, 0)], Aq))
        if not math.isfinite(alpha + beta):
            raise FloatingPointError(f"lanczos: product {j + 1} with the matrix is not finite")
        diagonal.append(alpha)
        scale = max(scale, abs(alpha) + beta)
        if beside:
            _must_be_symmetric(before - beside[-1], scale, v.dtype, j + 1)
        if j + 1 == steps or beta <= 10 * eps * scale:
            break
        beside.append(beta)
        q = w / beta
    return np.array(diagonal), np.array(beside)


def _rounding_of(A: Any, v: Array) -> float:
    """Return the precision of v (n,), if that is a vector for A (n, n)."""
    expected = shape_of(A)[1:]
    if v.shape != expected:
        raise ValueError(f"lanczos: v has shape {v.shape}, expected {expected}")
    if v.dtype.kind != "f":
        raise ValueError(f"lanczos: v holds {v.dtype}, expected floating numbers")
    return float(array_module(v).finfo(v.dtype).eps)


def _must_be_symmetric(difference: float, scale: float, dtype: Any, product: int) -> None:
    if dtype == np.float64 and abs(difference) > ASYMMETRY * scale:
        raise ValueError(
            f"lanczos: product {product} shows a matrix that is not symmetric; instead of a "
            "product M A take C' A C, with M = C C'"
        )


def _length_of(v: Array) -> float:
    (length,) = floats(_norm(v))
    if not 0 < length < math.inf:
        raise ValueError(f"lanczos: v has length {length}, expected a positive one")
    return length


def _norm(w: Array) -> Array:
    return array_module(w).sqrt(squared_norm(w))


def _orthogonal_to(Q: Array, w: Array) -> Array:
    """Take from w (n,) what lies in the rows of Q. Once leaves rounding; twice is enough."""
    return w - gemm(gemm(w[None], Q.T), Q)[0]
