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

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import cached_property
from typing import Any

import numpy as np

from minihf.backend import Array, array_module, asarray, to_host
from minihf.curvature import GGN
from minihf.losses import SquaredError
from minihf.params import Params, Scope
from minihf.partition import Partition
from minihf.recording import Node, Tape, Traced
from minihf.tape import Linearization, linearize
from minihf.testing.cases import Case, plan
from minihf.testing.checks import op as of_op
from minihf.testing.checks.parts import ADJOINT, RATE
from minihf.testing.checks.targets import draw_targets
from minihf.testing.derivatives import complex_step_jvp, dense_matrix, taylor_remainders
from minihf.testing.failure import Evidence, Finding, Verdict, holds
from minihf.testing.ladder import Rung, calling, climb, error_of
from minihf.testing.makers import made, sizes_wanted
from minihf.testing.replay import reproducer
from minihf.testing.shapes import Shape, names_of, shape

__all__ = ["RUNGS", "NetworkCase", "check_layer", "check_network"]

EXACT = of_op.EXACT
ROUNDING = 1e-6     # times EXACT: what is that small beside the whole is rounding of its terms
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
    if not params and sizes_wanted(net, _is_layer)[:2] == ("params", "x"):
        raise ValueError(
            f"{check}: a function of (params, x) needs the shapes of its parameters, such as "
            'params={"W": "D M"}'
        )
    names = names_of([*drawn, *shapes.values()])
    wanted = () if params else sizes_wanted(net, _is_layer)
    names += tuple(name for name in wanted if name not in names)

    def make(case: Case) -> Any:
        return net if params else made(net, case.sizes, _is_layer, check)

    chosen = plan(names, sizes, seed, cases)
    name = getattr(net, "__name__", type(net).__name__)
    rungs = [rung for rung in RUNGS if independent_cases or rung.name != "cases"]

    def subject(case: Case) -> NetworkCase:
        return NetworkCase(make(case), given_x, loss, partition, targets, shapes, case)

    make(chosen[0])  # a maker that wants other sizes is refused before any rung
    return climb(name, rungs, subject, chosen, reproduce)


def _is_layer(thing: Any) -> bool:
    return callable(thing) and hasattr(thing, "init")


