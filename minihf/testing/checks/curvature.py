"""`check_ggn` finds out whether an operator is the Gauss-Newton matrix, block by block.

The rungs, from the weakest to the strongest:

    contract, linearity, symmetry, psd    those of `check_operator`, for the block-diagonal operator
    product        one block: G v = J' H_L J v, with J and H_L written down by the complex step
    blocks         each block is that diagonal block of the dense matrix
    off-diagonal   the block-diagonal operator is the dense matrix with the rest set to zero
    one block      no partition, and one block of everything, give the same bits
    form           quadratic_form(v) = v'G v of the whole matrix, whatever the partition
    cost           a product makes no more matrix products than one jvp and one vjp: 4 L - 2 for L
                   dense layers; a block those from its layer on

Called by users who write a curvature of their own, and by tests.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from functools import cached_property
from typing import Any

import numpy as np

from minihf.backend import Array, asarray, shape_of, to_host
from minihf.curvature import GGN, Hessian
from minihf.layers import Dense, Sequential, Tanh
from minihf.losses import SoftmaxCrossEntropy
from minihf.partition import Block
from minihf.tape import linearize
from minihf.testing.cases import Case, plan
from minihf.testing.checks.contract import Call, keeps
from minihf.testing.checks.operator import RUNGS as OPERATOR_RUNGS
from minihf.testing.checks.operator import OperatorCase, wrong_places
from minihf.testing.checks.targets import draw_targets, must_be_targets
from minihf.testing.counting import count_gemms
from minihf.testing.derivatives import jacobian
from minihf.testing.failure import Evidence, Finding, Verdict, holds
from minihf.testing.ladder import Rung, calling, climb
from minihf.testing.measure import EXACT, error_of, norm, same
from minihf.testing.replay import reproducer
from minihf.testing.shapes import Shape, shape

__all__ = ["GGNCase", "check_ggn"]

Make = Callable[[Any, Any, Any, Any], Any]


def check_ggn(
    make: Make = GGN,
    net: Any = None,
    x: Any = "N 3",
    loss: Any = None,
    partition: Any = "layer",
    targets: str | Callable[[np.random.Generator, Array], Any] | None = None,
    sizes: Mapping[str, int] | None = None,
    seed: int = 0,
    cases: int | None = None,
) -> Verdict:
    """Check a Gauss-Newton operator against a dense J' H_L J.

    Parameters
    ----------
    make : callable of (lin, loss, y, partition)
        Makes the operator, as `minihf.GGN` does: with ``@``, `shape`, `partition`, `block` and
        `quadratic_form`.
    net : Layer, optional
        Complex-safe, with an `init`; without it, three small dense layers for x of three features.
    x : str or tuple
        Shape of the input, cases first.
    loss : Loss, optional
        Without it, `SoftmaxCrossEntropy`, whose Hessian is neither diagonal nor constant.
    partition : what `Partition.of` takes
        The blocks to look at; the whole matrix is looked at anyhow.
    targets
        As for `check_loss`.
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
        If `net` has no `init`, or a shape, a size or `targets` cannot be read.

    Examples
    --------
    >>> import minihf as hf
    >>> from minihf.testing import CheckFailure, check_ggn
    >>> check_ggn(hf.GGN).worst["product"] < 1e-13
    True
    >>> class Forgetful(hf.GGN):
    ...     def product(self, v, block):
    ...         return self.lin.vjp(self.lin.jvp(v, block), block)
    >>> try:
    ...     check_ggn(Forgetful)
    ... except CheckFailure as failure:
    ...     print(failure.rung, failure.diagnosis, sep="; ")
    product; the loss's Hessian is left out: it is J'J
    """
    __tracebackhide__ = True
    must_be_targets(targets)
    given = {"net": net, "loss": loss, "targets": targets}
    options = {name: value for name, value in given.items() if value is not None}
    options |= {} if x == "N 3" else {"x": x}
    options |= {} if partition == "layer" else {"partition": partition}
    net = _three_layers() if net is None else net
    if not hasattr(net, "init"):
        raise ValueError("check_ggn: net has no init(seed, dtype); wrap it in a Layer")
    loss = SoftmaxCrossEntropy() if loss is None else loss
    inputs = shape(x)
    return climb(
        getattr(make, "__name__", type(make).__name__),
        RUNGS,
        lambda case: GGNCase(make, net, inputs, loss, partition, targets, case),
        plan(inputs.names, sizes, seed, cases),
        lambda case: reproducer(check_ggn, [make], case, **options),
    )


def _three_layers() -> Sequential:
    return Sequential(Dense(3, 2), Tanh(), Dense(2, 3), Tanh(), Dense(3, 3))


class GGNCase:
    """A network at a point, the operators made for it, and the matrix that they should be."""

    def __init__(
        self, make: Make, net: Any, x: Shape, loss: Any, partition: Any, targets: Any, case: Case
    ) -> None:
        self.make, self.net, self.loss, self.case, self.spec = make, net, loss, case, partition
        rng = case.rng()
        params = net.init(case.seed, np.float64)
        params.vector[...] = params.vector + asarray(0.1 * rng.standard_normal(params.size))
        self.params, self.n = params, params.size
        self.x = asarray(rng.standard_normal(x.at(case.sizes)))
        self.lin = linearize(net, params, self.x)
        self.y = draw_targets(loss, self.lin.output, rng, targets)
        self.v, self.w = (asarray(rng.standard_normal(self.n)) for _ in range(2))
        self.whole, self.cut = self.made("network"), self.made(partition)
        self.operator = OperatorCase(self.cut, case, name="G")

    def made(self, partition: Any) -> Any:
        """Make the operator for a partition."""
        with calling("make(lin, loss, y, partition)"):
            return self.make(self.lin, self.loss, self.y, partition)

    @cached_property
    def J(self) -> np.ndarray:
        """The derivative of the output in the parameters, (size of the output, n)."""
        return jacobian(
            lambda theta: self.net(self.params.with_vector(theta), self.x), self.params.vector
        )

    @cached_property
    def H_L(self) -> np.ndarray:
        """The derivative of the loss's gradient in the output."""
        z = self.lin.output
        flat = asarray(to_host(z).reshape(-1).copy())
        return jacobian(lambda z_: self.loss.grad(z_.reshape(z.shape), self.y), flat)

    @cached_property
    def dense(self) -> np.ndarray:
        """The Gauss-Newton matrix J' H_L J."""
        return self.J.T @ self.H_L @ self.J

    @cached_property
    def masked(self) -> np.ndarray:
        """The same with the off-diagonal blocks set to zero."""
        masked = np.zeros_like(self.dense)
        for block in self.blocks.values():
            masked[self.at(block)] = self.dense[self.at(block)]
        return masked

    @property
    def blocks(self) -> Mapping[str, Block]:
        """The blocks of the operator's partition, by name."""
        return self.cut.partition

    def index(self, block: Block) -> np.ndarray:
        """Return where a block lies in the flat vector, on the host."""
        i = block.index
        return np.arange(self.n)[i if isinstance(i, slice) else to_host(i)]

    def at(self, block: Block, other: Block | None = None) -> tuple[np.ndarray, ...]:
        """Return the place of a block in the matrix, in the columns of another if given."""
        return np.ix_(self.index(block), self.index(block if other is None else other))

    def columns(self, apply: Callable[[Array], Array], m: int) -> np.ndarray:
        """Write an operator down."""
        return np.stack([to_host(apply(asarray(e))) for e in np.eye(m)], axis=1)


