"""`check_solver` passes what is right, and says what is wrong."""

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest

import minihf as hf
from minihf.testing import CheckFailure, check_solver, replay, spd_matrix

RUNGS = [
    "contract", "honest", "monotone", "products", "termination", "warm start", "preconditioner",
    "zero", "trouble",
]  # fmt: skip


def failure_of(solve):
    with pytest.raises(CheckFailure) as caught:
        check_solver(solve)
    return caught.value


# What is right is not accused


@pytest.mark.usefixtures("backend")
def test_the_solver_of_the_library_is_right():
    verdict = check_solver()
    assert list(verdict.worst) == RUNGS
    assert verdict.worst["honest"] < 1e-13


@pytest.mark.parametrize("sizes", [{"k": 1, "m": 1}, {"k": 1, "m": 5}, {"k": 6, "m": 1}])
def test_all_sizes_will_do(sizes):
    assert check_solver(sizes=sizes).cases == 1


def test_the_matrix_has_the_spectrum_that_was_asked_for():
    values = np.array([-2.0, 0.0, 1e-3, 5.0])
    A = spd_matrix(values, np.random.default_rng(0))
    assert np.array_equal(A, A.T)
    np.testing.assert_allclose(np.linalg.eigvalsh(A), values, rtol=0, atol=1e-14)
    assert np.abs(A - np.diag(np.diag(A))).max() > 0.1
    with pytest.raises(ValueError, match="got no eigenvalues"):
        spd_matrix([], np.random.default_rng(0))


# What is wrong is found, and named


def plain(
    A, b, x0=None, M=None, max_iters=250, stop=None, alpha=1.0, beta=lambda new, old: new / old,
    precondition=lambda M, r: r if M is None else M @ r, start=lambda b, Ax: b - Ax,
):  # fmt: skip
    """Conjugate gradients as on a blackboard, with places to go wrong; it knows no trouble."""
    x = np.zeros_like(b) if x0 is None else x0.copy()
    r = b.copy() if x0 is None else start(b, A @ x)
    products, norm = int(x0 is not None), np.linalg.norm(b)
    q, residuals, iterates = [-0.5 * x @ (b + r)], [np.linalg.norm(r) / norm], []
    z = precondition(M, r)
    p, rz = z.copy(), r @ z
    for i in range(1, max_iters + 1):
        if rz == 0:
            break
        Ap = A @ p
        products += 1
        step = alpha * rz / (p @ Ap)
        x, r = x + step * p, r - step * Ap
        z = precondition(M, r)
        rz, old = r @ z, rz
        p = z + beta(rz, old) * p
        q.append(-0.5 * x @ (b + r))
        residuals.append(np.linalg.norm(r) / norm)
        iterates.append((i, x))
    reason = hf.Reason.CONVERGED if rz == 0 else hf.Reason.MAX_ITERATIONS
    return SimpleNamespace(
        x=x, iterates=iterates[-1:] or [(0, x)], quadratics=q, residuals=residuals,
        n_products=products, reason=reason,
    )  # fmt: skip


def spoilt(**changes):
    """A right result, but for these fields: functions of it."""

    def solve(A, b, **options):
        result = hf.cg(A, b, **options)
        return replace(result, **{name: change(result) for name, change in changes.items()})

    return solve


def writes_b(A, b, **options):
    result = hf.cg(A, b, **options)
    b += 1
    return result


def writes_x0(A, b, x0=None, **options):
    result = hf.cg(A, b, x0=x0, **options)
    if x0 is not None:
        x0[:] = result.x
    return result


def reuses(A, b, **options):
    result = hf.cg(A, b, **options)
    work = WORK.setdefault(b.size, np.empty(b.size))
    work[:] = result.x
    return replace(result, x=work, iterates=[(result.n_iterations, work)])


WORK = {}


def forgets_fields(A, b, **options):
    return SimpleNamespace(x=hf.cg(A, b, **options).x)


def one_iterate_array(A, b, **options):
    """Records the same array again and again."""
    result = hf.cg(A, b, record=lambda i: True, **options)
    return replace(result, iterates=[(i, result.x) for i, _ in result.iterates])


def looks_twice(A, b, **options):
    A @ b
    return hf.cg(A, b, **options)


def uncounted(A, b, **options):
    result = hf.cg(A, b, **options)
    A @ b
    return replace(result, n_products=result.n_products + 1)


def no_x0(A, b, x0=None, **options):
    return hf.cg(A, b, **options)


def no_M(A, b, M=None, **options):
    return hf.cg(A, b, **options)


def M_twice(A, b, M=None, **options):
    twice = None if M is None else lambda v: M @ (M @ v)
    return hf.cg(A, b, M=twice, **options)


def no_zero(A, b, **options):
    if not b.any():
        return replace(hf.cg(A, b + 1, **options), reason=hf.Reason.ZERO_RHS)
    return hf.cg(A, b, **options)


def other_reason(A, b, **options):
    result = hf.cg(A, b, **options)
    return result if b.any() else replace(result, reason=hf.Reason.CONVERGED)


