"""`check_op` finds out whether the four rules of an op are right.

The rungs, from the weakest to the strongest:

    contract       what comes out has the right shapes and dtypes, nothing given is written into,
                   and the same call gives the same bits
    complex step   rop is the derivative of forward, one tangent at a time
    adjoint        vjp is the transpose of rop: <u, rop(R)> = <vjp(u), R>
    needs          a cotangent asked for alone is the one that comes with the others, and the one
                   that is written into a given array, for an op that does so
    second order   rvjp is the derivative of vjp, one tangent at a time
    linearity      rop, vjp and rvjp are linear, and give exactly 0 for 0
    taylor         what rop leaves of forward is of second order, along a real line
    float32        what comes in as float32 stays float32
    factors        of an op with weights: activations and sensitivities make each case's gradient

Called by users, by `check_layer` for every op that a layer records, and by tests.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from minihf.backend import Array, array_module, asarray, to_host
from minihf.op import Op
from minihf.testing.cases import plan
from minihf.testing.checks.factors import FACTORS
from minihf.testing.checks.op_case import DOMAINS, OpCase, an_op, is_live, is_op
from minihf.testing.checks.op_contract import CONTRACT
from minihf.testing.derivatives import (
    central_difference_jvp,
    complex_step_jvp,
    dense_matrix,
    taylor_remainders,
)
from minihf.testing.failure import Evidence, Finding, Verdict, holds
from minihf.testing.ladder import Rung, calling, climb
from minihf.testing.makers import sizes_wanted
from minihf.testing.measure import ADJOINT, EXACT, RATE, norm
from minihf.testing.replay import reproducer
from minihf.testing.shapes import Shape, names_of, shape

__all__ = ["check_op", "rungs_of"]


def check_op(
    op: Any,
    *shapes: Any,
    domain: str = "real",
    sizes: Mapping[str, int] | None = None,
    seed: int = 0,
    cases: int | None = None,
) -> Verdict:
    """Check the four rules of an op against the complex step and each other.

    Parameters
    ----------
    op : Op, or callable that makes one
        A callable is given the sizes that it names: ``lambda N: Reshape((1, N))``. Those that do
        not stand in a shape are drawn likewise.
    *shapes : str, tuple, array or None
        One for each input of ``op.forward``, as `minihf.testing.shapes` reads them: ``"N D"``. An
        array stands for itself, in float64; one of integers, or None, is a constant.
    domain : str
        ``"real"``, ``"positive"`` (for a logarithm), ``"off zero"`` (for a division) or ``"wide"``
        (eight times as large, to where a clip or a saturation begins).
    sizes : mapping of str to int, optional
        Hold these sizes.
    seed : int
        Of the first case; the next has the next.
    cases : int, optional
        How many; without it, the profile says.

    Returns
    -------
    Verdict

    Raises
    ------
    CheckFailure
        At the first broken rung.
    ValueError
        If a shape or a size cannot be read.

    Notes
    -----
    What is not looked at is not known: inputs are of order one, and sizes no larger than the
    profile's. For a rule that differs elsewhere pass ``domain="wide"``, or larger `sizes`.

    Examples
    --------
    >>> from minihf.ops.dense import DenseOp
    >>> from minihf.testing import CheckFailure, check_op
    >>> check_op(DenseOp(), "N D", "D M", "M").worst["complex step"] < 1e-14
    True
    >>> class Forgetful(DenseOp):
    ...     def rop(self, residuals, Rx, RW, Rb):
    ...         return 0 * super().rop(residuals, Rx, RW, Rb) if Rx is RW is None else (
    ...             super().rop(residuals, Rx, RW, None))
    >>> try:
    ...     check_op(Forgetful(), "N D", "D M", "M")
    ... except CheckFailure as failure:
    ...     print(failure.rung, failure.diagnosis, failure.case, sep="; ")
    complex step; the tangent of `b` is ignored in rop; N = 1, D = 1, M = 1, seed 0
    """
    __tracebackhide__ = True
    if domain not in DOMAINS:
        raise ValueError(f"unknown domain {domain!r}; choose one of: {', '.join(DOMAINS)}")
    if not shapes:
        raise ValueError('check_op: give a shape for each input, such as "N D"')
    inputs = [given if _is_array(given) else shape(given) for given in shapes]
    if not any(isinstance(given, Shape) or is_live(given) for given in inputs):
        raise ValueError(
            "check_op: no input has a derivative; give a shape, or an array of floating numbers, "
            "for at least one"
        )
    names = names_of(given for given in inputs if isinstance(given, Shape))
    names += tuple(name for name in sizes_wanted(op, is_op) if name not in names)
    options = {} if domain == "real" else {"domain": domain}
    example = an_op(op, dict.fromkeys(names, 1))
    return climb(
        type(example).__name__,
        rungs_of(example),
        lambda case: OpCase(an_op(op, case.sizes), inputs, case, domain),
        plan(names, sizes, seed, cases),
        lambda case: reproducer(check_op, [op, *shapes], case, **options),
    )


def rungs_of(op: Op) -> tuple[Rung, ...]:
    """Return the rungs that are climbed for an op."""
    return (*RUNGS, FACTORS) if getattr(op, "weight_inputs", ()) else RUNGS


def _is_array(given: Any) -> bool:
    return given is None or hasattr(given, "dtype")


def _complex_step(at: OpCase) -> Iterator[Finding]:
    for i, name in at.inputs:
        yield _same_jvp(at, f"R{{output}} along the tangent of {name}", i, name)
    everything = to_host(at.rop(at.R))
    parts = [to_host(at.rop(at.alone(i))) for i, _ in at.inputs]
    scale = sum(norm(part) for part in parts)
    error = at.error("rop", everything, np.sum(parts, axis=0), scale, EXACT)
    yield Finding(
        "R{output} along all tangents together", error, EXACT,
        "each tangent alone is right, together they are not: rop is not the sum of its terms",
    )  # fmt: skip


def _same_jvp(at: OpCase, where: str, i: int, name: str) -> Finding:
    """Compare rop with the complex step along the tangent of input i."""

    def expected(R: Sequence[Array | None]) -> np.ndarray:
        with calling("forward"):
            return to_host(complex_step_jvp(at.output, at.x, at.alone(i, R)))

    R, right = at.alone(i), expected(at.R)
    found = to_host(at.rop(R))
    scale = max(norm(right), norm(expected(at.S)))

    def evidence() -> Evidence:
        return Evidence(
            at.case, found, right, f"the `{name}` term of rop",
            f"the tangent of `{name}` is ignored in rop",
            differences=lambda: central_difference_jvp(at.output, at.x, R).jvp,
            known=_known(at, lambda op: op.rop(_residuals(op, at), *R)),
        )  # fmt: skip

    error = at.error("rop", found, right, scale, EXACT)
    return Finding(where, error, EXACT, evidence=evidence)


def _adjoint(at: OpCase) -> Iterator[Finding]:
    cotangents = at.vjp(at.u)
    for i, name in at.inputs:
        Ry, c = to_host(at.rop(at.alone(i))), to_host(cotangents[i])
        u, R = to_host(at.u), to_host(at.R[i])
        scale = norm(u) * norm(Ry) + norm(c) * norm(R)
        scale = max(scale, at.rounding["vjp"] / ADJOINT)
        gap = abs(float(np.vdot(u, Ry) - np.vdot(c, R)))

        def evidence(i: int = i, name: str = name, c: np.ndarray = c) -> Evidence:
            x = at.x[i]
            columns = dense_matrix(
                lambda v: at.rop(at.alone(i, [v.reshape(x.shape)] * len(at.x))), x.size
            )
            right = (to_host(at.u).reshape(-1) @ columns).reshape(x.shape)
            return Evidence(
                at.case, c, right, f"the cotangent of `{name}`",
                f"the cotangent of `{name}` is always zero", at.axes[i],
                known=_known(at, lambda op: op.vjp(_residuals(op, at), at.u, at.all)[i]),
            )  # fmt: skip

        error = gap / float(scale) if scale else 0.0
        yield Finding(f"the cotangent of {name} in vjp", error, ADJOINT, evidence=evidence)


def _needs(at: OpCase) -> Iterator[Finding]:
    for rule, ask in (("vjp", at.vjp), ("rvjp", lambda u, needs: at.rvjp(at.R, u, needs))):
        together = ask(at.Ru, at.all)
        for i, name in at.inputs:
            alone = ask(at.Ru, at.only(i))
            where = f"the cotangent of {name} in {rule}, asked for alone"
            yield holds(where, len(alone) == len(at.x), f"{rule} must return one per input")
            one, other = (_array(c[i], at.x[i]) for c in (alone, together))
            yield Finding(
                where, at.error(rule, one, other, norm(other), ADJOINT), ADJOINT,
                f"{rule} gives another cotangent of `{name}` when no other is asked for",
            )  # fmt: skip
    if at.op.writes_into:
        room = [array_module(x).full_like(x, 1.0) if live else None
                for x, live in zip(at.x, at.all, strict=True)]  # fmt: skip
        plain, into = at.vjp(at.u), at.vjp(at.u, at.all, room)
        for i, name in at.inputs:
            one, other = (_array(c[i], at.x[i]) for c in (into, plain))
            yield Finding(
                f"the cotangent of {name} in vjp, with out",
                at.error("vjp", one, other, norm(other), ADJOINT), ADJOINT,
                f"vjp gives another cotangent of `{name}` when it has where to write it",
            )  # fmt: skip


def _second_order(at: OpCase) -> Iterator[Finding]:
    def vjp(u: Array, *x: Array) -> tuple[Array | None, ...]:
        with calling("vjp"):
            return at.op.vjp(at.op.forward(*x)[1], u, at.all)

    ways: list[tuple[str, list[Any], Any, list[Any], Any]] = [
        (f"the tangent of {name}", at.alone(i), None, at.alone(i, at.S), None)
        for i, name in at.inputs
    ]
    none: list[Array | None] = [None] * len(at.x)
    ways.append(("R{u}", none, at.Ru, none, at.u))
    for label, R, Ru, S, Su in ways:
        right = complex_step_jvp(vjp, [at.u, *at.x], [Ru, *R])
        also = complex_step_jvp(vjp, [at.u, *at.x], [Su, *S])
        for i, name in at.inputs:
            found = _array(at.rvjp(R, Ru)[i], at.x[i])
            yield _same_rvjp(at, i, name, label, found, _array(right[i], at.x[i]),
                             _array(also[i], at.x[i]), R, Ru)  # fmt: skip
    alone = [(label, R, at.rvjp(R, Ru)) for label, R, Ru, _, _ in ways]
    *of_tangents, (_, _, of_Ru) = alone
    sums: list[tuple[str, Any, list[Any]]] = [
        ("all tangents together", at.rvjp(at.R, at.Ru), [terms for _, _, terms in alone]),
        ("all tangents but R{u}", at.rvjp(at.R, None), [terms for _, _, terms in of_tangents]),
    ]
    sums += [
        (f"{label} and R{{u}}", at.rvjp(R, at.Ru), [one, of_Ru]) for label, R, one in of_tangents
    ]
    for label, together, terms in sums:
        for i, name in at.inputs:
            parts = [_array(one[i], at.x[i]) for one in terms]
            scale = sum(norm(part) for part in parts)
            yield Finding(
                f"R{{cotangent of {name}}} along {label}",
                at.error("rvjp", _array(together[i], at.x[i]), np.sum(parts, axis=0), scale, EXACT),
                EXACT,
                "each tangent alone is right, together they are not: rvjp is not the sum of its "
                "terms",
            )  # fmt: skip


def _same_rvjp(
    at: OpCase, i: int, name: str, label: str, found: np.ndarray, right: np.ndarray,
    also: np.ndarray, R: Sequence[Array | None], Ru: Array | None,
) -> Finding:  # fmt: skip
    scale = max(norm(right), norm(also))

    def again(op: Op) -> Any:
        return op.rvjp(_residuals(op, at), R, at.u, Ru, at.all)[i]

    def evidence() -> Evidence:
        return Evidence(
            at.case, found, right, f"in R{{cotangent of `{name}`}}, the term of {label}",
            f"in R{{cotangent of `{name}`}}, {label} is ignored", at.axes[i],
            known=_known(at, again),
        )  # fmt: skip

    where = f"R{{cotangent of {name}}} along {label}"
    error = at.error("rvjp", found, right, scale, EXACT)
    return Finding(where, error, EXACT, evidence=evidence)


def _linearity(at: OpCase) -> Iterator[Finding]:
    a = 1.5
    along = [None if R is None or S is None else R + a * S for R, S in zip(at.R, at.S, strict=True)]
    none: list[Array | None] = [None] * len(at.x)
    rules: list[tuple[str, Callable[[Any], Sequence[Any]], tuple[Any, Any, Any]]] = [
        ("rop", lambda R: [at.rop(R)], (at.R, at.S, along)),
        ("vjp", at.vjp, (at.u, at.Ru, at.u + a * at.Ru)),
        ("rvjp", lambda R: at.rvjp(R, None), (at.R, at.S, along)),
        ("rvjp in R{u}", lambda Ru: at.rvjp(none, Ru), (at.u, at.Ru, at.u + a * at.Ru)),
    ]
    for rule, apply, given in rules:
        for one, other, together in zip(*map(apply, given), strict=True):
            if together is not None:
                parts = [np.asarray(0.0) if p is None else to_host(p) for p in (one, other)]
                scale = norm(parts[0]) + a * norm(parts[1])
                kind = rule.split()[0]
                error = at.error(kind, to_host(together), parts[0] + a * parts[1], scale, ADJOINT)
                yield Finding(rule, error, ADJOINT, f"{rule} is not linear in what it is given")
    zeros = [0 * x if live else None for x, live in zip(at.x, at.all, strict=True)]
    nothing = [("rop", at.rop(zeros))]
    nothing += [("vjp", c) for c in at.vjp(0 * at.u)]
    nothing += [("rvjp", c) for c in at.rvjp(zeros, 0 * at.u)]
    for rule, result in nothing:
        if result is not None:
            yield holds(
                f"{rule} of zeros", not to_host(result).any(),
                f"{rule} is not linear: zeros give something else than zeros",
            )  # fmt: skip


def _taylor(at: OpCase) -> Iterator[Finding]:
    for i, name in at.inputs:
        R = at.alone(i)
        smooth = asarray(~central_difference_jvp(at.output, at.x, R).kinks)

        def f(x: Array, i: int = i, smooth: Array = smooth) -> Array:
            return at.output(*at.x[:i], x, *at.x[i + 1 :])[smooth]

        rate = taylor_remainders(f, at.x[i], at.R[i], at.rop(R)[smooth]).rate
        yield Finding(
            f"the remainder along the tangent of {name}", max(0.0, 2 - rate), RATE,
            f"along a real line, rop is no derivative of forward in `{name}` (order {rate:.2f}, "
            "not 2), though the complex step says so: forward branches on the dtype",
        )  # fmt: skip


def _float32(at: OpCase) -> Iterator[Finding]:
    def single(arrays: Sequence[Array | None]) -> list[Array | None]:
        return [x if x is None or x.dtype != np.float64 else x.astype(np.float32) for x in arrays]

    x, R, (u, Ru) = single(at.x), single(at.R), single([at.u, at.Ru])
    with calling("forward"):
        y, residuals = at.op.forward(*x)
    results = [("forward's output", [y])]
    alone = [[R[i] if i == j else None for j in range(len(R))] for i, _ in at.inputs]
    with calling("rop"):
        results.append(("rop", [at.op.rop(residuals, *some) for some in [R, *alone]]))
    with calling("vjp"):
        results.append(("vjp", list(at.op.vjp(residuals, u, at.all))))
    with calling("rvjp"):
        results.append(("rvjp", list(at.op.rvjp(residuals, R, u, Ru, at.all))))
    for rule, arrays in results:
        for array in arrays:
            if array is not None:
                yield holds(
                    rule, array.dtype == np.float32, f"float32 came in, {array.dtype} came out; "
                    "make constants Python numbers, and buffers of the inputs' result type",
                )  # fmt: skip


def _array(c: Array | None, like: Array) -> np.ndarray:
    """Bring a cotangent down; None is zero."""
    return np.zeros(like.shape) if c is None else to_host(c)


def _residuals(op: Op, at: OpCase) -> Any:
    return op.forward(*at.x)[1]


def _known(at: OpCase, result: Callable[[Op], Any]) -> Callable[[np.ndarray], Sequence[str]]:
    """Look a wrong result up among those of the known bugs of the same operation."""

    def known(found: np.ndarray) -> Sequence[str]:
        from minihf.testing.known import known_bugs

        return known_bugs(at.x, to_host(at.y), at.case.sizes, result, found)

    return known


RUNGS = (
    CONTRACT,
    Rung("complex step", "rop is the derivative of forward", _complex_step),
    Rung("adjoint", "vjp is the transpose of rop", _adjoint),
    Rung("needs", "a cotangent asked for alone is the same", _needs),
    Rung("second order", "rvjp is the derivative of vjp", _second_order),
    Rung("linearity", "rop, vjp and rvjp are linear, and exactly 0 for 0", _linearity),
    Rung("taylor", "forward leaves its tangent at second order", _taylor),
    Rung("float32", "float32 stays float32", _float32),
)
"""What is climbed, in this order."""
