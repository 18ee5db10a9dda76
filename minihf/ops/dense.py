"""The dense layer's mathematics: y = x W + b, fused into one op.

With x of shape (N, D) or (N, P, D) for P positions (time steps, say) that share the weights:

    R{y}  = R{x} W + x R{W} + R{b}                                      (1)
    x: u W',     W: x' u,     b: sum of u over cases and positions      (2)
    R{x:} = R{u} W' + u R{W}',   R{W:} = x' R{u} + R{x}' u,   R{b:} = sum R{u}     (3)

Two matrix products for each line's R{x}, R{W} pair, and one where a tangent is None: that is where
a product with the Gauss-Newton matrix of an L-layer network gets its 4 L - 2 from.

Called by `minihf.layers.Dense`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from minihf.backend import Array, add_gemm, affine, array_module, gemm, shape_of
from minihf.op import Op

__all__ = ["dense"]


class DenseOp(Op):
    """y = x W + b."""

    def forward(self, x: Array, W: Array, b: Array | None = None) -> tuple[Array, Any]:
        if array_module(x) is not array_module(W):
            raise TypeError(
                f"dense: x is {type(x).__module__}.{type(x).__name__}, W is {type(W).__module__}."
                f"{type(W).__name__}; bring x there with minihf.asarray(x)"
            )
        if x.ndim < 2 or x.shape[-1] != W.shape[0]:
            raise ValueError(f"dense: x has shape {x.shape}, expected (N, ..., {W.shape[0]})")
        if b is not None and shape_of(b) != W.shape[1:]:
            raise ValueError(f"dense: b has shape {shape_of(b)}, expected ({W.shape[1]},)")
        y = affine(_rows(x), W, b)
        return y.reshape(*x.shape[:-1], W.shape[1]), (x, W)            # (N, ..., M)

    def rop(self, residuals: Any, *Rinputs: Any) -> Array:
        """R{y} = R{x} W + x R{W} + R{b}."""
        x, W = residuals
        Rx, RW, Rb = Rinputs
        shape = (*x.shape[:-1], W.shape[1])
        if Rx is None and RW is None:
            return array_module(Rb).broadcast_to(Rb, shape)
        if Rx is None:
            return affine(_rows(x), RW, Rb).reshape(shape)
        Ry = affine(_rows(Rx), W, Rb)
        if RW is not None:
            Ry = add_gemm(Ry, _rows(x), RW)
        return Ry.reshape(shape)

    writes_into = True

    def vjp(
        self, residuals: Any, u: Array, needs: Sequence[bool], out: Sequence[Any] = (None,) * 3
    ) -> tuple[Array | None, ...]:
        """x: u W',  W: x' u,  b: sum of u."""
        x, W = residuals
        for_x, for_W, for_b = needs
        u2 = _rows(u)
        return (
            gemm(u2, W.T).reshape(x.shape) if for_x else None,
            gemm(_rows(x).T, u2, out=out[1]) if for_W else None,
            u2.sum(axis=0, out=out[2]) if for_b else None,
        )

    def rvjp(
        self,
        residuals: Any,
        Rinputs: Sequence[Array | None],
        u: Array,
        Ru: Array | None,
        needs: Sequence[bool],
    ) -> tuple[Array | None, ...]:
        """R{x:} = R{u} W' + u R{W}',  R{W:} = x' R{u} + R{x}' u,  R{b:} = sum of R{u}."""
        x, _ = residuals
        Rx, RW, _ = Rinputs
        for_x, for_W, for_b = needs
        u2 = _rows(u)
        Rux = RuW = Rub = None
        if Ru is not None:
            Rux, RuW, Rub = self.vjp(residuals, Ru, needs)
        if for_x and RW is not None:
            Rux = add_gemm(None if Rux is None else _rows(Rux), u2, RW.T).reshape(x.shape)
        if for_W and Rx is not None:
            RuW = add_gemm(RuW, _rows(Rx).T, u2)
        return Rux, RuW, Rub if for_b else None

    def work(self, residuals: Any, taken: Sequence[bool]) -> tuple[int, int]:
        """One matrix product for x, one for W."""
        x, W = residuals
        return 2 * sum(taken[:2]) * x.size * W.shape[1], 0

    weight_inputs, bias_input = (1,), 2

    def activations(self, residuals: Any) -> Array:
        """a = x (N, P, D)."""
        x, _ = residuals
        return x.reshape(len(x), -1, x.shape[-1])

    def sensitivities(self, residuals: Any, u: Array) -> Array:
        """s = u (N, P, M)."""
        return u.reshape(len(u), -1, u.shape[-1])

    def split(self, residuals: Any, matrix: Array) -> tuple[Array, ...]:
        """W is the matrix."""
        return (matrix,)

    def join(self, residuals: Any, weights: Sequence[Array]) -> Array:
        """W is the matrix."""
        return weights[0]


def _rows(x: Array) -> Array:
    """Cases and positions as one axis: a matrix."""
    return x if x.ndim == 2 else x.reshape(-1, x.shape[-1])


_dense = DenseOp()


def dense(x: Any, W: Any, b: Any = None) -> Any:
    """Compute x W + b as one op.

    Parameters
    ----------
    x : array, shape (N, D) or (N, P, D)
    W : array, shape (D, M)
    b : array, shape (M,), optional

    Returns
    -------
    array, shape (N, M) or (N, P, M)

    Notes
    -----
    Cost: one matrix product forward, at most two in each of `rop` and `vjp`, four in `rvjp`.
    """
    return _dense(x, W, b)
