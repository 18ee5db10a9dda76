"""The matrix product, for matrices and stacks of matrices.

    R{y} = R{a} b + a R{b},     a: u b',     b: a' u.

Called by networks written as a function; the fused `minihf.ops.dense` serves the layers.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from minihf.backend import Array, add_gemm, gemm
from minihf.op import Op
from minihf.ops.elementwise import _unbroadcast
from minihf.ops.shape import reshape

__all__ = ["matmul"]


class MatMul(Op):
    """y = a b over the last two axes; leading axes broadcast."""

    def forward(self, a: Array, b: Array) -> tuple[Array, Any]:
        if a.ndim < 2 or b.ndim < 2 or a.shape[-1] != b.shape[-2]:
            raise ValueError(
                f"matmul: shapes {tuple(a.shape)} and {tuple(b.shape)} do not fit; "
                "the last axis of the first must equal the last but one of the second"
            )
        return gemm(a, b), (a, b)

    def rop(self, residuals: Any, *Rinputs: Array | None) -> Array:
        """R{y} = R{a} b + a R{b}."""
        a, b = residuals
        Ra, Rb = Rinputs
        Ry = None if Ra is None else gemm(Ra, b)
        return Ry if Rb is None else add_gemm(Ry, a, Rb)

    def vjp(self, residuals: Any, u: Array, needs: Sequence[bool]) -> tuple[Array | None, ...]:
        """a: u b',  b: a' u."""
        a, b = residuals
        return (
            _unbroadcast(gemm(u, b.swapaxes(-1, -2)), a.shape) if needs[0] else None,
            _unbroadcast(gemm(a.swapaxes(-1, -2), u), b.shape) if needs[1] else None,
        )

    def rvjp(
        self,
        residuals: Any,
        Rinputs: Sequence[Array | None],
        u: Array,
        Ru: Array | None,
        needs: Sequence[bool],
    ) -> tuple[Array | None, ...]:
        """R{a:} = R{u} b' + u R{b}',  R{b:} = a' R{u} + R{a}' u."""
        a, b = residuals
        Ra, Rb = Rinputs
        Rua = Rub = None
        if needs[0]:
            Rua = None if Ru is None else gemm(Ru, b.swapaxes(-1, -2))
            Rua = Rua if Rb is None else add_gemm(Rua, u, Rb.swapaxes(-1, -2))
        if needs[1]:
            Rub = None if Ru is None else gemm(a.swapaxes(-1, -2), Ru)
            Rub = Rub if Ra is None else add_gemm(Rub, Ra.swapaxes(-1, -2), u)
        return _unbroadcast(Rua, a.shape), _unbroadcast(Rub, b.shape)

    def work(self, residuals: Any, taken: Sequence[bool]) -> tuple[int, int]:
        """One matrix product for a, one for b."""
        a, b = residuals
        rows = max(a.size // a.shape[-1], b.size // b.shape[-1] // b.shape[-2] * a.shape[-2])
        return 2 * sum(taken) * rows * b.shape[-2] * b.shape[-1], 0


_matmul = MatMul()


def matmul(a: Any, b: Any) -> Any:
    """Multiply as NumPy's ``@`` does: a vector on the left is a row, on the right a column.

    Examples
    --------
    >>> import numpy as np
    >>> from minihf import ops
    >>> ops.matmul(np.eye(2), np.array([3.0, 4.0]))
    array([3., 4.])
    """
    if a.ndim > 1 and b.ndim > 1:
        return _matmul(a, b)
    y = _matmul(
        reshape(a, (1, *a.shape)) if a.ndim == 1 else a,
        reshape(b, (*b.shape, 1)) if b.ndim == 1 else b,
    )
    shape = y.shape
    if b.ndim == 1:
        shape = shape[:-1]
    if a.ndim == 1:
        shape = (*shape[:-2], shape[-1]) if b.ndim > 1 else shape[:-1]
    return reshape(y, shape)
