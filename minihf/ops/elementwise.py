"""Elementwise primitives, with NumPy broadcasting.

A function of one variable needs only its slope y' and its bend y'':

    R{y} = y' R{x},     x: y' u,     R{x:} = y' R{u} + y'' R{x} u.

Both are stored by `forward`, so that no product evaluates a transcendental function. All rules are
plain transposes (no conjugate, no absolute value) and so are true for complex arguments, too, which
is what the complex step differentiates.

Called by layers, losses, and anyone who writes a network as a function.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from minihf.backend import Array, array_module
from minihf.fused import fused
from minihf.op import LinearOp, Op

__all__ = [
    "add", "div", "exp", "log", "mul", "neg", "relu", "sigmoid", "softplus", "square", "sub",
    "tanh",
]  # fmt: skip


# Functions of one variable ------------------------------------------------------------------


class Unary(Op):
    """y = f(x) by entry. A subclass gives `bend`, and `forward` with residuals (slope, ...)."""

    def bend(self, residuals: Any) -> Array | None:
        """Return y'', or None where the function is piecewise linear."""
        raise NotImplementedError

    def rop(self, residuals: Any, *Rinputs: Array | None) -> Array:
        """R{y} = y' R{x}."""
        (Rx,) = Rinputs
        return residuals[0] * Rx

    def vjp(self, residuals: Any, u: Array, needs: Sequence[bool]) -> tuple[Array | None, ...]:
        """x: y' u."""
        return (residuals[0] * u,)

    def rvjp(
        self,
        residuals: Any,
        Rinputs: Sequence[Array | None],
        u: Array,
        Ru: Array | None,
        needs: Sequence[bool],
    ) -> tuple[Array | None, ...]:
        """R{x:} = y' R{u} + y'' R{x} u."""
        (Rx,) = Rinputs
        bend = None if Rx is None else self.bend(residuals)
        if bend is None:
            return (None if Ru is None else residuals[0] * Ru,)
        return (bend * Rx * u if Ru is None else _bent(residuals[0], Ru, bend, Rx, u),)


class Tanh(Unary):
    """y = tanh x,  y' = 1 - y^2,  y'' = -2 y y'."""

    def forward(self, x: Array) -> tuple[Array, Any]:
        y = array_module(x).tanh(x)
        return y, (1 - y * y, y)

    def bend(self, residuals: Any) -> Array:
        slope, y = residuals
        return -2 * y * slope


class Sigmoid(Unary):
    """y = 1 / (1 + exp(-x)),  y' = y (1 - y),  y'' = (1 - 2 y) y'.

    Computed as (1 + tanh(x / 2)) / 2, which cannot overflow and is several times faster.
    """

    def forward(self, x: Array) -> tuple[Array, Any]:
        y = _sigmoid(x)
        return y, (y * (1 - y), y)

    def bend(self, residuals: Any) -> Array:
        slope, y = residuals
        return (1 - 2 * y) * slope


class ReLU(Unary):
    """y = max(x, 0),  y' = 1 for x > 0 and 0 elsewhere (at x = 0, too),  y'' = 0."""

    def forward(self, x: Array) -> tuple[Array, Any]:
        live = ~(x.real <= 0)  # not x > 0: a NaN passes through and shows
        return array_module(x).where(live, x, 0), (live.astype(x.real.dtype),)

    def bend(self, residuals: Any) -> None:
        return None


class Softplus(Unary):
    """y = log(1 + exp x),  y' = sigmoid x,  y'' = y' (1 - y').

    Computed as max(x, 0) + log(1 + exp(-|x|)), which cannot overflow.
    """

    def forward(self, x: Array) -> tuple[Array, Any]:
        xp = array_module(x)
        positive = x.real > 0
        y = xp.where(positive, x, 0) + xp.log1p(xp.exp(xp.where(positive, -x, x)))
        return y, (_sigmoid(x),)

    def bend(self, residuals: Any) -> Array:
        (slope,) = residuals
        return slope * (1 - slope)


