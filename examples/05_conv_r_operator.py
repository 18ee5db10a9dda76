"""The R-operator of a convolution: a bilinear map, its two transposes, and a CNN made of it.

y = x ⋆ W + b is linear in the image x and linear in the filters W. So R{y} has a term for each, and
the transposes are convolutions again. Run it: python examples/05_conv_r_operator.py
"""

import sys

import numpy as np
from matplotlib.figure import Figure

import minihf as hf
from minihf import ops
from minihf.testing import complex_step_jvp, jacobian, relative_error

OUT = sys.argv[1] if len(sys.argv) > 1 else "05_conv_r_operator.png"

# One convolution: 2 images of 3 channels, 4 filters of 3x3 pixels, every other pixel.
rng = np.random.default_rng(0)
x, Rx = rng.standard_normal((2, 2, 3, 7, 6))
W, RW = rng.standard_normal((2, 4, 3, 3, 3))
b, Rb = rng.standard_normal((2, 4))


def conv(x, W, b=None):
    return ops.conv2d(x, W, b, stride=2, padding=1)


params = hf.Params.from_dict({"x": x, "W": W, "b": b})
lin = hf.linearize(lambda p, _: conv(p["x"], p["W"], p["b"]), params, None)
v = np.concatenate([Rx.ravel(), RW.ravel(), Rb])
Ry = lin.jvp(v)
print(f"images {x.shape}, filters {W.shape} -> {lin.output.shape}")
by_hand = conv(Rx, W) + conv(x, RW) + Rb[:, None, None]
print(f"R{{y}} = R{{x}} * W + x * R{{W}} + R{{b}}:  relative difference "
      f"{relative_error(Ry, by_hand):.1e}")
exact = complex_step_jvp(conv, [x, W, b], [Rx, RW, Rb])
print(f"R{{y}} by complex step:                relative difference {relative_error(Ry, exact):.1e}")
u = rng.standard_normal(Ry.shape)
gap = abs((u * Ry).sum() - lin.vjp(u) @ v) / (np.linalg.norm(u) * np.linalg.norm(Ry))
print(f"adjoint identity:                    relative gap        {gap:.1e}")

# With the filters held, the convolution is a matrix: sparse, the same numbers in every row.
one_image = x[:1]
T = jacobian(lambda pixels: conv(pixels.reshape(one_image.shape), W).ravel(), one_image.ravel())
by_matrix = (T.T @ u[0].ravel()).reshape(x[0].shape)
pulled = lin.vjp(u)[: x.size].reshape(x.shape)[0]
print(f"as a matrix {T.shape}, {np.mean(T != 0):.0%} of it not zero; its transpose gives the "
      f"cotangent of x: {relative_error(pulled, by_matrix):.1e}")

# A CNN with ReLU and max-pooling is piecewise linear in each layer's weights.
digits = hf.data.load("digits")
images, labels = digits.x_train[:60].reshape(-1, 1, 8, 8).astype(np.float64), digits.y_train[:60]
net = hf.Sequential(
    hf.Conv2d(1, 4, 3, padding=1, init_with=hf.He()), hf.ReLU(), hf.MaxPool2d(2),
    hf.Conv2d(4, 6, 3, padding=1, init_with=hf.He()), hf.ReLU(), hf.GlobalAvgPool2d(),
    hf.Dense(6, 10),
)  # fmt: skip
lin, loss = hf.linearize(net, net.init(0, np.float64), images), hf.SoftmaxCrossEntropy()
G, H = (kind(lin, loss, labels).to_dense() for kind in (hf.GGN, hf.Hessian))
print(f"CNN on digits, {lin.params.size} parameters: |H - G| / |G| = {relative_error(H, G):.3f}")
for name, block in hf.Partition.of(lin.params, "layer").items():
    difference = relative_error(H[block.index, block.index], G[block.index, block.index])
    print(f"  layer {name}: its block of {block.size:3} parameters differs by {difference:.1e}")

figure = Figure(figsize=(9, 3.8), layout="constrained")
left, middle, right = figure.subplots(1, 3)
left.imshow(T, cmap="RdBu", vmin=-3, vmax=3)
left.set(title="one strided convolution as a matrix")
for axis, title, C in [(middle, "log10 |G|", G), (right, "log10 |H - G|", H - G)]:
    axis.imshow(np.log10(np.abs(C) + 1e-12), cmap="Greys", vmin=-8, vmax=0)
    axis.set(title=f"{title} of the CNN", xticks=[], yticks=[])
figure.savefig(OUT, dpi=120)
print(f"figure: {OUT}")
