"""`check_loss` finds out whether a loss, its gradient and its Hessian belong together.

The rungs, from the weakest to the strongest:

    contract       the value is an array without axes, derivatives have the output's shape and
                   dtype, nothing given is written into, the same call gives the same bits
    complex step   grad is the derivative of value, hessian(z, y) and hvp that of grad
    symmetry       <S, H R> = <H S, R>
    psd            R'H R >= 0, and no eigenvalue is negative: the loss is convex in the output
    mean           the value is a mean over cases: a batch twice over has the same value and half
                   of each case's derivatives, and the cases alone have the batch as their mean
    linearity      the Hessian is linear, and gives exactly 0 for 0
    taylor         value and grad leave their tangents at second order, along a real line
    sampling       if there is a `sample`: E[s_n] = 0 and E[s_n s_n'] = N times case n's block of
                   the Hessian, within statistical error
    masks          if y may be (targets, mask): masked steps give exactly 0, whatever stands there,
                   the others what they give without a mask, and N stays the number of cases
    float32        what comes in as float32 stays float32

Called by users and by tests.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from functools import partial
from typing import Any

import numpy as np

from minihf.backend import Array, array_module, asarray, to_host
from minihf.testing.cases import Case, plan
from minihf.testing.checks.contract import Call, keeps, leaves
from minihf.testing.checks.loss_case import LossCase
from minihf.testing.checks.op_case import DOMAINS
from minihf.testing.checks.sampling import sampling
from minihf.testing.checks.targets import must_be_targets
from minihf.testing.derivatives import (
    central_difference_jvp,
    complex_step_jvp,
    dense_matrix,
    taylor_remainders,
)
from minihf.testing.failure import Evidence, Finding, Verdict, holds
from minihf.testing.ladder import Rung, calling, climb
from minihf.testing.measure import ADJOINT, EXACT, RATE, SAME, error_of, norm
from minihf.testing.replay import reproducer
from minihf.testing.shapes import Shape, shape

__all__ = ["PSD", "check_loss"]

PSD = 1e-12     # v'H v may be negative by rounding: a sum of the same size as |v| |H v|
SMALL = 64      # entries of z up to which all eigenvalues are looked at


def check_loss(
    loss: Any,
    z: Any = "N M",
    targets: str | Callable[[np.random.Generator, Array], Any] | None = None,
    domain: str = "real",
    convex: bool = True,
    masks: bool | None = None,
    sizes: Mapping[str, int] | None = None,
    seed: int = 0,
    cases: int | None = None,
) -> Verdict:
    """Check a loss: its derivatives, that it is convex and a mean, its samples and its masks.

    Parameters
    ----------
    loss : Loss, or type of one
        With `value`, `grad`, `hessian` and `hvp`, and perhaps `sample`.
    z : str or tuple
        Shape of the network's output, as `minihf.testing.shapes` reads it; the first axis are
        cases.
    targets : str or callable, optional
        ``"like z"``, ``"unit"`` (in [0, 1)), ``"labels"``, or a function (rng, z) -> y. Without it,
        the first of these kinds that the loss's value accepts.
    domain : str
        Where z is drawn, as for `check_op`.
    convex : bool
        Whether the Hessian must be positive semi-definite.
    masks : bool, optional
        Whether y may be (targets, mask). Without it, that is found out by trying.
    sizes, seed, cases
        As for `check_op`.

    Returns
    -------
    Verdict

    Raises
    ------
    CheckFailure
        At the first broken rung.
    ValueError
        If a shape, a size, `targets` or `domain` cannot be read.

    Notes
    -----
    Errors are relative. Where terms cancel by nature (a softmax over one class), rounding is told
    from error by the size that the loss's own derivatives have in a case of ordinary sizes; so a
    loss of size 1e-7 is held to as many digits as any other.

    Examples
    --------
    >>> import minihf as hf
    >>> from minihf.testing import CheckFailure, check_loss
    >>> check_loss(hf.SoftmaxCrossEntropy()).worst["complex step"] < 1e-13
    True
    >>> class Sum(hf.SquaredError):
    ...     def grad(self, z, y):
    ...         return z - y
    >>> try:
    ...     check_loss(Sum())
    ... except CheckFailure as failure:
    ...     print(failure.rung, failure.diagnosis, sep="; ")
    complex step; grad is off by 2 = N: mean and sum mixed up
    """
    __tracebackhide__ = True
    if domain not in DOMAINS:
        raise ValueError(f"unknown domain {domain!r}; choose one of: {', '.join(DOMAINS)}")
    must_be_targets(targets)
    output = shape(z)
    if not output.axes:
        raise ValueError('check_loss: z needs an axis of cases, such as "N M"')
    given = {"z": ("N M", z), "targets": (None, targets), "domain": ("real", domain),
             "convex": (True, convex), "masks": (None, masks)}  # fmt: skip
    options = {name: value for name, (usual, value) in given.items() if value != usual}
    made = loss() if isinstance(loss, type) else loss
    chosen = plan(output.names, sizes, seed, cases)
    wanted = {"psd": convex, "sampling": hasattr(made, "sample"), "masks": masks}
    if masks is None:
        wanted["masks"] = _takes_masks(made, output, chosen[0], targets, domain)
    return climb(
        type(made).__name__,
        [rung for rung in RUNGS if wanted.get(rung.name, True)],
        lambda case: LossCase(made, output, case, targets, domain),
        chosen,
        lambda case: reproducer(check_loss, [loss], case, **options),
    )


def _takes_masks(loss: Any, output: Shape, case: Case, targets: Any, domain: str) -> bool:
    """Find out whether y may be (targets, mask).

    Such a loss refuses a mask that does not fit, and with nothing masked it is what it is without
    a mask.
    """
    try:
        z, _, y, mask = LossCase(loss, output, case, targets, domain).ordinary().with_steps()
        masks = [asarray(np.ones(mask.shape, bool)), asarray(mask)]
        plain, ones, _ = (float(to_host(loss.value(z, t))) for t in (y, *((y, m) for m in masks)))
    except Exception:  # a loss without masks says so in its own way
        return False
    try:
        loss.value(z, (y, asarray(np.ones((len(z), mask.shape[1] + 1), bool))))
    except Exception:
        return abs(plain - ones) <= SAME * abs(plain)
    return False


def _contract(at: LossCase) -> Iterator[Finding]:
    def draw(scale: int = 1) -> Array:
        return at.sample(scale * at.z, np.random.default_rng(at.case.seed))

    shape, double = at.z.shape, np.dtype(np.float64)
    calls = [
        Call("value(z, y)", lambda: at.value(at.z), (), double, lambda: at.value(2 * at.z)),
        Call("grad(z, y)", lambda: at.grad(at.z), shape, double, lambda: at.grad(2 * at.z)),
    ]
    for where, H in at.products:
        calls.append(Call(where, partial(H, at.R), shape, double, partial(H, at.S)))
    if at.samples:
        calls.append(Call("sample(z, rng)", draw, shape, double, lambda: draw(2)))
    yield from keeps(calls, {"z": at.z, **leaves("y", at.y), "Rz": at.R})


def _complex_step(at: LossCase) -> Iterator[Finding]:
    right = at.dense(at.value, at.z).reshape(at.z.shape)
    found = to_host(at.grad(at.z))

    def slope() -> np.ndarray:
        along = [asarray(e.reshape(at.z.shape)) for e in np.eye(at.z.size)]
        slopes = [central_difference_jvp(at.value, [at.z], [e]).jvp for e in along]
        return np.reshape(slopes, at.z.shape)

    yield Finding(
        "grad(z, y)", _error(found, right, norm(right), at.rounding[1], EXACT), EXACT,
        evidence=lambda: Evidence(
            at.case, found, right, "grad", "grad is always zero", at.axes, differences=slope
        ),
    )  # fmt: skip

    right, also = (to_host(complex_step_jvp(at.grad, [at.z], [R])) for R in (at.R, at.S))
    scale = max(norm(right), norm(also))
    for where, apply in at.products:
        yield _same_product(at, where, to_host(apply(at.R)), right, scale)


def _same_product(
    at: LossCase, where: str, found: np.ndarray, right: np.ndarray, scale: float
) -> Finding:
    def known(found: np.ndarray) -> str | None:
        H, R = at.dense(at.grad, at.z), np.ravel(to_host(at.R))
        same = norm(np.ravel(found) - np.diag(H) * R) <= SAME * norm(right)
        return "only the diagonal of the Hessian is there" if same else None

    def evidence() -> Evidence:
        return Evidence(
            at.case, found, right, "the Hessian", "the Hessian is always zero", at.axes,
            differences=lambda: central_difference_jvp(at.grad, [at.z], [at.R]).jvp, known=known,
        )  # fmt: skip

    error = _error(found, right, scale, at.rounding[2], EXACT)
    return Finding(where, error, EXACT, evidence=evidence)


def _symmetry(at: LossCase) -> Iterator[Finding]:
    R, S = to_host(at.R), to_host(at.S)
    for where, apply in at.products:
        HR, HS = to_host(apply(at.R)), to_host(apply(at.S))
        left, right = np.vdot(S, HR), np.vdot(HS, R)
        scale = norm(S) * norm(HR) + norm(HS) * norm(R)
        yield Finding(
            where, _error(left, right, scale, norm(R) * at.rounding[2], ADJOINT), ADJOINT,
            f"the Hessian is not symmetric: <S, H R> is {left:.6g}, <H S, R> is {right:.6g}",
        )  # fmt: skip


def _psd(at: LossCase) -> Iterator[Finding]:
    hint = "; if the loss is not meant to be convex in z, check it with convex=False"
    for v in (at.R, at.S):
        Hv = to_host(at.hessian(v))
        form, scale = float(np.vdot(to_host(v), Hv)), norm(v) * norm(Hv)
        yield Finding(
            "v'H v", _error(min(form, 0.0), 0.0, scale, norm(v) * at.rounding[2], PSD), PSD,
            f"the Hessian has negative curvature, v'H v = {form:.3g} with |v| |H v| = {scale:.3g}"
            + hint,
        )  # fmt: skip
    if at.z.size <= SMALL:
        H = dense_matrix(lambda v: at.hessian(v.reshape(at.z.shape)), at.z.size)
        values = np.linalg.eigvalsh((H + H.T) / 2)
        low, high = float(values[0]), float(np.abs(values).max())
        yield Finding(
            "the lowest eigenvalue of the Hessian",
            _error(min(low, 0.0), 0.0, high, at.rounding[2], PSD), PSD,
            f"the Hessian has a negative eigenvalue, {low:.3g} next to {high:.3g}" + hint,
        )  # fmt: skip


def _mean(at: LossCase) -> Iterator[Finding]:
    z, y = _twice(at.z), _twice(at.y)
    once, twice = (float(to_host(v)) for v in (at.value(at.z), at.value(z, y)))
    apart = "with the batch twice over the value changes: it is no mean over cases"
    summed = abs(twice - 2 * once) <= SAME * abs(once)
    yield Finding(
        "value, the batch twice over",
        _error(twice, once, abs(once), at.rounding[0], ADJOINT), ADJOINT,
        "value is a sum over cases, not a mean: divide by N, the number of cases" if summed
        else apart,
    )  # fmt: skip
    pairs = [
        ("grad", at.grad(at.z), at.grad(z, y), at.rounding[1]),
        ("the Hessian", at.hessian(at.R), at.hessian(_twice(at.R), z, y), at.rounding[2]),
    ]
    for name, one, both, rounding in pairs:
        expected = np.concatenate([to_host(one)] * 2) / 2
        yield Finding(
            f"{name}, the batch twice over",
            _error(to_host(both), expected, norm(expected), rounding, EXACT), EXACT,
            f"with the batch twice over, {name} is not half of what it was for each case: the 1/N "
            "is missing, or not that of the batch",
        )  # fmt: skip
    alone = [to_host(at.value(_row(at.z, n), _row(at.y, n))) for n in range(len(at.z))]
    scale = float(np.mean(np.abs(alone)))
    yield Finding(
        "value, the cases alone",
        _error(once, np.mean(alone), scale, at.rounding[0], ADJOINT), ADJOINT,
        f"the cases alone have the mean {np.mean(alone):.6g}, together they have {once:.6g}: the "
        "value is no mean over cases, each counting alike",
    )  # fmt: skip


def _linearity(at: LossCase) -> Iterator[Finding]:
    a = 1.5
    for where, apply in at.products:
        HR, HS, both = (to_host(apply(v)) for v in (at.R, at.S, at.R + a * at.S))
        scale = norm(HR) + a * norm(HS)
        error = _error(both, HR + a * HS, scale, at.rounding[2], ADJOINT)
        yield Finding(where, error, ADJOINT, "the Hessian is not linear in the tangent")
        yield holds(
            f"{where} of zeros", not to_host(apply(0 * at.R)).any(),
            "the Hessian is not linear: zeros give something else than zeros",
        )  # fmt: skip


def _taylor(at: LossCase) -> Iterator[Finding]:
    v = at.R / (1 + float(to_host((at.R * at.R).max())) ** 0.5)  # stays off what domain excludes
    along = [
        ("value", at.value, "grad", (at.grad(at.z) * v).sum()),
        ("grad", at.grad, "the Hessian", at.hessian(v)),
    ]
    for name, f, derivative, Jv in along:
        rate = taylor_remainders(f, at.z, v, Jv).rate
        yield Finding(
            f"the remainder of {name}", max(0.0, 2 - rate), RATE,
            f"along a real line, {derivative} is not the derivative of {name} (order {rate:.2f}, "
            f"not 2), though the complex step says so: {name} branches on the dtype",
        )  # fmt: skip


def _masks(at: LossCase) -> Iterator[Finding]:
    with calling("value"):
        z, R, targets, mask = at.with_steps()
    everything = (targets, asarray(np.ones(mask.shape, bool)))
    y, rest = (targets, asarray(mask)), (targets, asarray(~mask))
    on = np.broadcast_to(mask.reshape(*mask.shape, *(1,) * (z.ndim - 2)), z.shape)
    whole = float(to_host(at.value(z, everything)))
    parts = float(to_host(at.value(z, y))), float(to_host(at.value(z, rest)))
    yield Finding(
        "value, with a mask and with its complement",
        _error(sum(parts), whole, sum(map(abs, parts)), at.rounding[0], ADJOINT), ADJOINT,
        f"they add up to {sum(parts):.6g}, without a mask it is {whole:.6g}: N must stay the "
        "number of cases, whatever is masked",
    )  # fmt: skip
    for name, apply in (("grad", at.grad), ("the Hessian", lambda z, y: at.hessian(R, z, y))):
        found, free = to_host(apply(z, y)), to_host(apply(z, everything))
        yield Finding(
            f"{name}, steps that are not masked",
            _error(found[on], free[on], norm(free[on]), at.rounding[1], EXACT), EXACT,
            f"{name} at a step depends on which other steps are masked: N must stay the number "
            "of cases",
        )  # fmt: skip
    rng = np.random.default_rng(at.case.seed)
    z, R = (array_module(a).where(asarray(on), a, np.nan) for a in (z, R))
    y = _spoilt(targets, mask), y[1]
    results = [("grad", at.grad(z, y)), ("the Hessian", at.hessian(R, z, y))]
    if at.samples:
        results.append(("sample", at.sample(z, rng, y)))
    for name, result in results:
        there = to_host(result)[~on]
        nan = ": 0 * nan is nan, so take where(mask, ., 0)" if np.isnan(there).any() else ""
        yield holds(
            f"{name}, masked steps", not there.any(),
            f"{name} is not exactly 0 at a masked step in which NaN stands{nan}",
        )  # fmt: skip
    yield holds(
        "value, masked steps", np.isfinite(to_host(at.value(z, y))),
        "a NaN in a masked step comes through to the value; take where(mask, ., 0)",
    )  # fmt: skip


def _spoilt(targets: Array, mask: np.ndarray) -> Array:
    """Return targets with something impossible wherever the mask says that it does not matter."""
    host = to_host(targets).copy()
    host[~mask] = np.nan if host.dtype.kind == "f" else -1
    return asarray(host)


def _float32(at: LossCase) -> Iterator[Finding]:
    def single(x: Any) -> Any:
        if isinstance(x, tuple):
            return tuple(map(single, x))
        return x.astype(np.float32) if x.dtype.kind == "f" else x

    z, y, R = single(at.z), single(at.y), single(at.R)
    results = [
        ("value", at.value(z, y)), ("grad", at.grad(z, y)), ("the Hessian", at.hessian(R, z, y))
    ]  # fmt: skip
    if at.samples:
        results.append(("sample", at.sample(z, np.random.default_rng(at.case.seed))))
    for name, result in results:
        yield holds(
            name, result.dtype == np.float32, f"float32 came in, {result.dtype} came out; make "
            "constants Python numbers, and buffers of the inputs' result type",
        )  # fmt: skip


def _error(found: Any, right: Any, scale: float, rounding: float, limit: float) -> float:
    """Return the relative error: within the limit if it is no more than rounding errors are."""
    return error_of(np.asarray(found), np.asarray(right), max(scale, rounding / limit))



def _twice(x: Any) -> Any:
    if isinstance(x, tuple):
        return tuple(map(_twice, x))
    return array_module(x).concatenate([x, x])


def _row(x: Any, n: int) -> Any:
    return tuple(_row(part, n) for part in x) if isinstance(x, tuple) else x[n : n + 1]


RUNGS = (
    Rung("contract", "shapes, dtypes, the same bits again, nothing written into", _contract),
    Rung("complex step", "grad is the derivative of value, the Hessian that of grad",
         _complex_step),
    Rung("symmetry", "the Hessian is symmetric", _symmetry),
    Rung("psd", "the Hessian has no negative eigenvalue", _psd),
    Rung("mean", "the value is a mean over cases", _mean),
    Rung("linearity", "the Hessian is linear, and exactly 0 for 0", _linearity),
    Rung("taylor", "value and grad leave their tangents at second order", _taylor),
    Rung("sampling", "samples have mean 0 and the Hessian as second moment", sampling),
    Rung("masks", "masked steps are exactly 0, and N is the number of cases", _masks),
    Rung("float32", "float32 stays float32", _float32),
)  # fmt: skip
"""What is climbed, in this order."""
