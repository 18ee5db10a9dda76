"""Conjugate gradients against direct solves, SciPy, and their own promises."""

import math
import tracemalloc

import numpy as np
import pytest
import scipy.sparse.linalg
from hypothesis import given
from hypothesis import strategies as st

import minihf as hf
from minihf.solvers import Reason, martens_grid

ROUNDING = 1e-9       # relative: eigenvalues within [1, 10] and n <= 12 cost few of the 16 digits
EXACT = hf.RelativeResidual(rtol=1e-12)
NEVER = hf.RelativeResidual(rtol=0.0)

sizes = st.integers(1, 12)
seeds = st.integers(0, 2**32 - 1)


def every(i):
    return True


def system(seed, n, low=1.0, high=10.0):
    """Return a symmetric A with eigenvalues between `low` and `high`, and a right-hand side b."""
    rng = np.random.default_rng(seed)
    Q = np.linalg.qr(rng.standard_normal((n, n)))[0]
    A = (Q * np.linspace(low, high, n)) @ Q.T
    return (A + A.T) / 2, rng.standard_normal(n)


def quadratic(A, b, x):
    return 0.5 * x @ A @ x - b @ x


class Operator:
    """A matrix that counts its products and gives NaN from product `breaks_at` on."""

    def __init__(self, matrix, breaks_at=math.inf, poison=math.nan):
        self.matrix, self.breaks_at, self.poison, self.products = matrix, breaks_at, poison, 0

    def __matmul__(self, v):
        self.products += 1
        return self.matrix @ v if self.products < self.breaks_at else self.poison * v


# The solution ---------------------------------------------------------------------------------


@given(seeds, sizes)
def test_it_solves_the_system(seed, n):
    A, b = system(seed, n)
    result = hf.cg(A, b, stop=EXACT)
    np.testing.assert_allclose(result.x, np.linalg.solve(A, b), rtol=0, atol=ROUNDING)
    assert result.reason is Reason.CONVERGED
    assert result.n_iterations <= n + 1


@given(seeds, st.integers(2, 12), st.booleans(), st.booleans())
def test_iterates_and_their_number_are_scipys(seed, n, warm, preconditioned):
    A, b = system(seed, n)
    x0 = np.random.default_rng(seed).standard_normal(n) if warm else None
    M = np.diag(1 / np.diag(A)) if preconditioned else None
    theirs = []
    scipy.sparse.linalg.cg(
        A, b, x0, rtol=1e-6, atol=0, M=M, callback=lambda x: theirs.append(x.copy())
    )
    ours = hf.cg(A, b, x0, M, stop=hf.RelativeResidual(rtol=1e-6), record=every)
    assert ours.n_iterations == len(theirs)
    assert [i for i, _ in ours.iterates] == list(range(1, len(theirs) + 1))
    for (_, mine), their in zip(ours.iterates, theirs, strict=True):
        np.testing.assert_allclose(mine, their, rtol=0, atol=ROUNDING)


def test_on_every_backend_in_single_precision(backend):
    A, b = system(0, 8)
    A32, b32 = hf.asarray(A, dtype=np.float32), hf.asarray(b, dtype=np.float32)
    result = hf.cg(A32, b32, 0.1 * b32, M=lambda r: r / 2, stop=hf.RelativeResidual(1e-5))
    assert type(result.x) is type(b32)
    assert result.x.dtype == np.float32
    assert result.reason is Reason.CONVERGED
    np.testing.assert_allclose(hf.to_host(result.x), np.linalg.solve(A, b), rtol=0, atol=1e-4)


@given(seeds, sizes)
def test_the_recorded_quadratics_are_those_of_the_iterates_and_fall(seed, n):
    A, b = system(seed, n)
    x0 = np.random.default_rng(seed).standard_normal(n)
    result = hf.cg(A, b, x0, stop=EXACT, record=every)
    recorded = [quadratic(A, b, x) for x in (x0, *(x for _, x in result.iterates))]
    np.testing.assert_allclose(result.quadratics, recorded, rtol=0, atol=ROUNDING)
    assert np.diff(result.quadratics).max(initial=-1) <= ROUNDING
    errors = [np.linalg.norm(b - A @ x) / np.linalg.norm(b) for _, x in result.iterates]
    np.testing.assert_allclose(result.residuals[1:], errors, rtol=0, atol=ROUNDING)


def test_arguments_are_left_as_they_were(backend):
    host = (*system(1, 6), np.ones(6))
    A, b, x0 = (hf.asarray(array.copy()) for array in host)
    hf.cg(A, b, x0, stop=EXACT)
    for before, after in zip(host, (A, b, x0), strict=True):
        np.testing.assert_array_equal(hf.to_host(after), before)


