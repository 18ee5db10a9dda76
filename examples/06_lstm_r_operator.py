"""The LSTM as one op, against the same cell built from small primitives.

The fused op states the R-equations by hand (minihf/ops/lstm.py); the composed one lets the tape
find them, step by step and gate by gate. Run it: python examples/06_lstm_r_operator.py
"""

import sys

import numpy as np
from matplotlib.figure import Figure

import minihf as hf
from minihf import ops
from minihf.backend import observe_gemms

OUT = sys.argv[1] if len(sys.argv) > 1 else "06_lstm_r_operator.png"


def fused(params, x):
    """The whole sequence in one op."""
    return ops.lstm(x, params["Wx"], params["Wh"], params["b"])


def composed(params, x):
    """The equations as a textbook has them, one primitive at a time."""
    H = params["Wh"].shape[0]
    h = c = np.zeros((len(x), H), x.dtype)
    steps = []
    for t in range(x.shape[1]):
        a = x[:, t] @ params["Wx"] + h @ params["Wh"] + params["b"]
        i, f, o = (ops.sigmoid(a[:, k * H : (k + 1) * H]) for k in (0, 1, 3))
        c = f * c + i * ops.tanh(a[:, 2 * H : 3 * H])
        h = o * ops.tanh(c)
        steps.append(ops.reshape(h, (len(x), 1, H)))
    return ops.concatenate(steps, axis=1)


def difference(a, b):
    return np.linalg.norm(a - b) / np.linalg.norm(b)


rng = np.random.default_rng(0)
params = hf.LSTM(8, 16).init(seed=0, dtype=np.float64)
x, y = rng.standard_normal((32, 12, 8)), rng.standard_normal((32, 12, 16))
v, u = rng.standard_normal(params.size), rng.standard_normal(y.shape)
loss = hf.SquaredError()

one, other = (hf.linearize(net, params, x) for net in (fused, composed))
print(f"{params.size} parameters, {x.shape[1]} steps; relative difference, fused against composed")
print(f"  output            {difference(one.output, other.output):.1e}")
print(f"  J v               {difference(one.jvp(v), other.jvp(v)):.1e}")
print(f"  J' u              {difference(one.vjp(u), other.vjp(u)):.1e}")
print(f"  H v (exact)       {difference(one.hvp(v, loss, y), other.hvp(v, loss, y)):.1e}")

# Only two products go step by step, R{h} Wh and ua Wh'; the others take all steps at once.
for name, lin in (("fused", one), ("composed", other)):
    made = []
    with observe_gemms(lambda *shapes, made=made: made.append(shapes)):
        hf.GGN(lin, loss, y) @ v
    rows = sum(a[0] for a, b in made) / len(made)
    print(f"one Gauss-Newton product, {name:8}: {len(made):2} GEMMs of {rows:3.0f} rows on average")

# How much of a cotangent of the last step arrives at each earlier one: the forget gate decides.
figure = Figure(figsize=(5.4, 3.6), layout="constrained")
axes = figure.subplots()
T = 40
x, last = rng.standard_normal((32, T, 8)), np.zeros((32, T, 16))
last[:, -1] = rng.standard_normal((32, 16))
for bias in (-1, 0, 1, 3):
    params["b"][16:32] = bias
    sequence = hf.Params.from_dict({"x": x}, np.float64)
    lin = hf.linearize(lambda p, _: fused(params, p["x"]), sequence, None)
    arriving = np.linalg.norm(lin.vjp(last).reshape(x.shape), axis=(0, 2))
    print(f"forget bias {bias:+d}: {arriving[-1 - T // 2] / arriving[-1]:.0e} of it is left "
          f"{T // 2} steps back")
    axes.semilogy(np.arange(T) - T + 1, arriving, label=f"forget bias {bias:+d}")
axes.set(xlabel="step, from the last", ylabel="norm of the cotangent of x_t")
axes.legend()
figure.savefig(OUT, dpi=120)
print(f"figure: {OUT}")
