"""Recording: how running a network once on traced values writes a tape.

A `Traced` value stands in for an array. Every op that meets one writes a `Node` on the tape:
itself, the residuals that its linear rules need, and which values it took and gave. Whatever would
leave the tape by accident (NumPy functions, writing in place, branching on a value) is an error
that says what to write instead.

Called by ops, and by `minihf.tape`, which reads what was written.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, NoReturn

import numpy as np

from minihf.backend import Array

__all__ = ["Node", "Tape", "Traced", "apply", "tap"]


@dataclass(frozen=True, slots=True)
class Node:
    """One line of the tape. Inputs are indices of traced values, None for constants.

    `shape` is that of the output.
    """

    op: Any
    inputs: tuple[int | None, ...]
    output: int
    residuals: Any
    shape: tuple[int, ...]


class Tape:
    """What a forward pass wrote: nodes in order, and the taps among their outputs."""

    def __init__(self) -> None:
        self.nodes: list[Node] = []
        self.taps: dict[str, Traced] = {}
        self.n_values = 0

    def write(self, node: Node, inputs: Sequence[Any]) -> None:
        """Write a line down; `inputs` are the arrays that the op took, which are not kept."""
        self.nodes.append(node)

    def value(self, array: Array) -> Traced:
        """Put a new value on the tape."""
        self.n_values += 1
        return Traced(self, self.n_values - 1, array)


def apply(op: Any, *inputs: Any) -> Any:
    """Run `op` forward; if an input is traced, write the node down and return a traced value."""
    tape = next((x.tape for x in inputs if isinstance(x, Traced)), None)
    if tape is None:
        return _forward(op, inputs)[0]
    if any(isinstance(x, Traced) and x.tape is not tape for x in inputs):
        raise ValueError(f"{type(op).__name__}: its inputs are traced by different linearizations")
    values = [x.value if isinstance(x, Traced) else x for x in inputs]
    output, residuals = _forward(op, values)
    traced = tape.value(output)
    indices = tuple(x.index if isinstance(x, Traced) else None for x in inputs)
    tape.write(Node(op, indices, traced.index, residuals, traced.shape), values)
    return traced


def _forward(op: Any, inputs: Sequence[Any]) -> tuple[Array, Any]:
    pair = op.forward(*inputs)
    if not (isinstance(pair, tuple) and len(pair) == 2):
        raise TypeError(f"op {type(op).__name__}: forward must return (output, residuals)")
    return pair


def tap(name: str, value: Any) -> Any:
    """Mark a hidden value by name, and return it unchanged.

    The linearization then has it in ``lin.taps``, ``lin.jvp(v, taps=True)`` gives its R-value and
    ``lin.vjp(u, taps={name: cotangent})`` adds to its cotangent. On plain arrays it does nothing.
    """
    if isinstance(value, Traced):
        if name in value.tape.taps:
            raise ValueError(f"tap {name!r} is there twice; every tap needs a name of its own")
        value.tape.taps[name] = value
    return value


class Traced:
    """A value on the tape. Use it like an array; it cannot leave the tape or be written into."""

    __slots__ = ("index", "tape", "value")
    ops: ClassVar[Any]  # `minihf.ops`, which puts itself here: what + and @ stand for

    def __init__(self, tape: Tape, index: int, value: Array) -> None:
        self.tape, self.index, self.value = tape, index, value

    @property
    def shape(self) -> tuple[int, ...]:
        """The array's shape."""
        return tuple(self.value.shape)

    @property
    def ndim(self) -> int:
        """The array's number of axes."""
        return len(self.shape)

    @property
    def size(self) -> int:
        """The array's number of entries."""
        return int(self.value.size)

    @property
    def dtype(self) -> Any:
        """The array's dtype."""
        return self.value.dtype

    @property
    def T(self) -> Traced:
        """The transpose: axes in reverse order."""
        return self.ops.transpose(self)

    def __len__(self) -> int:
        return len(self.value)

    def __iter__(self) -> Iterator[Traced]:
        return (self[i] for i in range(len(self)))

    def __add__(self, other: Any) -> Traced:
        return self.ops.add(self, other)

    def __radd__(self, other: Any) -> Traced:
        return self.ops.add(other, self)

    def __sub__(self, other: Any) -> Traced:
        return self.ops.sub(self, other)

    def __rsub__(self, other: Any) -> Traced:
        return self.ops.sub(other, self)

    def __mul__(self, other: Any) -> Traced:
        return self.ops.mul(self, other)

    def __rmul__(self, other: Any) -> Traced:
        return self.ops.mul(other, self)

    def __truediv__(self, other: Any) -> Traced:
        return self.ops.div(self, other)

    def __rtruediv__(self, other: Any) -> Traced:
        return self.ops.div(other, self)

    def __matmul__(self, other: Any) -> Traced:
        return self.ops.matmul(self, other)

    def __rmatmul__(self, other: Any) -> Traced:
        return self.ops.matmul(other, self)

    def __neg__(self) -> Traced:
        return self.ops.neg(self)

    def __pow__(self, exponent: Any) -> Traced:
        if exponent == 2:
            return self.ops.square(self)
        raise TypeError(f"x ** {exponent!r} on a traced value: only ** 2; else use exp and log")

    def __getitem__(self, index: Any) -> Traced:
        return self.ops.getitem(self, index)

    def reshape(self, *shape: Any) -> Traced:
        """Return the same entries in another shape."""
        return self.ops.reshape(self, _unpacked(shape))

    def transpose(self, *axes: Any) -> Traced:
        """Permute the axes."""
        return self.ops.transpose(self, _unpacked(axes) or None)

    def sum(self, axis: Any = None, keepdims: bool = False) -> Traced:
        """Sum over axes."""
        return self.ops.sum(self, axis, keepdims)

    def mean(self, axis: Any = None, keepdims: bool = False) -> Traced:
        """Average over axes."""
        return self.ops.mean(self, axis, keepdims)

    # What would leave the tape by accident, and what to write instead.

    def __array_ufunc__(self, ufunc: Any, method: str, *inputs: Any, **kwargs: Any) -> Any:
        if method == "__call__" and not kwargs and ufunc in _OPERATORS:
            return getattr(self.ops, _OPERATORS[ufunc])(*inputs)
        _left_the_tape(ufunc.__name__)

    def __array_function__(self, function: Any, types: Any, args: Any, kwargs: Any) -> Any:
        _left_the_tape(function.__name__)

    def __array__(self, *args: Any, **kwargs: Any) -> NoReturn:
        raise TypeError("a traced value is no array yet; build the network from minihf.ops")

    def _in_place(self, *args: Any) -> NoReturn:
        raise TypeError(
            "a traced value cannot be written in place: write x = x + y instead of x += y, "
            "and minihf.ops.concatenate instead of x[i] = y"
        )

    __setitem__ = __iadd__ = __isub__ = __imul__ = __itruediv__ = __imatmul__ = _in_place
    __ipow__ = _in_place

    def _branch(self, *args: Any) -> NoReturn:
        raise TypeError(
            "a traced value has no truth value, order or number: a network's path may depend on "
            "shapes and constants only; for a choice by value use minihf.ops.relu, or a mask"
        )

    __bool__ = __float__ = __int__ = __index__ = __complex__ = _branch
    __lt__ = __le__ = __gt__ = __ge__ = _branch
    __eq__ = __ne__ = _branch
    __hash__ = None  # type: ignore[assignment]

    def _no_rule(self, *args: Any) -> NoReturn:
        raise TypeError("no rule for this operator on a traced value; build it from minihf.ops")

    __abs__ = __floordiv__ = __rfloordiv__ = __mod__ = __rmod__ = __rpow__ = __invert__ = _no_rule
    __and__ = __or__ = __xor__ = _no_rule

    def __getattr__(self, name: str) -> NoReturn:
        hint = f"call minihf.ops.{name}" if hasattr(Traced.ops, name) else "use minihf.ops"
        raise AttributeError(f"a traced value has no {name!r}; {hint}")

    def __repr__(self) -> str:
        return f"Traced({self.dtype}, shape {self.shape})"


_OPERATORS = {
    np.add: "add",
    np.subtract: "sub",
    np.multiply: "mul",
    np.true_divide: "div",
    np.matmul: "matmul",
}
"""``array * traced`` reaches us as a ufunc: these are operators, and may pass."""


def _left_the_tape(name: str) -> NoReturn:
    known = {
        "absolute": "square", "maximum": "relu", "power": "square", "negative": "neg",
        "dot": "matmul", "einsum": "matmul", "stack": "concatenate", "hstack": "concatenate",
        "vstack": "concatenate",
    }  # fmt: skip
    ours = known.get(name, name)
    hint = f"call minihf.ops.{ours}" if hasattr(Traced.ops, ours) else "build it from minihf.ops"
    raise TypeError(f"np.{name} was called on a traced value; {hint} instead")


def _unpacked(arguments: tuple[Any, ...]) -> tuple[Any, ...]:
    """Return (2, 3) for f(2, 3), f((2, 3)) and f([2, 3]), as NumPy's methods take them."""
    one = len(arguments) == 1 and isinstance(arguments[0], tuple | list)
    return tuple(arguments[0]) if one else arguments
