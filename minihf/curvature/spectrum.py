"""Where the eigenvalues of a matrix lie that can only be multiplied with.

If a vector v is random, with E[v v'] = I / n, then v' f(A) v is in the mean tr f(A) / n, the mean
of f over the n eigenvalues. From one such probe k products make a quadrature rule, with nodes
theta_i and weights tau_i^2 (`minihf.curvature.lanczos`):

    mean over probes of sum over i of tau_i^2 f(theta_i)  is about  mean of f over the eigenvalues

A few probes say where these lie, and smoothed by Gaussians,

    density(t) = mean over probes of sum over i of tau_i^2 Normal(t; theta_i, width^2)        (1)

G. H. Golub & G. Meurant, "Matrices, Moments and Quadrature with Applications", 2010; for networks
B. Ghorbani, S. Krishnan & Y. Xiao, ICML 2019. Called by examples and by whoever wants to see
curvature.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from minihf.backend import asarray, shape_of
from minihf.curvature.lanczos import GaussRule, gauss_rule
from minihf.curvature.probes import PROBES, must_be_a_generator, must_be_counts

__all__ = ["Spectrum", "spectral_density"]


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
        """Return the smoothed density of the eigenvalues, equation (1); its integral is 1.

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
        k, products for each probe; fewer where what is left to reach is rounding.
    probes : int
    kind : "signs" or "normal"

    Returns
    -------
    Spectrum

    Raises
    ------
    ValueError
        If A is not square, real, and symmetric as far as double precision shows, a count is not a
        whole number from 1, rng is no generator, or there is no such kind.
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
    must_be_counts("spectral_density", steps=steps, probes=probes)
    must_be_a_generator("spectral_density", rng)
    if kind not in PROBES:
        raise ValueError(f"spectral_density: unknown kind {kind!r}; choose one of {list(PROBES)}")
    dtype = np.result_type(getattr(A, "dtype", np.float64), np.float32)
    if dtype.kind != "f":
        raise ValueError(f"spectral_density: A holds {dtype}, expected real numbers")
    drawn = (asarray(PROBES[kind](rng, shape[0]), dtype=dtype) for _ in range(probes))
    return Spectrum(shape[0], tuple(gauss_rule(A, v, steps) for v in drawn))
