"""The plain recurrent layer's mathematics: h_t = tanh(x_t Wx + h_{t-1} Wh + b), as one op.

    a_t = x_t Wx + h_{t-1} Wh + b,     h_t = tanh(a_t)                                  (1)

Forward with R, and its transpose, last step first (ua+ is the cotangent of a_{t+1}):

    R{a_t} = R{x_t} Wx + x_t R{Wx} + R{h_{t-1}} Wh + h_{t-1} R{Wh} + R{b}               (2)
    R{h_t} = s R{a_t},     s = 1 - h_t^2                                                (3)
    uh = u_t + ua+ Wh',     ua = s uh                                                   (4)
    x_t: ua Wx',   Wx: sum x_t' ua,   Wh: sum h_{t-1}' ua,   b: sum ua,   h_0: ua_1 Wh'

R of (4), with sources that (4) had not, since Wh and s move, too:

    R{uh} = R{u_t} + R{ua+} Wh' + ua+ R{Wh}'                                            (5)
    R{ua} = s R{uh} - 2 h_t R{h_t} uh                                                   (6)

Called by `minihf.layers.RNN`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from minihf.backend import Array, array_module, gemm
from minihf.fused import fused
from minihf.ops.recurrent import Recurrent, check, result_type, swap

__all__ = ["rnn"]


class Residuals(NamedTuple):
    """What `forward` leaves for the other three, time first: (T, N, ...)."""

    z: Array       # [x_t, h_{t-1}, 1], and a row more for h_T        (T + 1, N, D + H + 1)
    Wx: Array
    Wh: Array
    s: Array       # 1 - h_t^2                                        (T, N, H)


class RNNOp(Recurrent):
    """h = rnn(x): the equations are the module's."""

    def forward(
        self, x: Array, Wx: Array, Wh: Array, b: Array, h0: Array | None = None
    ) -> tuple[Array, Any]:
        check("rnn", x, Wx, Wh, b, 1, h0=h0)
        xp = array_module(x)
        a, z = self.affine(x, Wx, Wh, b, h0, result_type(x, Wx, Wh, b, h0))
        h = z[:, :, Wx.shape[0] : -1]
        for t in range(len(a)):
            h[t + 1] = xp.tanh(a[t] + gemm(h[t], Wh))                  # (1)
        return swap(h[1:]), Residuals(z, Wx, Wh, 1 - h[1:] * h[1:])

    def rop(self, residuals: Any, *Rinputs: Any) -> Array:
        """R{a} and R{h}, step by step: (2), (3)."""
        return swap(self._push(residuals, Rinputs)[1:])

    def _push(self, residuals: Any, Rinputs: Sequence[Any]) -> Array:
        _, _, Wh, s = residuals
        Rx, RWx, RWh, Rb, Rh0 = Rinputs
        (T, N, H), xp, dtype = s.shape, array_module(s), result_type(s, *Rinputs)
        Ra = self.affine_rop(residuals, Rx, RWx, RWh, Rb, dtype)       # (2) but for R{h} Wh
        Rh, work = xp.empty((T + 1, N, H), dtype), xp.empty((N, H), dtype)
        Rh[0] = 0 if Rh0 is None else Rh0
        for t in range(T):
            Ra_t = Ra[t]
            if t > 0 or Rh0 is not None:
                gemm(Rh[t], Wh, out=work)
                _step_forward(s[t], Ra_t, work, Rh[t + 1])             # (2), (3)
            else:
                xp.multiply(s[t], Ra_t, out=Rh[t + 1])
        return Rh

    def vjp(self, residuals: Any, u: Array, needs: Sequence[bool]) -> tuple[Array | None, ...]:
        """uh and ua, last step first: (4); then, from ua, what (1) is made of."""
        ua, _ = self._pull(residuals, swap(u))
        return (
            *self.affine_vjp(residuals, ua, needs),
            gemm(ua[0], residuals.Wh.T) if needs[4] else None,
        )

    def _pull(
        self, residuals: Any, u: Array, a_source: Any = None, keep: bool = False
    ) -> tuple[Array, Any]:
        _, _, Wh, s = residuals
        (T, N, H), xp, dtype = s.shape, array_module(s), result_type(s, u, a_source)
        ua = xp.empty((T, N, H), dtype)
        uh = xp.empty((T, N, H), dtype) if keep else [xp.empty((N, H), dtype)] * T
        for t in reversed(range(T)):
            ua_t, uh_t = ua[t], uh[t]
            if t == T - 1:
                uh_t[...] = u[t]
                xp.multiply(s[t], uh_t, out=ua_t)
            else:
                gemm(ua[t + 1], Wh.T, out=uh_t)
                _step_backward(s[t], u[t], uh_t, ua_t)                 # (4)
            if a_source is not None:
                ua_t += a_source[t]                                    # (6)
        return ua, uh

    def rvjp(
        self,
        residuals: Any,
        Rinputs: Sequence[Array | None],
        u: Array,
        Ru: Array | None,
        needs: Sequence[bool],
    ) -> tuple[Array | None, ...]:
        """R of `vjp`'s lines: (5), (6), and R of the products that end it."""
        if all(R is None for R in Rinputs):
            return (None,) * len(needs) if Ru is None else self.vjp(residuals, Ru, needs)
        z, Wx, Wh, _ = residuals
        h, RWh = z[1:, :, len(Wx) : -1], Rinputs[2]
        Rh = self._push(residuals, Rinputs)
        ua, uh = self._pull(residuals, swap(u), keep=True)

        a_source = -2 * h * Rh[1:] * uh                                # (6)
        h_source = self.h_source(Ru, ua, RWh, a_source)                # (5)
        Rua, _ = self._pull(residuals, h_source, a_source)
        Ruh0 = gemm(Rua[0], Wh.T) if needs[4] else None
        if needs[4] and RWh is not None:
            Ruh0 = Ruh0 + gemm(ua[0], RWh.T)
        return (*self.affine_rvjp(residuals, Rinputs, Rh, ua, Rua, needs), Ruh0)

    def activations(self, residuals: Any) -> Array:
        """a = [x_t, h_{t-1}] (N, T, D + H)."""
        return swap(residuals.z[:-1, :, :-1])

    def sensitivities(self, residuals: Any, u: Array) -> Array:
        """s = ua (N, T, H)."""
        return swap(self._pull(residuals, swap(u))[0])


