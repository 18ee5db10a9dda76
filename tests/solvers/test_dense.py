"""Exact solves: the solution, what is told about it, and every way not to find one."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import minihf as hf
from minihf.solvers import Reason

ROUNDING = 1e-10      # relative, float64: condition numbers up to 1e3 cost few of the 16 digits
SINGLE = 1e-6         # the solution is rounded to float32 at the end, and only there

pytestmark = pytest.mark.usefixtures("backend")


def system(seed, n):
    """Return a symmetric A with eigenvalues between 0.01 and 10, and a right-hand side b."""
    rng = np.random.default_rng(seed)
    Q = np.linalg.qr(rng.standard_normal((n, n)))[0]
    return (Q * np.geomspace(0.01, 10, n)) @ Q.T, rng.standard_normal(n)


@given(seed=st.integers(0, 2**32 - 1), n=st.integers(1, 12))
def test_it_solves_the_system_and_tells_the_quadratic(seed, n):
    A, b = system(seed, n)
    found = hf.cholesky(hf.asarray(A), hf.asarray(b), n_products=7)
    x = np.linalg.solve(A, b)
    np.testing.assert_allclose(hf.to_host(found.x), x, rtol=0, atol=ROUNDING * np.abs(x).max())
    assert found.quadratics[0] == 0
    assert found.quadratics[1] == pytest.approx(0.5 * x @ A @ x - b @ x, rel=ROUNDING)
    assert found.residuals[1] <= ROUNDING
    assert found.reason is Reason.CONVERGED
    assert (found.n_iterations, found.n_products) == (1, 7)
    assert found.iterates[-1][1] is found.x


def test_only_the_lower_triangle_is_read():
    A, b = system(0, 6)
    found = hf.cholesky(hf.asarray(np.tril(A)), hf.asarray(b))
    np.testing.assert_allclose(hf.to_host(found.x), np.linalg.solve(A, b), rtol=1e-9)
    assert found.residuals[1] <= ROUNDING


def test_single_precision_stays_single_and_is_solved_in_double():
    A, b = system(1, 8)
    A32, b32 = hf.asarray(A, dtype=np.float32), hf.asarray(b, dtype=np.float32)
    found = hf.cholesky(A32, b32)
    assert type(found.x) is type(b32)
    assert found.x.dtype == np.float32
    exact = np.linalg.solve(hf.to_host(A32).astype(np.float64), hf.to_host(b32))
    error = np.linalg.norm(hf.to_host(found.x) - exact) / np.linalg.norm(exact)
    assert error <= SINGLE


@pytest.mark.parametrize(
    ("A", "b", "reason"),
    [
        (np.diag([1.0, -1.0]), np.ones(2), Reason.NOT_POSITIVE_DEFINITE),
        (np.zeros((2, 2)), np.ones(2), Reason.NOT_POSITIVE_DEFINITE),
        (np.eye(2), np.zeros(2), Reason.ZERO_RHS),
        (np.diag([1.0, np.nan]), np.ones(2), Reason.NON_FINITE),
        (np.eye(2), np.array([1.0, np.inf]), Reason.NON_FINITE),
        (1e-200 * np.eye(2), 1e120 * np.ones(2), Reason.NON_FINITE),
        (np.eye(2), 1e300 * np.ones(2), Reason.NON_FINITE),
    ],
)
def test_what_cannot_be_solved_gives_zero_and_the_reason(A, b, reason):
    found = hf.cholesky(hf.asarray(A), hf.asarray(b), n_products=3)
    assert found.reason is reason
    assert hf.to_host(found.x).tolist() == [0.0, 0.0]
    assert (found.n_iterations, found.n_products, found.quadratics) == (0, 3, [0.0])


def test_a_solution_that_single_precision_cannot_hold_is_none():
    A, b = (hf.asarray(array, dtype=np.float32) for array in (1e-30 * np.eye(2), 1e10 * np.ones(2)))
    found = hf.cholesky(A, b)                             # 1e40, and a fine number in double
    assert found.reason is Reason.NON_FINITE
    assert hf.to_host(found.x).tolist() == [0.0, 0.0]


def test_what_does_not_fit_is_refused():
    one = hf.asarray(np.ones(2))
    with pytest.raises(ValueError, match=r"A has shape \(3, 3\) and b \(2,\)"):
        hf.cholesky(hf.asarray(np.eye(3)), one)
    with pytest.raises(ValueError, match="b holds int64"):
        hf.cholesky(hf.asarray(np.eye(2)), hf.asarray(np.array([1, 2])))
