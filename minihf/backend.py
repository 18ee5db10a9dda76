"""The one seam between minihf and the array libraries.

Everything else in the library is written once, for any namespace that speaks NumPy's language.
A function that has an array in hand asks ``xp = array_module(x)`` and goes on; a function that
makes the first array asks ``asarray``. Only this file names NumPy or CuPy as a place to compute.

NumPy becomes CuPy in `use`: ``"auto"`` takes the GPU if a probe really computes on it, and
otherwise NumPy; `device` says which it was, and why. A further array type joins by `register`.

Called by every other file of the library.
"""

from __future__ import annotations

import os
import warnings
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np

from minihf import blas

__all__ = [
    "Array",
    "Device",
    "add_gemm",
    "add_into",
    "affine",
    "array_module",
    "asarray",
    "described",
    "device",
    "floats",
    "gemm",
    "observe_gemms",
    "prefetched",
    "read_only",
    "register",
    "shape_of",
    "to_host",
    "use",
    "widens",
]

Array: TypeAlias = Any
"""An array of the backend in use: `numpy.ndarray`, `cupy.ndarray`, or a registered type."""


@dataclass(frozen=True)
class Device:
    """Where arrays live, and why there: what `device` returns."""

    backend: str
    reason: str

    def __str__(self) -> str:
        return f"{self.backend}: {self.reason}"


_namespaces: dict[type, Any] = {np.ndarray: np}
_device: Device | None = None


# Choosing -----------------------------------------------------------------------------------


def use(backend: str = "auto") -> Device:
    """Choose where new arrays are made: ``"auto"``, ``"numpy"``, ``"cupy"`` or a registered name.

    Without a call, the environment variable ``MINIHF_BACKEND`` decides, else ``"auto"``.

    With CuPy, matrix products of float32 are made in float32. ``CUPY_TF32=1`` in the environment,
    CuPy's own switch, read at its first product, lets tensor cores make them in TF32, whose
    numbers have ten bits after the point instead of 23: faster, and too coarse for CG to go on for
    long. `device` then says so.

    Returns
    -------
    Device
        What was chosen and why.

    Raises
    ------
    ValueError
        If no backend has that name.
    RuntimeError
        If ``"cupy"`` is asked for by name and cannot compute here.

    Examples
    --------
    >>> import minihf as hf
    >>> hf.use("numpy").backend
    'numpy'
    """
    global _device
    if backend == "auto":
        _device = _best_device()
    elif backend == "cupy":
        fault = _cupy_fault()
        if fault is not None:
            raise RuntimeError(f"backend 'cupy' cannot be used: {fault}")
        _device = Device("cupy", f"asked for; {_computed()}")
    elif backend in _names():
        _device = Device(backend, "asked for")
    else:
        known = ", ".join(["auto", "cupy", *sorted(_names() - {"cupy"})])
        raise ValueError(f"unknown backend {backend!r}; choose one of: {known}")
    return _device


def device() -> Device:
    """Say which backend makes new arrays, and why.

    Examples
    --------
    >>> import minihf as hf
    >>> _ = hf.use("numpy")
    >>> print(hf.device())
    numpy: asked for
    """
    if _device is not None:
        return _device
    try:
        return use(os.environ.get("MINIHF_BACKEND", "auto"))
    except (RuntimeError, ValueError) as error:
        raise type(error)(f"environment variable MINIHF_BACKEND: {error}") from None


def register(array_type: type, namespace: Any) -> None:
    """Let a further array type join: `namespace` has NumPy's functions, `asarray` and `asnumpy`.

    The namespace's ``__name__`` is the name that `use` takes.
    """
    _namespaces[array_type] = namespace


def _names() -> set[str]:
    return {namespace.__name__ for namespace in _namespaces.values()}


def _best_device() -> Device:
    fault = _cupy_fault()
    if fault is None:
        return Device("cupy", _computed())
    if not fault.startswith("CuPy is not installed"):
        warnings.warn(f"minihf computes with NumPy: {fault}", RuntimeWarning, stacklevel=4)
    return Device("numpy", fault)


