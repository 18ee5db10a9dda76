"""`check_optimizer` finds out whether an optimizer keeps its protocol, and reports honestly.

It makes some updates of a small network (its size in a case: D inputs, H hidden units, N cases).
The rungs:

    contract       init and step give what they should, and write into nothing they are given
    determinism    the same state and batch give the same bits
    resume         a state that was written down as plain arrays and numbers goes on as if nothing
                   had happened, bit for bit
    honest         the objective, the new objective and the products are what is reported
    descent        on a linear network with squared errors the objective falls
    bad numbers    a NaN in the batch: the update is rejected, and the parameters stay
    float32        what comes in as float32 stays float32

Called by users who write an optimizer of their own, and by tests.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import asdict, fields, is_dataclass, replace
from typing import Any

import numpy as np

from minihf.backend import Array, array_module, asarray, to_host
from minihf.layers import Dense, Sequential, Tanh
from minihf.losses import SquaredError
from minihf.params import Params
from minihf.testing.cases import Case, plan
from minihf.testing.counting import count_gemms
from minihf.testing.failure import Finding, Verdict, holds
from minihf.testing.ladder import Raised, Rung, calling, climb
from minihf.testing.measure import EXACT, error_of
from minihf.testing.replay import reproducer

__all__ = ["OptimizerCase", "check_optimizer"]

UPDATES = 4   # of which half are made by another process, as it were
DESCENT = 20  # updates in which the objective must have fallen


def check_optimizer(
    opt: Any,
    sizes: Mapping[str, int] | None = None,
    seed: int = 0,
    cases: int | None = None,
) -> Verdict:
    """Check an optimizer: its protocol, its state, its report, and that it goes down.

    Parameters
    ----------
    opt : optimizer
        With ``init(params, seed)`` and ``step(net, loss, params, state, batch)``, as `minihf.SGD`
        and `minihf.HessianFree` have them.
    sizes : mapping, optional
        N cases, D inputs and outputs, H hidden units.
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
        If `opt` is a class, or has no init and step.

    Examples
    --------
    >>> import minihf as hf
    >>> from minihf.testing import CheckFailure, check_optimizer
    >>> check_optimizer(hf.SGD(lr=0.05, momentum=0.9), cases=2).cases
    2
    >>> class Uphill(hf.SGD):
    ...     def step(self, net, loss, params, state, batch):
    ...         new, *rest = super().step(net, loss, params, state, batch)
    ...         return params.with_vector(2 * params.vector - new.vector), *rest
    >>> try:
    ...     check_optimizer(Uphill(lr=0.05))
    ... except CheckFailure as failure:
    ...     print(failure.rung, failure.diagnosis[:32], sep="; ")
    descent; the objective does not fall in 2
    """
    __tracebackhide__ = True
    if isinstance(opt, type) or not (hasattr(opt, "init") and hasattr(opt, "step")):
        raise ValueError(
            f"check_optimizer: {opt!r} is no optimizer; expected an object with init and step, "
            "such as hf.SGD(lr=0.1)"
        )
    return climb(
        type(opt).__name__,
        RUNGS,
        lambda case: OptimizerCase(opt, case),
        plan(("N", "D", "H"), sizes, seed, cases),
        lambda case: reproducer(check_optimizer, [opt], case),
    )


class OptimizerCase:
    """An optimizer, a small tanh network, its parameters, and a batch."""

    def __init__(self, opt: Any, case: Case) -> None:
        self.opt, self.case, self.loss = opt, case, SquaredError()
        N, D, H = (case.sizes[name] for name in ("N", "D", "H"))
        self.net = Sequential(Dense(D, H), Tanh(), Dense(H, D))
        rng = case.rng()
        self.params = self.net.init(case.seed, dtype=np.float64)
        self.params.vector[:] = asarray(rng.standard_normal(self.params.size) / 2)
        self.batch = tuple(asarray(rng.standard_normal((4 * N, D))) for _ in range(2))

    def init(self, params: Params | None = None) -> Any:
        """Return the optimizer's first state."""
        with calling("init"):
            return self.opt.init(self.params if params is None else params, seed=self.case.seed)

    def step(self, params: Params, state: Any, batch: Any = None, net: Any = None) -> Any:
        """Make one update."""
        with calling("step"):
            result = self.opt.step(
                net or self.net, self.loss, params, state, batch or self.batch
            )
        if not (isinstance(result, tuple) and len(result) == 3):
            raise Raised("step", TypeError("step must return (params, state, report)"))
        return result

    def updates(self, count: int, params: Params, state: Any) -> tuple[Params, Any, list[Any]]:
        """Make some updates, and keep the reports."""
        reports = []
        for _ in range(count):
            params, state, report = self.step(params, state)
            reports.append(report)
        return params, state, reports

    def objective(self, params: Params) -> float:
        """Return the objective that the optimizer should see, its l2 included."""
        l2 = float(getattr(self.opt, "l2", 0.0))
        x, y = self.batch
        value = float(to_host(self.loss.value(self.net(params, x), y)))
        return value + l2 / 2 * float(to_host((params.vector * params.vector).sum()))


