"""What the recurrent ops share: all of a step that does not have to wait for the step before it.

Step t of a recurrent layer begins with a dense layer on z_t = [x_t, h_{t-1}, 1]:

    a_t = x_t Wx + h_{t-1} Wh + b = z_t W,     W = [Wx; Wh; b]               (1)

Once the forward pass has run, z is known for every t. So in the linear passes only R{h} Wh forward
and a: Wh' backward have to go step by step; all else is one matrix product over all steps:

    R{a}  = z R{W} + R{x} Wx            + R{h_{t-1}} Wh, step by step        (2)
    W: z' u,     x: u Wx'               for the cotangent u of a             (3)
    R{W:} = z' R{u} + R{z}' u,     R{x:} = R{u} Wx' + u R{Wx}'               (4)

Arrays in here run time first, (T, N, .), so that a step is contiguous and all steps together are a
matrix of T N rows without a copy. An op's output is a batch-first view of such an array, and the
next recurrent op turns it back for free.

Called by `minihf.ops.lstm` and `minihf.ops.rnn`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from minihf.backend import Array, add_gemm, add_into, array_module, gemm
from minihf.op import Op

__all__ = ["Recurrent", "rows", "swap"]


class Recurrent(Op):
    """An op over a sequence whose residuals begin with (z, Wx, Wh): equations (1) to (4)."""

    def affine(
        self, x: Array, Wx: Array, Wh: Array, b: Array, h0: Array | None, dtype: Any
    ) -> tuple[Array, Array]:
        """Return x Wx + b, what (1) is without h, and z with room for the h to come."""
        (N, T, D), H, xp = x.shape, Wh.shape[0], array_module(x)
        z = xp.empty((T + 1, N, D + H + 1), dtype=dtype)   # z[t] = [x_t, h_{t-1}, 1] and, last, h_T
        z[:T, :, :D] = swap(x)
        z[T, :, :D] = 0
        z[0, :, D:-1] = 0 if h0 is None else h0
        z[:, :, -1] = 1
        a = gemm(rows(z[:T, :, :D]), Wx.astype(dtype, copy=False))
        return add_into(a, b).reshape(T, N, -1), z

    def affine_rop(
        self, residuals: Any, Rx: Any, RWx: Any, RWh: Any, Rb: Any, dtype: Any
    ) -> Array:
        """Return z R{W} + R{x} Wx, (2) without R{h}: (T, N, G), ours to write into."""
        z, Wx, _ = residuals[:3]
        (T, N, _), D, xp = z[1:].shape, Wx.shape[0], array_module(z)
        z = rows(z[:T])
        Ra: Any = None
        if RWx is not None and RWh is not None and Rb is not None:
            Ra = gemm(z, xp.concatenate([RWx, RWh, Rb[None]]))
        else:
            if RWx is not None:
                Ra = gemm(z[:, :D], RWx)
            if RWh is not None:
                Ra = add_gemm(Ra, z[:, D:-1], RWh)
            if Rb is not None:
                Ra = add_into(xp.zeros((T * N, len(Rb)), dtype) if Ra is None else Ra, Rb)
        if Rx is not None:
            Ra = add_gemm(Ra, rows(swap(Rx)), Wx)
        if Ra is None:
            Ra = xp.zeros((T, N, Wx.shape[1]), dtype)
        return Ra.astype(dtype, copy=False).reshape(T, N, -1)

    def affine_vjp(self, residuals: Any, ua: Array, needs: Sequence[bool]) -> list[Any]:
        """x: u Wx',  [Wx; Wh; b]: z' u, (3), for the cotangent ua (T, N, G) of a."""
        z, Wx, _ = residuals[:3]
        T, D, u = len(ua), Wx.shape[0], rows(ua)
        for_x, for_Wx, for_Wh, for_b = needs[:4]
        x = swap(gemm(u, Wx.T).reshape(T, -1, D)) if for_x else None
        z = rows(z[:T])
        if for_Wx and for_Wh:
            W = gemm(z.T, u)
            return [x, W[:D], W[D:-1], W[-1]]
        return [
            x,
            gemm(z[:, :D].T, u) if for_Wx else None,
            gemm(z[:, D:-1].T, u) if for_Wh else None,
            u.sum(axis=0) if for_b else None,
        ]

    def affine_rvjp(
        self,
        residuals: Any,
        Rinputs: Sequence[Any],
        Rh: Array,
        ua: Array,
        Rua: Array,
        needs: Sequence[bool],
    ) -> list[Any]:
        """R{x:} = R{u} Wx' + u R{Wx}',  R{W:} = z' R{u} + R{z}' u, (4)."""
        Rx, RWx = Rinputs[:2]
        for_x, for_Wx, for_Wh, _ = needs[:4]
        Rux, RuWx, RuWh, Rub = self.affine_vjp(residuals, Rua, needs)
        if for_x and RWx is not None:
            Rux = Rux + swap(gemm(rows(ua), RWx.T).reshape(len(ua), -1, len(RWx)))
        if for_Wx and Rx is not None:
            RuWx = RuWx + gemm(rows(swap(Rx)).T, rows(ua))
        if for_Wh:
            RuWh = RuWh + gemm(rows(Rh[:-1]).T, rows(ua))
        return [Rux, RuWx, RuWh, Rub]

    def h_source(self, Ru: Any, ua: Array, RWh: Any, like: Array) -> Array:
        """R{u_t} + ua+ R{Wh}' for every step, as what `R{ua+} Wh'` is added to: (T, N, H)."""
        source = array_module(like).zeros_like(like)
        if Ru is not None:
            source = source + swap(Ru)
        if RWh is not None and len(ua) > 1:
            source[:-1] += gemm(rows(ua[1:]), RWh.T).reshape(source[1:].shape)
        return source

    def work(self, residuals: Any, taken: Sequence[bool]) -> tuple[int, int]:
        """Matrix products for x, Wx and Wh at once, R{h} Wh step by step, and the steps' passes."""
        z, Wx, Wh = residuals[:3]
        (T, N), (D, G), H = (len(z) - 1, z.shape[1]), Wx.shape, len(Wh)
        for_x, for_Wx, for_Wh, for_b = taken[:4]
        inner = D * (for_x + for_Wx) + H * for_Wh + (for_Wx and for_Wh and for_b)
        return 2 * G * N * (T * inner + (T - 1) * H), 5 * T * N * G

    weight_inputs, bias_input = (1, 2), 3

    def split(self, residuals: Any, matrix: Array) -> tuple[Array, ...]:
        """Wx stands above Wh, as x_t stands before h_{t-1} in a."""
        D = residuals[1].shape[0]
        return matrix[:D], matrix[D:]

    def join(self, residuals: Any, weights: Sequence[Array]) -> Array:
        """Wx stands above Wh."""
        return array_module(*weights).concatenate(list(weights))


def check(op: str, x: Array, Wx: Array, Wh: Array, b: Array, gates: int, **states: Any) -> None:
    """Refuse shapes that do not fit, in the words of the op."""
    H = Wh.shape[0]
    if x.ndim != 3 or x.shape[-1] != Wx.shape[0] or min(x.shape[:2]) < 1:
        wanted = f"(N, T, {Wx.shape[0]}) with N >= 1 and T >= 1"
        raise ValueError(f"{op}: x has shape {tuple(x.shape)}, expected {wanted}")
    for name, array, shape in (
        ("Wx", Wx, (Wx.shape[0], gates * H)),
        ("Wh", Wh, (H, gates * H)),
        ("b", b, (gates * H,)),
        *((name, state, (x.shape[0], H)) for name, state in states.items()),
    ):
        if array is not None and tuple(array.shape) != shape:
            raise ValueError(f"{op}: {name} has shape {tuple(array.shape)}, expected {shape}")


def result_type(*arrays: Any) -> Any:
    """Return the dtype that holds all of the arrays; None stands for zero."""
    given = [array for array in arrays if array is not None]
    return array_module(*given).result_type(*(array.dtype for array in given))


def swap(x: Array) -> Array:
    """Exchange batch-first and time-first: a view."""
    return x.swapaxes(0, 1)


def rows(x: Array) -> Array:
    """Steps and cases as one axis: a matrix."""
    return x.reshape(-1, x.shape[-1])
