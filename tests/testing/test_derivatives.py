"""The parts that checks are made of, against derivatives known in closed form."""

import numpy as np
import pytest
import scipy.sparse.linalg
from hypothesis import given
from hypothesis import strategies as st

import minihf as hf
from minihf.testing import (
    CheckFailure,
    central_difference_jvp,
    check_adjoint,
    check_taylor,
    complex_step_jvp,
    count_gemms,
    dense_matrix,
    jacobian,
    taylor_remainders,
)

EXACT = 1e-14  # a handful of roundings
DIFFERENCES = 1e-10  # h^4 at h = 1e-3, times a fifth derivative of order one, and eps / h

seeds = st.integers(0, 2**32 - 1)


@given(seed=seeds)
def test_the_complex_step_is_exact_and_differences_are_close(seed):
    rng = np.random.default_rng(seed)
    x, y, v, w = rng.standard_normal((4, 5))

    def f(x, y):
        return np.sin(x) * y

    exact = np.cos(x) * v * y + np.sin(x) * w
    np.testing.assert_allclose(complex_step_jvp(f, [x, y], [v, w]), exact, rtol=0, atol=EXACT)
    found = central_difference_jvp(f, [x, y], [v, w])
    np.testing.assert_allclose(found.jvp, exact, rtol=0, atol=20 * DIFFERENCES)
    assert not found.kinks.any()
    alone = complex_step_jvp(f, [x, y], [None, w])
    np.testing.assert_allclose(alone, np.sin(x) * w, rtol=0, atol=EXACT)


def test_a_tuple_of_results_keeps_its_nones():
    x = np.ones(2)
    first, nothing = complex_step_jvp(lambda x: (x * x, None), [x], [x])
    assert nothing is None
    np.testing.assert_allclose(first, 2 * x)


@pytest.mark.parametrize("scale", [1e-7, 1.0, 1e7])
@pytest.mark.parametrize("distance", [0.0, 1e-4, -1e-4, 1.9e-3])
def test_a_kink_within_reach_is_seen_and_one_far_away_is_not(scale, distance):
    at = np.array([distance, 0.3, -0.3])
    found = central_difference_jvp(lambda x: scale * np.abs(x), [at], [np.ones(3)])
    assert found.kinks.tolist() == [abs(distance) < 1e-3, False, False]
    np.testing.assert_allclose(found.jvp[1:], [scale, -scale], rtol=1e-9)


def test_a_straight_line_has_neither_kinks_nor_a_remainder():
    x, v = np.array([0.1, 0.7]), np.array([1.0, 3.0])
    assert not central_difference_jvp(lambda x: 3 * x, [x], [v]).kinks.any()
    assert taylor_remainders(lambda x: 3 * x, x, v, 3 * v).rate == np.inf


@given(seed=seeds)
def test_the_remainders_order_tells_right_from_wrong(seed):
    rng = np.random.default_rng(seed)
    x, v = rng.standard_normal((2, 6))
    Jv = np.cosh(x) * v
    check_taylor(np.sinh, x, v, Jv)
    with pytest.raises(CheckFailure, match="not 2: J v is not the derivative of f"):
        check_taylor(np.sinh, x, v, Jv * 1.01)


@pytest.mark.parametrize("side", [1, -1])
@pytest.mark.parametrize("distance", [0.0, 1e-5, 1e-3])
def test_a_kink_beside_the_point_is_no_mistake(side, distance):
    def f(x):
        return np.sin(x) + np.maximum(side * x, 0)

    x = np.array([-side * distance])
    check_taylor(f, x, np.ones(1), np.cos(x))
    with pytest.raises(CheckFailure):
        check_taylor(f, x, np.ones(1), 1.1 * np.cos(x))


@given(seed=seeds, scale=st.sampled_from([1e-9, 1.0, 1e9]))
def test_the_adjoint_identity_is_free_of_scale(seed, scale):
    rng = np.random.default_rng(seed)
    A, v, u = rng.standard_normal((3, 4)), rng.standard_normal(4), rng.standard_normal(3)
    check_adjoint(lambda v: scale * A @ v, lambda u: scale * A.T @ u, v, u)
    with pytest.raises(CheckFailure, match="one of the two is not the transpose"):
        check_adjoint(lambda v: scale * A @ v, lambda u: scale * 1.001 * A.T @ u, v, u)


def test_the_adjoint_check_refuses_shapes_that_do_not_meet():
    A = np.ones((3, 4))
    with pytest.raises(ValueError, match=r"jvp\(v\) has shape \(3,\), u has \(4,\)"):
        check_adjoint(lambda v: A @ v, lambda u: u[:3] @ A, np.ones(4), np.ones(4))


def test_operators_and_functions_are_written_down():
    A = np.arange(12.0).reshape(3, 4)
    of_scipy = scipy.sparse.linalg.aslinearoperator(A)
    for thing, n in [(A, None), (of_scipy, None), (lambda v: A @ v, 4)]:
        np.testing.assert_array_equal(dense_matrix(thing, n), A)
    np.testing.assert_allclose(jacobian(lambda x: x**3, np.array([1.0, 2.0])), np.diag([3.0, 12.0]))


def test_matrix_products_are_counted_with_their_work():
    with count_gemms() as gemms:
        hf.backend.gemm(np.ones((2, 3)), np.ones((3, 5)))
        hf.backend.gemm(np.ones((4, 2, 3)), np.ones((3, 1)))
    assert gemms.count == 2
    assert gemms.flops == 2 * (2 * 3 * 5) + 2 * (4 * 2 * 3 * 1)
    hf.backend.gemm(np.ones((2, 3)), np.ones((3, 5)))
    assert gemms.count == 2