class Exp(Unary):
    """y = exp x = y' = y''."""

    def forward(self, x: Array) -> tuple[Array, Any]:
        y = array_module(x).exp(x)
        return y, (y,)

    def bend(self, residuals: Any) -> Array:
        return residuals[0]


class Log(Unary):
    """y = log x,  y' = 1 / x,  y'' = -1 / x^2."""

    def forward(self, x: Array) -> tuple[Array, Any]:
        return array_module(x).log(x), (1 / x,)

    def bend(self, residuals: Any) -> Array:
        (slope,) = residuals
        return -slope * slope


class Square(Unary):
    """y = x^2,  y' = 2 x,  y'' = 2."""

    def forward(self, x: Array) -> tuple[Array, Any]:
        return x * x, (2 * x,)

    def bend(self, residuals: Any) -> Any:
        return 2


class Neg(LinearOp):
    """y = -x."""

    def forward(self, x: Array) -> tuple[Array, Any]:
        return -x, None

    def rop(self, residuals: Any, *Rinputs: Any) -> Array:
        (Rx,) = Rinputs
        return -Rx

    def vjp(self, residuals: Any, u: Array, needs: Sequence[bool]) -> tuple[Array | None, ...]:
        return (-u,)


# Functions of two variables -----------------------------------------------------------------


class Add(LinearOp):
    """y = a + b."""

    def forward(self, a: Any, b: Any) -> tuple[Array, Any]:
        y = a + b
        return y, (_shape(a), _shape(b), y.shape)

    def rop(self, residuals: Any, *Rinputs: Array | None) -> Array:
        Ra, Rb = Rinputs
        return _broadcast(_plus(Ra, Rb), residuals[2])

    def vjp(self, residuals: Any, u: Array, needs: Sequence[bool]) -> tuple[Array | None, ...]:
        a_shape, b_shape, _ = residuals
        return (
            _unbroadcast(u, a_shape) if needs[0] else None,
            _unbroadcast(u, b_shape) if needs[1] else None,
        )


class Sub(LinearOp):
    """y = a - b."""

    def forward(self, a: Any, b: Any) -> tuple[Array, Any]:
        y = a - b
        return y, (_shape(a), _shape(b), y.shape)

    def rop(self, residuals: Any, *Rinputs: Array | None) -> Array:
        Ra, Rb = Rinputs
        return _broadcast(_plus(Ra, None if Rb is None else -Rb), residuals[2])

    def vjp(self, residuals: Any, u: Array, needs: Sequence[bool]) -> tuple[Array | None, ...]:
        a_shape, b_shape, _ = residuals
        return (
            _unbroadcast(u, a_shape) if needs[0] else None,
            -_unbroadcast(u, b_shape) if needs[1] else None,
        )


class Mul(Op):
    """y = a b."""

    def forward(self, a: Any, b: Any) -> tuple[Array, Any]:
        y = a * b
        return y, (a, b, y.shape)

    def rop(self, residuals: Any, *Rinputs: Array | None) -> Array:
        """R{y} = R{a} b + a R{b}."""
        a, b, shape = residuals
        Ra, Rb = Rinputs
        return _broadcast(_products(Ra, b, a, Rb), shape)

    def vjp(self, residuals: Any, u: Array, needs: Sequence[bool]) -> tuple[Array | None, ...]:
        """a: u b,  b: a u."""
        a, b, _ = residuals
        return (
            _unbroadcast(u * b, _shape(a)) if needs[0] else None,
            _unbroadcast(a * u, _shape(b)) if needs[1] else None,
        )

    def rvjp(
        self,
        residuals: Any,
        Rinputs: Sequence[Array | None],
        u: Array,
        Ru: Array | None,
        needs: Sequence[bool],
    ) -> tuple[Array | None, ...]:
        """R{a:} = R{u} b + u R{b},  R{b:} = a R{u} + R{a} u."""
        a, b, _ = residuals
        Ra, Rb = Rinputs
        Rua, Rub = _products(Ru, b, u, Rb), _products(a, Ru, Ra, u)
        return (
            _unbroadcast(Rua, _shape(a)) if needs[0] else None,
            _unbroadcast(Rub, _shape(b)) if needs[1] else None,
        )