def _operator(rung: Rung) -> Rung:
    """Let a rung of `check_operator` look at the block-diagonal operator."""
    return Rung(rung.name, rung.says.replace("A", "G", 1), lambda at: rung.look(at.operator))


def _contract(at: GGNCase) -> Iterator[Finding]:
    n = at.n
    found = shape_of(at.cut)
    yield holds("shape", found == (n, n), f"it has shape {found}, expected {(n, n)}")
    yield from OPERATOR_RUNGS[0].look(at.operator)
    calls = [Call("quadratic_form(v)", lambda: _form(at, at.v), (), other=lambda: _form(at, at.w))]
    for name, block in at.blocks.items():
        v, w = at.v[block.index], at.w[block.index]
        found, wanted = shape_of(at.cut.block(name)), (block.size, block.size)
        yield holds(
            f"shape of block {name!r}", found == wanted, f"it has shape {found}, expected {wanted}"
        )
        calls.append(_call(at, name, v, w))
    yield from keeps(calls, {"v": at.v})


def _call(at: GGNCase, name: str, v: Array, w: Array) -> Call:
    double = np.dtype(np.float64)
    return Call(
        f"block({name!r}) @ v", lambda: _block(at, name, v), v.shape, double,
        lambda: _block(at, name, w),
    )  # fmt: skip


