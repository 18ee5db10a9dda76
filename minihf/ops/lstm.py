"""The LSTM's mathematics: a whole sequence as one op, from x (N, T, D) to h (N, T, H).

Step t, with gates i, f, g, o side by side in a_t (N, 4H):

    a_t = x_t Wx + h_{t-1} Wh + b                                                       (1)
    i, f, o = sigmoid(a_i), sigmoid(a_f), sigmoid(a_o),     g = tanh(a_g)               (2)
    c_t = f c_{t-1} + i g,     m = tanh(c_t),     h_t = o m                             (3)

R goes through it line by line. Whatever multiplies a tangent is known after the forward pass:

    R{a_t} = R{x_t} Wx + x_t R{Wx} + R{h_{t-1}} Wh + h_{t-1} R{Wh} + R{b}               (4)
    s_i = i (1 - i) g,  s_f = f (1 - f) c_{t-1},  s_g = (1 - g^2) i,  s_o = o (1 - o) m (5)
    R{c_t} = f R{c_{t-1}} + s_i R{a_i} + s_f R{a_f} + s_g R{a_g}                        (6)
    R{h_t} = k R{c_t} + s_o R{a_o},     k = o (1 - m^2)                                 (7)

The transpose of (4), (6) and (7), last step first, is back-propagation through time. Write uh, uc,
ua for the cotangents of h_t, c_t and a_t, and uh+, uc+, ua+, f+ for those of step t + 1:

    uh = u_t + ua+ Wh',     uc = k uh + f+ uc+                                          (8)
    ua = [s_i uc, s_f uc, s_g uc, s_o uh]                                               (9)
    x_t: ua Wx',   Wx: sum x_t' ua,   Wh: sum h_{t-1}' ua,   b: sum ua,   c_0: f uc, h_0: ua Wh'

R once more, of (8) and (9): the same recursion for R{uh}, R{uc}, R{ua}, with sources that (8) and
(9) had not, since Wh, k, f and s move, too:

    R{uh} = R{u_t} + R{ua+} Wh' + ua+ R{Wh}'                                           (10)
    R{uc} = k R{uh} + f+ R{uc+}  +  R{k} uh + R{f+} uc+                                (11)
    R{ua} = [s_i R{uc}, ...]     +  [R{s_i} uc, R{s_f} uc, R{s_g} uc, R{s_o} uh]       (12)
    R{i} = i (1 - i) R{a_i} (f, o alike),  R{g} = (1 - g^2) R{a_g},  R{m} = (1 - m^2) R{c_t}
    R{s_i} = (1 - 2i) R{i} g + i (1 - i) R{g}          R{s_g} = (1 - g^2) R{i} - 2 g i R{g}
    R{s_f} = (1 - 2f) R{f} c_{t-1} + f (1 - f) R{c_{t-1}}
    R{s_o} = (1 - 2o) R{o} m + o (1 - o) R{m}          R{k} = (1 - m^2) R{o} - 2 o m R{m}

No line from (4) on evaluates a transcendental function, and only two matrix products go step by
step: R{h_{t-1}} Wh and ua+ Wh'. The others are made for all steps at once (`minihf.ops.recurrent`).

S. Hochreiter & J. Schmidhuber, "Long short-term memory", Neural Computation 9 (1997); with the
forget gate of F. A. Gers, J. Schmidhuber & F. Cummins, Neural Computation 12 (2000).
Called by `minihf.layers.LSTM`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from minihf.backend import Array, array_module, gemm
from minihf.fused import fused
from minihf.ops.recurrent import Recurrent, check, result_type, swap

__all__ = ["lstm"]


class Residuals(NamedTuple):
    """What `forward` leaves for the other three, time first: (T, N, ...)."""

    z: Array       # [x_t, h_{t-1}, 1], and a row more for h_T        (T + 1, N, D + H + 1)
    Wx: Array
    Wh: Array
    gates: Array   # i, f, g, o                                       (T, N, 4H)
    c: Array       # c_0 to c_T                                       (T + 1, N, H)
    m: Array       # tanh(c_t)                                        (T, N, H)
    s: Array       # (5)                                              (T, N, 4H)
    k: Array       # (7)                                              (T, N, H)


class LSTMOp(Recurrent):
    """h = lstm(x): the equations are the module's."""

    def forward(
        self, x: Array, Wx: Array, Wh: Array, b: Array,
        h0: Array | None = None, c0: Array | None = None,
    ) -> tuple[Array, Any]:  # fmt: skip
        check("lstm", x, Wx, Wh, b, 4, h0=h0, c0=c0)
        (N, T, D), H, xp = x.shape, Wh.shape[0], array_module(x)
        dtype = result_type(x, Wx, Wh, b, h0, c0)
        a, z = self.affine(x, Wx, Wh, b, h0, dtype)
        h, c = z[:, :, D:-1], xp.empty((T + 1, N, H), dtype)
        c[0] = 0 if c0 is None else c0
        for t in range(T):
            a_t = a[t]
            a_t += gemm(h[t], Wh)                                      # (1)
            _activate(a_t)                                             # (2): a becomes the gates
            i, f, g, o = _four(a_t)
            c[t + 1] = f * c[t] + i * g                                # (3)
            h[t + 1] = o * xp.tanh(c[t + 1])
        i, f, g, o = _four(a)
        m = xp.tanh(c[1:])
        s = xp.empty_like(a)
        s_i, s_f, s_g, s_o = _four(s)
        s_i[...] = i * (1 - i) * g                                     # (5)
        s_f[...] = f * (1 - f) * c[:-1]
        s_g[...] = (1 - g * g) * i
        s_o[...] = o * (1 - o) * m
        return swap(h[1:]), Residuals(z, Wx, Wh, a, c, m, s, o * (1 - m * m))

    def rop(self, residuals: Any, *Rinputs: Any) -> Array:
        """R{a}, R{c}, R{h}, step by step: (4), (6), (7)."""
        _, _, Rh = self._push(residuals, Rinputs)
        return swap(Rh[1:])

    def _push(self, residuals: Any, Rinputs: Sequence[Any], keep: bool = False) -> Any:
        _, _, Wh, gates, _, _, s, k = residuals
        Rx, RWx, RWh, Rb, Rh0, Rc0 = Rinputs
        (T, N, H), xp, f = k.shape, array_module(k), _four(gates)[1]
        dtype = result_type(k, *Rinputs)
        Ra = self.affine_rop(residuals, Rx, RWx, RWh, Rb, dtype)       # (4) but for R{h} Wh
        Rh = xp.empty((T + 1, N, H), dtype)
        Rc = xp.empty((T + 1, N, H), dtype) if keep else [xp.empty((N, H), dtype)] * (T + 1)
        Rh[0] = 0 if Rh0 is None else Rh0
        Rc[0][...] = 0 if Rc0 is None else Rc0
        work = xp.empty((N, 4 * H), dtype)
        w_i, w_f, w_g, w_o = _four(work)
        for t in range(T):
            Ra_t, Rc_t, Rh_t = Ra[t], Rc[t + 1], Rh[t + 1]
            if t > 0 or Rh0 is not None:
                gemm(Rh[t], Wh, out=work)
                _gates_forward(s[t], Ra_t, work)                       # (4)
            else:
                xp.multiply(s[t], Ra_t, out=work)
            _cell_forward(f[t], Rc[t], w_i, w_f, w_g, w_o, k[t], Rc_t, Rh_t)       # (6), (7)
        return Ra, Rc, Rh

    def vjp(self, residuals: Any, u: Array, needs: Sequence[bool]) -> tuple[Array | None, ...]:
        """uh, uc, ua, last step first: (8), (9); then, from ua, what (1) is made of."""
        ua, _, uc = self._pull(residuals, swap(u))
        for_h0, for_c0 = needs[4:]
        f = _four(residuals.gates)[1]
        return (
            *self.affine_vjp(residuals, ua, needs),
            gemm(ua[0], residuals.Wh.T) if for_h0 else None,
            f[0] * uc[0] if for_c0 else None,
        )

    def _pull(
        self, residuals: Any, u: Array, c_source: Any = None, a_source: Any = None,
        keep: bool = False,
    ) -> Any:  # fmt: skip
        _, _, Wh, gates, _, _, s, k = residuals
        (T, N, H), xp, f = k.shape, array_module(k), _four(gates)[1]
        dtype = result_type(k, u, c_source)
        ua = xp.empty((T, N, 4 * H), dtype)
        uh = xp.empty((T, N, H), dtype) if keep else [xp.empty((N, H), dtype)] * T
        uc = xp.empty((T, N, H), dtype) if keep else [xp.empty((N, H), dtype)] * T
        work = xp.empty((N, H), dtype)
        for t in reversed(range(T)):
            ua_t, uh_t, uc_t = ua[t], uh[t], uc[t]
            if t == T - 1:
                uh_t[...] = u[t]
                xp.multiply(k[t], uh_t, out=uc_t)
            else:
                gemm(ua[t + 1], Wh.T, out=uh_t)
                _cell_backward(u[t], k[t], f[t + 1], uc[t + 1], uh_t, uc_t, work)  # (8)
            if c_source is not None:
                uc_t += c_source[t]                                    # (11)
            _gates_backward(*_four(s[t]), uc_t, uh_t, *_four(ua_t))    # (9)
            if a_source is not None:
                ua_t += a_source[t]                                    # (12)
        return ua, uh, uc

    def rvjp(
        self,
        residuals: Any,
        Rinputs: Sequence[Array | None],
        u: Array,
        Ru: Array | None,
        needs: Sequence[bool],
    ) -> tuple[Array | None, ...]:
        """R of `vjp`'s lines: (10), (11), (12), and R of the products that end it."""
        if all(R is None for R in Rinputs):
            return (None,) * len(needs) if Ru is None else self.vjp(residuals, Ru, needs)
        _, _, Wh, gates, c, m, _, _ = residuals
        RWh, xp = Rinputs[2], array_module(m)
        Ra, Rc, Rh = self._push(residuals, Rinputs, keep=True)
        ua, uh, uc = self._pull(residuals, swap(u), keep=True)

        (i, f, g, o), (Ra_i, Ra_f, Ra_g, Ra_o) = _four(gates), _four(Ra)
        di, df, dg, do, dm = i * (1 - i), f * (1 - f), 1 - g * g, o * (1 - o), 1 - m * m
        Ri, Rf, Rg, Ro, Rm = di * Ra_i, df * Ra_f, dg * Ra_g, do * Ra_o, dm * Rc[1:]
        a_source = xp.empty_like(ua, dtype=result_type(ua, Ra))
        for_i, for_f, for_g, for_o = _four(a_source)                   # (12): R{s} times uc or uh
        for_i[...] = ((1 - 2 * i) * Ri * g + di * Rg) * uc
        for_f[...] = ((1 - 2 * f) * Rf * c[:-1] + df * Rc[:-1]) * uc
        for_g[...] = (dg * Ri - 2 * g * i * Rg) * uc
        for_o[...] = ((1 - 2 * o) * Ro * m + do * Rm) * uh
        c_source = (dm * Ro - 2 * o * m * Rm) * uh                     # (11)
        c_source[:-1] += Rf[1:] * uc[1:]
        h_source = self.h_source(Ru, ua, RWh, c_source)                # (10)

        Rua, _, Ruc = self._pull(residuals, h_source, c_source, a_source)
        for_h0, for_c0 = needs[4:]
        Ruh0 = gemm(Rua[0], Wh.T) if for_h0 else None
        if for_h0 and RWh is not None:
            Ruh0 = Ruh0 + gemm(ua[0], RWh.T)
        return (
            *self.affine_rvjp(residuals, Rinputs, Rh, ua, Rua, needs),
            Ruh0,
            f[0] * Ruc[0] + Rf[0] * uc[0] if for_c0 else None,
        )

    def activations(self, residuals: Any) -> Array:
        """a = [x_t, h_{t-1}] (N, T, D + H)."""
        return swap(residuals.z[:-1, :, :-1])

    def sensitivities(self, residuals: Any, u: Array) -> Array:
        """s = ua (N, T, 4H)."""
        return swap(self._pull(residuals, swap(u))[0])


