"""`check_solver` finds out whether a solver is conjugate gradients, and honest about it.

It is given symmetric systems with k distinct eigenvalues between 1 and 100, each m times, so that
n = k m and exact arithmetic would end after k iterations. The rungs:

    contract         shapes, dtypes, b and x0 are not written into, the same call gives the same
                     bits, the result has its fields
    honest           the reported q is 1/2 x'A x - b'x, the reported residual |b - A x| / |b|, of
                     every iterate
    monotone         q never rises
    products         one product per iteration, counted and reported
    termination      after k iterations the residual is rounding
    warm start       x0 counts; from the solution on there is nothing to do
    preconditioner   M = A^-1 ends after one iteration; any M is plain CG on C'A C with M = C C'
    zero             b = 0 gives x = 0, with a reason
    trouble          negative curvature, NaN and infinity give a reason and the last good iterate

Called by users who write a solver of their own, and by tests.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np

from minihf.backend import asarray, to_host
from minihf.solvers import cg
from minihf.testing.cases import plan
from minihf.testing.checks.contract import fits
from minihf.testing.checks.solver_case import Counted, SolverCase
from minihf.testing.failure import Evidence, Finding, Verdict, holds
from minihf.testing.ladder import Rung, calling, climb
from minihf.testing.measure import ADJOINT, EXACT, error_of, norm, same
from minihf.testing.replay import reproducer
from minihf.testing.spd import spd_matrix

__all__ = ["ENDED", "check_solver"]

ENDED = 1e-8     # CG loses orthogonality: up to 1e-9 in 1800 cases of at most 36 unknowns
MOST = 8         # distinct eigenvalues for which that holds
FIELDS = ("x", "iterates", "quadratics", "residuals", "n_products", "reason")


def check_solver(
    solve: Callable[..., Any] = cg,
    sizes: Mapping[str, int] | None = None,
    seed: int = 0,
    cases: int | None = None,
) -> Verdict:
    """Check a solver for symmetric positive definite systems.

    Parameters
    ----------
    solve : callable
        Called as ``solve(A, b, x0=..., M=..., max_iters=..., stop=...)``, as `minihf.cg` is; the
        operators A and M have ``@`` and a `shape`. The result has the fields of a `CGResult`.
    sizes : mapping, optional
        k, the number of distinct eigenvalues, and m, how often each is there.
    seed, cases
        As for `check_op`.

    Returns
    -------
    Verdict

    Raises
    ------
    CheckFailure
        At the first broken rung.
    ValueError
        If k is above 8, where rounding counts.

    Examples
    --------
    >>> import numpy as np, minihf as hf
    >>> from minihf.testing import CheckFailure, check_solver
    >>> check_solver(hf.cg).worst["termination"] < 1e-10
    True
    >>> def rises(A, b, **options):
    ...     result = hf.cg(A, b, **options)
    ...     result.quadratics[:] = [-q for q in result.quadratics]
    ...     return result
    >>> try:
    ...     check_solver(rises)
    ... except CheckFailure as failure:
    ...     print(failure.rung, failure.diagnosis, sep="; ")
    honest; q has the wrong sign
    """
    __tracebackhide__ = True
    if (sizes or {}).get("k", 1) > MOST:
        raise ValueError(
            f"check_solver: k is {(sizes or {})['k']}; with more than {MOST} distinct eigenvalues "
            "rounding keeps even right conjugate gradients from ending after k iterations"
        )
    return climb(
        getattr(solve, "__name__", type(solve).__name__),
        RUNGS,
        lambda case: SolverCase(solve, case),
        plan(("k", "m"), sizes, seed, cases),
        lambda case: reproducer(check_solver, [solve], case),
    )


def _contract(at: SolverCase) -> Iterator[Finding]:
    given = {"A": at.A, "b": at.b, "x0": at.x0}
    arrays = {name: asarray(array.copy()) for name, array in given.items()}

    def run() -> Any:
        with calling("solve(A, b, ...)"):
            return at.solve(
                Counted(arrays["A"]), arrays["b"], x0=arrays["x0"], M=None, max_iters=at.k,
                stop=lambda quadratics, residuals: None,
            )  # fmt: skip

    result = run()
    for name in FIELDS:
        yield holds(f"result.{name}", hasattr(result, name), f"the result has no {name}")
    yield fits("result.x", result.x, (at.n,), np.float64)
    iterates = result.iterates
    for _, x in iterates:
        yield fits("an iterate", x, (at.n,), np.float64)
    numbers = [i for i, _ in iterates]
    yield holds(
        "result.iterates", numbers == sorted(set(numbers)) and len(numbers) > 0,
        f"the recorded iterates have the numbers {numbers}: expected one after another",
    )  # fmt: skip
    yield holds(
        "result.iterates", np.array_equal(to_host(iterates[-1][1]), to_host(result.x)),
        "the last recorded iterate is not x",
    )  # fmt: skip
    lengths = {len(result.quadratics), len(result.residuals), numbers[-1] + 1}
    yield holds(
        "result.quadratics", len(lengths) == 1,
        f"there are {len(result.quadratics)} values of q and {len(result.residuals)} residuals, "
        f"and x is iterate {numbers[-1]}: expected one for each of 0, 1, ..., the last",
    )  # fmt: skip
    yield holds("result.reason", hasattr(result.reason, "name"), "the reason is no enum's member")
    for name, array in given.items():
        why = f"{name} was given, and is written into; work on a copy"
        yield holds(f"{name}, afterwards", np.array_equal(to_host(arrays[name]), array), why)
    kept, again = to_host(result.x).copy(), run()
    yield holds(
        "result.x", np.array_equal(kept, to_host(again.x)),
        "not deterministic: the same call gave other numbers the second time",
    )  # fmt: skip
    at.run(b=-2 * at.b)
    yield holds(
        "result.x", np.array_equal(kept, to_host(result.x)),
        "a later call wrote into this result; return a fresh array, or a copy",
    )  # fmt: skip


def _honest(at: SolverCase) -> Iterator[Finding]:
    longest = at.run()
    runs = [at.run(max_iters=i) for i in range(1, len(longest.quadratics))]
    last = [(run.iterates[-1][0], to_host(run.x)) for run in runs]
    found = np.array([longest.quadratics[i] for i, _ in last])
    right = np.array([at.q(x) for _, x in last])
    yield Finding(
        "q of the iterates", error_of(found, right, norm(right)), EXACT,
        evidence=lambda: Evidence(
            at.case, found, right, "q", "q is always zero", ("iteration",),
            known=lambda found: _known_q(at, found, [x for _, x in last]),
        ),
    )  # fmt: skip
    found_r = np.array([longest.residuals[i] for i, _ in last])
    right_r = np.array([at.residual(x) for _, x in last])
    # |b - A x| is 1 at x = 0 in units of |b|, which is what rounding is measured by
    yield Finding(
        "residuals of the iterates", error_of(found_r, right_r, 1.0), EXACT,
        evidence=lambda: Evidence(
            at.case, found_r, right_r, "the residual", "the residual is always zero",
            ("iteration",), known=lambda found: _known_residual(at, found, right_r),
        ),
    )  # fmt: skip
    for i, x in longest.iterates:
        gap = abs(longest.quadratics[i] - at.q(to_host(x)))
        yield Finding(
            "q of the recorded iterates", gap / abs(at.q(at.right)), EXACT,
            f"iterate {i} of those recorded has not the q that is reported: was it written over?",
        )  # fmt: skip


def _known_q(at: SolverCase, found: np.ndarray, xs: list[np.ndarray]) -> str | None:
    others = {
        "q is that of the iterate before": [0.0, *map(at.q, xs[:-1])],
        "the 1/2 is missing in q: it is x'A x - b'x": [x @ at.A @ x - at.b @ x for x in xs],
        "b'x is missing in q: it is 1/2 x'A x": [0.5 * x @ at.A @ x for x in xs],
    }
    return next((said for said, q in others.items() if same(found, np.array(q))), None)


def _known_residual(at: SolverCase, found: np.ndarray, right: np.ndarray) -> str | None:
    if same(found, right * norm(at.b)):
        return "the residual is not divided by |b|"
    if same(found, right**2):
        return "the residual is squared"
    return None


def _monotone(at: SolverCase) -> Iterator[Finding]:
    q = np.array(at.run().quadratics)
    rise = float(np.diff(q).max(initial=0.0))
    yield Finding(
        "q, from one iteration to the next",
        error_of(np.array(rise), np.array(0.0), abs(at.q(at.right))), ADJOINT,
        f"q rises by {rise:.3g}: alpha is not r'z / p'A p",
    )  # fmt: skip


def _products(at: SolverCase) -> Iterator[Finding]:
    for words, x0, extra in (("", None, 0), (", from x0", at.x0, 1)):
        A = Counted(at.A)
        result = at.run(A, x0=x0)
        iterations = len(result.quadratics) - 1
        yield holds(
            f"products with A{words}", A.products <= iterations + extra,
            f"{A.products} products in {iterations} iterations: there should be one for each"
            + (", and one for x0" if extra else ""),
        )  # fmt: skip
        yield holds(
            f"n_products{words}", result.n_products == A.products,
            f"it reports {result.n_products} products, and made {A.products}",
        )  # fmt: skip


def _termination(at: SolverCase) -> Iterator[Finding]:
    x = to_host(at.run().x)

    def evidence() -> Evidence:
        return Evidence(
            at.case, x, at.right, "x", "x is always zero",
            known=lambda found: _known_x(at, found),
        )  # fmt: skip

    yield Finding(
        "the residual after as many iterations as there are distinct eigenvalues",
        at.residual(x), ENDED, evidence=evidence,
    )  # fmt: skip


def _known_x(at: SolverCase, found: np.ndarray) -> str | None:
    x, r = np.zeros(at.n), at.b
    for _ in range(at.k):
        Ar = at.A @ r
        alpha = r @ r / (r @ Ar) if r.any() else 0.0
        x, r = x + alpha * r, r - alpha * Ar
    return "beta is ignored: it is steepest descent" if same(found, x) else None


def _warm_start(at: SolverCase) -> Iterator[Finding]:
    result = at.run(x0=at.x0)
    x = to_host(result.x)
    cold = np.array_equal(x, to_host(at.run().x)) and result.quadratics[0] == 0
    ignored = "x0 is ignored" if cold else ""
    yield Finding(
        "q at x0", error_of(np.array(result.quadratics[0]), np.array(at.q(at.x0)),
        abs(at.q(at.x0)) + abs(at.q(at.right))), EXACT, ignored or "the first q is not that of x0",
    )  # fmt: skip
    start = at.residual(at.x0)
    yield Finding(
        "the residual at x0", error_of(np.array(result.residuals[0]), np.array(start), start),
        EXACT, "the first residual is not |b - A x0| / |b|",
    )  # fmt: skip
    yield Finding(
        "the residual after k iterations from x0", at.residual(x), ENDED * max(start, 1.0),
        "from x0 it does not come to the solution: r must begin as b - A x0",
    )  # fmt: skip
    whole = 1 + np.round(np.abs(at.x0))         # exact products: r is zero to the last bit
    A = np.diag(np.ceil(at.eigenvalues))
    done = at.run(Counted(A), b=A @ whole, x0=whole)
    yield holds(
        "x, begun at the solution", np.array_equal(to_host(done.x), whole),
        "begun at the solution, it goes away from there: r = 0 must end it before r'r / p'A p",
    )  # fmt: skip
    yield holds(
        "reason, begun at the solution", done.reason.name == "CONVERGED",
        f"begun at the solution, it ends by {done.reason.name}, expected CONVERGED",
    )  # fmt: skip


def _preconditioner(at: SolverCase) -> Iterator[Finding]:
    inverse = np.linalg.inv(at.A)
    x = to_host(at.run(M=Counted((inverse + inverse.T) / 2), max_iters=1).x)
    plain = to_host(at.run(max_iters=1).x)
    ignored = at.k > 1 and np.array_equal(x, plain)
    yield Finding(
        "the residual after one iteration with M = A^-1", at.residual(x), ENDED,
        "M is ignored" if ignored else "M must be applied to the residual: z = M r, and p = z at "
        "first",
    )  # fmt: skip
    C = spd_matrix(1 + at.rng.random(at.n) / 2, np.random.default_rng(at.case.seed))
    for i in range(1, min(at.k, 3) + 1):  # later ones drift apart by rounding, alpha and beta tell
        x = to_host(at.run(M=Counted(C @ C), max_iters=i).x)
        right = C @ to_host(at.run(Counted(C @ at.A @ C), b=C @ at.b, max_iters=i).x)
        yield Finding(
            "the iterates with M = C C'", error_of(x, right, norm(right)), ENDED,
            "with M = C C' it is not plain CG on C'A C y = C'b with x = C y: alpha and beta need "
            "r'z with z = M r, not r'r",
        )  # fmt: skip


def _zero(at: SolverCase) -> Iterator[Finding]:
    for words, x0 in (("", None), (", from x0", at.x0)):
        result = at.run(b=np.zeros(at.n), x0=x0)
        yield holds(
            f"x for b = 0{words}", not to_host(result.x).any(),
            "for b = 0 the solution is zero, and x is not",
        )  # fmt: skip
        yield holds(
            f"reason for b = 0{words}", result.reason.name == "ZERO_RHS",
            f"for b = 0 it ends by {result.reason.name}, expected ZERO_RHS",
        )  # fmt: skip


def _trouble(at: SolverCase) -> Iterator[Finding]:
    values = at.eigenvalues.copy()
    values[-1] *= -1
    indefinite = spd_matrix(values, np.random.default_rng(at.case.seed))
    n = at.n
    systems: list[tuple[str, Callable[[], Counted], np.ndarray, str]] = [
        ("a negative eigenvalue", lambda: Counted(indefinite), at.b, "NEGATIVE_CURVATURE"),
        ("NaN in the first product", lambda: Counted(at.A, 1), at.b, "NON_FINITE"),
        ("infinity in the last product", lambda: Counted(at.A, at.k, np.inf), at.b, "NON_FINITE"),
        ("NaN in b", lambda: Counted(at.A), np.where(np.arange(n) == 0, np.nan, at.b),
         "NON_FINITE"),
    ]  # fmt: skip
    for words, make, b, name in systems:
        with np.errstate(all="ignore"):  # what the operator makes of it is not the solver's fault
            result = at.run(make(), b=b, max_iters=at.k + n)
        x, reason = to_host(result.x), result.reason.name
        yield holds(
            f"x, with {words}", np.isfinite(x).all(), f"with {words}, x is not finite: return the "
            "last good iterate",
        )  # fmt: skip
        yield holds(
            f"reason, with {words}", reason == name, f"with {words} it ends by {reason}, expected "
            f"{name}",
        )  # fmt: skip
        done = len(result.quadratics) - 1
        good = np.zeros(n)
        if done:
            good = to_host(at.run(make(), b=b, max_iters=done).x)
        yield Finding(
            f"x, with {words}", error_of(x, good, norm(good)), EXACT,
            f"with {words}, x is not the last good iterate, which is number {done}",
        )  # fmt: skip




RUNGS = (
    Rung("contract", "shapes, dtypes, the same bits again, nothing written into", _contract),
    Rung("honest", "q and the residuals are what they are said to be", _honest),
    Rung("monotone", "q never rises", _monotone),
    Rung("products", "one product per iteration", _products),
    Rung("termination", "k distinct eigenvalues take k iterations", _termination),
    Rung("warm start", "x0 counts, and the solution stays", _warm_start),
    Rung("preconditioner", "M makes it CG on the transformed system", _preconditioner),
    Rung("zero", "b = 0 gives 0 and a reason", _zero),
    Rung("trouble", "what goes wrong is a reason, and x the last good iterate", _trouble),
)
"""What is climbed, in this order."""