class NetworkCase:
    """A network at a point: its parameters and its input as one vector theta, a loss, targets."""

    def __init__(
        self, net: Any, x: Any, loss: Any, partition: Any, targets: Any,
        shapes: Mapping[str, Shape], case: Case,
    ) -> None:  # fmt: skip
        self.net, self.loss, self.partition, self.case = net, loss, partition, case
        rng = case.rng()
        given = x(rng, case.sizes) if callable(x) else rng.standard_normal(x.at(case.sizes))
        self.x = tuple(map(asarray, given)) if isinstance(given, tuple) else asarray(given)
        with calling("init"):
            self.params = self._initial(shapes, rng)
        first = self.x[0] if isinstance(self.x, tuple) else self.x
        self.n_cases = len(first)
        self.noise = None
        if hasattr(net, "draw"):
            with calling("draw"):
                self.noise = net.draw(rng, self.n_cases, np.float64) or None
        self.inputs = self._live_inputs()
        arrays = self.inputs | {name: self.params[name] for name in self.params.names}
        self.theta = Params.from_dict(arrays)
        self.lin = self.linearized(self.theta)
        self.z = self.lin.output
        self.blocks = Partition.of(self.theta, "param")
        self.v, self.w = (asarray(rng.standard_normal(self.theta.size)) for _ in range(2))
        self.u, self.s = (asarray(rng.standard_normal(self.z.shape)) for _ in range(2))
        self._targets, self._rng = targets, rng.spawn(1)[0]
        self.some = rng.permutation(self.n_cases)[: max(1, self.n_cases - 1)]

    def _initial(self, shapes: Mapping[str, Shape], rng: np.random.Generator) -> Params:
        if shapes:
            drawn = {
                name: 0.5 * rng.standard_normal(shape.at(self.case.sizes))
                for name, shape in shapes.items()
            }
            return Params.from_dict(drawn)
        try:
            params = self.net.init(self.case.seed, dtype=np.float64)
        except ValueError as error:
            if "no arrays" not in str(error):
                raise
            return Params(asarray(np.zeros(0)), {})          # a layer without parameters
        noise = asarray(0.1 * rng.standard_normal(params.size))
        return params.with_vector(params.vector + noise)     # biases off zero

    def _live_inputs(self) -> dict[str, Array]:
        """Return the inputs that have a derivative, by names that no parameter has."""
        arrays = self.x if isinstance(self.x, tuple) else (self.x,)
        labels = [f"x[{i}]" for i in range(len(arrays))] if isinstance(self.x, tuple) else ["x"]
        taken = set(self.params.names)
        return {
            f"input {label}" if label in taken else label: array
            for label, array in zip(labels, arrays, strict=True)
            if array.dtype.kind == "f"
        }

    @cached_property
    def y(self) -> Any:
        """Targets for the loss; drawn when the output is known to be a batch."""
        return draw_targets(self.loss, self.z, self._rng, self._targets)

    # The network, as a function of theta

    def run(self, scope: Any) -> Any:
        """Run the network on parameters and inputs out of one scope."""
        live = iter([scope[name] for name in self.inputs])
        if isinstance(self.x, tuple):
            x: Any = tuple(next(live) if a.dtype.kind == "f" else a for a in self.x)
        else:
            x = next(live) if self.inputs else self.x
        with calling("the network"):
            return self.net(scope, x)

    def output(self, vector: Array) -> Array:
        """Return the output at another theta, without a tape."""
        return self.run(self.theta.with_vector(vector).with_noise(self.noise))

    def linearized(self, theta: Params) -> Linearization:
        """Record the network at theta."""
        with calling("the network, recorded"):
            return linearize(lambda scope, _: self.run(scope), theta, None, self.noise)

    def gradient(self, vector: Array) -> Array:
        """Return the gradient of the loss at another theta."""
        lin = self.linearized(self.theta.with_vector(vector))
        return lin.vjp(self.loss.grad(lin.output, self.y))

    def part(self, name: str, v: Array | None = None) -> Array:
        """Return the vector v, or the case's own, with zeros everywhere but in one parameter."""
        alone = array_module(self.theta.vector).zeros_like(self.theta.vector)
        index = self.blocks[name].index
        alone[index] = (self.v if v is None else v)[index]
        return alone

    def Jv(self, v: Array) -> np.ndarray:
        """Return J v by the complex step."""
        return to_host(complex_step_jvp(self.output, [self.theta.vector], [v]))


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
        where, error_of(to_host(plain), z, _norm(z)), ADJOINT,
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


class Recorder(Tape):
    """A tape that keeps what each op was given."""

    def __init__(self) -> None:
        super().__init__()
        self.calls: list[tuple[Any, Sequence[Any]]] = []

    def write(self, node: Node, inputs: Sequence[Any]) -> None:
        """Write the line down, and keep the inputs."""
        super().write(node, inputs)
        self.calls.append((node.op, inputs))


def _own_ops(at: NetworkCase) -> Iterator[Finding]:
    """Climb `check_op`'s ladder for each op of the user's own, at the values it met here."""
    tape = Recorder()
    leaves: dict[str, Traced] = {name: tape.value(at.theta[name]) for name in at.theta.names}
    at.run(Scope(leaves, noise=at.noise))
    for op, inputs in tape.calls:
        if not type(op).__module__.startswith("minihf."):
            subject = of_op.OpCase(op, inputs, at.case)
            for rung in of_op.RUNGS:
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
        scale = max(_norm(right), _norm(at.Jv(at.part(name, at.w))))

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
        scale = _norm(u) * _norm(Jv) + _norm(c) * _norm(v_b)
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
            f"J' u of block {name} alone", error_of(to_host(at.lin.vjp(at.u, block)), c, _norm(c)),
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
        scale = _norm(parts[0]) + _norm(parts[1])
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
        error_of(to_host(z), expected, _norm(expected)), EXACT,
        "a case's output depends on the other cases, or on its place; if that is meant, as in "
        "batch normalisation, pass independent_cases=False",
    )  # fmt: skip


