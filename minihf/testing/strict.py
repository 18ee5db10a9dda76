"""A stand-in for a device: NumPy's numbers behind CuPy's refusals.

On NumPy alone, a forgotten ``asarray`` or a stray ``np.`` goes unseen; on a GPU it is an error.
`StrictArray` makes it an error everywhere, so that the seam of `minihf.backend` is honest on a
machine without a GPU. Its memory is a NumPy array that nothing outside this file may touch:

* no implicit conversion: ``np.asarray(x)`` and NumPy's own functions refuse it;
* no mixing with host arrays, in operators, functions, ``out=``, indices or assignments, while
  Python's and NumPy's numbers are welcome;
* no lists of numbers where an array belongs;
* no NumPy scalars come out: a full reduction gives an array without axes, which ``float``, ``int``
  and ``bool`` bring down;
* no function or method that CuPy lacks.

Views share their base's memory. What a device would have to do for all this is counted, inside
``with minihf.testing.counted()``. Called by tests: ``install()``, then ``minihf.use("strict")``.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Iterator
from numbers import Number
from types import ModuleType
from typing import Any, ClassVar, NoReturn
from weakref import WeakValueDictionary

import numpy as np

from minihf import backend
from minihf.testing.counting import record

__all__ = ["StrictArray", "install", "strict"]

NOT_IN_CUPY = {
    *("block", "ctypes", "data", "errstate", "frompyfunc", "geomspace", "insert", "matvec"),
    *("ndenumerate", "nditer", "random", "resize", "setflags", "unstack", "vecdot", "vecmat"),
}
"""What NumPy has and CuPy lacks; `random` it has, and this library draws on the host."""

NUMBERS = Number | np.generic

ALLOCATES = {"empty", "empty_like"}
"""Functions that launch nothing."""

WAITS = {"argwhere", "flatnonzero", "nonzero", "unique"}
"""Functions whose result has a shape that only the numbers tell: the host has to wait."""

COMES_DOWN = {"item", "tobytes", "tolist"}
"""Methods that bring numbers down."""

TAKES_A_SHAPE = {"broadcast_shapes", "empty", "full", "ones", "zeros"}
"""The functions whose first argument may be a tuple of numbers."""


def install() -> None:
    """Register the stand-in, so that ``minihf.use("strict")`` works."""
    backend.register(StrictArray, strict)


class StrictArray:
    """An array "on the device". Made by ``strict.asarray``, brought down by ``strict.asnumpy``."""

    __slots__ = ("__weakref__", "_memory")
    __array_ufunc__ = None  # np.exp(x) is refused, and `2.5 * x` or `host * x` left to us
    __hash__ = None  # type: ignore[assignment]

    def __init__(self, memory: np.ndarray) -> None:
        self._memory = memory
        if memory.base is None:
            _owners.setdefault(id(memory), self)

    @property
    def base(self) -> StrictArray | None:
        """The very array that this one is a view of, None if it has memory of its own."""
        memory = self._memory.base
        if not isinstance(memory, np.ndarray):
            return None
        owner = _owners.get(id(memory))
        return owner if owner is not None and owner._memory is memory else StrictArray(memory)

    def __array__(self, *args: Any, **kwargs: Any) -> NoReturn:
        raise TypeError("implicit conversion of a device array to NumPy; use minihf.to_host")

    def __array_function__(self, function: Any, types: Any, args: Any, kwargs: Any) -> NoReturn:
        raise TypeError(f"np.{function.__name__} on a device array; use array_module(x)")

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_") or name in NOT_IN_CUPY:
            raise AttributeError(f"a device array has no {name!r}")
        return _raised(getattr(self._memory, name), data_first=False)

    def __getitem__(self, index: Any) -> StrictArray:
        _record_index(index)
        record(launches=any(isinstance(part, StrictArray | list) for part in _parts(index)))
        index = _lowered(index)
        item = self._memory[index]
        if not isinstance(item, np.ndarray):  # a number: take the view without axes instead
            item = self._memory[(*index, ...) if isinstance(index, tuple) else (index, ...)]
        return StrictArray(item)

    def __setitem__(self, index: Any, value: Any) -> None:
        if not isinstance(value, StrictArray | NUMBERS):
            raise TypeError(f"a device array cannot be assigned from {type(value).__name__}")
        _record_index(index, waits=isinstance(value, StrictArray) and value.ndim > 0)
        record(launches=1)
        self._memory[_lowered(index)] = _lowered(value)

    def __len__(self) -> int:
        return len(self._memory)

    def __iter__(self) -> Iterator[StrictArray]:
        return (self[i] for i in range(len(self)))

    def __bool__(self) -> bool:
        return bool(self._down())

    def __int__(self) -> int:
        return int(self._down())

    def __float__(self) -> float:
        return float(self._down())

    def __complex__(self) -> complex:
        return complex(self._down())

    def _down(self) -> np.ndarray:
        record(downloads=1, downloaded=self._memory.nbytes, synchronisations=1)
        return self._memory

    def __repr__(self) -> str:
        return f"StrictArray({self._memory!r})"


_owners: WeakValueDictionary[int, StrictArray] = WeakValueDictionary()
"""The arrays that are no views, by the id of their memory."""


class Namespace:
    """NumPy's functions, taking and giving `StrictArray`; stands where ``import cupy`` would."""

    def __init__(self, name: str, module: ModuleType) -> None:
        self.__name__, self._module = name, module

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_") or name in NOT_IN_CUPY:
            raise AttributeError(f"{self.__name__} has no {name!r}, as CuPy has none")
        found = getattr(self._module, name)
        if isinstance(found, ModuleType):
            return Namespace(f"{self.__name__}.{name}", found)
        return _raised(found, data_first=name not in TAKES_A_SHAPE)

    def asarray(self, x: Any, dtype: Any = None) -> StrictArray:
        """Upload host data (always a copy), or return an array that is here already."""
        if isinstance(x, StrictArray):
            return x.astype(dtype) if dtype not in (None, x.dtype) else x
        memory = np.array(x, dtype=dtype)
        if memory.dtype.kind not in "biufc":
            raise TypeError(f"a device holds numbers, not {memory.dtype}")
        record(uploads=1, uploaded=memory.nbytes)
        return StrictArray(memory)

    array = asarray

    def ElementwiseKernel(
        self, in_params: str, out_params: str, operation: str, name: str = "", preamble: str = ""
    ) -> ElementwiseKernel:
        """Return a kernel, as CuPy's class of that name is one."""
        return ElementwiseKernel(in_params, out_params, operation)

    def asnumpy(self, x: Any) -> np.ndarray:
        """Bring an array down: a copy."""
        return x._down().copy() if isinstance(x, StrictArray) else np.asarray(x)


