"""Planted bugs: mistakes that people make, made on purpose, to see that each is found and named.

`BUGS` is a table: which rule, what is exchanged in its source, on which row of `BUILTIN` it shows,
the rung that must break, and what the failure must say. A bug with `known` serves the diagnosis as
well (`minihf.testing.known`). Called by that, by the kill matrix and by tests.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import wraps
from pkgutil import resolve_name
from types import MappingProxyType
from typing import Any
from unittest.mock import patch

import numpy as np

from minihf.curvature import GGN
from minihf.op import Op
from minihf.optim import FixedStep, HessianFree, Prefix
from minihf.partition import Partition
from minihf.testing.builtin import BUILTIN, Row
from minihf.testing.checks.curvature import check_ggn
from minihf.testing.checks.loss import check_loss
from minihf.testing.checks.operator import check_operator
from minihf.testing.checks.optimizer import check_optimizer
from minihf.testing.checks.solver import check_solver
from minihf.testing.failure import Verdict
from minihf.testing.planting import plant, planted_in

__all__ = ["BUGS", "CHECKS", "Bug"]


@dataclass(frozen=True)
class Bug:
    """One mistake: where, what, and what must be said about it.

    Attributes
    ----------
    name : str
    target, old, new : str
        As for `plant`.
    on : str
        What it is checked on: a row of `BUILTIN`, or one of `CHECKS`.
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
        """The class, or the function, with the bug."""
        return plant(self.target, self.old, self.new)

    @property
    def right(self) -> Any:
        """The class, or the function, without the bug."""
        module, _, path = self.target.partition(":")
        return resolve_name(f"{module}:{path.rpartition('.')[0] or path}")

    @property
    def row(self) -> Row | None:
        """The row of `BUILTIN` with the bug in its op; None if it is in no op."""
        if self.on not in BUILTIN:
            return None
        right = BUILTIN[self.on]
        return replace(right, op=_with(right.op, lambda op: planted_in(op, self.planted)))

    def check(self) -> Verdict:
        """Check what has the bug in it, and fail."""
        __tracebackhide__ = True
        return self.row.check() if self.row is not None else CHECKS[self.on](self.planted)


def _with(op: Any, change: Callable[[Any], Any]) -> Any:
    """Change an op, or what a maker of ops makes."""
    if isinstance(op, Op):
        return change(op)

    @wraps(op)
    def make(**sizes: int) -> Any:
        return change(op(**sizes))

    return make


# What is no op ------------------------------------------------------------------------------


def _check_block(block: Any) -> Verdict:
    """Check a Gauss-Newton matrix whose blocks are made by a class of blocks."""

    def divided(lin: Any, loss: Any, y: Any, partition: Any) -> GGN:
        layout = lin.params.layout
        right = Partition.of(lin.params, "network" if partition is None else partition)
        if len(right) > 1:  # every other coordinate, across the layers
            two = {name: np.arange(i, lin.params.size, 2) for i, name in enumerate(("even", "odd"))}
            blocks = [block.of_indices(name, layout, index) for name, index in two.items()]
        else:
            (whole,) = right.values()
            names = [piece.name for piece in whole.pieces]
            blocks = [block.of_names(whole.name, layout, names)]
        return GGN(lin, loss, y, Partition(layout, blocks))

    return check_ggn(divided)


def _check_shifted(shifted: Any) -> Verdict:
    A = np.diag([1.0, 2.0, 4.0])
    return check_operator(shifted(A, 0.5), dense=A + 0.5 * np.eye(3))


def _check_turn(turn: Any) -> Verdict:
    opt = HessianFree(sampling=ALL_CASES, step_rule=FixedStep(0.1))
    with patch("minihf.optim.hessian_free.Turn", turn):
        return check_optimizer(opt)


ALL_CASES = Prefix(1.0)  # a fixed step goes astray on what a part of few cases does not see

CHECKS: Mapping[str, Callable[[Any], Verdict]] = MappingProxyType({
    "loss": lambda loss: check_loss(loss()),
    "GGN": check_ggn,
    "block": _check_block,
    "damped operator": _check_shifted,
    "CG": lambda solve: check_solver(solve),
    "SGD": lambda opt: check_optimizer(opt(lr=0.05, momentum=0.9)),
    "turn": _check_turn,
    "step rule": lambda rule: check_optimizer(HessianFree(sampling=ALL_CASES, step_rule=rule())),
    "CG, many iterations": lambda solve: check_solver(solve, sizes={"k": 7, "m": 1}),
})  # fmt: skip
"""How a loss, an operator, a solver, an optimizer with a bug is checked."""


