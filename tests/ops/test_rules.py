"""The four rules of every op, against the complex step and against each other.

A new op adds a row to `ROWS`; a test sees to it that none is forgotten.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from math import prod

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, mutually_broadcastable_shapes

import minihf as hf
from minihf import ops
from minihf.op import LinearOp, Op
from minihf.ops.conv import Conv2dOp
from minihf.ops.dense import DenseOp
from minihf.ops.linalg import MatMul
from minihf.ops.lstm import LSTMOp
from minihf.ops.pool import AvgPool2dOp, GlobalAvgPool2dOp, MaxPool2dOp
from minihf.ops.rnn import RNNOp
from minihf.ops.shape import Concatenate, GetItem, Reshape, Sum, Transpose
from minihf.testing import complex_step_jvp

pytestmark = pytest.mark.usefixtures("backend")

EXACT = 1e-10  # the complex step is good to 1e-15; log and division by small numbers cost some
ADJOINT = 1e-12  # two sums of a few hundred products in float64, in another order
SAME = 1e-12  # the same sums, associated otherwise
MARGIN = 0.3  # how far a kink or a pole is kept away

one = array_shapes(min_dims=0, max_dims=3, max_side=3).map(lambda shape: (shape,))
matrix = array_shapes(min_dims=2, max_dims=2, max_side=4).map(lambda shape: (shape,))
two = mutually_broadcastable_shapes(num_shapes=2, min_side=1, max_side=3, max_dims=3).map(
    lambda both: both.input_shapes
)
size = st.integers(1, 4)


def sized(shapes):
    """Turn a function of four sizes into a strategy of tuples of shapes."""
    return st.tuples(size, size, size, size).map(lambda sizes: shapes(*sizes))


def convolved(kernel):
    """Images of 3 to 6 pixels, up to four channels and filters: x, W and b."""
    return sized(lambda n, c, f, p: ((n, c, 2 + p, 7 - p), (f, c, *kernel), (f,)))


images = sized(lambda n, c, h, w: ((n, c, h + 2, w + 2),))


def recurrent(gates, states):
    """Shapes of x, Wx, Wh, b and the first states, for N, T, D and H."""
    return sized(
        lambda n, t, d, h: (
            (n, t, d), (d, gates * h), (h, gates * h), (gates * h,), *[(n, h)] * states
        )
    )  # fmt: skip


def off_zero(x):
    return x + np.copysign(MARGIN, x)


def apart(x):
    """Give the same order, and a distance of MARGIN between any two."""
    return MARGIN * (np.argsort(np.argsort(x, axis=None)).reshape(x.shape) - x.size // 2)


@dataclass(frozen=True)
class Row:
    """An op, the shapes it takes, and where its inputs lie: what `make` is given are the shapes."""

    make: Callable[..., Op]
    shapes: st.SearchStrategy
    domain: Callable = field(default=np.asarray)


def fixed(op, shapes, domain=np.asarray):
    return Row(lambda *_: op, shapes, domain)


ROWS = {
    "tanh": fixed(ops.tanh, one),
    "sigmoid": fixed(ops.sigmoid, one),
    "relu": fixed(ops.relu, one, off_zero),
    "softplus": fixed(ops.softplus, one),
    "exp": fixed(ops.exp, one),
    "log": fixed(ops.log, one, lambda x: MARGIN + np.abs(x)),
    "square": fixed(ops.square, one),
    "neg": fixed(ops.neg, one),
    "add": fixed(ops.add, two),
    "sub": fixed(ops.sub, two),
    "mul": fixed(ops.mul, two),
    "div": fixed(ops.div, two, off_zero),
    "matmul": fixed(MatMul(), sized(lambda n, m, k, p: ((n, m), (m, k)))),
    "matmul, stacked": fixed(MatMul(), sized(lambda n, m, k, p: ((1, p, n, m), (p, 1, m, k)))),
    "matmul, one for all": fixed(MatMul(), sized(lambda n, m, k, p: ((p, n, m), (m, k)))),
    "dense": fixed(DenseOp(), sized(lambda n, m, k, p: ((n, m), (m, k), (k,)))),
    "dense, positions": fixed(DenseOp(), sized(lambda n, m, k, p: ((n, p, m), (m, k), (k,)))),
    "conv2d": fixed(Conv2dOp(), convolved((2, 3))),
    "conv2d, one pixel": fixed(Conv2dOp(), convolved((1, 1))),
    "conv2d, padding": fixed(Conv2dOp(padding=(1, 2)), convolved((3, 3))),
    "conv2d, stride": fixed(Conv2dOp((2, 2), (1, 1)), convolved((3, 3))),
    "conv2d, long strides": fixed(Conv2dOp((2, 3), (0, 2)), convolved((1, 2))),
    "max_pool2d": fixed(MaxPool2dOp(), images, apart),
    "max_pool2d, overlapping": fixed(MaxPool2dOp((2, 3), (1, 2)), images, apart),
    "avg_pool2d": fixed(AvgPool2dOp(), images),
    "avg_pool2d, overlapping": fixed(AvgPool2dOp((3, 2), (2, 1)), images),
    "global_avg_pool2d": fixed(GlobalAvgPool2dOp(), images),
    "rnn": fixed(RNNOp(), recurrent(1, 1)),
    "lstm": fixed(LSTMOp(), recurrent(4, 2)),
    "sum": fixed(Sum(), one),
    "sum, last axis": fixed(Sum(-1, keepdims=True), matrix),
    "sum, two axes": fixed(Sum((0, -1)), sized(lambda n, m, k, p: ((n, m, k),))),
    "reshape": Row(lambda x: Reshape((1, prod(x))), one),
    "transpose": fixed(Transpose(), one),
    "transpose, axes": fixed(Transpose((1, -1, 0)), sized(lambda n, m, k, p: ((n, m, k),))),
    "getitem": fixed(GetItem((slice(None, None, 2), None, -1)), matrix),
    "getitem, one entry": fixed(GetItem((0, 0)), matrix),
    "getitem, repeated": Row(lambda x: GetItem(hf.asarray(np.array([0, -1, 0]))), matrix),
    "getitem, mask": Row(lambda x: GetItem(hf.asarray(np.arange(x[0]) % 2 == 0)), matrix),
    "concatenate": fixed(Concatenate(-1), sized(lambda n, m, k, p: ((n, m), (n, k), (n, p)))),
}

every_row = pytest.mark.parametrize("row", ROWS.values(), ids=ROWS)
anything = given(data=st.data(), seed=st.integers(0, 2**32 - 1))


class Case:
    """An op at a point, with tangents Rx, a cotangent u and its tangent Ru."""

    def __init__(self, row, data, seed, dtype=np.float64):
        rng = np.random.default_rng(seed)
        shapes = data.draw(row.shapes, label="shapes")

        def draw(shape, domain=np.asarray):
            return hf.asarray(domain(rng.standard_normal(shape)), dtype=dtype)

        self.op = row.make(*shapes)
        self.x = [draw(shape, row.domain) for shape in shapes]
        self.Rx = [draw(shape) for shape in shapes]
        self.y, self.residuals = self.op.forward(*self.x)
        self.u, self.Ru = draw(self.y.shape), draw(self.y.shape)
        self.all = (True,) * len(shapes)

    def some_tangents(self):
        """All tangents, and each one alone."""
        yield self.Rx
        for i in range(len(self.Rx) if len(self.Rx) > 1 else 0):
            yield [R if i == j else None for j, R in enumerate(self.Rx)]

    def one_need(self):
        """Each input alone, with its place."""
        return [(i, tuple(i == j for j in range(len(self.x)))) for i in range(len(self.x))]

    def rop(self, *Rx):
        return self.op.rop(self.residuals, *Rx)

    def vjp(self, u, needs):
        return self.op.vjp(self.residuals, u, needs)

    def rvjp(self, Rx, Ru, needs):
        return self.op.rvjp(self.residuals, Rx, self.u, Ru, needs)


def assert_same(found, expected, tolerance):
    """Compare arrays, where None is zero.

    What went in is of order one: where terms cancel, their rounding remains.
    """
    for one, other in zip(found, expected, strict=True):
        one, other = hf.to_host(0 * other if one is None else one), hf.to_host(other)
        assert one.shape == other.shape
        assert np.linalg.norm(one - other) <= tolerance * max(1.0, np.linalg.norm(other))


@every_row
@anything
def test_rop_is_the_derivative_of_forward(row, data, seed):
    case = Case(row, data, seed)
    for Rx in case.some_tangents():
        expected = complex_step_jvp(lambda *x: case.op.forward(*x)[0], case.x, Rx)
        assert_same([case.rop(*Rx)], [expected], EXACT)


@every_row
@anything
def test_vjp_is_the_transpose_of_rop(row, data, seed):
    case = Case(row, data, seed)
    u, cotangents = hf.to_host(case.u), case.vjp(case.u, case.all)
    for i, (R, c) in enumerate(zip(case.Rx, cotangents, strict=True)):
        alone = [R if i == j else None for j in range(len(case.x))]
        Ry, R, c = (hf.to_host(array) for array in (case.rop(*alone), R, c))
        scale = np.linalg.norm(u) * np.linalg.norm(Ry) + np.linalg.norm(c) * np.linalg.norm(R)
        assert c.shape == R.shape
        assert abs(np.vdot(u, Ry) - np.vdot(c, R)) <= ADJOINT * scale


@every_row
@anything
def test_rvjp_is_the_derivative_of_vjp(row, data, seed):
    case = Case(row, data, seed)

    def vjp(u, *x):
        return case.op.vjp(case.op.forward(*x)[1], u, case.all)

    nothing = [None] * len(case.x)
    pairs = [(Rx, Ru) for Rx in case.some_tangents() for Ru in (case.Ru, None)]
    for Rx, Ru in [*pairs, (nothing, case.Ru)]:
        expected = complex_step_jvp(vjp, [case.u, *case.x], [Ru, *Rx])
        assert_same(case.rvjp(Rx, Ru, case.all), expected, EXACT)


@every_row
@anything
def test_asking_for_one_cotangent_gives_the_same_one(row, data, seed):
    case = Case(row, data, seed)
    for ask in (case.vjp, lambda u, needs: case.rvjp(case.Rx, u, needs)):
        together = ask(case.Ru, case.all)
        for i, needs in case.one_need():
            alone = ask(case.Ru, needs)
            assert len(alone) == len(case.x)
            assert_same([alone[i]], [together[i]], SAME)


@every_row
@anything
def test_rules_are_linear_and_zero_gives_exactly_zero(row, data, seed):
    case = Case(row, data, seed)
    Rx, Rz, a = case.Rx, case.x, 1.5
    along = [R + a * other for R, other in zip(Rx, Rz, strict=True)]
    assert_same([case.rop(*along)], [case.rop(*Rx) + a * case.rop(*Rz)], SAME)
    apart = zip(case.vjp(case.u, case.all), case.vjp(case.Ru, case.all), strict=True)
    together = case.vjp(case.u + a * case.Ru, case.all)
    assert_same(together, [c + a * d for c, d in apart], SAME)
    nothing = [0 * x for x in case.x]
    assert not hf.to_host(case.rop(*nothing)).any()
    zeros = [*case.vjp(0 * case.u, case.all), *case.rvjp(nothing, 0 * case.u, case.all)]
    assert not any(hf.to_host(cotangent).any() for cotangent in zeros)


@every_row
@anything
def test_rules_write_into_nothing_they_are_given(row, data, seed):
    case = Case(row, data, seed)
    given = [*case.x, *case.Rx, case.u, case.Ru]
    before = [hf.to_host(array).copy() for array in given]

    def everything():
        products = [case.rop(*Rx) for Rx in case.some_tangents()]
        cotangents = [*case.vjp(case.u, case.all), *case.rvjp(case.Rx, case.Ru, case.all)]
        return [hf.to_host(array).copy() for array in [*products, *cotangents]]

    first, again = everything(), everything()
    for array, copy in zip([*given, *again], [*before, *first], strict=True):
        np.testing.assert_array_equal(hf.to_host(array), copy)


@every_row
@anything
def test_float32_stays_float32(row, data, seed):
    case = Case(row, data, seed, np.float32)
    results = [case.y, *(case.rop(*Rx) for Rx in case.some_tangents())]
    results += case.vjp(case.u, case.all)
    results += case.rvjp(case.Rx, case.Ru, case.all)
    assert {array.dtype for array in results if array is not None} == {np.dtype(np.float32)}


TRANSCENDENTAL = ("tanh", "exp", "expm1", "log", "log1p", "sinh", "cosh", "sin", "cos", "power")
EVALUATE = {"tanh", "sigmoid", "softplus", "exp", "log", "rnn", "lstm"}


@pytest.mark.parametrize("name", ROWS)
@anything
def test_only_forward_evaluates_a_transcendental_function(name, data, seed):
    asked = []

    def recorded(function):
        def call(*arguments, **options):
            asked.append(function)
            return function(*arguments, **options)

        return call

    namespace = hf.backend.array_module(hf.asarray(np.ones(1)))
    with pytest.MonkeyPatch.context() as patch:
        for function in TRANSCENDENTAL:
            known = recorded(getattr(namespace, function))
            patch.setattr(namespace, function, known, raising=False)
        case = Case(ROWS[name], data, seed)
        assert bool(asked) == (name in EVALUATE)
        asked.clear()
        for Rx in case.some_tangents():
            case.rop(*Rx)
        case.vjp(case.u, case.all)
        case.rvjp(case.Rx, case.Ru, case.all)
    assert asked == []


def all_ops(parent=Op):
    """Every op of the library: those that can run forward."""
    for op in parent.__subclasses__():
        if op.__module__.startswith("minihf.") and op.forward is not Op.forward:
            yield op
        yield from all_ops(op)


def test_every_op_has_a_row():
    rows = {type(row.make((2, 2))) for row in ROWS.values()}
    assert {op.__name__ for op in all_ops()} == {op.__name__ for op in rows}


@pytest.mark.parametrize("op", list(all_ops()), ids=lambda op: op.__name__)
def test_every_op_states_its_four_rules(op):
    for rule in ("forward", "rop", "vjp", "rvjp"):
        assert getattr(op, rule) is not getattr(Op, rule), f"{op.__name__} lacks {rule}"
    assert op.rvjp is not LinearOp.rvjp or issubclass(op, LinearOp)