strict = Namespace("strict", np)


class ElementwiseKernel:
    """CuPy's type-generic elementwise kernel, for expressions that are C and Python alike.

    Every parameter is a ``T name``, and T one floating type for all arrays in a call. Statements
    are assignments, one after the other; `FUNCTIONS` has the functions.
    """

    FUNCTIONS: ClassVar[dict[str, Any]] = {
        **{name: getattr(np, name) for name in ("exp", "log", "log1p", "sqrt", "tanh")},
        **{"fabs": np.abs, "choose": np.where, "__builtins__": {}},
    }

    def __init__(self, in_params: str, out_params: str, operation: str) -> None:
        self._inputs, self._outputs = (
            [parameter.removeprefix("T ") for parameter in parameters.split(", ")]
            for parameters in (in_params, out_params)
        )
        self._code = compile(operation.replace("; ", ";"), operation, "exec")

    def __call__(self, *args: Any) -> Any:
        memories = [_operand(x) for x in args]
        arrays = [x for x in memories if isinstance(x, np.ndarray)]
        dtypes = {x.dtype for x in arrays}
        if len(dtypes) != 1 or arrays[0].dtype.kind != "f":
            raise TypeError(f"a kernel takes arrays of one floating type, got {dtypes}")
        record(launches=1)
        values = dict(zip([*self._inputs, *self._outputs], memories, strict=False))
        outputs = args[len(self._inputs) :]
        if not outputs:
            shape = np.broadcast_shapes(*(x.shape for x in arrays))
            outputs = tuple(StrictArray(np.empty(shape, arrays[0].dtype)) for _ in self._outputs)
        with np.errstate(all="ignore"):  # a device does not warn
            exec(self._code, self.FUNCTIONS, values)
        for name, output in zip(self._outputs, outputs, strict=True):
            output._memory[...] = values[name]
        return outputs[0] if len(outputs) == 1 else outputs


# Crossing the border ------------------------------------------------------------------------