def _computed() -> str:
    """Say that the GPU computes, and how, where its float32 is not what the name says."""
    tf32 = int(os.environ.get("CUPY_TF32", "0")) > 0  # as CuPy reads it, at its first product
    return "the probe computed on the GPU" + (", float32 products in TF32 (CUPY_TF32)" * tf32)


def _cupy_fault() -> str | None:
    """Try a matrix product on the GPU; None if it came out right, else what stands in the way."""
    try:
        import cupy

        a = cupy.arange(6.0).reshape(2, 3)
        total = float(cupy.matmul(a, a.T).sum())  # the sum needs a compiled kernel, too
    except Exception as error:  # whatever the driver, the compiler or a library has to say
        if isinstance(error, ModuleNotFoundError) and error.name == "cupy":
            return "CuPy is not installed (pip install 'minihf[cuda13x]' or 'minihf[cuda12x]')"
        lines = [line.strip() for line in str(error).splitlines()]
        said = next((line for line in lines if any(map(str.isalpha, line))), "no message")
        return f"CuPy is installed but cannot compute: {type(error).__name__}: {said}"
    if total != 83.0:
        return f"CuPy is installed but computes wrongly: a probe gave {total}, not 83"
    register(cupy.ndarray, cupy)
    return None


# Moving -------------------------------------------------------------------------------------


def array_module(*arrays: Any) -> Any:
    """Return the namespace (`numpy`, `cupy`, ...) that the first array among the arguments is of.

    Python and NumPy numbers do not decide; if there is nothing else, the answer is `numpy`.
    """
    for x in arrays:
        for array_type, namespace in _namespaces.items():
            if isinstance(x, array_type):
                return namespace
    return np


def asarray(x: Any, dtype: Any = None) -> Array:
    """Bring `x` (host data or an array) to the backend in use. No copy if it is there already."""
    name = device().backend
    namespace = next(ns for ns in _namespaces.values() if ns.__name__ == name)
    if array_module(x) not in (np, namespace):
        x = to_host(x)
    return namespace.asarray(x, dtype=dtype)


def to_host(x: Any) -> Any:
    """Bring an array down to a `numpy.ndarray`: the only way down, and never implicit."""
    namespace = array_module(x)
    return np.asarray(x) if namespace is np else namespace.asnumpy(x)


def prefetched(items: Iterable[Any]) -> Iterator[Any]:
    """Upload what an iterator gives: arrays, in tuples or alone; what is no array stays as it is.

    With CuPy an item travels while the one before it is worked on: from pinned memory, on a stream
    of its own.
    """
    return _one_ahead(items) if device().backend == "cupy" else (_each(asarray, x) for x in items)


def _each(function: Callable[[Any], Any], item: Any) -> Any:
    if isinstance(item, tuple):
        return tuple(_each(function, part) for part in item)
    return function(item) if hasattr(item, "shape") else item


def _one_ahead(items: Iterable[Any]) -> Iterator[Any]:
    import cupy
    import cupyx

    stream = cupy.cuda.Stream(non_blocking=True)

    def depart(item: Any) -> tuple[Any, Any, list[Any]]:
        """Begin to copy, and return the copy, the event of its end, and what must live till then.

        The memory comes from the stream in use, whose work may still read what was there before.
        """
        stream.wait_event(cupy.cuda.get_current_stream().record())
        pinned: list[Any] = []

        def copy(x: Any) -> Any:
            if isinstance(x, cupy.ndarray):
                return x
            pinned.append(cupyx.empty_pinned(x.shape, x.dtype))
            pinned[-1][...] = x
            there = cupy.empty(x.shape, x.dtype)
            there.set(pinned[-1], stream=stream)
            return there

        return _each(copy, item), stream.record(), pinned

    def arrive(copied: Any, event: Any, pinned: list[Any]) -> Iterator[Any]:
        cupy.cuda.get_current_stream().wait_event(event)
        yield copied
        event.synchronize()  # pinned memory may go now

    ahead: list[Any] = []
    try:
        for item in items:
            ahead.append(depart(item))
            if len(ahead) > 1:
                yield from arrive(*ahead.pop(0))
        for last in ahead:
            yield from arrive(*last)
    finally:
        stream.synchronize()  # who stops early leaves no copy under way into memory that is free


