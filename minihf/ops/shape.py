"""Primitives that move or add entries without changing them: sums, views, pieces, joins.

All are linear, so R{y} is the op itself applied to R{x}, and there is no second derivative. Each
vjp is the transpose: summing becomes spreading, cutting out becomes putting back.

Called by layers (`Flatten`) and networks written as a function.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import prod
from typing import Any

from minihf.backend import Array, array_module
from minihf.op import LinearOp

__all__ = ["concatenate", "getitem", "mean", "reshape", "sum", "transpose"]


@dataclass(frozen=True)
class Sum(LinearOp):
    """y = sum of x over `axis`; x: u, spread back over that axis."""

    axis: int | tuple[int, ...] | None = None
    keepdims: bool = False

    def forward(self, x: Array) -> tuple[Array, Any]:
        return _at_least_array(x.sum(axis=self.axis, keepdims=self.keepdims), x), x.shape

    def rop(self, residuals: Any, *Rinputs: Any) -> Array:
        (Rx,) = Rinputs
        return _at_least_array(Rx.sum(axis=self.axis, keepdims=self.keepdims), Rx)

    def vjp(self, residuals: Any, u: Array, needs: Sequence[bool]) -> tuple[Array | None, ...]:
        shape = residuals
        axes = self.axis if isinstance(self.axis, tuple) else (self.axis,)
        gone = {axis % max(1, len(shape)) for axis in axes if axis is not None}
        if self.axis is None:
            gone = set(range(len(shape)))
        kept = tuple(1 if i in gone else n for i, n in enumerate(shape))
        return (array_module(u).broadcast_to(u.reshape(kept), shape),)


@dataclass(frozen=True)
class Reshape(LinearOp):
    """y = x in another shape, C order; x: u in the old one."""

    shape: tuple[int, ...]

    def forward(self, x: Array) -> tuple[Array, Any]:
        y = x.reshape(self.shape)
        return y, (x.shape, y.shape)

    def rop(self, residuals: Any, *Rinputs: Any) -> Array:
        (Rx,) = Rinputs
        return Rx.reshape(residuals[1])

    def vjp(self, residuals: Any, u: Array, needs: Sequence[bool]) -> tuple[Array | None, ...]:
        return (u.reshape(residuals[0]),)


@dataclass(frozen=True)
class Transpose(LinearOp):
    """y = x with its axes permuted (None: reversed); x: u permuted back."""

    axes: tuple[int, ...] | None = None

    def forward(self, x: Array) -> tuple[Array, Any]:
        return x.transpose(self.axes), None

    def rop(self, residuals: Any, *Rinputs: Any) -> Array:
        (Rx,) = Rinputs
        return Rx.transpose(self.axes)

    def vjp(self, residuals: Any, u: Array, needs: Sequence[bool]) -> tuple[Array | None, ...]:
        if self.axes is None:
            return (u.transpose(),)
        back = sorted(range(u.ndim), key=lambda i: self.axes[i] % u.ndim)  # type: ignore[index]
        return (u.transpose(tuple(back)),)


class GetItem(LinearOp):
    """y = x[index]; x: zeros, with u added at `index` (an entry taken twice gets both)."""

    def __init__(self, index: Any) -> None:
        self.index = index

    def __repr__(self) -> str:
        return f"GetItem({self.index!r})"

    def forward(self, x: Array) -> tuple[Array, Any]:
        return _at_least_array(x[self.index], x), x.shape

    def rop(self, residuals: Any, *Rinputs: Any) -> Array:
        (Rx,) = Rinputs
        return _at_least_array(Rx[self.index], Rx)

    def vjp(self, residuals: Any, u: Array, needs: Sequence[bool]) -> tuple[Array | None, ...]:
        xp = array_module(u)
        x_cotangent = xp.zeros(residuals, dtype=u.dtype)
        xp.add.at(x_cotangent, self.index, u)
        return (x_cotangent,)


@dataclass(frozen=True)
class Concatenate(LinearOp):
    """y = the inputs joined along `axis`; each input: its part of u."""

    axis: int = 0

    def forward(self, *inputs: Array) -> tuple[Array, Any]:
        y = array_module(*inputs).concatenate(inputs, axis=self.axis)
        return y, [x.shape for x in inputs]

    def rop(self, residuals: Any, *Rinputs: Array | None) -> Array:
        xp = array_module(*Rinputs)
        dtype = next(Rx.dtype for Rx in Rinputs if Rx is not None)
        parts = [
            xp.zeros(shape, dtype=dtype) if Rx is None else Rx
            for Rx, shape in zip(Rinputs, residuals, strict=True)
        ]
        return xp.concatenate(parts, axis=self.axis)

    def vjp(self, residuals: Any, u: Array, needs: Sequence[bool]) -> tuple[Array | None, ...]:
        parts, start = [], 0
        for shape in residuals:
            stop = start + shape[self.axis]
            parts.append(u.swapaxes(0, self.axis)[start:stop].swapaxes(0, self.axis))
            start = stop
        return tuple(parts)


def _at_least_array(x: Any, like: Array) -> Array:
    """Turn the number that NumPy makes of a full sum back into an array without axes."""
    return array_module(like).asarray(x)


# Public names -------------------------------------------------------------------------------


def sum(x: Any, axis: Any = None, keepdims: bool = False) -> Any:
    """Sum over `axis` (None: over all)."""
    return Sum(axis, keepdims)(x)


def mean(x: Any, axis: Any = None, keepdims: bool = False) -> Any:
    """Average over `axis` (None: over all): a sum times a constant."""
    y = sum(x, axis, keepdims)
    if not prod(x.shape):
        raise ValueError(f"mean: x has shape {tuple(x.shape)} and no entries to average")
    return y * (prod(y.shape) / prod(x.shape))


def reshape(x: Any, shape: Any) -> Any:
    """Return the same entries in another shape, C order; one length may be -1."""
    return Reshape(tuple(shape))(x)


def transpose(x: Any, axes: Any = None) -> Any:
    """Permute the axes (None: reverse them)."""
    return Transpose(None if axes is None else tuple(axes))(x)


def getitem(x: Any, index: Any) -> Any:
    """Take entries by any index that NumPy takes, arrays of integers or booleans among them."""
    return GetItem(index)(x)


def concatenate(inputs: Sequence[Any], axis: int = 0) -> Any:
    """Join arrays along an axis."""
    return Concatenate(axis)(*inputs)