def leaves_of(state: Any, path: str = "state") -> Iterator[tuple[str, Any]]:
    """Yield the arrays and numbers of a state with their places."""
    if is_dataclass(state) and not isinstance(state, type):
        for field in fields(state):
            yield from leaves_of(getattr(state, field.name), f"{path}.{field.name}")
    elif isinstance(state, Mapping):
        for key, value in state.items():
            yield from leaves_of(value, f"{path}[{key!r}]")
    elif isinstance(state, list | tuple):
        for i, value in enumerate(state):
            yield from leaves_of(value, f"{path}[{i}]")
    else:
        yield path, state


def copied(state: Any) -> Any:
    """Return a state with every array copied: what a checkpoint would give back."""
    if is_dataclass(state) and not isinstance(state, type):
        return replace(state, **{f.name: copied(getattr(state, f.name)) for f in fields(state)})
    if isinstance(state, Mapping):
        return {key: copied(value) for key, value in state.items()}
    if isinstance(state, list | tuple):
        return type(state)(map(copied, state))
    return asarray(to_host(state).copy()) if hasattr(state, "dtype") and state.ndim else state


def _same_state(one: Any, other: Any) -> str:
    """Return the first place in which two states differ, or nothing."""
    for (path, a), (_, b) in zip(leaves_of(one), leaves_of(other), strict=True):
        if hasattr(a, "dtype") != hasattr(b, "dtype"):
            return path
        if hasattr(a, "dtype"):
            same = np.array_equal(to_host(a), to_host(b))
        else:
            same = a == b or (a != a and b != b)                        # NaN is NaN
        if not same:
            return path
    return ""


def _contract(at: OptimizerCase) -> Iterator[Finding]:
    before = to_host(at.params.vector).copy()
    state = at.init()
    for path, leaf in leaves_of(state):
        plain = leaf is None or isinstance(leaf, int | float | str) or hasattr(leaf, "dtype")
        yield holds(path, plain, f"it is {type(leaf).__name__}, expected arrays, numbers and text")
    kept = copied(state)
    x, y = (to_host(array).copy() for array in at.batch)
    params, after, report = at.step(at.params, state)
    yield holds(
        "params, afterwards", np.array_equal(to_host(at.params.vector), before),
        "step writes into the parameters that it was given; return new ones",
    )  # fmt: skip
    changed = _same_state(kept, state)
    yield holds(f"{changed or 'state'}, afterwards", not changed,
                "step writes into the state that it was given; return a new one")  # fmt: skip
    for name, array, copy in zip("xy", at.batch, (x, y), strict=True):
        yield holds(f"{name} of the batch, afterwards", np.array_equal(to_host(array), copy),
                    "step writes into the batch")  # fmt: skip
    fits = isinstance(params, Params) and params.names == at.params.names
    why = f"step gave {type(params).__name__}, expected Params of the same names"
    yield holds("params", fits, why)
    yield holds("state", type(after) is type(state),
                f"init gave {type(state).__name__}, step {type(after).__name__}")  # fmt: skip
    for name in ("objective", "accepted", "cases", "products", "new_objective", "problem"):
        yield holds(f"report.{name}", hasattr(report, name), f"the report has no {name}")
    yield holds("report.cases", report.cases == len(x),
                f"it says {report.cases} cases, the batch has {len(x)}")  # fmt: skip
    try:
        json.dumps(asdict(report), allow_nan=True)
        fault = ""
    except (TypeError, ValueError) as error:
        fault = str(error)
    yield holds("report", not fault, f"it cannot be written as JSON: {fault}")


def _determinism(at: OptimizerCase) -> Iterator[Finding]:
    (one, state, _), (other, again, _) = (
        at.updates(UPDATES, at.params, at.init()) for _ in range(2)
    )
    yield holds(
        "params", np.array_equal(to_host(one.vector), to_host(other.vector)),
        "the same seed, state and batch gave other parameters the second time",
    )  # fmt: skip
    place = _same_state(state, again)
    yield holds(place or "state", not place, "the same calls gave another state the second time")