# The lines of a step: for NumPy, and below them, for a device, as the expression of one kernel.


def _of_gates_forward(s: Array, Ra: Array, work: Array) -> None:
    xp = array_module(s)
    Ra += work                                                         # (4): work is R{h} Wh
    xp.multiply(s, Ra, out=work)                                       # and now s R{a}, for (6, 7)


_gates_forward = fused(_of_gates_forward, "Ra = Ra + work; work = s * Ra")


def _of_cell_forward(
    f: Array, Rc: Array, w_i: Array, w_f: Array, w_g: Array, w_o: Array, k: Array,
    Rc_t: Array, Rh_t: Array,
) -> None:  # fmt: skip
    xp = array_module(f)
    xp.multiply(f, Rc, out=Rc_t)                                       # (6)
    Rc_t += w_i
    Rc_t += w_f
    Rc_t += w_g
    xp.multiply(k, Rc_t, out=Rh_t)                                     # (7)
    Rh_t += w_o


_cell_forward = fused(
    _of_cell_forward, "Rc_t = f * Rc + w_i + w_f + w_g; Rh_t = k * Rc_t + w_o"
)


def _of_cell_backward(
    u: Array, k: Array, f_next: Array, uc_next: Array, uh: Array, uc: Array, work: Array
) -> None:
    xp = array_module(u)
    uh += u                                                            # (8)
    xp.multiply(f_next, uc_next, out=uc)
    uc += xp.multiply(k, uh, out=work)


