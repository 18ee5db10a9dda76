"""`check_operator` finds out whether something that is only ever multiplied with is a matrix.

The rungs, from the weakest to the strongest:

    contract       A @ v has the right shape and dtype, v is not written into, earlier results stay,
                   the same product gives the same bits
    linearity      A (v + a w) = A v + a A w, and A 0 is exactly 0
    symmetry       <w, A v> = <A w, v>
    psd            v'A v >= 0, and no eigenvalue of a small operator is negative
    dense          A is the matrix that it is said to be

All limits are relative to the sizes of the vectors in them, and grow with the dtype's epsilon: for
float64 they are 1e-12 and, for the dense matrix, 1e-10.

Called by users, by `check_ggn` and by tests.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from minihf.backend import Array, asarray, to_host
from minihf.testing.cases import Case, plan
from minihf.testing.checks.contract import Call, keeps
from minihf.testing.derivatives import EPS
from minihf.testing.failure import Evidence, Finding, Verdict, holds
from minihf.testing.ladder import Rung, calling, climb
from minihf.testing.measure import ADJOINT, EXACT, SAME, error_of, norm
from minihf.testing.replay import reproducer

__all__ = ["RUNGS", "OperatorCase", "check_operator", "wrong_places"]

STEPS = 40  # of Lanczos, where there are more columns: outliers show first
LANCZOS = 1e-10  # a Ritz value is good to that, next to the largest
SMALLEST = 1e-12  # of a new Lanczos vector: below, the space is exhausted
SMALL = 64  # columns up to which an operator is written down to look at all eigenvalues


def check_operator(
    A: Any,
    dense: Any = None,
    symmetric: bool = True,
    psd: bool = True,
    n: int | None = None,
    seed: int = 0,
) -> Verdict:
    """Check an operator: linear, symmetric, positive semi-definite, and the matrix it should be.

    Parameters
    ----------
    A : operator or callable
        ``A @ v`` with a `shape`, of NumPy, SciPy or this library; or a function ``A(v)`` with `n`.
        Where it has a floating `dtype`, that is asked of it, else float64.
    dense : array, shape (m, n), optional
        The matrix that A should be.
    symmetric, psd : bool
        What A should be. A positive semi-definite operator is symmetric, so that
        ``symmetric=False`` leaves out both.
    n : int, optional
        Length of v, for a function.
    seed : int
        Of the first vectors.

    Returns
    -------
    Verdict

    Raises
    ------
    CheckFailure
        At the first broken rung.
    ValueError
        If the length of v is unknown, or `dense` does not fit.

    Examples
    --------
    >>> import numpy as np
    >>> from minihf.testing import CheckFailure, check_operator
    >>> A = np.array([[2.0, 1.0], [1.0, 2.0]])
    >>> check_operator(A, dense=A).worst["dense"]
    0.0
    >>> try:
    ...     check_operator(A - 2 * np.eye(2))
    ... except CheckFailure as failure:
    ...     print(failure.rung, failure.diagnosis, sep="; ")
    psd; an eigenvalue is negative: -1 next to 1
    """
    __tracebackhide__ = True
    wanted = {"symmetry": symmetric, "psd": symmetric and psd, "dense": dense is not None}
    shape = _shape_of(A, n)
    if dense is not None and tuple(np.shape(to_host(dense))) != shape:
        raise ValueError(
            f"check_operator: dense has shape {np.shape(to_host(dense))}, the operator {shape}"
        )
    if dense is not None and not np.isfinite(to_host(dense)).all():
        raise ValueError("check_operator: dense holds NaN or infinity: nothing can be like it")
    usual = {"symmetric": (True, symmetric), "psd": (True, psd), "n": (None, n)}
    options = {name: value for name, (default, value) in usual.items() if value != default}
    return climb(
        type(A).__name__ if hasattr(A, "__matmul__") else getattr(A, "__name__", "A"),
        [rung for rung in RUNGS if wanted.get(rung.name, True)],
        lambda case: OperatorCase(A, case, shape, dense),
        plan((), seed=seed),
        lambda case: "" if dense is not None else reproducer(check_operator, [A], case, **options),
    )


def _shape_of(A: Any, n: int | None) -> tuple[int, int]:
    found = tuple(getattr(A, "shape", () if n is None else (n, n)))
    if len(found) != 2 or (n is not None and found[1] != n):
        raise ValueError(
            f"check_operator: the operator has shape {found or 'unknown'}, n is {n}; "
            "it needs a shape (m, n), or n for a function of v"
        )
    return found[0], found[1]


class OperatorCase:
    """An operator with two vectors v and w, and perhaps the matrix that it should be."""

    def __init__(
        self, A: Any, case: Case, shape: tuple[int, int] | None = None, dense: Any = None,
        name: str = "A",
    ) -> None:  # fmt: skip
        self.A, self.case, self.name = A, case, name
        self.shape = _shape_of(A, None) if shape is None else shape
        self.right = None if dense is None else np.asarray(to_host(dense), np.float64)
        dtype = np.dtype(getattr(A, "dtype", None) or np.float64)
        self.dtype = dtype if dtype.kind == "f" else np.dtype(np.float64)
        self.precision = float(np.finfo(self.dtype).eps) / EPS
        rng = case.rng()
        self.v, self.w = (self.vector(rng.standard_normal(self.shape[1])) for _ in range(2))

    def vector(self, x: np.ndarray) -> Array:
        """Bring a vector to where the operator computes: NumPy's and SciPy's stay on the host."""
        of_the_host = type(self.A).__module__.split(".")[0] in ("numpy", "scipy")
        return x.astype(self.dtype) if of_the_host else asarray(x, dtype=self.dtype)

    def __call__(self, v: Array) -> Array:
        """Multiply."""
        with calling(f"{self.name} @ v"):
            return self.A @ v if hasattr(self.A, "__matmul__") else self.A(v)

    def product(self, v: Array) -> np.ndarray:
        """Multiply, and bring the result down in float64."""
        return np.asarray(to_host(self(v)), np.float64)

    def columns(self) -> np.ndarray:
        """Write the operator down."""
        return np.stack([self.product(self.vector(e)) for e in np.eye(self.shape[1])], axis=1)


def _contract(at: OperatorCase) -> Iterator[Finding]:
    call = Call(f"{at.name} @ v", lambda: at(at.v), at.shape[:1], at.dtype, lambda: at(at.w))
    yield from keeps([call], {"v": at.v})
    finite = bool(np.isfinite(at.product(at.v)).all())
    yield holds(f"{at.name} @ v", finite, f"{at.name} v is not finite, for a finite v")


def _linearity(at: OperatorCase) -> Iterator[Finding]:
    a, A = 1.5, at.name
    Av, Aw, both = (at.product(x) for x in (at.v, at.w, at.v + a * at.w))
    error = error_of(both, Av + a * Aw, norm(Av) + a * norm(Aw))
    yield Finding(f"{A} (v + a w)", error, ADJOINT * at.precision, f"{A} is not linear")
    yield holds(
        f"{A} @ zeros", not at.product(0 * at.v).any(),
        f"{A} is not linear: zeros give something else than zeros",
    )  # fmt: skip


def _symmetry(at: OperatorCase) -> Iterator[Finding]:
    m, n = at.shape
    yield holds("shape", m == n, f"{at.name} has shape {at.shape}: a symmetric matrix is square")
    v, w = (np.asarray(to_host(x), np.float64) for x in (at.v, at.w))
    Av, Aw = at.product(at.v), at.product(at.w)
    gap, scale = abs(float(w @ Av - Aw @ v)), norm(w) * norm(Av) + norm(Aw) * norm(v)
    error = gap / scale if scale else 0.0
    broken = not error <= ADJOINT * at.precision
    why = _where_not_symmetric(at) if broken and n <= SMALL else f"{at.name} is not symmetric"
    where = "<w, A v> against <A w, v>".replace("A", at.name)
    yield Finding(where, error, ADJOINT * at.precision, why)


def _where_not_symmetric(at: OperatorCase) -> str:
    A = at.columns()
    i, j = np.unravel_index(np.abs(A - A.T).argmax(), A.shape)
    return (
        f"{at.name} is not symmetric: entry ({i}, {j}) is {A[i, j]:.6g}, "
        f"entry ({j}, {i}) is {A[j, i]:.6g}"
    )


def _psd(at: OperatorCase) -> Iterator[Finding]:
    limit = ADJOINT * at.precision
    if at.shape[0] <= SMALL:
        A = at.columns()
        values = np.linalg.eigvalsh((A + A.T) / 2)
        low, high = float(values[0]), float(values[-1])
        largest = max(abs(low), abs(high))
        sign = ""
        if high <= limit * largest:
            sign = f", and none is positive: {at.name} has the wrong sign"
        yield Finding(
            "the lowest eigenvalue", error_of(np.array(min(low, 0.0)), np.array(0.0), largest),
            limit, f"an eigenvalue is negative: {low:.3g} next to {high:.3g}{sign}",
        )  # fmt: skip
    else:
        low, high = _extreme_eigenvalues(at)
        largest = max(abs(low), abs(high))
        yield Finding(
            "the lowest eigenvalue, by Lanczos",
            error_of(np.array(min(low, 0.0)), np.array(0.0), largest), max(limit, LANCZOS),
            f"an eigenvalue is negative: {low:.3g} next to {high:.3g}",
        )  # fmt: skip
    for x in (at.v, at.w):
        v, Av = np.asarray(to_host(x), np.float64), at.product(x)
        form, scale = float(v @ Av), norm(v) * norm(Av)
        yield Finding(
            f"v'{at.name} v", error_of(np.array(min(form, 0.0)), np.array(0.0), scale), limit,
            f"v'A v is negative: {form:.3g}, with |v| |A v| = {scale:.3g}",
        )  # fmt: skip


def _extreme_eigenvalues(at: OperatorCase) -> tuple[float, float]:
    """Return the lowest and the highest of Lanczos' Ritz values: bounds from inside."""
    n = at.shape[0]
    q = np.asarray(to_host(at.v), np.float64)
    Q = [q / norm(q)]
    for _ in range(min(n, STEPS) - 1):
        r = at.product(at.vector(Q[-1]))
        for _ in range(2):                              # twice is enough to stay orthogonal
            r = r - sum((p @ r) * p for p in Q)
        if norm(r) <= SMALLEST * n:
            break
        Q.append(r / norm(r))
    basis = np.stack(Q)
    AQ = np.stack([at.product(at.vector(q)) for q in Q])
    values = np.linalg.eigvalsh((basis @ AQ.T + AQ @ basis.T) / 2)
    return float(values[0]), float(values[-1])