def _block(at: GGNCase, name: str, v: Array) -> Array:
    with calling(f"block({name!r}) @ v"):
        return at.cut.block(name) @ v


def _form(at: GGNCase, v: Array) -> Array:
    with calling("quadratic_form(v)"):
        return at.cut.quadratic_form(v)


def _times(G: Any, v: Array) -> Array:
    with calling("G @ v"):
        return G @ v


def _product(at: GGNCase) -> Iterator[Finding]:
    def evidence() -> Evidence:
        return Evidence(
            at.case, at.columns(lambda v: _times(at.whole, v), at.n), at.dense, "G",
            "G is always zero", ("row", "column"), known=lambda found: _known(at, found),
        )  # fmt: skip

    v, w = to_host(at.v), to_host(at.w)
    right = at.dense @ v
    scale = max(norm(right), norm(at.dense @ w))
    error = error_of(to_host(_times(at.whole, at.v)), right, scale)
    yield Finding("G @ v in one block", error, EXACT, evidence=evidence)


def _known(at: GGNCase, found: np.ndarray) -> str | None:
    """Look for a matrix that is easily taken for the Gauss-Newton matrix."""
    N = len(at.lin.output)
    cases = at.J.reshape(N, -1, at.n)
    slopes = to_host(at.loss.grad(at.lin.output, at.y)).reshape(N, -1)
    g = np.einsum("nm,nmi->ni", slopes, cases)                         # each case's gradient / N
    others: dict[str, Callable[[], np.ndarray]] = {
        "the loss's Hessian is left out: it is J'J": lambda: at.J.T @ at.J,
        "the loss's Hessian is left out: it is J'J / N": lambda: at.J.T @ at.J / N,
        "only the diagonal of the loss's Hessian is there":
            lambda: at.J.T @ (np.diag(at.H_L)[:, None] * at.J),
        "it is the empirical Fisher: gradients of single cases stand for the loss's Hessian":
            lambda: N * g.T @ g,
        "it is the exact Hessian, with the second derivatives of the network":
            lambda: to_host(Hessian(at.lin, at.loss, at.y).to_dense()),
    }  # fmt: skip
    for said, make in others.items():
        try:
            other = make()
        except Exception:  # an op without a second derivative has no Hessian to be taken for
            continue
        square = np.vdot(at.dense, at.dense)
        multiple = np.vdot(at.dense, other) / square * at.dense if square else at.dense
        if not same(other, multiple) and same(found, other):
            return said
    return wrong_places(found, at.dense)


def _blocks(at: GGNCase) -> Iterator[Finding]:
    for name, block in at.blocks.items():
        yield _same_block(at, name, block)


def _same_block(at: GGNCase, name: str, block: Block) -> Finding:
    right = at.dense[at.at(block)]

    def known(found: np.ndarray) -> str | None:
        for other in at.blocks.values():
            if other is not block and other.size == block.size:
                if same(found, at.dense[at.at(other)]):
                    return f"block {name!r} holds block {other.name!r}"
                if same(found, at.dense[at.at(other, block)]):
                    return f"block {name!r} holds the rows of block {other.name!r}"
        return wrong_places(found, right)

    def evidence() -> Evidence:
        found = at.columns(lambda v: _block(at, name, v), block.size)
        return Evidence(
            at.case, found, right, f"block {name!r}", f"block {name!r} is always zero",
            ("row", "column"), known=known,
        )  # fmt: skip

    v, w = (x[block.index] for x in (at.v, at.w))
    product = right @ to_host(v)
    scale = max(norm(product), norm(right @ to_host(w)))
    error = error_of(to_host(_block(at, name, v)), product, scale)
    return Finding(f"block({name!r}) @ v", error, EXACT, evidence=evidence)


