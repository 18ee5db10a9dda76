"""Small exact solves: A x = b with the matrix written down, by Cholesky's factors.

    A = L L',    L w = b,    L' x = w,    q(x) = 1/2 x' A x - b' x = -1/2 b' x at the solution

It is the limit of what `minihf.cg` does with more and more iterations, and takes and gives the same
things, so that either stands in the other's place. A matrix without such factors is no exception
but a `Reason`.

It is computed on the host in double precision, wherever A lies: Gauss-Newton matrices are badly
conditioned, and a few thousand columns are no work for a device.

Called by `minihf.optim.block_solvers`.
"""

from __future__ import annotations

import numpy as np
import scipy.linalg

from minihf.backend import Array, array_module, asarray, shape_of, to_host
from minihf.solvers.cg import CGResult, Reason

__all__ = ["cholesky"]


def cholesky(A: Array, b: Array, n_products: int = 0) -> CGResult:
    """Solve A x = b for a symmetric positive definite matrix.

    Parameters
    ----------
    A : array, shape (n, n)
        Only its lower triangle is read.
    b : array, shape (n,)
    n_products : int
        What it took to write A down; handed through to the result.

    Returns
    -------
    CGResult
        As if one iteration had found x: `iterates` has x alone, `quadratics` 0 and q(x), and
        `residuals` the true one. The reason is ``CONVERGED``; or ``NOT_POSITIVE_DEFINITE``,
        ``ZERO_RHS`` or ``NON_FINITE``, and then x is zero.

    Raises
    ------
    ValueError
        If the shapes do not fit, or b holds no floating numbers.

    Notes
    -----
    n^3 / 3 multiplications, and n^2 numbers more than A itself.

    Examples
    --------
    >>> import numpy as np, minihf as hf
    >>> A = np.array([[4.0, 1.0], [1.0, 3.0]])
    >>> result = hf.cholesky(A, np.array([1.0, 2.0]))
    >>> result.x.round(4), result.reason.name
    (array([0.0909, 0.6364]), 'CONVERGED')
    >>> hf.cholesky(-A, np.array([1.0, 2.0])).reason.name
    'NOT_POSITIVE_DEFINITE'
    """
    if shape_of(A) != (b.size, b.size) or b.ndim != 1:
        raise ValueError(
            f"cholesky: A has shape {shape_of(A)} and b {shape_of(b)}, expected (n, n) and (n,)"
        )
    if b.dtype.kind != "f":
        raise ValueError(f"cholesky: b holds {b.dtype}, expected floating numbers")
    matrix, rhs = (to_host(array).astype(np.float64) for array in (A, b))
    with np.errstate(over="ignore", invalid="ignore"):  # becomes a reason
        norm = float(np.linalg.norm(rhs))
        if not (np.isfinite(matrix).all() and np.isfinite(norm)):
            return _nothing(b, n_products, Reason.NON_FINITE)
        if norm == 0:
            return _nothing(b, n_products, Reason.ZERO_RHS)
        matrix = np.tril(matrix) + np.tril(matrix, -1).T
        try:
            factors = scipy.linalg.cho_factor(matrix, lower=True)
        except np.linalg.LinAlgError:
            return _nothing(b, n_products, Reason.NOT_POSITIVE_DEFINITE)
        solution = scipy.linalg.cho_solve(factors, rhs)
        residual = rhs - matrix @ solution
        q = -0.5 * float(solution @ (rhs + residual))
        x = asarray(solution.astype(b.dtype))
    if not (np.isfinite(q) and bool(array_module(x).isfinite(x).all())):
        return _nothing(b, n_products, Reason.NON_FINITE)
    error = float(np.linalg.norm(residual)) / norm
    return CGResult(x, [(1, x)], [0.0, q], [1.0, error], n_products, Reason.CONVERGED)


def _nothing(b: Array, n_products: int, reason: Reason) -> CGResult:
    zero = array_module(b).zeros_like(b)
    return CGResult(zero, [(0, zero)], [0.0], [1.0], n_products, reason)