def raises(A, b, **options):
    result = hf.cg(A, b, **options)
    if result.reason is hf.Reason.NON_FINITE:
        raise FloatingPointError("NaN")
    return result


def goes_on(A, b, **options):
    """Returns what comes after the last good iterate."""
    result = hf.cg(A, b, **options)
    if result.reason is not hf.Reason.NEGATIVE_CURVATURE:
        return result
    x = result.x + b
    return replace(result, x=x, iterates=[*result.iterates[:-1], (result.n_iterations, x)])


def guarded(solve):
    """`plain` knows no zero right-hand side and no trouble: lend it what it lacks."""

    def guarded_solve(A, b, x0=None, M=None, **options):
        if not np.isfinite(b).all() or not b.any():
            return hf.cg(A, b, x0=x0, M=M, **options)
        return solve(A, b, x0=x0, M=M, **options)

    return guarded_solve


def blackboard(**changes):
    return guarded(lambda A, b, **options: plain(A, b, **options, **changes))


WRONG = {
    "forgets fields": (forgets_fields, "contract", "the result has no iterates"),
    "x of float32": (
        spoilt(x=lambda r: r.x.astype(np.float32)), "contract", "float64 came in, float32 came out"
    ),
    "x is another": (
        spoilt(x=lambda r: r.x + 1), "contract", "the last recorded iterate is not x"
    ),
    "one q missing": (
        spoilt(quadratics=lambda r: r.quadratics[1:]), "contract", "expected one for each of 0, 1"
    ),
    "a word as reason": (spoilt(reason=lambda r: "done"), "contract", "no enum's member"),
    "writes b": (writes_b, "contract", "b was given, and is written into"),
    "writes x0": (writes_x0, "contract", "x0 was given, and is written into"),
    "reuses": (reuses, "contract", "a later call wrote into this result"),
    "q without half": (
        spoilt(quadratics=lambda r: [2 * q for q in r.quadratics]), "honest", "off by a factor of 2"
    ),
    "q with a sign": (
        spoilt(quadratics=lambda r: [-q for q in r.quadratics]), "honest", "q has the wrong sign"
    ),
    "q late": (
        spoilt(quadratics=lambda r: r.quadratics[:1] + r.quadratics[:-1]), "honest",
        "q is that of the iterate before",
    ),
    "residual squared": (
        spoilt(residuals=lambda r: [s * s for s in r.residuals]), "honest",
        "the residual is squared",
    ),
    "one iterate": (one_iterate_array, "honest", "was it written over?"),
    "alpha too long": (blackboard(alpha=2.5), "monotone", "alpha is not r'z / p'A p"),
    "looks twice": (looks_twice, "products", "there should be one for each"),
    "uncounted": (uncounted, "products", "there should be one for each"),
    "miscounted": (
        spoilt(n_products=lambda r: r.n_products - 1), "products", "products, and made"
    ),
    "no beta": (
        blackboard(beta=lambda new, old: 0.0), "termination", "beta is ignored: it is steepest"
    ),
    "half of beta": (blackboard(beta=lambda new, old: 0.5 * new / old), "termination", ""),
    "alpha too short": (blackboard(alpha=0.5), "termination", ""),
    "no x0": (no_x0, "warm start", "x0 is ignored"),
    "r is b": (blackboard(start=lambda b, Ax: b.copy()), "warm start", "not that of x0"),
    "no M": (no_M, "preconditioner", "M is ignored"),
    "M twice": (M_twice, "preconditioner", "z = M r"),
    "zero is not zero": (no_zero, "zero", "for b = 0 the solution is zero, and x is not"),
    "zero by name": (other_reason, "zero", "it ends by CONVERGED, expected ZERO_RHS"),
    "raises": (raises, "trouble", "it raised FloatingPointError: NaN"),
    "goes on": (goes_on, "trouble", "x is not the last good iterate, which is number"),
    "knows no trouble": (blackboard(), "trouble", ""),
}  # fmt: skip


@pytest.mark.parametrize("name", WRONG)
def test_a_wrong_solver_is_found_at_its_rung_and_named(name):
    solve, rung, diagnosis = WRONG[name]
    said = failure_of(solve)
    assert said.rung == rung
    assert diagnosis in said.diagnosis


def test_every_rung_has_something_that_breaks_it():
    assert {rung for _, rung, _ in WRONG.values()} == set(RUNGS)


def test_the_case_is_as_small_as_it_goes_and_can_be_run_again():
    said = failure_of(no_M)
    assert said.case.sizes == {"k": 2, "m": 1}
    with pytest.raises(CheckFailure, match="M is ignored"):
        replay(said.reproducer)


def test_so_many_eigenvalues_that_rounding_counts_are_refused():
    assert check_solver(hf.cg, sizes={"k": 8, "m": 2}).cases == 1
    with pytest.raises(ValueError, match="k is 9; with more than 8 distinct eigenvalues"):
        check_solver(hf.cg, sizes={"k": 9, "m": 1})