def _off_diagonal(at: GGNCase) -> Iterator[Finding]:
    def known(found: np.ndarray) -> str | None:
        if same(found, at.dense):
            return "the off-diagonal blocks are there: the matrix is not cut into blocks"
        return wrong_places(found, at.masked)

    def evidence() -> Evidence:
        found = at.columns(lambda v: _times(at.cut, v), at.n)
        return Evidence(
            at.case, found, at.masked, "the block-diagonal G", "G is always zero",
            ("row", "column"), known=known,
        )  # fmt: skip

    right = at.masked @ to_host(at.v)
    scale = max(norm(right), norm(at.masked @ to_host(at.w)))
    error = error_of(to_host(_times(at.cut, at.v)), right, scale)
    yield Finding("G @ v in blocks", error, EXACT, evidence=evidence)


def _one_block(at: GGNCase) -> Iterator[Finding]:
    whole = to_host(_times(at.whole, at.v))
    for words, spec in (("no partition", None), ("one block of all", {"all": "*"})):
        found = to_host(_times(at.made(spec), at.v))
        yield holds(
            f"G @ v with {words}", np.array_equal(found, whole),
            f"with {words}, G @ v has not the bits that it has with partition 'network': the full "
            "matrix must be the case of one block, not other code",
        )  # fmt: skip


def _quadratic_form(at: GGNCase) -> Iterator[Finding]:
    v, w = to_host(at.v), to_host(at.w)
    forms = {words: np.array([v @ A @ v]) for words, A in (("G", at.dense), ("cut", at.masked))}
    right, cut = forms["G"], forms["cut"]

    def known(found: np.ndarray) -> str | None:
        if same(found, cut) and not same(right, cut):
            return "the off-diagonal blocks are left out of it"
        return None

    found = np.reshape(to_host(_form(at, at.v)), 1)
    scale = max(float(right[0]), float(w @ at.dense @ w))
    yield Finding(
        "quadratic_form(v)", error_of(found, right, scale), EXACT,
        evidence=lambda: Evidence(
            at.case, found, right, "the quadratic form", "the quadratic form is always zero",
            known=known,
        ),
    )  # fmt: skip


def _cost(at: GGNCase) -> Iterator[Finding]:
    one = [("G @ v in one block", at.whole, at.v, next(iter(at.whole.partition.values())))]
    ways = [(f"block({b.name!r}) @ v", at.cut.block(b.name), at.v[b.index], b)
            for b in at.blocks.values()]  # fmt: skip
    for where, operator, v, block in one + ways:
        _times(operator, v)                                  # what is made once is made by now
        with count_gemms() as found:
            _times(operator, v)
        with count_gemms() as least:
            at.lin.vjp(at.lin.jvp(v, block), block)
        layers = "those from its layer to the output, there and back"
        yield holds(
            where, found.count <= least.count,
            f"it makes {found.count} matrix products, and one jvp and one vjp make {least.count} "
            f"({layers if operator is not at.whole else '4 L - 2 for L dense layers'}): something "
            "is computed again, or computed where it is zero",
        )  # fmt: skip




RUNGS = (
    Rung("contract", "shapes, dtypes, the same bits again, nothing written into", _contract),
    *map(_operator, OPERATOR_RUNGS[1:4]),
    Rung("product", "one block is J' H_L J", _product),
    Rung("blocks", "each block is that of the dense matrix", _blocks),
    Rung("off-diagonal", "the rest of the matrix is zero", _off_diagonal),
    Rung("one block", "the full matrix is the case of one block", _one_block),
    Rung("form", "quadratic_form is v'G v of the whole matrix", _quadratic_form),
    Rung("cost", "no more matrix products than a jvp and a vjp", _cost),
)
"""What is climbed, in this order."""
