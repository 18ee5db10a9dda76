"""A solver that is to be checked, with a symmetric system whose solution is known.

Called by the rungs of `check_solver`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from minihf.backend import Array, asarray
from minihf.testing.cases import Case
from minihf.testing.ladder import calling
from minihf.testing.measure import norm
from minihf.testing.spd import spd_matrix

__all__ = ["Counted", "SolverCase"]

CONDITION = 100.0


class Counted:
    """A matrix as an operator that counts its products, and gives something bad at the last."""

    def __init__(self, A: np.ndarray, bad_at: int = 0, bad: float = np.nan) -> None:
        self.A, self.shape, self.dtype = asarray(A), A.shape, A.dtype
        self.products, self.bad_at, self.bad = 0, bad_at, bad

    def __matmul__(self, v: Array) -> Array:
        self.products += 1
        product = self.A @ v
        return self.bad * product if self.products == self.bad_at else product


class SolverCase:
    """A solver, and a system A x = b with the solution `right`, all on the host."""

    def __init__(self, solve: Callable[..., Any], case: Case) -> None:
        self.solve, self.case = solve, case
        self.k, m = case.sizes["k"], case.sizes["m"]
        self.n = self.k * m
        self.eigenvalues = np.repeat(CONDITION ** np.linspace(0, 1, self.k), m)
        self.rng = case.rng()
        self.A = spd_matrix(self.eigenvalues, self.rng)
        self.right = self.rng.standard_normal(self.n)
        self.b = self.A @ self.right
        self.x0 = self.rng.standard_normal(self.n)

    def run(
        self, A: Any = None, b: np.ndarray | None = None, x0: np.ndarray | None = None,
        M: Any = None, max_iters: int | None = None,
    ) -> Any:  # fmt: skip
        """Solve, with no reason to stop but those within."""
        b = self.b if b is None else b
        with calling("solve(A, b, ...)"):
            return self.solve(
                Counted(self.A) if A is None else A,
                asarray(b),
                x0=None if x0 is None else asarray(x0),
                M=M,
                max_iters=self.k if max_iters is None else max_iters,
                stop=lambda quadratics, residuals: None,
            )

    def q(self, x: np.ndarray) -> float:
        """Return 1/2 x'A x - b'x."""
        return float(0.5 * x @ self.A @ x - self.b @ x)

    def residual(self, x: np.ndarray) -> float:
        """Return |b - A x| / |b|."""
        return norm(self.b - self.A @ x) / norm(self.b)