def _hessian(at: NetworkCase) -> Iterator[Finding]:
    def right(v: Array) -> np.ndarray:
        return to_host(complex_step_jvp(at.gradient, [at.theta.vector], [v]))

    rounding = ROUNDING * max(_norm(right(at.v)), _norm(right(at.w)))
    for name in at.blocks:
        v = at.part(name)
        expected, found = right(v), to_host(at.lin.hvp(v, at.loss, at.y))
        also = right(at.part(name, at.w))
        for other, block in at.blocks.items():
            found_b, expected_b = found[block.index], expected[block.index]
            scale = max(_norm(expected_b), _norm(also[block.index]), rounding)

            def evidence(
                name: str = name, other: str = other, found: np.ndarray = found_b,
                right: np.ndarray = expected_b,
            ) -> Evidence:  # fmt: skip
                shape = at.theta[other].shape
                return Evidence(
                    at.case, found.reshape(shape), right.reshape(shape),
                    f"the `{name}` term of H v in `{other}`",
                    f"in H v, the tangent of `{name}` is ignored in `{other}`",
                )  # fmt: skip

            where = f"H v in {other} along the tangent of {name}"
            yield Finding(where, error_of(found_b, expected_b, scale), EXACT, evidence=evidence)
    Hv, Hw = (to_host(at.lin.hvp(v, at.loss, at.y)) for v in (at.v, at.w))
    v, w = to_host(at.v), to_host(at.w)
    norms = _norm(w) * _norm(Hv) + _norm(v) * _norm(Hw)
    error = abs(float(w @ Hv - v @ Hw)) / norms if norms else 0.0
    yield Finding("w' H v against v' H w", error, ADJOINT, "the Hessian is not symmetric")


def _gauss_newton(at: NetworkCase) -> Iterator[Finding]:
    H_L = at.loss.hessian(at.z, at.y)
    operators = [GGN(at.lin, at.loss, at.y), GGN(at.lin, at.loss, at.y, at.blocks)]
    if at.params.size:
        lin = linearize(at.net, at.params, at.x, at.noise)
        operators.append(GGN(lin, at.loss, at.y, at.partition))
    for G, name in [(operator, name) for operator in operators for name in operator.partition]:
        index = G.partition[name].index
        of_G = slice(at.theta.size - G.shape[0], None)     # the parameters come after the inputs
        v, w = at.v[of_G][index], at.w[of_G][index]
        wide_v, wide_w = (array_module(at.v).zeros_like(at.v) for _ in range(2))
        wide_v[of_G][index], wide_w[of_G][index] = v, w
        Jv, Jw = at.Jv(wide_v), at.Jv(wide_w)
        HJv, Gv = to_host(H_L(asarray(Jv))), to_host(G.block(name) @ v)
        found = float(np.vdot(to_host(w), Gv))
        scale = _norm(Jw) * _norm(HJv) + _norm(w) * _norm(Gv)
        where = f"w' G v of block {name}" if len(G.partition) > 1 else "w' G v of the whole matrix"
        yield Finding(
            where, abs(found - float(np.vdot(Jw, HJv))) / scale if scale else 0.0, EXACT,
            "the Gauss-Newton product is not J' H_L J v there, though J v and J' u are right: "
            "look at the loss's hessian, and at the partition",
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


def _norm(x: Any) -> float:
    return float(np.linalg.norm(np.ravel(to_host(x))))


RUNGS = (
    Rung("output", "a batch, the same bits again, the same when recorded", _output),
    Rung("own ops", "each op of your own obeys its rules here", _own_ops),
    Rung("products", "the same bits again, nothing written into", _products),
    Rung("complex step", "J v is the derivative of the output", _complex_step),
    Rung("adjoint", "J' u is the transpose of J v", _adjoint),
    Rung("linearity", "J v, J' u and H v are linear, and exactly 0 for 0", _linearity),
    Rung("taylor", "the output leaves its tangent at second order", _taylor),
    Rung("cases", "a case's output depends on that case alone", _cases),
    Rung("hessian", "H v is the derivative of the gradient, and symmetric", _hessian),
    Rung("gauss-newton", "w' G v = (J w)' H_L (J v), block by block", _gauss_newton),
    Rung("float32", "float32 stays float32", _float32),
)
"""What is climbed, in this order."""