def _dense(at: OperatorCase) -> Iterator[Finding]:
    matrix = np.asarray(at.right)

    def evidence() -> Evidence:
        return Evidence(
            at.case, at.columns(), matrix, "A", "A is always zero", ("row", "column"),
            known=lambda found: wrong_places(found, matrix),
        )  # fmt: skip

    for x in (at.v, at.w):
        found, right = at.product(x), matrix @ np.asarray(to_host(x), np.float64)
        error = error_of(found, right, norm(right))
        yield Finding("A @ v", error, EXACT * at.precision, evidence=evidence)


def wrong_places(found: np.ndarray, right: np.ndarray) -> str | None:
    """Say where a matrix is wrong, if that is in one row or column, or on the diagonal or off it.

    A mistake that is everywhere is no matter of places: None.
    """
    wrong = np.abs(found - right) > SAME * np.abs(right).max(initial=0.0)
    places = [(int(i), int(j)) for i, j in np.argwhere(wrong)]
    rows, columns = ({place[axis] for place in places} for axis in (0, 1))
    if not places or min(found.shape) < 2:
        return None
    if len(places) <= 2:
        return f"what is wrong in it: {', '.join(map(str, places))}"
    if len(columns) == 1:
        return f"column {columns.pop()} is wrong"
    if len(rows) == 1:
        return f"row {rows.pop()} is wrong"
    if all(i == j for i, j in places):
        return "only the diagonal is wrong"
    if all(i != j for i, j in places) and not (found - np.diag(np.diag(found))).any():
        return "only the diagonal is there"
    crosses = [k for k in sorted(rows & columns) if all(k in place for place in places)]
    return f"row and column {crosses[0]} are wrong" if crosses and len(rows) > 2 else None



RUNGS = (
    Rung("contract", "shape, dtype, the same bits again, nothing written into", _contract),
    Rung("linearity", "A is linear, and exactly 0 for 0", _linearity),
    Rung("symmetry", "A is symmetric", _symmetry),
    Rung("psd", "A has no negative eigenvalue", _psd),
    Rung("dense", "A is the dense matrix", _dense),
)
"""What is climbed, in this order."""