def test_the_result_shares_no_memory_with_the_start():
    A, b = system(2, 5)
    x0 = np.linalg.solve(A, b)
    result = hf.cg(A, b, x0, stop=EXACT)
    assert not np.shares_memory(result.x, x0)
    assert not np.shares_memory(hf.cg(A, b).x, b)


# Products -------------------------------------------------------------------------------------


@pytest.mark.parametrize(("warm", "more"), [(False, 0), (True, 1)])
def test_one_product_an_iteration_and_one_for_a_warm_start(warm, more):
    A, b = system(3, 30)
    counted = Operator(A)
    result = hf.cg(counted, b, np.ones(30) if warm else None, max_iters=7, stop=NEVER)
    assert result.reason is Reason.MAX_ITERATIONS
    assert result.n_iterations == 7
    assert counted.products == result.n_products == 7 + more


def test_one_application_of_the_preconditioner_an_iteration_and_none_after_the_last():
    A, b = system(4, 30)
    M = Operator(np.eye(30))
    hf.cg(A, b, M=M, max_iters=7, stop=NEVER)
    assert M.products == 7


def test_operators_may_be_plain_functions():
    A, b = system(5, 9)
    by_operator = hf.cg(A, b, M=np.eye(9) / 2, stop=EXACT)
    by_function = hf.cg(lambda v: A @ v, b, M=lambda r: np.eye(9) / 2 @ r, stop=EXACT)
    np.testing.assert_array_equal(by_operator.x, by_function.x)


# Preconditioning and warm starts --------------------------------------------------------------


def test_an_exact_preconditioner_needs_one_iteration(backend):
    diagonal = hf.asarray(np.geomspace(1e-3, 1e3, 7))
    b = hf.asarray(np.arange(1.0, 8.0))
    result = hf.cg(lambda v: diagonal * v, b, M=lambda r: r / diagonal, stop=EXACT)
    assert (result.n_iterations, result.reason) == (1, Reason.CONVERGED)
    np.testing.assert_allclose(hf.to_host(diagonal * result.x), hf.to_host(b), rtol=1e-12)


