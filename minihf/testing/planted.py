"""Planted bugs: mistakes that people make, made on purpose, to see that each is found and named.

`BUGS` is a table: which rule, what is exchanged in its source, on which row of `BUILTIN` it shows,
the rung that must break, and what the failure must say. A bug with `known` serves the diagnosis as
well: a user's own op with the same forward and the same wrong result has the same mistake.

Called by the diagnosis, by the kill matrix and by tests.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import wraps
from typing import Any

import numpy as np

from minihf.backend import Array, to_host
from minihf.op import Op
from minihf.testing.builtin import BUILTIN, Row
from minihf.testing.checks.op import made
from minihf.testing.planting import plant, planted_in

__all__ = ["BUGS", "Bug", "known_bugs"]

SAME = 1e-9  # relative: two results of the same formula; bugs differ in more


@dataclass(frozen=True)
class Bug:
    """One mistake: where, what, and what must be said about it.

    Attributes
    ----------
    name : str
    target, old, new : str
        As for `plant`.
    on : str
        The row of `BUILTIN` that it is checked on.
    rung : str
        The first rung that breaks.
    diagnosis : str
        What the failure says; a part of it will do unless `known`.
    known : bool
        Whether it is a mistake with a name of its own, `diagnosis`.
    """

    name: str
    target: str
    old: str
    new: str
    on: str
    rung: str
    diagnosis: str = ""
    known: bool = False

    @property
    def planted(self) -> Any:
        """The class with the bug."""
        return plant(self.target, self.old, self.new)

    @property
    def row(self) -> Row:
        """The row of `BUILTIN` with the bug in its op."""
        right = BUILTIN[self.on]
        return replace(right, op=_with(right.op, lambda op: planted_in(op, self.planted)))


def _with(op: Any, change: Callable[[Any], Any]) -> Any:
    """Change an op, or what a maker of ops makes."""
    if isinstance(op, Op):
        return change(op)

    @wraps(op)
    def make(**sizes: int) -> Any:
        return change(op(**sizes))

    return make


# The table ----------------------------------------------------------------------------------

DENSE = "minihf.ops.dense:DenseOp"
CONV = "minihf.ops.conv:Conv2dOp"
MAX, AVG = "minihf.ops.pool:MaxPool2dOp", "minihf.ops.pool:AvgPool2dOp"
RNN, LSTM = "minihf.ops.rnn:RNNOp", "minihf.ops.lstm:LSTMOp"
ENTRY = "minihf.ops.elementwise"

CONTRACT, FIRST, ADJOINT = "contract", "complex step", "adjoint"
NEEDS, SECOND, SINGLE = "needs", "second order", "float32"

TOGETHER = "each tangent alone is right, together they are not"

BUGS: tuple[Bug, ...] = (
    # Dense
    Bug("dense: rop forgets R{b} beside others", f"{DENSE}.rop",
        "Ry = add_into(Ry, Rb)", "pass", "dense", FIRST, TOGETHER),
    Bug("dense: rop forgets R{b} alone", f"{DENSE}.rop",
        "(Rb, shape)", "(0 * Rb, shape)", "dense", FIRST,
        "the tangent of `b` is ignored in rop"),
    Bug("dense: sign of R{x} W", f"{DENSE}.rop",
        "gemm(_rows(Rx), W)", "gemm(_rows(Rx), -W)", "dense", FIRST,
        "the `x` term of rop has the wrong sign"),
    Bug("dense: u W' transposed", f"{DENSE}.vjp",
        "gemm(u2, W.T)", "gemm(W, u2.T)", "dense", ADJOINT,
        "the cotangent of `x` is transposed"),
    Bug("dense: mean of u for b", f"{DENSE}.vjp",
        "u2.sum(", "u2.mean(", "dense", ADJOINT, "= 1/N: mean and sum mixed up"),
    Bug("dense: b gets the last row of u", f"{DENSE}.vjp",
        "u2.sum(axis=0, out=out[2])", "u2[-1]", "dense, positions", ADJOINT,
        "the cotangent of b is u of the last row alone, not the sum over all", known=True),
    Bug("dense: W only together with x", f"{DENSE}.vjp",
        "out=out[1]) if for_W", "out=out[1]) if for_W and for_x", "dense", NEEDS,
        "vjp gives another cotangent of `W` when no other is asked for"),
    Bug("dense: R{x}' u only beside R{u}", f"{DENSE}.rvjp",
        "if for_W and Rx is not None", "if for_W and Rx is not None and Ru is not None",
        "dense", SECOND, "in R{cotangent of `W`}, the tangent of x is ignored"),
    Bug("dense: x' R{u} lost beside R{x}", f"{DENSE}.rvjp",
        "add_gemm(RuW, ", "add_gemm(None, ", "dense", SECOND, TOGETHER),
    Bug("dense: no u R{W}'", f"{DENSE}.rvjp",
        "if for_x and RW is not None", "if False", "dense", SECOND,
        "in R{cotangent of `x`}, the tangent of W is ignored"),
    Bug("dense: R{W} not transposed", f"{DENSE}.rvjp",
        "u2, RW.T)", "u2, RW.reshape(RW.T.shape))", "dense", SECOND,
        "R{W} stands where its transpose belongs in R{x:} = R{u} W' + u R{W}'", known=True),
    # Products of stacks, pieces, sums
    Bug("matmul: stacks not summed", "minihf.ops.linalg:MatMul.vjp",
        "_unbroadcast(gemm(a.swapaxes(-1, -2), u), b.shape)", "gemm(a.swapaxes(-1, -2), u)",
        "matmul, one for all", CONTRACT, "it has shape"),
    Bug("getitem: assigned, not added", "minihf.ops.shape:GetItem.vjp",
        "xp.add.at(x_cotangent, self.index, u)", "x_cotangent[self.index] = u",
        "getitem, repeated", ADJOINT,
        "an entry that is taken twice gets one of its cotangents, not their sum", known=True),
    Bug("sum: mean of u", "minihf.ops.shape:Sum.vjp",
        "(u.reshape(kept), shape)", "(u.reshape(kept), shape) * (u.size / prod(shape))",
        "sum", ADJOINT, "= 1/(N D): mean and sum mixed up"),
    # Functions of one and two variables
    Bug("tanh: slope 1 - y", f"{ENTRY}:Tanh.forward",
        "1 - y * y", "1 - y", "tanh", FIRST,
        "the slope of tanh is 1 - y, and must be 1 - y^2", known=True),
    Bug("tanh: bend without slope", f"{ENTRY}:Tanh.bend",
        "-2 * y * slope", "-2 * y", "tanh", SECOND,
        "y'' of tanh lacks the factor y': it is -2 y (1 - y^2)", known=True),
    Bug("sigmoid: bend", f"{ENTRY}:Sigmoid.bend",
        "(1 - 2 * y)", "(1 - y)", "sigmoid", SECOND,
        "y'' of the sigmoid has 1 - y where 1 - 2 y belongs", known=True),
    Bug("log: epsilon in the slope", f"{ENTRY}:Log.forward",
        "1 / x", "1 / (x + 1e-6)", "log", FIRST,
        "a small number is added to x in 1 / x: the slope of another function", known=True),
    Bug("square: writes into u", f"{ENTRY}:Square.vjp",
        "return (residuals[0] * u,)", "u *= residuals[0]; return (u,)", "square", CONTRACT,
        "vjp writes into u, which it was given"),
    Bug("relu: float64 slope", f"{ENTRY}:ReLU.forward",
        "live.astype(x.real.dtype)", 'live.astype("float64")', "relu", SINGLE,
        "float32 came in, float64 came out"),
    Bug("sub: sign", f"{ENTRY}:Sub.vjp",
        "-_unbroadcast(u, b_shape)", "_unbroadcast(u, b_shape)", "sub", ADJOINT,
        "the cotangent of `b` has the wrong sign"),
    Bug("add: broadcast row not summed", f"{ENTRY}:Add.vjp",
        "_unbroadcast(u, b_shape)", "u", "add, a row", CONTRACT, "it has shape"),
    Bug("mul: factors exchanged", f"{ENTRY}:Mul.vjp",
        "u * b,", "u * a,", "mul", ADJOINT,
        "each factor gets u times itself, and must get u times the other", known=True),
    Bug("div: no R{y}", f"{ENTRY}:Div.rvjp",
        "None if Ry is None else -w * Ry", "None", "div", SECOND,
        "in R{cotangent of `b`}, the tangent of a is ignored"),
    # Convolution
    Bug("conv2d: kernel not flipped", f"{CONV}._phases",
        "W[:, :, k, m]", "W[:, :, KH - 1 - k, KW - 1 - m]", "conv2d", ADJOINT,
        "the kernel is not flipped in the cotangent of x", known=True),
    Bug("conv2d: no padding in the transpose", f"{CONV}._phases",
        "a + ph - sh", "a - sh", "conv2d, padding", ADJOINT,
        "the padding is left out in the cotangent of x", known=True),
    Bug("conv2d: rows cut by the stride", f"{CONV}._transpose_in_x",
        "-(-H // sh)", "H // sh", "conv2d, stride", CONTRACT, "it has shape"),
    Bug("conv2d: phases of a stride exchanged", f"{CONV}._phases",
        "k, m = a +", "k, m = (sh - 1 - a) +", "conv2d, stride", ADJOINT,
        "the stride's phases stand in the wrong order in the cotangent of x", known=True),
    Bug("conv2d: mean over pixels for b", f"{CONV}.vjp",
        ".sum(axis=(1, 2))", ".mean(axis=(1, 2))", "conv2d", ADJOINT,
        "the cotangent of b is averaged over pixels, not summed", known=True),
    Bug("conv2d: columns of x for R{x}", f"{CONV}.rop",
        "cols if Rx is None else None", "cols if len(terms) == 1 else None",
        "conv2d, one pixel", FIRST,
        "the columns of x are used where those of R{x} belong", known=True),
    Bug("conv2d: rop forgets R{b} beside others", f"{CONV}.rop",
        "(terms, Rb, ", "(terms, None, ", "conv2d", FIRST, TOGETHER),
    Bug("conv2d: no R{x} * u", f"{CONV}.rvjp",
        "if for_W and Rx is not None", "if False", "conv2d, padding", SECOND,
        "in R{cotangent of `W`}, the tangent of x is ignored"),
    # Pooling
    Bug("avg_pool2d: u to each pixel", f"{AVG}.vjp",
        "u * (1 / (self.kernel[0] * self.kernel[1]))", "u", "avg_pool2d", ADJOINT,
        "is off by a factor of 4"),
    Bug("max_pool2d: pixels read backwards", f"{MAX}.vjp",
        "zip(m, ", "zip(m[::-1], ", "max_pool2d", ADJOINT,
        "the pixels of a window are in another order than in forward", known=True),
    Bug("max_pool2d: overlapping windows overwrite", f"{MAX}.vjp",
        "pixel += here * u", "pixel[here] = u[here]", "max_pool2d, overlapping", ADJOINT,
        "where windows overlap, one cotangent overwrites the other: add them", known=True),
    Bug("max_pool2d: u spread over the window", f"{MAX}.vjp",
        "here * u", "u / len(m)", "max_pool2d", ADJOINT,
        "u is spread over the window as for an average", known=True),
    # The plain recurrent layer
    Bug("rnn: no recurrence in rop", f"{RNN}._push",
        "Ra_t += gemm(Rh[t], Wh, out=work)", "pass", "rnn", FIRST,
        "R{h_{t-1}} Wh is missing: the tangent does not pass from step to step", known=True),
    Bug("rnn: Wh not transposed", f"{RNN}._pull",
        "Wh.T, out=uh_t", "Wh, out=uh_t", "rnn", ADJOINT,
        "back-propagation through time multiplies by Wh, and must by Wh'", known=True),
    Bug("rnn: only the last time step", f"{RNN}._pull",
        "if t == T - 1", "if True", "rnn", ADJOINT,
        "the cotangent of `x` is right only at the last time step"),
    Bug("rnn: old R{h} in the curvature of tanh", f"{RNN}.rvjp",
        "h * Rh[1:]", "h * Rh[:-1]", "rnn", SECOND,
        "the curvature of tanh takes R{h_{t-1}} where R{h_t} belongs", known=True),
    # The LSTM
    Bug("lstm: old cell state in m", f"{LSTM}.forward",
        "m = xp.tanh(c[1:])", "m = xp.tanh(c[:-1])", "lstm", FIRST,
        "uses the old cell state c_{t-1} where c_t belongs", known=True),
    Bug("lstm: new cell state at the forget gate", f"{LSTM}.forward",
        "(1 - f) * c[:-1]", "(1 - f) * c[1:]", "lstm", FIRST,
        "uses the new cell state c_t where c_{t-1} belongs, at the forget gate", known=True),
    Bug("lstm: slope of the forget gate", f"{LSTM}.forward",
        "f * (1 - f)", "f", "lstm", FIRST,
        "the slope of the forget gate lacks its factor 1 - f", known=True),
    Bug("lstm: sigmoid's slope for g", f"{LSTM}.forward",
        "(1 - g * g) * i", "g * (1 - g) * i", "lstm", FIRST,
        "g is a tanh, whose slope is 1 - g^2, not g (1 - g)", known=True),
    Bug("lstm: no recurrence in rop", f"{LSTM}._push",
        "Ra_t += gemm(Rh[t], Wh, out=work)", "pass", "lstm", FIRST,
        "R{h_{t-1}} Wh is missing: the tangent does not pass from step to step", known=True),
    Bug("lstm: no f R{c_{t-1}}", f"{LSTM}._push",
        "xp.multiply(f[t], Rc[t], out=Rc_t)", "Rc_t[...] = 0", "lstm", FIRST,
        "f R{c_{t-1}} is missing: the cell's tangent does not pass from step to step", known=True),
    Bug("lstm: g and o exchanged", f"{LSTM}._pull",
        "(uc_t, uc_t, uc_t, uh_t)", "(uc_t, uc_t, uh_t, uc_t)", "lstm", ADJOINT,
        "the gates g and o are exchanged: the order is i, f, g, o", known=True),
    Bug("lstm: only the last time step", f"{LSTM}._pull",
        "if t == T - 1", "if True", "lstm", ADJOINT,
        "the cotangent of `x` is right only at the last time step"),
    Bug("lstm: no ua+ R{Wh}'", f"{LSTM}.h_source",
        "RWh is not None and", "False and", "lstm", SECOND,
        "the term ua+ R{Wh}' is missing in R{uh}", known=True),
    Bug("lstm: no R{f+} uc+", f"{LSTM}.rvjp",
        "c_source[:-1] += Rf[1:] * uc[1:]", "pass", "lstm", SECOND,
        "the term R{f+} uc+ is missing in R{uc}", known=True),
    Bug("lstm: new R{c} at the forget gate", f"{LSTM}.rvjp",
        "df * Rc[:-1]", "df * Rc[1:]", "lstm", SECOND,
        "R{s_f} takes R{c_t} where R{c_{t-1}} belongs", known=True),
    Bug("lstm: new R{h} for Wh", f"{LSTM}.affine_rvjp",
        "Rh[:-1]", "Rh[1:]", "lstm", SECOND,
        "R{Wh:} takes R{h_t} where R{h_{t-1}} belongs", known=True),
)  # fmt: skip
"""All of them."""


# Who has made it before ---------------------------------------------------------------------


def known_bugs(
    x: Sequence[Any],
    y: np.ndarray,
    sizes: Mapping[str, int],
    result: Callable[[Any], Any],
    found: np.ndarray,
) -> list[str]:
    """Return the diagnoses of the known bugs that give `found` where another op does.

    Parameters
    ----------
    x, y, sizes
        Inputs and output of the op in question, and the sizes of the case: only ops with the same
        forward are asked, and these may have optional inputs more.
    result : callable of an op
        What is wrong in the op in question, from an op with a bug.
    found : numpy.ndarray
        What is wrong in the op in question.
    """
    said: list[str] = []
    with np.errstate(all="ignore"):
        for op in _with_the_same_forward(x, y, sizes):
            for bug in BUGS:
                if bug.known and bug.diagnosis not in said and issubclass(bug.planted, type(op)):
                    try:
                        other = result(Shortened(planted_in(op, bug.planted), len(x)))
                    except Exception:  # the bug has other shapes
                        continue
                    if other is not None and _same(np.asarray(to_host(other)), found):
                        said.append(bug.diagnosis)
    return said


def _with_the_same_forward(
    x: Sequence[Any], y: np.ndarray, sizes: Mapping[str, int]
) -> Iterator[Any]:
    seen = []
    for row in BUILTIN.values():
        try:
            op = made(row.op, sizes)
            if repr(op) in seen or not _takes(op, len(x)):
                continue
            seen.append(repr(op))
            same = _same(np.asarray(to_host(Shortened(op, len(x)).forward(*x)[0])), y)
        except Exception:  # these are no inputs of that op
            continue
        if same:
            yield op


def _takes(op: Op, n: int) -> bool:
    try:
        inspect.signature(op.forward).bind(*range(n))
    except TypeError:
        return False
    return True


class Shortened:
    """An op with the first n of its inputs; the others, None, are no part of it."""

    def __init__(self, op: Op, n: int) -> None:
        parameters = inspect.signature(op.forward).parameters
        self.op, self.n = op, n
        self.more = max(0, len(parameters) - n) if "inputs" not in parameters else 0

    def _padded(self, things: Sequence[Any], by: Any = None) -> tuple[Any, ...]:
        return (*things, *(by,) * self.more)

    def forward(self, *inputs: Any) -> tuple[Array, Any]:
        """Run forward with None for the others."""
        return self.op.forward(*self._padded(inputs))

    def rop(self, residuals: Any, *Rinputs: Any) -> Array:
        """Apply rop."""
        return self.op.rop(residuals, *self._padded(Rinputs))

    def vjp(self, residuals: Any, u: Array, needs: Sequence[bool]) -> tuple[Array | None, ...]:
        """Apply vjp."""
        return self.op.vjp(residuals, u, self._padded(needs, False))[: self.n]

    def rvjp(
        self,
        residuals: Any,
        Rinputs: Sequence[Any],
        u: Array,
        Ru: Array | None,
        needs: Sequence[bool],
    ) -> tuple[Array | None, ...]:
        """Apply rvjp."""
        R, for_all = self._padded(Rinputs), self._padded(needs, False)
        return self.op.rvjp(residuals, R, u, Ru, for_all)[: self.n]


def _same(a: np.ndarray, b: np.ndarray) -> bool:
    distance = np.linalg.norm(np.ravel(a - b)) if a.shape == b.shape else np.inf
    return bool(distance <= SAME * np.linalg.norm(np.ravel(b)))
