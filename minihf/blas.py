"""What NumPy's ``matmul`` leaves of its BLAS: sums inside of a product, and products in pieces.

**Sums.** BLAS's product is C := alpha A B + beta C, and ``matmul`` is beta = 0. What it gives then
has to be read again and added to something: on a layer's activations, two to four per cent of the
product's time. `accumulate` calls the routine with beta = 1, and finds it in the library that NumPy
itself is linked to: no second pool of threads, and the same products.

**Pieces.** Before BLAS multiplies it copies both matrices into an order that suits the processor.
Where one is narrow, such as the few filters of a convolution, that takes up to a third of the time.
OpenBLAS does without for products of at most 100^3 multiplications, on processors with AVX-512. So
`multiply` hands it a tall product as a stack of such pieces. Each is the work of one thread: with
several, matrices stay whole.

Where NumPy's BLAS is another, or has its routines under no name we know, `accumulate` does nothing
and says so, and `multiply` is ``matmul``. Called by `minihf.backend` alone.
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable, Mapping
from functools import cache
from importlib import import_module
from typing import Any, TypeAlias

import numpy as np

__all__ = ["accumulate", "multiply", "rows_of_a_piece"]

Layout: TypeAlias = tuple[int, int]

NAMES = (
    ("scipy_{}64_", ctypes.c_int64),                               # NumPy's own wheels
    ("{}64_", ctypes.c_int64),
    ("{}", ctypes.c_int),                                          # Linux distributions, conda
)
"""What a library may have made of BLAS's names, and its integers."""

LETTERS = {"f": "s", "d": "d", "F": "c", "D": "z"}
ROW_MAJOR, AS_IT_IS, TRANSPOSED = 101, 111, 112                    # CBLAS's numbers

SMALL = 100**3
"""Multiplications up to which OpenBLAS takes matrices as they are, on these cores."""

CORES = ("SkylakeX", "Cooperlake", "SapphireRapids")

FEWEST_ROWS, FEWEST_SUMMED = 16, 96
"""In a piece that pays: of the result, or of those that are summed over."""


# Sums ---------------------------------------------------------------------------------------


def accumulate(total: np.ndarray, a: np.ndarray, b: np.ndarray) -> bool:
    """Add ``a @ b`` to `total`, in place, and tell whether that was possible.

    Parameters
    ----------
    total : array, shape (m, n)
        With rows that are contiguous in memory; it shares none with the others.
    a, b : array, shapes (m, k) and (k, n), of the same dtype
        With rows or columns that are contiguous in memory.

    Returns
    -------
    bool
        False if nothing was done: another dtype, byte order or layout, or no such routine here.
    """
    routine = _routines().get(total.dtype.char)
    if routine is None or not total.dtype == a.dtype == b.dtype or not total.flags.writeable:
        return False
    if not total.dtype.isnative:
        return False
    if not total.ndim == a.ndim == b.ndim == 2 or 0 in (*total.shape, a.shape[1]):
        return False
    if total.shape != (a.shape[0], b.shape[1]) or a.shape[1] != b.shape[0]:
        return False
    at_total, at_a, at_b = _layout(total), _layout(a), _layout(b)
    if at_total is None or at_a is None or at_b is None or at_total[0] == TRANSPOSED:
        return False
    routine(total, a, b, at_total, at_a, at_b)
    return True


def _layout(x: np.ndarray) -> Layout | None:
    """Return how BLAS is told of a matrix: transposed or not, and from row to row how far."""
    (m, n), (down, right), size = x.shape, x.strides, x.itemsize
    if right == size and down >= n * size and down % size == 0:
        return AS_IT_IS, down // size
    if down == size and right >= m * size and right % size == 0:
        return TRANSPOSED, right // size
    return None


# Pieces -------------------------------------------------------------------------------------


def multiply(a: np.ndarray, b: np.ndarray, out: np.ndarray | None = None) -> np.ndarray:
    """Return ``a @ b``: for a tall matrix by one of 16 to 64 columns in 0.7 to 0.9 of the time."""
    rows = rows_of_a_piece(a, b)
    if not rows or (out is not None and _may_overlap(out, a, b)):
        return np.matmul(a, b, out=out)
    if a.strides[1] != a.itemsize:
        return _summed(a.T, b, rows, out)
    if out is None:
        out = np.empty((len(a), b.shape[1]), a.dtype)
    np.matmul(_pieces(a, rows), b, out=_pieces(out, rows))
    np.matmul(_rest(a, rows), b, out=_rest(out, rows))
    return out