@given(seeds, st.integers(2, 12))
def test_preconditioning_by_CC_is_cg_on_the_system_transformed_by_C(seed, n):
    A, b = system(seed, n)
    C = system(seed + 1, n, high=3.0)[0]
    preconditioned = hf.cg(A, b, M=C @ C.T, max_iters=n // 2, stop=NEVER, record=every)
    transformed = hf.cg(C.T @ A @ C, C.T @ b, max_iters=n // 2, stop=NEVER, record=every)
    for (_, x), (_, y) in zip(preconditioned.iterates, transformed.iterates, strict=True):
        np.testing.assert_allclose(x, C @ y, rtol=0, atol=ROUNDING)
    np.testing.assert_allclose(
        preconditioned.quadratics, transformed.quadratics, rtol=0, atol=ROUNDING
    )


def test_a_start_at_the_solution_needs_no_iteration():
    result = hf.cg(2 * np.eye(3), np.array([2.0, 4.0, 6.0]), np.array([1.0, 2.0, 3.0]))
    assert (result.n_iterations, result.n_products) == (0, 1)
    assert result.reason is Reason.CONVERGED
    assert result.x.tolist() == [1.0, 2.0, 3.0]


# The grid of recorded iterates ----------------------------------------------------------------


def test_the_martens_grid_is_the_ceiling_of_five_times_powers_of_1_3():
    grid = {math.ceil(5 * 1.3**j) for j in range(30)}
    assert [i for i in range(2000) if martens_grid(i)] == sorted(i for i in grid if i < 2000)


def test_iterates_are_those_of_the_grid_and_the_last():
    A, b = system(6, 40, high=1e4)
    result = hf.cg(A, b, max_iters=20, stop=NEVER)
    assert [i for i, _ in result.iterates] == [5, 7, 9, 11, 15, 19, 20]
    assert result.iterates[-1][1] is result.x
    none = hf.cg(A, b, max_iters=20, stop=NEVER, record=lambda i: False)
    assert [i for i, _ in none.iterates] == [20]
    for i, x in result.iterates:
        assert quadratic(A, b, x) == pytest.approx(result.quadratics[i], rel=ROUNDING)


# Stopping -------------------------------------------------------------------------------------


def martens_says_stop(phi, tolerance, min_iterations, fraction):
    """The formula of section 4.4, with phi_0, phi_1, ... up to now."""
    i = len(phi) - 1
    k = max(min_iterations, math.ceil(fraction * i))
    return i > k and phi[i - k] < 0 and (phi[i] - phi[i - k]) / phi[i] < k * tolerance


@given(seeds, st.integers(1, 60), st.integers(1, 12))
def test_relative_progress_is_martens_formula(seed, length, min_iterations):
    rng = np.random.default_rng(seed)
    gains = rng.random(length) * np.geomspace(1, 10.0 ** -rng.integers(0, 8), length)
    phi = (rng.uniform(-10, 1) - np.cumsum(gains)).tolist()
    rule = hf.RelativeProgress(1e-2, min_iterations, 0.3)
    for i in range(1, length + 1):
        stops = rule(phi[:i], []) is Reason.RELATIVE_PROGRESS
        assert stops == martens_says_stop(phi[:i], 1e-2, min_iterations, 0.3)


def test_it_stops_at_the_first_iteration_that_martens_formula_allows():
    A, b = system(7, 60, low=1e-4)
    result = hf.cg(A, b)
    assert result.reason is Reason.RELATIVE_PROGRESS
    would_stop = [
        i for i in range(1, len(result.quadratics))
        if martens_says_stop(result.quadratics[: i + 1], 5e-4, 10, 0.1)
    ]
    assert would_stop == [result.n_iterations]


def test_relative_progress_stops_where_the_quadratic_rises_even_to_zero():
    rule = hf.RelativeProgress(min_iterations=1)
    assert rule([0.0, -1.0, 0.0], []) is Reason.RELATIVE_PROGRESS


def test_your_own_rule_may_stop_it():
    A, b = system(8, 20)
    result = hf.cg(A, b, stop=lambda qs, rs: Reason.CONVERGED if len(qs) > 3 else None)
    assert (result.n_iterations, result.reason) == (3, Reason.CONVERGED)


def test_a_zero_right_hand_side_has_the_solution_zero(backend):
    result = hf.cg(hf.asarray(np.eye(3)), hf.asarray(np.zeros(3)), hf.asarray(np.ones(3)))
    assert (result.reason, result.n_products) == (Reason.ZERO_RHS, 0)
    assert not hf.to_host(result.x).any()


def test_negative_curvature_ends_it_at_the_last_good_iterate(backend):
    A, b = np.diag([1.0, 2.0, -1e-3]), np.array([1.0, 1.0, 1e-3])
    result = hf.cg(hf.asarray(A), hf.asarray(b), stop=NEVER)
    x = hf.to_host(result.x)
    assert result.reason is Reason.NEGATIVE_CURVATURE
    assert 0 < result.n_iterations < result.n_products
    assert quadratic(A, b, x) == pytest.approx(result.quadratics[-1])
    assert hf.cg(hf.asarray(-A), hf.asarray(b)).n_iterations == 0


def test_a_preconditioner_that_is_not_positive_ends_it_likewise():
    result = hf.cg(np.eye(2), np.ones(2), M=lambda r: -r)
    assert (result.reason, result.n_iterations) == (Reason.NEGATIVE_CURVATURE, 0)
    assert not result.x.any()


@pytest.mark.parametrize("poison", [math.nan, math.inf])
@pytest.mark.parametrize("cadence", [1, 3])
@pytest.mark.parametrize("breaks_at", [1, 2, 5])
def test_a_product_that_is_not_finite_leaves_the_best_iterate_so_far(breaks_at, cadence, poison):
    A, b = system(9, 12)
    result = hf.cg(Operator(A, breaks_at, poison), b, stop=NEVER, check_every=cadence)
    good = (breaks_at - 1) // cadence * cadence  # the last iteration looked at before it broke
    assert result.reason is Reason.NON_FINITE
    assert result.n_iterations == good == result.iterates[-1][0]
    assert quadratic(A, b, result.x) == pytest.approx(result.quadratics[-1], rel=ROUNDING)
    if good:
        np.testing.assert_array_equal(result.x, hf.cg(A, b, max_iters=good, stop=NEVER).x)
    else:
        assert not result.x.any()


@pytest.mark.parametrize("cadence", [1, 2, 4])
@pytest.mark.parametrize("breaks_at", [1, 2, 3, 6])
def test_no_kept_iterate_is_from_after_a_product_that_was_not_finite(breaks_at, cadence):
    """Iterates are kept as they are made, and looked at later."""
    A, b = system(9, 12)
    result = hf.cg(Operator(A, breaks_at), b, stop=NEVER, record=every, check_every=cadence)
    kept = [i for i, _ in result.iterates]
    assert kept == [*range(1, result.n_iterations), result.n_iterations]
    assert all(np.isfinite(x).all() for _, x in result.iterates)


@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_nothing_that_is_not_finite_raises_or_gets_into_the_result(bad, backend):
    b, x0 = hf.asarray(np.ones(3)), hf.asarray(np.arange(3.0) + 1)
    A, M = (lambda v: 2 * v), (lambda r: r / 4)
    spoilt = [
        (lambda v: bad * v, b, x0, M),
        (A, bad * b, x0, M),
        (A, b, bad * x0, M),
        (A, b, x0, lambda r: bad * r),
    ]
    for some in spoilt:
        result = hf.cg(*some)
        assert result.reason is Reason.NON_FINITE
        assert np.isfinite(hf.to_host(result.x)).all()


# The cadence ----------------------------------------------------------------------------------


@given(seeds, st.integers(4, 12), st.integers(2, 4))
def test_a_slower_cadence_gives_the_same_iterates(seed, n, cadence):
    A, b = system(seed, n)
    slow = hf.cg(A, b, stop=EXACT, record=every, check_every=cadence, max_iters=n - 1)
    fast = hf.cg(A, b, stop=NEVER, record=every, max_iters=slow.n_iterations)
    assert slow.quadratics == fast.quadratics
    for (i, x), (j, y) in zip(slow.iterates, fast.iterates, strict=True):
        assert i == j
        np.testing.assert_array_equal(x, y)


@pytest.mark.parametrize("cadence", [1, 2, 3, 5])
def test_what_happens_between_two_looks_is_seen_all_the_same(cadence):
    b = np.array([1.0, 2.0])
    solved = hf.cg(2 * np.eye(2), b, check_every=cadence)
    assert (solved.reason, solved.n_iterations) == (Reason.CONVERGED, 1)
    assert solved.x.tolist() == [0.5, 1.0]

    A, b = np.diag([1.0, 2.0, 3.0, -0.5]), np.array([4.0, 3.0, 3.0, 2.0])
    bent = hf.cg(A, b, stop=NEVER, check_every=cadence)
    prompt = hf.cg(A, b, stop=NEVER)
    r = b - A @ prompt.x
    assert r @ A @ r > 0  # steepest descent could go on from there, but CG is over
    assert bent.reason is Reason.NEGATIVE_CURVATURE
    assert bent.quadratics == prompt.quadratics
    np.testing.assert_array_equal(bent.x, prompt.x)


# Memory ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("warm", [False, True])
@pytest.mark.parametrize(("preconditioned", "vectors"), [(False, 7), (True, 8)])
def test_it_takes_as_many_vectors_as_it_says(warm, preconditioned, vectors):
    n = 100_000
    diagonal, b = np.linspace(1.0, 10.0, n), np.ones(n)
    x0 = np.full(n, 0.5) if warm else None
    M = (lambda r: 2 * r) if preconditioned else None
    tracemalloc.start()
    hf.cg(lambda v: diagonal * v, b, x0, M, max_iters=4, stop=NEVER)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert round(peak / b.nbytes, 1) == vectors


# Bad arguments --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"b": np.ones((3, 1))}, r"b has shape \(3, 1\), expected \(3,\)"),
        ({"x0": np.ones(2)}, r"x0 has shape \(2,\), expected \(3,\)"),
        ({"A": np.eye(2)}, r"A has shape \(2, 2\), expected \(3, 3\)"),
        ({"M": np.eye(4)}, r"M has shape \(4, 4\), expected \(3, 3\)"),
        ({"b": np.arange(3)}, "b holds int64, expected floating numbers"),
        ({"max_iters": 0}, "max_iters 0 and check_every 1 must be >= 1"),
        ({"check_every": 0}, "max_iters 250 and check_every 0 must be >= 1"),
    ],
)
def test_bad_arguments_are_refused_in_one_line(arguments, message):
    with pytest.raises(ValueError, match=f"^cg: {message}$"):
        hf.cg(**({"A": np.eye(3), "b": np.ones(3)} | arguments))


def test_the_window_of_martens_rule_rounds_up_in_long_solves():
    """At i = 101 it is 11, where the gain still is; a window of 10 would see none, and stop."""
    quadratics = [-1.0] * 91 + [-100.0] * 11
    assert len(quadratics) - 1 == 101
    assert hf.RelativeProgress(tolerance=0.05)(quadratics, []) is None


def test_a_preconditioner_that_turns_indefinite_in_mid_solve_is_a_reason():
    rng = np.random.default_rng(0)
    A = np.diag(np.arange(1.0, 9.0))
    calls = []

    def M(r):
        calls.append(1)
        return r if len(calls) < 3 else -r

    result = hf.cg(A, rng.standard_normal(8), M=M, stop=hf.RelativeResidual(1e-12))
    assert result.reason is hf.Reason.NEGATIVE_CURVATURE
    assert np.isfinite(result.x).all()
    assert result.quadratics[-1] < 0


def test_an_integer_start_is_refused():
    with pytest.raises(ValueError, match="cg: x0 holds int64, expected floating numbers"):
        hf.cg(np.eye(3), np.ones(3), x0=np.zeros(3, int))