def _resume(at: OptimizerCase) -> Iterator[Finding]:
    whole, state, _ = at.updates(UPDATES, at.params, at.init())
    params, half, _ = at.updates(UPDATES // 2, at.params, at.init())
    fresh = params.with_vector(asarray(to_host(params.vector).copy()))
    at.updates(1, at.params, at.init())  # another run: what the object remembers is of that
    resumed, again, _ = at.updates(UPDATES - UPDATES // 2, fresh, copied(half))
    yield holds(
        "params", np.array_equal(to_host(whole.vector), to_host(resumed.vector)),
        "after a checkpoint the parameters go another way: something is kept outside of the state",
    )  # fmt: skip
    place = _same_state(state, again)
    yield holds(place or "state", not place, "after a checkpoint the state is another")


def _honest(at: OptimizerCase) -> Iterator[Finding]:
    params, state = at.params, at.init()
    for _ in range(UPDATES):
        true = at.objective(params)
        with count_gemms() as gemms:
            new, state, report = at.step(params, state)
        yield Finding(
            "report.objective", error_of(np.array(report.objective), np.array(true), abs(true)),
            EXACT, f"it reports {report.objective:.6g}, the objective is {true:.6g}",
        )  # fmt: skip
        if report.new_objective is not None:
            true = at.objective(new)
            yield Finding(
                "report.new_objective",
                error_of(np.array(report.new_objective), np.array(true), abs(true)), EXACT,
                f"it reports {report.new_objective:.6g}, at the new parameters it is {true:.6g}",
            )  # fmt: skip
        moved = not np.array_equal(to_host(new.vector), to_host(params.vector))
        yield holds(
            "report.accepted", report.accepted or not moved,
            "the update is said to be rejected, and the parameters move",
        )  # fmt: skip
        yield holds(
            "report.products", 0 <= report.products <= gemms.count,
            f"it reports {report.products} products, and made {gemms.count} matrix products in all",
        )  # fmt: skip
        params = new


def _descent(at: OptimizerCase) -> Iterator[Finding]:
    D = at.case.sizes["D"]
    net, x = Dense(D, D), at.batch[0]
    params = net.init(at.case.seed, dtype=np.float64)
    target = asarray(at.case.rng().standard_normal((D, D)))
    batch = (x, array_module(x).matmul(x, target))
    with calling("init"):
        state = at.opt.init(params, seed=at.case.seed)

    def value(params: Params) -> float:
        return float(to_host(at.loss.value(net(params, x), batch[1])))

    first = value(params)
    for _ in range(DESCENT):
        params, state, _ = at.step(params, state, batch, net)
    last = value(params)
    yield holds(
        "the loss of a linear network", last < first,
        f"the objective does not fall in {DESCENT} updates: from {first:.4g} to {last:.4g}",
    )  # fmt: skip


def _bad_numbers(at: OptimizerCase) -> Iterator[Finding]:
    x, y = at.batch
    bad = array_module(x).where(x == x[0, 0], np.nan, x)
    with np.errstate(all="ignore"):
        params, state, report = at.step(at.params, at.init(), (bad, y))
    yield holds(
        "params, with NaN in the batch",
        np.array_equal(to_host(params.vector), to_host(at.params.vector)),
        "the parameters move where the objective is not finite; reject the update",
    )  # fmt: skip
    yield holds("report, with NaN in the batch", not report.accepted and report.problem,
                "the update must be reported as rejected, with its problem in words")  # fmt: skip
    for path, leaf in leaves_of(state):
        good = not hasattr(leaf, "dtype") or bool(np.isfinite(to_host(leaf)).all())
        yield holds(f"{path}, with NaN in the batch", good, "the NaN comes into the state")


def _float32(at: OptimizerCase) -> Iterator[Finding]:
    def single(array: Array) -> Array:
        return array.astype(np.float32)

    params = at.params.with_vector(single(at.params.vector))
    batch, state = tuple(map(single, at.batch)), at.init(params)
    for _ in range(2):
        params, state, _ = at.step(params, state, batch)
    leaves = [("params", params.vector), *leaves_of(state)]
    for path, leaf in leaves:
        if hasattr(leaf, "dtype") and leaf.dtype.kind == "f" and leaf.ndim:
            why = f"float32 came in, {leaf.dtype} came out; make settings Python numbers"
            yield holds(path, leaf.dtype == np.float32, why)


RUNGS = (
    Rung("contract", "plain state, a whole report, nothing written into", _contract),
    Rung("determinism", "the same seed, state and batch give the same bits", _determinism),
    Rung("resume", "a copied state goes on bit for bit", _resume),
    Rung("honest", "objectives and products are what is reported", _honest),
    Rung("descent", "a linear network's loss falls", _descent),
    Rung("bad numbers", "a NaN rejects the update", _bad_numbers),
    Rung("float32", "float32 stays float32", _float32),
)
"""What is climbed, in this order."""