def floats(*scalars: Any) -> tuple[float, ...]:
    """Bring arrays without axes down, all in one transfer: the host waits for a device once.

    Examples
    --------
    >>> import numpy as np
    >>> floats(np.float32(0.5), np.array(True))
    (0.5, 1.0)
    """
    return tuple(map(float, to_host(array_module(*scalars).stack(scalars))))


def shape_of(x: Any) -> tuple[int, ...]:
    """Return the shape of an array, a number or nested lists: for messages about any argument."""
    return tuple(x.shape if hasattr(x, "shape") else np.shape(x))


def described(x: Any) -> str:
    """Say what `x`, no array, is: a tuple by its shapes, and its `source` where it has one."""
    if not isinstance(x, tuple):
        return f"a {type(x).__name__}"
    shapes = (str(shape_of(part)) if hasattr(part, "shape") else described(part) for part in x)
    source = f" from {x.source}" if hasattr(x, "source") else ""
    return f"a tuple of shapes {' and '.join(shapes)}{source}"


def read_only(x: Array) -> Array:
    """Return a view that refuses to be written into, where the array library has such a thing."""
    if not isinstance(x, np.ndarray):
        return x
    view = x.view()
    view.flags.writeable = False
    return view


def widens(x: Array, like: Array) -> bool:
    """Tell whether computing with `x` would leave `like`'s dtype: float64 data, float32 weights."""
    return array_module(like).result_type(x.dtype, like.dtype) != like.dtype


# Matrix products ----------------------------------------------------------------------------

_gemm_observers: list[Callable[[tuple[int, ...], tuple[int, ...]], None]] = []


def gemm(a: Array, b: Array, out: Array | None = None) -> Array:
    """Multiply matrices (or stacks of them): every matrix product of the library is made here.

    Parameters
    ----------
    a : array, shape (..., m, k)
    b : array, shape (..., k, n)
    out : array, shape (..., m, n), optional
        Where the result goes.

    Returns
    -------
    array, shape (..., m, n)
    """
    _observed(a, b)
    xp = array_module(a)
    return blas.multiply(a, b, out) if xp is np else xp.matmul(a, b, out=out)


def add_gemm(total: Array | None, a: Array, b: Array) -> Array:
    """Return ``total + a @ b``, where None is an empty sum; `total` is ours to write into.

    On NumPy the sum is made inside of the product, without a pass over memory.
    """
    if not isinstance(total, np.ndarray) or blas.rows_of_a_piece(a, b):
        return add_into(total, gemm(a, b))
    if not blas.accumulate(total, a, b):
        return add_into(total, gemm(a, b))
    _observed(a, b)
    return total


def affine(a: Array, b: Array, row: Array | None) -> Array:
    """Return ``a @ b + row`` for matrices (m, k), (k, n) and a row (n,); None: zeros."""
    if row is None or not isinstance(a, np.ndarray):
        y = gemm(a, b)
        return y if row is None else add_into(y, row)
    y = np.empty((len(a), len(row)), np.result_type(a, b, row))
    y[...] = row
    return add_gemm(y, a, b)


def _observed(a: Array, b: Array) -> None:
    for observe in _gemm_observers:
        observe(a.shape, b.shape)


def add_into(total: Array | None, term: Array) -> Array:
    """Return ``total + term``, in place if `total`'s dtype can hold it; None is an empty sum."""
    if total is None:
        return term
    if array_module(total).result_type(total.dtype, term.dtype) != total.dtype:
        return total + term
    total += term
    return total


@contextmanager
def observe_gemms(
    observe: Callable[[tuple[int, ...], tuple[int, ...]], None],
) -> Iterator[None]:
    """Call ``observe(a.shape, b.shape)`` at every matrix product made inside the ``with`` block."""
    _gemm_observers.append(observe)
    try:
        yield
    finally:
        _gemm_observers.remove(observe)