def rows_of_a_piece(a: np.ndarray, b: np.ndarray) -> int:
    """Return into pieces of how many rows `multiply` cuts ``a @ b``; 0: into none.

    They are rows of `a`, or, where `a` is the transpose of a tall matrix, of that and of `b`.
    """
    if not a.ndim == b.ndim == 2 or a.dtype != b.dtype or a.dtype.char not in "fd":
        return 0
    if a.shape[1] != b.shape[0] or b.strides[1] != b.itemsize or 0 in (*a.shape, *b.shape):
        return 0
    (m, k), n = a.shape, b.shape[1]
    if a.strides[1] == a.itemsize:
        there, rows, fewest = m, SMALL // (k * n), FEWEST_ROWS
    elif a.strides[0] == a.itemsize:
        there, rows, fewest = k, SMALL // (m * n), FEWEST_SUMMED
    else:
        return 0
    rows -= rows % 16
    return rows if fewest <= rows < there and _small_is_fast() else 0


def _may_overlap(out: np.ndarray, a: np.ndarray, b: np.ndarray) -> bool:
    return np.may_share_memory(out, a) or np.may_share_memory(out, b)


def _summed(x: np.ndarray, u: np.ndarray, rows: int, out: np.ndarray | None) -> np.ndarray:
    """Return x' u, the sum of the pieces' products."""
    products = np.matmul(_pieces(x, rows).swapaxes(1, 2), _pieces(u, rows))
    products[0] += np.matmul(_rest(x, rows).T, _rest(u, rows))
    return products.sum(axis=0, out=out)


def _pieces(x: np.ndarray, rows: int) -> np.ndarray:
    """Return all whole pieces of a matrix as a stack: a view."""
    count = len(x) // rows
    return x[: count * rows].reshape(count, rows, x.shape[1])


def _rest(x: np.ndarray, rows: int) -> np.ndarray:
    return x[len(x) // rows * rows :]


def _small_is_fast() -> bool:
    return _core() in CORES and _threads()() == 1


# The library --------------------------------------------------------------------------------


@cache
def _routines() -> Mapping[str, Callable[..., None]]:
    """Find the sums, by dtype, that come out right on a small problem."""
    found = {kind: _routine(kind) for kind in LETTERS}
    return {kind: routine for kind, routine in found.items() if routine and _right(kind, routine)}


def _routine(kind: str) -> Callable[..., None] | None:
    """Return the routine for a dtype, told what its arguments are.

    Real numbers go by value, complex ones by address.
    """
    gemm, integer = _find(f"cblas_{LETTERS[kind]}gemm")
    if gemm is None:
        return None
    number = {"f": ctypes.c_float, "d": ctypes.c_double}.get(kind, ctypes.c_void_p)
    unit = np.ones((), kind)
    one = _address(unit) if number is ctypes.c_void_p else 1.0
    matrix = [ctypes.c_void_p, integer]
    gemm.argtypes = [*[ctypes.c_int] * 3, *[integer] * 3, number, *matrix, *matrix, number, *matrix]
    gemm.restype = None

    def add(
        total: np.ndarray, a: np.ndarray, b: np.ndarray,
        at_total: Layout, at_a: Layout, at_b: Layout, unit: np.ndarray = unit,
    ) -> None:  # fmt: skip
        gemm(
            ROW_MAJOR, at_a[0], at_b[0], *total.shape, a.shape[1],
            one, _address(a), at_a[1], _address(b), at_b[1], one, _address(total), at_total[1],
        )  # fmt: skip

    return add


def _address(x: np.ndarray) -> int:
    """Return where a matrix begins. It is what `x.ctypes` is, which leaves a cycle behind."""
    return int(x.__array_interface__["data"][0])


def _right(kind: str, add: Callable[..., None]) -> bool:
    a, b, total = (np.arange(size, dtype=kind).reshape(-1, 2) for size in (6, 4, 12))
    expected = total.copy()
    expected[::2] += a @ b
    add(total[::2], a, b, *map(_layout, (total[::2], a, b)))
    return bool((total == expected).all())


@cache
def _core() -> str:
    """Return for which processor OpenBLAS has its kernels; empty if it is another library."""
    corename, _ = _find("openblas_get_corename")
    if corename is None:
        return ""
    corename.restype = ctypes.c_char_p
    return str(corename().decode())


@cache
def _threads() -> Callable[[], int]:
    """Return what tells how many threads OpenBLAS takes: that may change."""
    threads, _ = _find("openblas_get_num_threads")
    return threads or (lambda: 0)


def _find(name: str) -> tuple[Any, Any]:
    """Look a routine up in what NumPy is linked to; return it, and its type of integers."""
    library = ctypes.CDLL(import_module("numpy._core._multiarray_umath").__file__)
    for form, integer in NAMES:
        routine = getattr(library, form.format(name), None)
        if routine is not None:
            return routine, integer
    return None, None