class Div(Op):
    """y = a / b."""

    def forward(self, a: Any, b: Any) -> tuple[Array, Any]:
        y = a / b
        return y, (_shape(a), b, y)

    def rop(self, residuals: Any, *Rinputs: Array | None) -> Array:
        """R{y} = (R{a} - y R{b}) / b."""
        _, b, y = residuals
        Ra, Rb = Rinputs
        return _broadcast(_plus(Ra, None if Rb is None else -y * Rb) / b, y.shape)

    def vjp(self, residuals: Any, u: Array, needs: Sequence[bool]) -> tuple[Array | None, ...]:
        """a: w = u / b,  b: -w y."""
        a_shape, b, y = residuals
        w = u / b
        return (
            _unbroadcast(w, a_shape) if needs[0] else None,
            _unbroadcast(-w * y, _shape(b)) if needs[1] else None,
        )

    def rvjp(
        self,
        residuals: Any,
        Rinputs: Sequence[Array | None],
        u: Array,
        Ru: Array | None,
        needs: Sequence[bool],
    ) -> tuple[Array | None, ...]:
        """R{a:} = R{w} = (R{u} - w R{b}) / b,  R{b:} = -(R{w} y + w R{y})."""
        a_shape, b, y = residuals
        Ra, Rb = Rinputs
        w = u / b
        Rw = _over(_plus(Ru, None if Rb is None else -w * Rb), b)
        Ry = None if Ra is None and Rb is None else self.rop(residuals, Ra, Rb)
        Rwy = _plus(None if Rw is None else -Rw * y, None if Ry is None else -w * Ry)
        return (
            _unbroadcast(Rw, a_shape) if needs[0] else None,
            _unbroadcast(Rwy, _shape(b)) if needs[1] else None,
        )


# Helpers ------------------------------------------------------------------------------------


def _sigmoid(x: Array) -> Array:
    return 0.5 * (1 + array_module(x).tanh(0.5 * x))


_bent = fused(
    lambda slope, Ru, bend, Rx, u: slope * Ru + bend * Rx * u,
    "Rux = slope * Ru + bend * Rx * u",
)

_sum_of_products = fused(lambda a, b, c, d: a * b + c * d, "y = a * b + c * d")


def _products(a: Any, b: Any, c: Any, d: Any) -> Any:
    """Return a b + c d, where a factor of None makes its product zero, and no product is None."""
    if a is None or b is None:
        return None if c is None or d is None else c * d
    return a * b if c is None or d is None else _sum_of_products(a, b, c, d)


def _plus(a: Any, b: Any) -> Any:
    """Add where None stands for zero."""
    if a is None:
        return b
    return a if b is None else a + b


def _over(a: Any, b: Any) -> Any:
    return None if a is None else a / b


def _shape(x: Any) -> tuple[int, ...]:
    return tuple(getattr(x, "shape", ()))


def _broadcast(x: Array, shape: tuple[int, ...]) -> Array:
    return x if x.shape == shape else array_module(x).broadcast_to(x, shape)


def _unbroadcast(u: Any, shape: tuple[int, ...]) -> Any:
    """Sum a cotangent over the axes its input was broadcast along: broadcasting's transpose."""
    if u is None or u.shape == shape:
        return u
    u = u.sum(axis=tuple(range(u.ndim - len(shape))))
    stretched = tuple(i for i, n in enumerate(shape) if n == 1 and u.shape[i] != 1)
    return u.sum(axis=stretched, keepdims=True) if stretched else u


# Public names -------------------------------------------------------------------------------

add, sub, mul, div, neg = Add(), Sub(), Mul(), Div(), Neg()
tanh, sigmoid, relu, softplus = Tanh(), Sigmoid(), ReLU(), Softplus()
exp, log, square = Exp(), Log(), Square()
