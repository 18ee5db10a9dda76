"""A network where the Hessian has negative curvature and the Gauss-Newton matrix has none.

One input, one tanh unit, one output: z = w2 tanh(w1 x). Two parameters, so that both matrices can
be looked at, and the loss drawn. Run it: python examples/02_hessian_vs_ggn.py
"""

import sys

import numpy as np
from matplotlib.figure import Figure

import minihf as hf
from minihf import ops

OUT = sys.argv[1] if len(sys.argv) > 1 else "02_hessian_vs_ggn.png"


def net(params, x):
    """z = w2 tanh(w1 x): any function of (params, x) built from minihf.ops is a network."""
    return ops.tanh(x * params["w1"]) * params["w2"]


params = hf.Params.from_dict({"w1": np.array([0.4]), "w2": np.array([0.3])})
x = np.array([[0.5], [1.0], [2.0]])
y = np.tanh(x)                                          # w1 = w2 = 1 would be perfect
loss = hf.SquaredError()

lin = hf.linearize(net, params, x)
G = hf.GGN(lin, loss, y).to_dense()
H = hf.Hessian(lin, loss, y).to_dense()
gradient = lin.vjp(loss.grad(lin.output, y))
for name, matrix in (("Hessian", H), ("GGN", G)):
    print(f"{name:8} eigenvalues {np.array2string(np.linalg.eigvalsh(matrix), precision=4)}")

# CG on the Hessian meets the negative curvature and says so; on the GGN it solves.
for name, matrix in (("Hessian", H), ("GGN", G)):
    result = hf.cg(matrix, -gradient, stop=hf.RelativeResidual(1e-8))
    print(f"CG on the {name:8} {result.reason.name}: {result.reason.value}")

# The Newton step goes to the Hessian's saddle, uphill here; the Gauss-Newton step descends.
for name, matrix in (("Newton", H), ("Gauss-Newton", G)):
    step = -np.linalg.solve(matrix, gradient)
    print(f"{name:13} step: slope along it {gradient @ step:+.4f}")

# The difference is the curvature of the network, weighted by the residuals: sum_k e_k d2 z_k.
print(f"H - G = {np.array2string((H - G).ravel(), precision=4)}")


def objective(w1, w2):
    """The mean loss at (w1, w2)."""
    return float(loss.value(net({"w1": w1, "w2": w2}, x), y))


w1, w2 = np.linspace(-1.5, 1.5, 81), np.linspace(-1.5, 1.5, 81)
surface = np.array([[objective(a, b) for a in w1] for b in w2])
figure = Figure(figsize=(5.4, 4.4), layout="constrained")
axes = figure.subplots()
axes.contour(w1, w2, surface, levels=25, linewidths=0.8)
axes.plot(*params.vector, "ko")
for name, matrix, colour in (("Newton", H, "C3"), ("Gauss-Newton", G, "C0")):
    step = -np.linalg.solve(matrix, gradient)
    step *= min(1, 0.8 / np.linalg.norm(step))          # long steps are cut to fit the picture
    axes.annotate("", params.vector + step, params.vector, arrowprops={"color": colour, "width": 1})
    axes.plot([], [], color=colour, label=f"{name} step")
axes.set(xlabel="w1", ylabel="w2", title="loss, and two steps from the same point")
axes.legend()
figure.savefig(OUT, dpi=120)
print(f"figure: {OUT}")
