"""A layer of your own with hand-written rules, checked; then a mistake, found and named.

y = w x sigmoid(v x), with a learned w and v for each feature. The four rules stand side by side and
share their names. Run it: python examples/08_check_your_own_layer.py
"""

import sys

import numpy as np
from matplotlib.figure import Figure

import minihf as hf
from minihf.op import Op
from minihf.testing import CheckFailure, check_layer, check_op, complex_step_jvp

OUT = sys.argv[1] if len(sys.argv) > 1 else "08_check_your_own_layer.png"


class SwishOp(Op):
    """y = w x s, with s = sigmoid(v x), ds = s (1 - s) its slope; a tangent None is zero."""

    def forward(self, x, w, v):
        s = 0.5 * (1 + np.tanh(0.5 * v * x))
        return w * x * s, (x, w, v, s, s * (1 - s))

    def rop(self, residuals, *R):
        x, w, v, s, ds = residuals
        Rx, Rw, Rv = (x.dtype.type(0) if r is None else r for r in R)
        return Rw * x * s + w * (Rx * s + x * ds * (v * Rx + x * Rv))

    def vjp(self, residuals, u, needs):
        x, w, v, s, ds = residuals
        a = u * w * x * ds                                            # the cotangent of v x
        return u * w * s + a * v, (u * x * s).sum(axis=0), (a * x).sum(axis=0)

    def rvjp(self, residuals, R, u, Ru, needs):
        x, w, v, s, ds = residuals
        Rx, Rw, Rv, Ru = (x.dtype.type(0) if r is None else r for r in (*R, Ru))
        Rs = ds * (v * Rx + x * Rv)
        a, Ruw = u * w * x * ds, Ru * w + u * Rw
        Ra = (Ruw * x + u * w * Rx) * ds + u * w * x * (1 - 2 * s) * Rs
        w_each = Ru * x * s + u * (Rx * s + x * Rs)
        return Ruw * s + u * w * Rs + Ra * v + a * Rv, w_each.sum(0), (Ra * x + a * Rx).sum(0)


class Swish(hf.Layer):
    def __init__(self, D):
        self.D = D

    def parameters(self, rng):
        return {"w": np.ones(self.D), "v": rng.standard_normal(self.D)}

    def __call__(self, params, x):
        return SwishOp()(x, params["w"], params["v"])


class TakesTheMean(SwishOp):
    def vjp(self, residuals, u, needs):
        ux, uw, uv = super().vjp(residuals, u, needs)
        return ux, uw / len(u), uv


print(check_layer(Swish, "N D"))
try:
    check_op(TakesTheMean(), "N D", "D", "D")
except CheckFailure as failure:
    print(f"\n{failure}")

at, one = [np.full((1, 1), c) for c in (0.7, 1.2, -0.4)], np.ones((1, 1))
f, steps = SwishOp().forward, np.logspace(-15, 0, 61)
rule = SwishOp().rop(f(*at)[1], one, None, None).item()
exact = complex_step_jvp(lambda *at: f(*at)[0], at, [one, None, None]).item()
central = [(f(at[0] + h, *at[1:])[0] - f(at[0] - h, *at[1:])[0]).item() / (2 * h) for h in steps]
off = np.abs(np.array(central) - rule)
print(f"\noff the rule: a central difference {off.min():.0e}, complex step {abs(exact - rule):.0e}")
axes = (figure := Figure(figsize=(5.4, 3.6), layout="constrained")).subplots()
axes.loglog(steps, off)
axes.set(xlabel="step h", ylabel="error of a central difference")
figure.savefig(OUT, dpi=120)
print(f"figure: {OUT}")
