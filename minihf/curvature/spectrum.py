"""Where the eigenvalues of a matrix lie that can only be multiplied with.

From a vector v of length 1, Lanczos' recurrence makes an orthonormal basis Q of what k products can
reach, in which the matrix is tridiagonal:

    A Q = Q T + beta_k q_k+1 e_k',    Q'Q = I,    Q e_1 = v                                   (1)

The eigenvalues theta_i of T, and the squares tau_i^2 of the first entries of its eigenvectors, are
the nodes and the weights of a Gauss quadrature rule:

    v' f(A) v = sum over i of tau_i^2 f(theta_i)    for every polynomial f of degree < 2 k    (2)

If v is random, with E[v v'] = I / n, then the left side is in the mean tr f(A) / n: the average of
f over the n eigenvalues. A few such probes say where these lie, and smoothed by Gaussians,

    density(t) = mean over probes of sum over i of tau_i^2 Normal(t; theta_i, width^2)        (3)

C. Lanczos 1950; G. H. Golub & G. Meurant, "Matrices, Moments and Quadrature with Applications",
2010, chapter 6; for networks B. Ghorbani, S. Krishnan & Y. Xiao, ICML 2019. Called by examples and
by whoever wants to see curvature.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from minihf.backend import Array, array_module, asarray, floats, gemm, shape_of

__all__ = ["GaussRule", "Spectrum", "gauss_rule", "lanczos", "spectral_density"]

PROBES: Mapping[str, Callable[[np.random.Generator, int], np.ndarray]] = {
    "signs": lambda rng, n: 2.0 * rng.integers(2, size=n) - 1,
    "normal": lambda rng, n: rng.standard_normal(n),
}
"""Random vectors v with E[v v'] = I, by name. The signs are also known as Rademacher's."""


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


@dataclass(frozen=True, eq=False)
class Spectrum:
    """An estimate of where the n eigenvalues of a matrix lie: what `spectral_density` returns.

    Attributes
    ----------
    size : int
        n.
    rules : tuple of GaussRule
        One for each probe.
    """

    size: int
    rules: tuple[GaussRule, ...]

    @property
    def n_products(self) -> int:
        """Products with the matrix: one for each node."""
        return sum(len(rule.nodes) for rule in self.rules)

    @property
    def lowest(self) -> float:
        """The lowest node: at or above the smallest eigenvalue."""
        return min(float(rule.nodes[0]) for rule in self.rules)

    @property
    def highest(self) -> float:
        """The highest node: at or below the largest eigenvalue."""
        return max(float(rule.nodes[-1]) for rule in self.rules)

    def mean(self, f: Callable[[np.ndarray], np.ndarray]) -> float:
        """Return the estimated mean of f over the eigenvalues; n times it is the trace of f(A)."""
        return float(np.mean([rule.mean(f) for rule in self.rules]))

    def standard_error(self, f: Callable[[np.ndarray], np.ndarray]) -> float:
        """Return how far `mean` may be off by the choice of probes; NaN with a single one."""
        m = len(self.rules)
        if m == 1:
            return math.nan
        return float(np.std([rule.mean(f) for rule in self.rules], ddof=1)) / math.sqrt(m)

    def density(self, at: Any, width: float | None = None) -> np.ndarray:
        """Return the smoothed density of the eigenvalues, equation (3); its integral is 1.

        Parameters
        ----------
        at : array_like
            Where, on the host.
        width : float, optional
            Of the Gaussians, a standard deviation; a hundredth of the range without it.

        Raises
        ------
        ValueError
            If the width is not positive.
        """
        width = self._default_width() if width is None else width
        if not 0 < width < math.inf:
            raise ValueError(f"density: width is {width!r}, expected a positive number")
        t = np.asarray(at, dtype=np.float64)[..., None]

        def of_nodes(nodes: np.ndarray, weights: np.ndarray) -> np.ndarray:
            return np.exp(-0.5 * ((t - nodes) / width) ** 2) @ weights

        total = sum(of_nodes(rule.nodes, rule.weights) for rule in self.rules)
        return np.asarray(total) / (len(self.rules) * width * math.sqrt(2 * math.pi))

    def above(self, at: Any) -> np.ndarray:
        """Return the estimated number of eigenvalues above each of the given values."""
        t = np.asarray(at, dtype=np.float64)[..., None]
        total = sum((rule.nodes > t) @ rule.weights for rule in self.rules)
        return self.size * np.asarray(total) / len(self.rules)

    def _default_width(self) -> float:
        return max(self.highest - self.lowest, abs(self.highest)) / 100 or 1.0


def spectral_density(
    A: Any, rng: np.random.Generator, steps: int = 40, probes: int = 5, kind: str = "signs"
) -> Spectrum:
    """Estimate the density of the eigenvalues of a symmetric matrix: stochastic Lanczos quadrature.

    Parameters
    ----------
    A : operator or array, shape (n, n)
        Symmetric: a `GGN`, ``G.block(name)``, a `Hessian`, a matrix.
    rng : numpy.random.Generator
        Draws the probes, on the host.
    steps : int
        k, products for each probe; fewer are made where nothing new can be reached.
    probes : int
    kind : "signs" or "normal"

    Returns
    -------
    Spectrum

    Raises
    ------
    ValueError
        If A is not square, a count is not a whole number from 1, or there is no such kind.
    FloatingPointError
        If a product with A is not finite.

    Notes
    -----
    At most ``steps * probes`` products. The basis is kept and every new vector is made orthogonal
    to all of it, in A's own precision: k vectors (n,), and 2 k^2 n multiplications for each probe.
    Without that, eigenvalues that were found come up a second time.

    Examples
    --------
    >>> import numpy as np, minihf as hf
    >>> A = np.diag([1.0, 1.0, 1.0, 2.0, 6.0])
    >>> found = hf.spectral_density(A, np.random.default_rng(0))
    >>> found.rules[0].nodes.round(6).tolist(), found.n_products
    ([1.0, 2.0, 6.0], 15)
    >>> round(5 * found.mean(lambda t: t), 6), found.above([1.5, 3.0, 9.0]).round(6).tolist()
    (11.0, [2.0, 1.0, 0.0])
    """
    shape = shape_of(A)
    if len(shape) != 2 or shape[0] != shape[1] or not shape[0]:
        raise ValueError(f"spectral_density: A has shape {shape}, expected a square (n, n)")
    for name, count in (("steps", steps), ("probes", probes)):
        if isinstance(count, bool) or not isinstance(count, int) or count < 1:
            raise ValueError(f"spectral_density: {name} is {count!r}, expected 1 or more")
    if kind not in PROBES:
        raise ValueError(f"spectral_density: unknown kind {kind!r}; choose one of {list(PROBES)}")
    dtype = np.result_type(getattr(A, "dtype", np.float64), np.float32)
    drawn = (asarray(PROBES[kind](rng, shape[0]), dtype=dtype) for _ in range(probes))
    return Spectrum(shape[0], tuple(gauss_rule(A, v, steps) for v in drawn))


def gauss_rule(A: Any, v: Array, steps: int) -> GaussRule:
    """Return the quadrature rule (2) for a symmetric A, from a vector v (n,) of any length but 0.

    Examples
    --------
    >>> import numpy as np
    >>> rule = gauss_rule(np.diag([1.0, 2.0, 4.0]), np.ones(3), steps=2)
    >>> round(3 * rule.mean(lambda t: t**3), 9), 1 + 8 + 64
    (73.0, 73)
    """
    diagonal, beside = lanczos(A, v, steps)
    T = np.diag(diagonal) + np.diag(beside, 1) + np.diag(beside, -1)
    nodes, vectors = np.linalg.eigh(T)
    return GaussRule(nodes, vectors[0] ** 2)


def lanczos(A: Any, v: Array, steps: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the diagonal (k,) of T in (1), and what stands beside it (k - 1,), on the host.

    k is `steps`, or less where the products with v span no more: from there on beta is rounding.
    """
    xp, n = array_module(v), v.size
    steps = min(steps, n)
    rounding = 10 * math.sqrt(n) * float(xp.finfo(v.dtype).eps)
    Q = xp.empty((steps, n), dtype=v.dtype)
    q = v / xp.sqrt(xp.vdot(v, v))
    diagonal: list[float] = []
    beside: list[float] = []
    scale = 0.0
    for j in range(steps):
        Q[j] = q
        Aq = A @ q
        with np.errstate(over="ignore", invalid="ignore"):  # becomes an error
            w = _orthogonal_to(Q[: j + 1], _orthogonal_to(Q[: j + 1], Aq))
        alpha, beta = floats(xp.vdot(q, Aq), xp.sqrt(xp.vdot(w, w)))
        if not math.isfinite(alpha + beta):
            raise FloatingPointError(f"lanczos: product {j + 1} with the matrix is not finite")
        diagonal.append(alpha)
        scale = max(scale, abs(alpha) + beta)
        if j + 1 == steps or beta <= rounding * scale:
            break
        beside.append(beta)
        q = w / beta
    return np.array(diagonal), np.array(beside)


def _orthogonal_to(Q: Array, w: Array) -> Array:
    """Take from w (n,) what lies in the rows of Q. Once leaves rounding; twice is enough."""
    return w - gemm(gemm(w[None], Q.T), Q)[0]