def _of_step_forward(s: Array, Ra: Array, work: Array, Rh: Array) -> None:
    Ra += work                                                         # (2)
    array_module(s).multiply(s, Ra, out=Rh)                            # (3)


_step_forward = fused(_of_step_forward, "Ra = Ra + work; Rh = s * Ra")


def _of_step_backward(s: Array, u: Array, uh: Array, ua: Array) -> None:
    uh += u                                                            # (4)
    array_module(s).multiply(s, uh, out=ua)


_step_backward = fused(_of_step_backward, "uh = uh + u; ua = s * uh")

_rnn = RNNOp()


def rnn(x: Any, Wx: Any, Wh: Any, b: Any, h0: Any = None) -> Any:
    """Run a tanh recurrent layer over a whole sequence, as one op.

    Parameters
    ----------
    x : array, shape (N, T, D), T >= 1
    Wx : array, shape (D, H)
    Wh : array, shape (H, H)
    b : array, shape (H,)
    h0 : array, shape (N, H), optional
        The state before the first step; zero if not given.

    Returns
    -------
    array, shape (N, T, H)
        h_t for every step.

    Raises
    ------
    ValueError
        If the shapes do not fit together.

    Notes
    -----
    One product of each of `rop` and `vjp` goes step by step, R{h} Wh and ua Wh'; the others are
    made for all steps at once. `rvjp` makes one pass of `rop` and two of `vjp`.
    """
    return _rnn(x, Wx, Wh, b, h0)