class Function:
    """A NumPy function or method that takes and gives device arrays only."""

    def __init__(self, function: Any, data_first: bool) -> None:
        self._function, self._data_first = function, data_first

    def __getattr__(self, name: str) -> Any:  # add.at, maximum.reduce
        return _raised(getattr(self._function, name))

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        arrays = args if isinstance(self._function, np.ufunc) else args[: self._data_first]
        for x in arrays:
            if isinstance(x, list | tuple) and not any(isinstance(i, StrictArray) for i in x):
                raise TypeError(f"{self._function.__name__} takes device arrays, got {x!r}")
        lowered = [_lowered(x) for x in args]
        result = self._function(*lowered, **{key: _lowered(x) for key, x in kwargs.items()})
        self._record(lowered, kwargs, result)
        return _raised(result) if kwargs.get("out") is None else kwargs["out"]

    def _record(self, args: list[Any], kwargs: dict[str, Any], result: Any) -> None:
        """Count a call: what gives nothing new, a view or a dtype, launches nothing."""
        name, owner = self._function.__name__, getattr(self._function, "__self__", None)
        given = [x for x in (owner, *args) if isinstance(x, np.ndarray)]
        if name in COMES_DOWN:
            record(downloads=1, downloaded=given[0].nbytes, synchronisations=1)
            return
        results = result if isinstance(result, list | tuple) else [result]
        made = [x for x in results if isinstance(x, np.ndarray | np.generic)]
        new = [x for x in made if not any(np.may_share_memory(x, it) for it in given)]
        written = result is None or kwargs.get("out") is not None
        launched = name not in ALLOCATES and (written or bool(new))
        record(launches=launched, synchronisations=name in WAITS)


def _record_index(index: Any, waits: bool = True) -> None:
    """Count what an index costs: a list goes up, and a boolean array lets the host wait."""
    for part in _parts(index):
        if isinstance(part, list):
            record(uploads=1, uploaded=8 * len(part))
        if waits and isinstance(part, StrictArray) and part.dtype == bool:
            record(synchronisations=1)


def _parts(index: Any) -> tuple[Any, ...]:
    return index if isinstance(index, tuple) else (index,)


def _lowered(x: Any) -> Any:
    """Take the memory out of an argument; refuse host arrays, and lists of data."""
    if isinstance(x, StrictArray):
        return x._memory
    if isinstance(x, np.ndarray):
        raise TypeError("a host array among device arrays; bring it there with minihf.asarray")
    if isinstance(x, list | tuple):
        if any(isinstance(i, float | complex | np.inexact) for i in x):
            raise TypeError(f"a device array was expected, got {x!r}")
        return type(x)(map(_lowered, x))
    return x


def _raised(x: Any, data_first: bool = True) -> Any:
    """Put a result back on the device."""
    if isinstance(x, np.ndarray | np.generic):
        return StrictArray(np.asarray(x))
    if isinstance(x, list | tuple) and any(isinstance(i, np.ndarray) for i in x):
        kind = list if isinstance(x, list) else tuple  # NumPy names the two of eigh
        return kind(map(_raised, x))
    return Function(x, data_first) if callable(x) and not isinstance(x, type) else x


# Operators ----------------------------------------------------------------------------------


def _operand(x: Any) -> Any:
    """Take the memory or the number out of an operand; leave other types to their own operators."""
    return _lowered(x) if isinstance(x, StrictArray | np.ndarray | NUMBERS) else NotImplemented


def _binary(operation: Callable[[Any, Any], Any], swap: bool = False) -> Callable[..., Any]:
    def method(self: StrictArray, other: Any) -> Any:
        mine, theirs = self._memory, _operand(other)
        if theirs is NotImplemented:
            return NotImplemented
        record(launches=1)
        return _raised(operation(theirs, mine) if swap else operation(mine, theirs))

    return method


def _in_place(operation: Callable[[Any, Any], Any]) -> Callable[..., StrictArray]:
    def method(self: StrictArray, other: Any) -> StrictArray:
        if _operand(other) is NotImplemented:
            raise TypeError(f"a device array cannot be changed in place by {type(other).__name__}")
        record(launches=1)
        operation(self._memory[...], _operand(other))  # [...]: a number without axes stays in place
        return self

    return method


def _unary(operation: Callable[[Any], Any]) -> Callable[[StrictArray], Any]:
    def method(self: StrictArray) -> Any:
        record(launches=1)
        return _raised(operation(self._memory))

    return method


_ARITHMETIC = ["add", "sub", "mul", "truediv", "floordiv", "mod", "pow", "and", "or", "xor"]
for _name in [*_ARITHMETIC, "matmul", "lt", "le", "gt", "ge", "eq", "ne"]:
    setattr(StrictArray, f"__{_name}__", _binary(getattr(operator, f"__{_name}__")))
for _name in [*_ARITHMETIC, "matmul"]:
    setattr(StrictArray, f"__r{_name}__", _binary(getattr(operator, f"__{_name}__"), swap=True))
for _name in _ARITHMETIC:
    setattr(StrictArray, f"__i{_name}__", _in_place(getattr(operator, f"__i{_name}__")))
for _name in ["neg", "pos", "abs", "invert"]:
    setattr(StrictArray, f"__{_name}__", _unary(getattr(operator, f"__{_name}__")))
