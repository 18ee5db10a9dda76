"""One product with the Gauss-Newton matrix, and three ways to see that it is right.

G = J' H_L J is never written down: G v is a tangent pushed forward (J v), multiplied with the
loss's Hessian (H_L), and pulled back (J'). Run it: python examples/01_one_ggn_product.py
"""

import sys

import numpy as np
from matplotlib.figure import Figure

import minihf as hf
from minihf.backend import observe_gemms

OUT = sys.argv[1] if len(sys.argv) > 1 else "01_one_ggn_product.png"

rng = np.random.default_rng(0)
net = hf.Sequential(hf.Dense(8, 12), hf.Tanh(), hf.Dense(12, 12), hf.Tanh(), hf.Dense(12, 4))
params = net.init(seed=0, dtype=np.float64)
x, labels = rng.standard_normal((32, 8)), rng.integers(0, 4, 32)
loss = hf.SoftmaxCrossEntropy()

lin = hf.linearize(net, params, x)                      # one forward pass, kept
G = hf.GGN(lin, loss, labels)
v = rng.standard_normal(params.size)

count = 0


def one_more(*shapes):
    global count
    count += 1


with observe_gemms(one_more):
    Gv = G @ v
L = 3                                                   # layers
print(f"{params.size} parameters; one product took {count} GEMMs, 4 L - 2 = {4 * L - 2}")

# The same product in its three lines.
Rz = lin.jvp(v)                                         # J v            (N, M)
HRz = loss.hvp(lin.output, labels, Rz)                  # H_L J v        (N, M)
by_hand = lin.vjp(HRz)                                  # J' H_L J v     (n,)
print(f"by hand:              relative difference {np.linalg.norm(by_hand - Gv):.1e}")

# J v is a derivative: the complex step gives it without cancellation.
step = 1e-30
moved = net(params.with_vector(params.vector + 1j * step * v), x)
error = np.linalg.norm(moved.imag / step - Rz) / np.linalg.norm(Rz)
print(f"J v by complex step:  relative difference {error:.1e}")

# J' is the transpose of J: <u, J v> = <J' u, v> for every u.
u = rng.standard_normal(Rz.shape)
gap = abs(np.sum(u * Rz) - lin.vjp(u) @ v) / (np.linalg.norm(u) * np.linalg.norm(Rz))
print(f"adjoint identity:     relative gap        {gap:.1e}")

# Small enough to write down: symmetric, and no negative eigenvalue.
dense = G.to_dense()
eigenvalues = np.linalg.eigvalsh(dense)
print(f"asymmetry {np.abs(dense - dense.T).max():.1e}, smallest eigenvalue {eigenvalues[0]:.1e}, "
      f"largest {eigenvalues[-1]:.3f}, numerical rank {np.sum(eigenvalues > 1e-12)}")

figure = Figure(figsize=(9, 3.8), layout="constrained")
left, right = figure.subplots(1, 2)
left.imshow(np.log10(np.abs(dense) + 1e-8), cmap="Greys")
left.set(title="log10 |G|, weights and biases layer by layer", xticks=[], yticks=[])
right.semilogy(np.maximum(eigenvalues[::-1], 1e-18), ".", markersize=3)
right.set(title="its eigenvalues", xlabel="index", ylabel="eigenvalue")
figure.savefig(OUT, dpi=120)
print(f"figure: {OUT}")
