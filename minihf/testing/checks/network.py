"""`check_layer` and `check_network` find out whether everything derived from a network is right.

The network is recorded as it is used, with its input as a parameter like the others, so that the
cotangent which a layer hands to the layer below is looked at, too. The rungs:

    output         a batch comes out, recorded or not, and the same seed and call give the same bits
    own ops        ops that are not the library's obey their rules here (the ladder of `check_op`)
    products       J v, J' u and H v give the same bits again, and write into nothing
    complex step   J v is the derivative of the output, one parameter at a time
    adjoint        J' u is its transpose, one parameter at a time
    linearity      J v, J' u and H v are linear, and exactly 0 for 0
    taylor         what J v leaves of the output is of second order, along a real line
    cases          a case's output depends on that case alone
    hessian        H v is the derivative of the gradient, and H is symmetric
    gauss-newton   w' G v = (J w)' H_L (J v), for the whole matrix and for every block
    float32        what comes in as float32 stays float32

Called by users, by ``minihf check``, and by tests.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from minihf.backend import Array, asarray, to_host
from minihf.losses import SquaredError
from minihf.tape import linearize
from minihf.testing.cases import Case, plan
from minihf.testing.checks import op as of_op
from minihf.testing.checks.network_case import NetworkCase, is_layer
from minihf.testing.checks.network_curvature import gauss_newton, hessian
from minihf.testing.checks.op_case import OpCase
from minihf.testing.derivatives import dense_matrix, taylor_remainders
from minihf.testing.failure import Evidence, Finding, Verdict, holds
from minihf.testing.ladder import Rung, calling, climb
from minihf.testing.makers import made, sizes_wanted
from minihf.testing.measure import ADJOINT, EXACT, RATE, error_of, norm
from minihf.testing.replay import reproducer
from minihf.testing.shapes import Shape, names_of, shape

__all__ = ["RUNGS", "check_layer", "check_network"]

WRITTEN_DOWN = 500  # entries of a parameter up to which a diagnosis writes its Jacobian down


def check_layer(
    layer: Any,
    x: Any = "N D",
    *,
    sizes: Mapping[str, int] | None = None,
    seed: int = 0,
    cases: int | None = None,
    independent_cases: bool = True,
) -> Verdict:
    """Check everything that is derived from a layer: tangents, cotangents, Hessian, curvature.

    Parameters
    ----------
    layer : Layer, or a class or function that makes one
        A maker is given the sizes that it names: ``lambda D, M: MyLayer(D, M)``. Those that do not
        stand in `x` are drawn likewise.
    x : str, tuple, or callable of (rng, sizes)
        The input's shape, as `minihf.testing.shapes` reads it, or a function that draws the input.
    sizes : mapping of str to int, optional
        Hold these sizes.
    seed : int
        Of the first case; the next has the next.
    cases : int, optional
        How many; without it, the profile says.
    independent_cases : bool
        Whether a case's output must depend on that case alone; not so with batch normalisation.

    Returns
    -------
    Verdict

    Raises
    ------
    CheckFailure
        At the first broken rung.
    ValueError
        If a shape or a size cannot be read, or the maker wants sizes that are not there.

    Examples
    --------
    >>> import minihf as hf
    >>> from minihf.testing import check_layer
    >>> check_layer(hf.LSTM(3, 2), "N T 3", cases=2).worst["hessian"] < 1e-10
    True
    """
    __tracebackhide__ = True
    options = {} if independent_cases else {"independent_cases": False}
    return _check(
        "check_layer", layer, x, SquaredError(), "layer", None, None, sizes, seed, cases,
        independent_cases, lambda case: reproducer(check_layer, [layer, x], case, **options),
    )  # fmt: skip


def check_network(
    net: Any,
    x: Any = "N D",
    loss: Any = None,
    *,
    params: Mapping[str, Any] | None = None,
    partition: Any = "layer",
    targets: Any = None,
    sizes: Mapping[str, int] | None = None,
    seed: int = 0,
    cases: int | None = None,
    independent_cases: bool = True,
) -> Verdict:
    """Check a network with its loss and its blocks; a function of (params, x) is one, too.

    Parameters
    ----------
    net, x, sizes, seed, cases, independent_cases
        As for `check_layer`.
    loss : Loss, optional
        Without it, `minihf.SquaredError`.
    params : mapping of str to shape, optional
        The parameters of a function of (params, x); drawn small.
    partition : what `Partition.of` takes
        Whose blocks are compared with those of the whole matrix.
    targets : str or callable of (rng, z), optional
        As for `check_loss`; without it, what the loss takes.

    Raises
    ------
    CheckFailure, ValueError
        As `check_layer`.

    Examples
    --------
    >>> import minihf as hf
    >>> from minihf.testing import check_network
    >>> def tied(params, x):
    ...     return hf.ops.tanh(x @ params["W"]) @ params["W"].T
    >>> check_network(tied, "N D", params={"W": "D H"}).cases
    6
    """
    __tracebackhide__ = True
    given = {"loss": loss, "params": params, "partition": partition, "targets": targets}
    options = {key: value for key, value in given.items() if value is not None}
    if not independent_cases:
        options["independent_cases"] = False
    return _check(
        "check_network", net, x, loss or SquaredError(), partition, params, targets, sizes, seed,
        cases, independent_cases, lambda case: reproducer(check_network, [net, x], case, **options),
    )  # fmt: skip


def _check(
    check: str, net: Any, x: Any, loss: Any, partition: Any, params: Mapping[str, Any] | None,
    targets: Any, sizes: Mapping[str, int] | None, seed: int, cases: int | None,
    independent_cases: bool, reproduce: Callable[[Case], str],
) -> Verdict:  # fmt: skip
    __tracebackhide__ = True
    given_x = x if callable(x) else shape(x)
    shapes = {name: shape(written) for name, written in (params or {}).items()}
    drawn = [given_x] if isinstance(given_x, Shape) else []
    if isinstance(given_x, Shape) and not given_x.axes:
        raise ValueError(f'{check}: x needs an axis of cases, such as "N D"')
    if not params and sizes_wanted(net, is_layer)[:2] == ("params", "x"):
        raise ValueError(
            f"{check}: a function of (params, x) needs the shapes of its parameters, such as "
            'params={"W": "D M"}'
        )
    names = names_of([*drawn, *shapes.values()])
    wanted = () if params else sizes_wanted(net, is_layer)
    names += tuple(name for name in wanted if name not in names)

    def make(case: Case) -> Any:
        return net if params else made(net, case.sizes, is_layer, check)

    chosen = plan(names, sizes, seed, cases)
    name = getattr(net, "__name__", type(net).__name__)
    rungs = [rung for rung in RUNGS if independent_cases or rung.name != "cases"]

    def subject(case: Case) -> NetworkCase:
        return NetworkCase(make(case), given_x, loss, partition, targets, shapes, case)

    make(chosen[0])  # a maker that wants other sizes is refused before any rung
    return climb(name, rungs, subject, chosen, reproduce)


def _output(at: NetworkCase) -> Iterator[Finding]:
    before = to_host(at.theta.vector).copy()
    if hasattr(at.net, "init") and at.params.size:
        one, other = (to_host(at.net.init(7, dtype=np.float64).vector) for _ in range(2))
        yield holds(
            "init", np.array_equal(one, other),
            "the same seed gives other parameters: draw from the generator that is passed in",
        )  # fmt: skip
    where, z, plain = "the output", to_host(at.z), at.output(at.theta.vector)
    yield holds(where, z.ndim and len(z) == at.n_cases, f"it has shape {z.shape}, expected the "
                f"batch of {at.n_cases} as its first axis")  # fmt: skip
    yield holds(where, z.dtype == np.float64, f"float64 came in, {z.dtype} came out")
    yield holds(where, np.isfinite(z).all(), "it is not finite")
    yield holds(
        where, np.array_equal(to_host(at.output(at.theta.vector)), to_host(plain)),
        "not deterministic: the same call gave other numbers the second time; noise belongs into "
        "the layer's noise(rng, n)",
    )  # fmt: skip
    yield Finding(
        where, error_of(to_host(plain), z, norm(z)), ADJOINT,
        "it differs when the network is recorded: it may not look at whether values are traced",
    )  # fmt: skip
    yield holds(
        "the parameters and the input", np.array_equal(to_host(at.theta.vector), before),
        "the network writes into what it was given; work on a copy",
    )  # fmt: skip


def _products(at: NetworkCase) -> Iterator[Finding]:
    given = {"theta": at.theta.vector, "v": at.v, "u": at.u}
    before = {label: to_host(array).copy() for label, array in given.items()}
    calls: list[tuple[str, Callable[[], Array]]] = [
        ("J v", lambda: at.lin.jvp(at.v)),
        ("J' u", lambda: at.lin.vjp(at.u)),
        ("H v", lambda: at.lin.hvp(at.v, at.loss, at.y)),
    ]
    results = []
    for label, call in calls:
        with calling(label):
            results.append(call())
    copies = [to_host(result).copy() for result in results]
    for (label, call), result, copy in zip(calls, results, copies, strict=True):
        again = to_host(call())
        yield holds(
            label, np.array_equal(again, copy, equal_nan=True),
            "not deterministic: the same product gave other numbers the second time",
        )  # fmt: skip
        yield holds(
            label, np.array_equal(to_host(result), copy, equal_nan=True),
            "a later product wrote into this result",
        )  # fmt: skip
    for label, array in given.items():
        yield holds(label, np.array_equal(to_host(array), before[label]),
                    f"a rule writes into {label}, which it was given; work on a copy")  # fmt: skip


def _own_ops(at: NetworkCase) -> Iterator[Finding]:
    """Climb `check_op`'s ladder for each op of the user's own, at the values it met here."""
    for op, inputs in at.calls():
        if not type(op).__module__.startswith("minihf."):
            subject = OpCase(op, inputs, at.case)
            for rung in of_op.rungs_of(op):
                for finding in rung.look(subject):
                    yield _inside(finding, f"op {type(op).__name__}, {rung.name}")
                    if finding.broken:
                        return


def _inside(finding: Finding, place: str) -> Finding:
    return replace(finding, where=f"{place}: {finding.where}")


def _complex_step(at: NetworkCase) -> Iterator[Finding]:
    for name in at.blocks:
        v = at.part(name)
        right, found = at.Jv(v), to_host(at.lin.jvp(v))
        scale = max(norm(right), norm(at.Jv(at.part(name, at.w))))

        def evidence(
            name: str = name, found: np.ndarray = found, right: np.ndarray = right
        ) -> Evidence:
            return Evidence(
                at.case, found, right, f"the `{name}` term of J v",
                f"the tangent of `{name}` is ignored: it does not reach the output on the tape",
            )  # fmt: skip

        where = f"J v along the tangent of {name}"
        yield Finding(where, error_of(found, right, scale), EXACT, evidence=evidence)


def _adjoint(at: NetworkCase) -> Iterator[Finding]:
    u, cotangents = to_host(at.u), at.lin.vjp(at.u)
    for name, block in at.blocks.items():
        Jv, c, v = to_host(at.lin.jvp(at.part(name))), to_host(cotangents[block.index]), at.v
        v_b = to_host(v[block.index])
        scale = norm(u) * norm(Jv) + norm(c) * norm(v_b)
        gap = abs(float(np.vdot(u, Jv) - np.vdot(c, v_b)))

        def evidence(name: str = name, block: Any = block, c: np.ndarray = c) -> Evidence:
            J_b = dense_matrix(lambda column: at.lin.jvp(column, block), block.size)
            array = at.theta[name]
            return Evidence(
                at.case, c.reshape(array.shape), (u.reshape(-1) @ J_b).reshape(array.shape),
                f"the cotangent of `{name}`", f"the cotangent of `{name}` is always zero",
            )  # fmt: skip

        yield Finding(
            f"the cotangent of {name}", gap / scale if scale else 0.0, ADJOINT,
            "" if block.size <= WRITTEN_DOWN else "J' u is not the transpose of J v there",
            evidence=evidence if block.size <= WRITTEN_DOWN else None,
        )  # fmt: skip
        yield Finding(
            f"J' u of block {name} alone", error_of(to_host(at.lin.vjp(at.u, block)), c, norm(c)),
            ADJOINT, "a block's own product is not that part of the whole",
        )  # fmt: skip


def _linearity(at: NetworkCase) -> Iterator[Finding]:
    products: list[tuple[str, Callable[[Array], Array], Array, Array]] = [
        ("J v", at.lin.jvp, at.v, at.w),
        ("J' u", at.lin.vjp, at.u, at.s),
        ("H v", lambda v: at.lin.hvp(v, at.loss, at.y), at.v, at.w),
    ]
    for label, product, one, other in products:
        parts = to_host(product(one)), 1.5 * to_host(product(other))
        together = to_host(product(one + 1.5 * other))
        scale = norm(parts[0]) + norm(parts[1])
        error = error_of(together, parts[0] + parts[1], scale)
        yield Finding(label, error, ADJOINT, f"{label} is not linear")
        yield holds(f"{label} for zeros", not to_host(product(0 * one)).any(),
                    f"{label} is not linear: zeros give something else than zeros")  # fmt: skip


def _taylor(at: NetworkCase) -> Iterator[Finding]:
    rate = taylor_remainders(at.output, at.theta.vector, at.v, at.lin.jvp(at.v)).rate
    yield Finding(
        "the remainder along a random line", max(0.0, 2 - rate), RATE,
        f"along a real line, J v is no derivative of the output (order {rate:.2f}, not 2), though "
        "the complex step says so: the network branches on the dtype",
    )  # fmt: skip


def _cases(at: NetworkCase) -> Iterator[Finding]:
    some = asarray(at.some)
    arrays = at.x if isinstance(at.x, tuple) else (at.x,)
    if any(len(array) != at.n_cases for array in arrays):
        return
    taken = tuple(array[some] for array in arrays)
    noise = None if at.noise is None else {key: a[some] for key, a in at.noise.items()}
    with calling("the network"):
        z = at.net(at.params.with_noise(noise), taken if isinstance(at.x, tuple) else taken[0])
    expected = to_host(at.z)[at.some]
    yield Finding(
        "the output for some of the cases, in another order",
        error_of(to_host(z), expected, norm(expected)), EXACT,
        "a case's output depends on the other cases, or on its place; if that is meant, as in "
        "batch normalisation, pass independent_cases=False",
    )  # fmt: skip


def _float32(at: NetworkCase) -> Iterator[Finding]:
    theta = at.theta.with_vector(at.theta.vector.astype(np.float32))
    noise = {name: array.astype(np.float32) for name, array in (at.noise or {}).items()}
    with calling("the network, in float32"):
        lin = linearize(lambda scope, _: at.run(scope), theta, None, noise or None)
    v, u = at.v.astype(np.float32), at.u.astype(np.float32)
    for label, result in (
        ("the output", lin.output), ("J v", lin.jvp(v)), ("J' u", lin.vjp(u)),
    ):  # fmt: skip
        yield holds(label, result.dtype == np.float32, f"float32 came in, {result.dtype} came out; "
                    "make constants Python numbers, and buffers of the inputs' dtype")  # fmt: skip



RUNGS = (
    Rung("output", "a batch, the same bits again, the same when recorded", _output),
    Rung("own ops", "each op of your own obeys its rules here", _own_ops),
    Rung("products", "the same bits again, nothing written into", _products),
    Rung("complex step", "J v is the derivative of the output", _complex_step),
    Rung("adjoint", "J' u is the transpose of J v", _adjoint),
    Rung("linearity", "J v, J' u and H v are linear, and exactly 0 for 0", _linearity),
    Rung("taylor", "the output leaves its tangent at second order", _taylor),
    Rung("cases", "a case's output depends on that case alone", _cases),
    Rung("hessian", "H v is the derivative of the gradient, and symmetric", hessian),
    Rung("gauss-newton", "w' G v = (J w)' H_L (J v), block by block", gauss_newton),
    Rung("float32", "float32 stays float32", _float32),
)
"""What is climbed, in this order."""
