"""Conjugate gradients on A x = b, for operators that are only known by their products.

CG minimises the quadratic  q(x) = 1/2 x' A x - b' x  over a growing subspace. This one is made for
Hessian-free optimization: it stops by Martens' rule on the progress of q rather than on the
residual, keeps iterates on a geometric grid for backtracking, and never raises in mid-training:
every way to end is a `Reason`.

    p = z = M r;  per iteration:  Ap = A p                              one product
                                  alpha = r'z / p'Ap
                                  x += alpha p,  r -= alpha Ap
                                  q = -1/2 x' (b + r)                   free: no extra product
                                  z = M r,  beta = new r'z / old r'z,  p = z + beta p

M. R. Hestenes & E. Stiefel (1952); J. Martens, "Deep learning via Hessian-free optimization", ICML
2010, sections 4.4 and 4.6. Called by the optimizers.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import Enum
from numbers import Real
from typing import Any

import numpy as np

from minihf.backend import Array, array_module, to_host
from minihf.fused import fused

__all__ = [
    "CGResult",
    "Reason",
    "RelativeProgress",
    "RelativeResidual",
    "cg",
    "every_iterate",
    "martens_grid",
]


class Reason(Enum):
    """Why a solver stopped."""

    CONVERGED = "the residual is below its tolerance"
    RELATIVE_PROGRESS = "the quadratic hardly falls any more"
    MAX_ITERATIONS = "the iteration cap was reached"
    NEGATIVE_CURVATURE = "a direction with p'Ap <= 0 (or r'Mr <= 0) was found"
    NOT_POSITIVE_DEFINITE = "the matrix has no Cholesky factors, to rounding"
    ZERO_RHS = "b is zero, or its square underflows to zero; the solution is taken as zero"
    NON_FINITE = "a NaN or an infinity came up"


@dataclass(frozen=True)
class CGResult:
    """What a solver found.

    Attributes
    ----------
    x : array, shape (n,)
        The last iterate before anything went wrong.
    iterates : list of (int, array)
        The recorded iterates with their iteration numbers, in order; the last is `x`.
    quadratics : list of float
        q after 0, 1, 2, ... iterations.
    residuals : list of float
        |b - A x| / |b| likewise, by CG's own recurrence.
    n_products : int
        Products with A: one per iteration begun, and one for a warm start.
    reason : Reason
    """

    x: Array
    iterates: list[tuple[int, Array]]
    quadratics: list[float]
    residuals: list[float]
    n_products: int
    reason: Reason

    @property
    def n_iterations(self) -> int:
        """Iterations that moved x."""
        return len(self.quadratics) - 1


@dataclass(frozen=True)
class RelativeProgress:
    """Martens' rule: stop once the last k iterations gained less than k times `tolerance`.

    At iteration i, with k = max(min_iterations, ceil(fraction i)): stop if i > k, q_{i-k} < 0 and
    (q_{i-k} - q_i) / -q_i < k tolerance. Martens 2010, section 4.4 (k = max(10, 0.1 i), 5e-4).
    """

    tolerance: float = 5e-4
    min_iterations: int = 10
    fraction: float = 0.1

    def __post_init__(self) -> None:
        for name in ("tolerance", "min_iterations", "fraction"):
            _must_not_be_negative(self, name)

    def __call__(self, quadratics: Sequence[float], residuals: Sequence[float]) -> Reason | None:
        """Return a reason to stop, or None."""
        i = len(quadratics) - 1
        k = max(self.min_iterations, math.ceil(self.fraction * i))
        if i <= k or not quadratics[i - k] < 0:
            return None
        gain = quadratics[i - k] - quadratics[i]
        return Reason.RELATIVE_PROGRESS if gain < k * self.tolerance * abs(quadratics[i]) else None


@dataclass(frozen=True)
class RelativeResidual:
    """Stop once |b - A x| <= rtol |b|."""

    rtol: float = 1e-5

    def __post_init__(self) -> None:
        _must_not_be_negative(self, "rtol")

    def __call__(self, quadratics: Sequence[float], residuals: Sequence[float]) -> Reason | None:
        """Return a reason to stop, or None."""
        return Reason.CONVERGED if residuals[-1] <= self.rtol else None


def _must_not_be_negative(rule: Any, name: str) -> None:
    value = getattr(rule, name)
    for end in getattr(value, "ends", (value,)):  # a schedule of `minihf.optim` has two
        if not (isinstance(end, Real) and 0 <= float(end) < math.inf):
            raise ValueError(f"{type(rule).__name__}: {name} must be 0 or more, got {value!r}")


def martens_grid(i: int) -> bool:
    """Tell whether iteration i is kept: i = ceil(5 * 1.3^j) for some j (Martens 2010, 4.6)."""
    if i < 5:
        return False
    j = round(math.log(i / 5, 1.3))
    return any(math.ceil(5 * 1.3**m) == i for m in (j - 1, j, j + 1) if m >= 0)


def every_iterate(i: int) -> bool:
    """Tell that iteration i is kept, whatever i: for a solver of few iterations."""
    return True


def cg(
    A: Any,
    b: Array,
    x0: Array | None = None,
    M: Any = None,
    max_iters: int = 250,
    stop: Callable[[Sequence[float], Sequence[float]], Reason | None] | None = None,
    record: Callable[[int], bool] = martens_grid,
    check_every: int = 1,
) -> CGResult:
    """Solve A x = b approximately, for a symmetric positive (semi-)definite operator A.

    Parameters
    ----------
    A : operator or callable
        ``A @ v``, or ``A(v)``, of shape (n,).
    b : array, shape (n,)
    x0 : array, shape (n,), optional
        Warm start; costs one product more. Without it, CG starts at zero.
    M : operator or callable, optional
        Preconditioner: ``M @ r`` approximates the inverse of A applied to r, as in SciPy.
    max_iters : int
    stop : callable of (quadratics, residuals), optional
        `RelativeProgress` (the default), `RelativeResidual`, or your own: a `Reason` or None.
    record : callable of int
        Which iterates to keep beside the last; `martens_grid` keeps 5, 7, 9, 11, 15, ...,
        `every_iterate` all.
    check_every : int
        Iterations between two looks at the scalars. A look is all that a device is waited for, and
        one transfer, beside one for |b| and, with a warm start, one for where that is; with a
        larger cadence CG may run up to ``check_every - 1`` iterations longer than the rule asks.

    Returns
    -------
    CGResult

    Raises
    ------
    ValueError
        If the shapes do not fit, b holds no floating numbers, or `max_iters` or `check_every` is
        below 1. Trouble in mid-solve is no exception but a `Reason`.

    Notes
    -----
    One product and one application of M per iteration. Memory, beside what the caller holds and
    what A and M take for themselves: seven vectors, with a preconditioner eight (three of them hold
    x: the current one, the last one known good, and the next), and the recorded iterates, about
    log(max_iters / 5) / log(1.3) more. After non-positive curvature the result is the last iterate
    before it, after a non-finite number the one of the last look before; the worst case is x = 0.

    Examples
    --------
    >>> import numpy as np, minihf as hf
    >>> A = np.array([[4.0, 1.0], [1.0, 3.0]])
    >>> result = hf.cg(A, np.array([1.0, 2.0]), stop=hf.RelativeResidual(rtol=1e-10))
    >>> result.x.round(4), result.n_products, result.reason.name
    (array([0.0909, 0.6364]), 2, 'CONVERGED')
    """
    if max_iters < 1 or check_every < 1:
        raise ValueError(f"cg: max_iters {max_iters} and check_every {check_every} must be >= 1")
    _must_fit(A, b, x0, M)
    stop = RelativeProgress() if stop is None else stop
    apply_A, apply_M = _as_function(A), _as_function(M)
    xp = array_module(b)

    b_norm = math.sqrt(float(to_host(xp.vdot(b, b))))
    if b_norm == 0 or not math.isfinite(b_norm):
        reason = Reason.ZERO_RHS if b_norm == 0 else Reason.NON_FINITE
        return _at_zero(b, b_norm, 0, reason)

    if x0 is None:
        x, r, n_products = xp.zeros_like(b), b.copy(), 0
        quadratics, residuals = [0.0], [1.0]
    else:
        x, n_products = x0.copy(), 1
        r = b - apply_A(x)
        rr = xp.vdot(r, r)
        start = _look(xp, x, b, r, rr, xp.ones_like(rr))
        quadratics, residuals, fault = _scalars(xp, [start], b_norm)
        if fault is not None:
            return _at_zero(b, 1.0, n_products, Reason.NON_FINITE)
    if residuals[0] == 0:
        return CGResult(x, [(0, x)], quadratics, residuals, n_products, Reason.CONVERGED)

    z = apply_M(r)
    p = z.copy()
    rz = xp.vdot(r, z)
    sound = xp.ones_like(rz)
    good, scratch = x, xp.empty_like(b)
    buffers = [x, xp.empty_like(b), xp.empty_like(b)]
    iterates: list[tuple[int, Array]] = []
    unseen: list[Array] = []  # scalars that are still on the device
    reason = Reason.MAX_ITERATIONS

    for i in range(1, max_iters + 1):
        Ap = apply_A(p)
        n_products += 1
        pAp = xp.vdot(p, Ap)
        with np.errstate(all="ignore"):  # a zero or a NaN here becomes a reason
            sound, alpha = _length(sound, rz, pAp)
            x_before, x = x, _spare(buffers, x, good)
            _move(alpha, p, Ap, x_before, x, r, scratch)
            del Ap  # before M r and the next A p want room
            rr = xp.vdot(r, r)
            unseen.append(_look(xp, x, b, r, rr, sound, scratch))
            if i < max_iters:  # after the last one no direction is wanted
                z = apply_M(r)
                rz, rz_before = rr if z is r else xp.vdot(r, z), rz
                _turn(sound, rz, rz_before, z, p)
        if record(i):
            iterates.append((i, x.copy()))
        if i % check_every == 0 or i == max_iters:
            qs, rs, fault = _scalars(xp, unseen, b_norm)
            unseen.clear()
            quadratics += qs
            residuals += rs
            if fault is not Reason.NON_FINITE:
                good = x
            found = Reason.CONVERGED if residuals[-1] == 0 else fault or stop(quadratics, residuals)
            if found is not None:
                reason = found
                break

    n = len(quadratics) - 1
    iterates = [(i, iterate) for i, iterate in iterates if i < n]
    return CGResult(good, [*iterates, (n, good)], quadratics, residuals, n_products, reason)


def _at_zero(b: Array, residual: float, n_products: int, reason: Reason) -> CGResult:
    zero = array_module(b).zeros_like(b)
    return CGResult(zero, [(0, zero)], [0.0], [residual], n_products, reason)


def _spare(buffers: list[Array], x: Array, good: Array) -> Array:
    """Return the buffer that holds neither x nor the last good x: the next x goes there."""
    return next(spare for spare in buffers if spare is not x and spare is not good)


def _of_length(sound: Array, rz: Array, pAp: Array) -> tuple[Array, Array]:
    """Return whether all steps so far were sound, 1 or 0, and alpha: 0 from then on, so x stays."""
    xp = array_module(pAp)
    still = xp.where((pAp > 0) & (rz > 0), sound, xp.zeros_like(sound))
    return still, xp.where(still > 0, rz / pAp, xp.zeros_like(pAp))


_length = fused(
    _of_length,
    "still = choose(pAp > 0, choose(rz > 0, sound, 0), 0); alpha = choose(still > 0, rz / pAp, 0)",
)


def _of_move(
    alpha: Array, p: Array, Ap: Array, x: Array, x_next: Array, r: Array, scratch: Array
) -> None:
    """x + alpha p, and r - alpha A p."""
    xp = array_module(p)
    xp.multiply(alpha, p, out=x_next)
    x_next += x
    r -= xp.multiply(alpha, Ap, out=scratch)


_move = fused(_of_move, "x_next = alpha * p + x; r = r - alpha * Ap")


def _of_turn(sound: Array, rz: Array, rz_before: Array, z: Array, p: Array) -> None:
    """p = z + beta p."""
    xp = array_module(p)
    p *= xp.where(sound > 0, rz / rz_before, xp.zeros_like(rz))
    p += z


_turn = fused(_of_turn, "p = choose(sound > 0, rz / rz_before, 0) * p + z")


def _look(
    xp: Any, x: Array, b: Array, r: Array, rr: Array, sound: Array, scratch: Array | None = None
) -> Array:
    """Put x'(b + r), r'r and whether the step was sound into one array: one transfer, not three."""
    return xp.stack([xp.vdot(x, xp.add(b, r, out=scratch)), rr, sound])


def _scalars(
    xp: Any, looks: list[Array], b_norm: float
) -> tuple[list[float], list[float], Reason | None]:
    """Bring scalars down: quadratics, relative residuals, and what is wrong if anything is.

    x did not move in the steps after the first unsound one: their scalars are left out. With a
    number that is not finite x is lost, and all are.
    """
    xbr, rr, sound = to_host(xp.stack(looks, axis=1)).astype(np.float64)
    q = -0.5 * xbr
    if not (np.isfinite(q).all() and np.isfinite(rr).all()):
        return [], [], Reason.NON_FINITE
    n = int(sound.sum())
    fault = Reason.NEGATIVE_CURVATURE if n < len(q) else None
    return q[:n].tolist(), (np.sqrt(rr[:n]) / b_norm).tolist(), fault


def _must_fit(A: Any, b: Array, x0: Array | None, M: Any) -> None:
    for name, it, ndim in (("b", b, 1), ("x0", x0, 1), ("A", A, 2), ("M", M, 2)):
        shape = (b.size,) * ndim
        found = tuple(getattr(it, "shape", shape))  # None and plain functions have none
        if found != shape:
            raise ValueError(f"cg: {name} has shape {found}, expected {shape}")
    for name, vector in (("b", b), ("x0", x0)):
        if vector is not None and vector.dtype.kind != "f":
            raise ValueError(f"cg: {name} holds {vector.dtype}, expected floating numbers")


def _as_function(operator: Any) -> Callable[[Array], Array]:
    if operator is None:
        return lambda v: v
    if hasattr(operator, "__matmul__"):
        return lambda v: operator @ v
    return operator