# The table ----------------------------------------------------------------------------------

LOSSES, GAUSS_NEWTON = "minihf.losses", "minihf.curvature.ggn:GGN"
CG = "minihf.solvers.cg:cg"
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
        "(_rows(Rx), W, Rb)", "(_rows(Rx), W, None)", "dense", FIRST, TOGETHER),
    Bug("dense: rop forgets R{b} alone", f"{DENSE}.rop",
        "(Rb, shape)", "(0 * Rb, shape)", "dense", FIRST,
        "the tangent of `b` is ignored in rop"),
    Bug("dense: sign of R{x} W", f"{DENSE}.rop",
        "(_rows(Rx), W, Rb)", "(_rows(Rx), -W, Rb)", "dense", FIRST,
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
    Bug("dense: added to what stands in out", f"{DENSE}.vjp",
        "gemm(_rows(x).T, u2, out=out[1])", "add_gemm(out[1], _rows(x).T, u2)", "dense", NEEDS,
        "vjp gives another cotangent of `W` when it has where to write it"),
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
    Bug("dense: u for R{u}", f"{DENSE}.rvjp",
        "self.vjp(residuals, Ru, needs)", "self.vjp(residuals, u, needs)", "dense", SECOND,
        "u stands where R{u} belongs", known=True),
    Bug("dense: cases and positions of u exchanged", f"{DENSE}.vjp",
        "u2 = _rows(u)", "u2 = _rows(u.swapaxes(0, 1))", "dense, positions", ADJOINT,
        "the rows of u are in another order than those of x: cases and positions are exchanged",
        known=True),
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
    Bug("concatenate: the first part for all", "minihf.ops.shape:Concatenate.vjp",
        "[start:stop]", "[: stop - start]", "concatenate", ADJOINT,
        "every input gets the first part of u, not its own", known=True),
    Bug("transpose: reshaped", "minihf.ops.shape:Transpose.vjp",
        "u.transpose(tuple(back))", "u.reshape([u.shape[i] for i in back])",
        "transpose, axes", ADJOINT, "u is reshaped where it must be transposed", known=True),
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
    Bug("exp: vjp forgets u", f"{ENTRY}:Exp.vjp",
        "residuals[0] * u", "residuals[0]", "exp", ADJOINT,
        "u is left out: the cotangent is the slope itself", known=True),
    Bug("softplus: rvjp forgets u", f"{ENTRY}:Softplus.rvjp",
        "bend * Rx * u if Ru is None else _bent(residuals[0], Ru, bend, Rx, u)",
        "bend * Rx if Ru is None else _bent(residuals[0], Ru, bend, Rx, 1)", "softplus", SECOND,
        "u is left out in y'' R{x} u", known=True),
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
    Bug("mul: rvjp forgets u", f"{ENTRY}:Mul.rvjp",
        "b, u, Rb)", "b, 1, Rb)", "mul", SECOND,
        "u is left out in R{a:} = R{u} b + u R{b}", known=True),
    Bug("div: epsilon in the cotangent", f"{ENTRY}:Div.vjp",
        "u / b\n", "u / (b + 1e-6)\n", "div", ADJOINT,
        "a small number is added to b in u / b: the slope of another function", known=True),
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
    Bug("conv2d: u reshaped to channels last", f"{CONV}._transpose_in_W",
        "u = channels_last(u)", "u = u.reshape(len(u), *u.shape[2:], F)", "conv2d", ADJOINT,
        "u is reshaped where its channels must be moved last", known=True),
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
        "gemm(Rh[t], Wh, out=work)", "work[...] = 0", "rnn", FIRST,
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
        "gemm(Rh[t], Wh, out=work)", "work[...] = 0", "lstm", FIRST,
        "R{h_{t-1}} Wh is missing: the tangent does not pass from step to step", known=True),
    Bug("lstm: no f R{c_{t-1}}", f"{LSTM}._push",
        "_cell_forward(f[t], Rc[t],", "_cell_forward(f[t], 0 * Rc[t],", "lstm", FIRST,
        "f R{c_{t-1}} is missing: the cell's tangent does not pass from step to step", known=True),
    Bug("lstm: g and o exchanged", f"{LSTM}._pull",
        "uc_t, uh_t, *_four(ua_t)", "uc_t, uh_t, *(_four(ua_t)[i] for i in (0, 1, 3, 2))", "lstm",
        ADJOINT,
        "the gates g and o are exchanged: the order is i, f, g, o", known=True),
    Bug("lstm: u reshaped to time first", f"{LSTM}.vjp",
        "swap(u)", "u.reshape(u.shape[1], u.shape[0], -1)", "lstm", ADJOINT,
        "u is reshaped where cases and time steps must be exchanged", known=True),
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
    # Losses
    Bug("squared error: no 1/N", f"{LOSSES}:SquaredError.grad",
        " / len(z)", "", "loss", FIRST, "grad is off by 2 = N: mean and sum mixed up"),
    Bug("squared error: no 1/2", f"{LOSSES}:SquaredError.value",
        "0.5 * ", "", "loss", FIRST, "grad is off by a factor of 0.5"),
    Bug("sigmoid: y - p", f"{LOSSES}:SigmoidCrossEntropy.grad",
        "sigmoid(z) - y", "y - sigmoid(z)", "loss", FIRST, "grad has the wrong sign"),
    Bug("sigmoid: masked steps count", f"{LOSSES}:SigmoidCrossEntropy.value",
        "_where(mask, softplus(z) - y * z)", "(softplus(z) - y * z)", "loss", "masks",
        "N must stay the number of cases"),
    Bug("softmax: Hessian without p p'", f"{LOSSES}:SoftmaxCrossEntropy.hessian",
        "(p * Rz).sum(axis=-1, keepdims=True)", "0", "loss", FIRST, ""),
    Bug("softmax: Hessian without 1/N", f"{LOSSES}:SoftmaxCrossEntropy.hessian",
        "p / len(z)", "p", "loss", FIRST, "= N: mean and sum mixed up"),
    Bug("softmax: sample is not centred", f"{LOSSES}:SoftmaxCrossEntropy.sample",
        "p - (classes", "0 * p - (classes", "loss", "sampling", ""),
    Bug("squared error: sample with 1/N", f"{LOSSES}:SquaredError.sample",
        "dtype=z.dtype)", "dtype=z.dtype) / len(z)", "loss", "sampling",
        "the samples carry the 1/N, and must be unscaled"),
    # Conjugate gradients
    Bug("CG: beta upside down", CG, "rz, rz_before, z, p", "rz_before, rz, z, p", "CG",
        "termination", ""),
    Bug("CG: steepest descent", CG, "rz, rz_before, z, p", "0 * rz, rz_before, z, p", "CG",
        "termination",
        "beta is ignored: it is steepest descent"),
    Bug("CG: residual of the wrong sign", CG, "_move(alpha, p, Ap", "_move(alpha, p, -Ap", "CG",
        "honest", ""),
    Bug("CG: q without its half", CG, "n = len(quadratics) - 1",
        "n = len(quadratics) - 1; quadratics = [2 * q for q in quadratics]", "CG", "honest",
        "q is off by a factor of 2"),
    Bug("CG: x0 not in the residual", CG, "b - apply_A(x)", "b.copy()", "CG", "products",
        "it reports 2 products, and made 1"),
    Bug("CG: M only at first", CG,
        "z = apply_M(r)\n                rz", "z = r\n                rz", "CG",
        "preconditioner", "with M = C C' it is not plain CG"),
    Bug("CG: negative curvature ignored", CG, "sound, alpha = _length(sound, rz, pAp)",
        "alpha = rz / pAp", "CG", "trouble",
        "with a negative eigenvalue it ends by CONVERGED, expected NEGATIVE_CURVATURE"),
    Bug("CG: iterates not copied", CG, "iterates.append((i, x.copy()))", "iterates.append((i, x))",
        "CG, many iterations", "honest", "was it written over?"),
    # The Gauss-Newton matrix, its blocks, damping
    Bug("GGN: no loss Hessian", f"{GAUSS_NEWTON}.product",
        "self._H_L(Rz)", "Rz", "GGN", "product", "the loss's Hessian is left out: it is J'J"),
    Bug("GGN: loss Hessian at the wrong output", f"{GAUSS_NEWTON}.__init__",
        "loss.hessian(lin.output, y)", "loss.hessian(0 * lin.output, y)", "GGN", "product", ""),
    Bug("GGN: times N", f"{GAUSS_NEWTON}.product",
        "self._H_L(Rz)", "self._H_L(Rz) * len(Rz)", "GGN", "product", "= N: mean and sum mixed up"),
    Bug("GGN: quadratic form without the loss Hessian", f"{GAUSS_NEWTON}.quadratic_form",
        "self._H_L(Rz)", "Rz", "GGN", "form", ""),
    Bug("GGN: off-diagonal blocks are there", f"{GAUSS_NEWTON}.__matmul__",
        "= self.product(v[block.index], block)",
        "= self.lin.vjp(self._H_L(self.lin.jvp(v)))[block.index]", "GGN", "off-diagonal",
        "the off-diagonal blocks are there: the matrix is not cut into blocks"),
    Bug("GGN: forward twice", f"{GAUSS_NEWTON}.product",
        "Rz = self.lin.jvp(v, block)", "self.lin.jvp(v, block); Rz = self.lin.jvp(v, block)",
        "GGN", "cost", "something is computed again"),
    Bug("partition: parameters backwards", "minihf.partition:Block.of_names",
        "in parameters:", "in reversed(parameters):", "block", "product", ""),
    Bug("partition: entries backwards", "minihf.partition:Block.of_indices",
        "asarray(indices[first:last] - slot.where.start)",
        "asarray((indices[first:last] - slot.where.start)[::-1].copy())", "block", "blocks", ""),
    Bug("damping: subtracted", "minihf.curvature.operator:Shifted.__matmul__",
        "self.shift * v", "-self.shift * v", "damped operator", "dense",
        "only the diagonal is wrong"),
    Bug("damping: scaled by A", "minihf.curvature.operator:Shifted.__matmul__",
        "self.A @ v", "self.A @ v * (1 + self.shift)", "damped operator", "dense", ""),
    # Optimizers
    Bug("SGD: uphill", "minihf.optim.first_order:SGD.step",
        "state.velocity - now.lr * g", "state.velocity + now.lr * g", "SGD", "descent",
        "the objective does not fall"),
    Bug("dense: sensitivities of a mean over cases", "minihf.ops.dense:DenseOp.sensitivities",
        "u.reshape(len(u), -1, u.shape[-1])", "u.reshape(len(u), -1, u.shape[-1]) / len(u)",
        "dense", "factors", "what factors give for `W` is not the gradient of a case"),
    Bug("dense: positions as cases", "minihf.ops.dense:DenseOp.activations",
        "x.reshape(len(x), -1, x.shape[-1])", "x.reshape(-1, 1, x.shape[-1])",
        "dense, positions", "factors", "a row for each case and position"),
    Bug("lstm: activations of the next step", "minihf.ops.lstm:LSTMOp.activations",
        "residuals.z[:-1, :, :-1]", "residuals.z[1:, :, :-1]",
        "lstm", "factors", "is not the gradient of a case"),
    Bug("SGD: writes into its state", "minihf.optim.first_order:SGD.step",
        "velocity = now.momentum * state.velocity - now.lr * g",
        "velocity = state.velocity; velocity *= now.momentum; velocity -= now.lr * g",
        "SGD", "contract", "step writes into the state that it was given"),
    Bug("SGD: moves by a NaN", "minihf.optim.first_order:SGD.step",
        "if not finite:", "if False:", "SGD", "bad numbers",
        "the parameters move where the objective is not finite"),
    Bug("turn: the gradient's sign", "minihf.optim.turn:Turn._solve",
        "-g[block.index]", "g[block.index]", "turn", "descent",
        "the objective does not fall"),
    Bug("fixed step: the old objective is reported", "minihf.optim.steps:FixedStep.__call__",
        "1.0, after, whole", "1.0, here.objective, whole", "step rule", "honest",
        "at the new parameters it is"),
)  # fmt: skip
"""All of them."""
