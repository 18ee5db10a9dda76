"""Symmetric positive definite matrices with a spectrum of one's choice: food for solvers.

Called by `check_solver`, by the strategies, and by tests of solvers and preconditioners.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from minihf.backend import Array, asarray

__all__ = ["SPD", "SPECTRA", "spd_matrix"]

SPECTRA: Mapping[str, Callable[[int], np.ndarray]] = {
    "identity": np.ones,
    "linear": lambda n: np.arange(1.0, n + 1),
    "clustered": lambda n: np.array([1.0, 10.0, 100.0])[np.arange(n) % 3],
    "geometric": lambda n: np.geomspace(1.0, 1e4, n),
    "tiny": lambda n: 1e-7 * np.arange(1.0, n + 1),
}
"""Eigenvalues for size n, by name. On `clustered`, conjugate gradients end after three steps."""


@dataclass(frozen=True)
class SPD:
    """Q diag(eigenvalues) Q' with a random orthogonal Q: ``A @ v``, and dense as `matrix`.

    Parameters
    ----------
    size : int
        n, from 1.
    spectrum : str or tuple of float
        A name of `SPECTRA`, or n eigenvalues.
    seed : int

    Raises
    ------
    ValueError
        If there is no such spectrum, or the eigenvalues are not n positive numbers.

    Examples
    --------
    >>> import minihf as hf
    >>> from minihf.testing import SPD
    >>> A = SPD(9, "clustered")
    >>> hf.cg(A, A.b, stop=hf.RelativeResidual(1e-9)).n_products
    3
    """

    size: int
    spectrum: str | tuple[float, ...]
    seed: int = 0

    def __post_init__(self) -> None:
        if isinstance(self.spectrum, str) and self.spectrum not in SPECTRA:
            raise ValueError(
                f"unknown spectrum {self.spectrum!r}; choose one of: {', '.join(SPECTRA)}"
            )
        found = self.eigenvalues
        if self.size < 1 or found.shape != (self.size,) or not (found > 0).all():
            raise ValueError(
                f"SPD: expected {self.size} positive eigenvalues, got {self.spectrum!r}"
            )

    @property
    def shape(self) -> tuple[int, int]:
        """(n, n)."""
        return self.size, self.size

    @property
    def eigenvalues(self) -> np.ndarray:
        """All n, on the host."""
        if isinstance(self.spectrum, str):
            return SPECTRA[self.spectrum](self.size)
        return np.asarray(self.spectrum, dtype=np.float64)

    @cached_property
    def matrix(self) -> Array:
        """The matrix, float64, exactly symmetric."""
        rng = np.random.default_rng([self.seed, 0])
        return asarray(spd_matrix(self.eigenvalues, rng))

    @cached_property
    def b(self) -> Array:
        """A right-hand side with a share of every eigenvector, shape (n,)."""
        return asarray(np.random.default_rng([self.seed, 1]).standard_normal(self.size))

    def __matmul__(self, v: Array) -> Array:
        return self.matrix @ v


def spd_matrix(eigenvalues: Any, rng: np.random.Generator) -> np.ndarray:
    """Return Q diag(eigenvalues) Q' for a random rotation Q.

    Parameters
    ----------
    eigenvalues : sequence of float, length n
        Positive ones make the matrix positive definite; others are allowed.
    rng : numpy.random.Generator

    Returns
    -------
    numpy.ndarray, shape (n, n)
        On the host, float64, symmetric to the last bit.

    Raises
    ------
    ValueError
        If there are no eigenvalues.

    Examples
    --------
    >>> import numpy as np
    >>> A = spd_matrix([1.0, 2.0, 2.0], np.random.default_rng(0))
    >>> np.linalg.eigvalsh(A).round(12), bool((A == A.T).all())
    (array([1., 2., 2.]), True)
    """
    values = np.asarray(eigenvalues, dtype=np.float64).reshape(-1)
    if not values.size:
        raise ValueError("spd_matrix: got no eigenvalues")
    Q, R = np.linalg.qr(rng.standard_normal((values.size, values.size)))
    Q = Q * np.sign(np.diag(R))                          # else Q is not uniformly distributed
    A = (Q * values) @ Q.T
    return (A + A.T) / 2