_cell_backward = fused(_of_cell_backward, "uh = uh + u; uc = f_next * uc_next + k * uh")


def _of_gates_backward(
    s_i: Array, s_f: Array, s_g: Array, s_o: Array, uc: Array, uh: Array,
    ua_i: Array, ua_f: Array, ua_g: Array, ua_o: Array,
) -> None:  # fmt: skip
    xp = array_module(s_i)
    xp.multiply(s_i, uc, out=ua_i)                                     # (9)
    xp.multiply(s_f, uc, out=ua_f)
    xp.multiply(s_g, uc, out=ua_g)
    xp.multiply(s_o, uh, out=ua_o)


_gates_backward = fused(
    _of_gates_backward, "ua_i = s_i * uc; ua_f = s_f * uc; ua_g = s_g * uc; ua_o = s_o * uh"
)


def _activate(a: Array) -> None:
    """Turn a step's a into its gates, in place: sigmoid(a) = (1 + tanh(a / 2)) / 2."""
    xp, H = array_module(a), a.shape[1] // 4
    sigmoids = (a[:, : 2 * H], a[:, 3 * H :])
    for gate in sigmoids:
        gate *= 0.5
    xp.tanh(a, out=a)
    for gate in sigmoids:
        gate += 1
        gate *= 0.5


def _four(a: Array) -> tuple[Array, Array, Array, Array]:
    """Views of i, f, g and o."""
    H = a.shape[-1] // 4
    return a[..., :H], a[..., H : 2 * H], a[..., 2 * H : 3 * H], a[..., 3 * H :]


_lstm = LSTMOp()


def lstm(x: Any, Wx: Any, Wh: Any, b: Any, h0: Any = None, c0: Any = None) -> Any:
    """Run an LSTM over a whole sequence, as one op.

    Parameters
    ----------
    x : array, shape (N, T, D), T >= 1
    Wx : array, shape (D, 4H)
        Gates in the order i, f, g, o; so in Wh and b.
    Wh : array, shape (H, 4H)
    b : array, shape (4H,)
    h0, c0 : array, shape (N, H), optional
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
    `rop` makes one matrix product with R{W} and one with R{x}, each for all steps at once, and
    T - 1 step by step; `vjp` likewise. `rvjp` makes one pass of `rop` and two of `vjp`, kept in
    memory. The residuals are 12 N T H + N T D numbers.
    """
    return _lstm(x, Wx, Wh, b, h0, c0)
