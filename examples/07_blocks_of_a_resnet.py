"""The blocks of a small residual network: what each costs, and what is dropped between them.

A 3x3 convolution, three groups of residual blocks and a dense layer, cut as Zhang et al. (2017) cut
theirs into bottom, middle and top. Run it: python examples/07_blocks_of_a_resnet.py
"""

import sys

import numpy as np
from matplotlib.figure import Figure

import minihf as hf
from minihf.backend import observe_gemms
from minihf.experiments.networks import RESNET_BLOCKS, resnet

OUT = sys.argv[1] if len(sys.argv) > 1 else "07_blocks_of_a_resnet.png"

digits = hf.data.load("mnist-5k")
x = digits.x_train[:32].reshape(-1, 1, 28, 28)[:, :, ::2, ::2].astype(np.float64)     # 14 x 14
y = digits.y_train[:32]
net = resnet(in_channels=1, widths=(3, 4, 5))
params = net.init(seed=0, dtype=np.float64)
lin = hf.linearize(net, params, x)
loss = hf.SoftmaxCrossEntropy()
G = hf.GGN(lin, loss, y, partition=RESNET_BLOCKS)
print(f"{params.size} parameters in {G.partition}")


def gemm_flops(call):
    """Multiplications and additions in the matrix products that a call makes."""
    flops = []

    def observe(a, b):
        flops.append(2 * np.prod(a, dtype=float) * b[-1])

    with observe_gemms(observe):
        call()
    return sum(flops)


rng = np.random.default_rng(0)
full = hf.GGN(lin, loss, y)
v = rng.standard_normal(params.size)
whole = gemm_flops(lambda: full @ v)
print("block    parameters   flops of a product, share of a full one's")
for name, block in G.partition.items():
    share = gemm_flops(lambda name=name, block=block: G.block(name) @ v[block.index]) / whole
    print(f"{name:8} {block.size:10}   {share:.0%}")

# What the blocks keep of the whole matrix, and where Newton's steps of both point.
dense, kept = full.to_dense(), G.to_dense()
g = lin.vjp(loss.grad(lin.output, y))
print(f"the blocks hold {np.sum(kept**2) / np.sum(dense**2):.0%} of the sum of squared entries")
print("lam       angle between the block step and the full step")
for lam in (1.0, 0.1, 0.01):
    eye = lam * np.eye(params.size)
    d, d_blocks = np.linalg.solve(dense + eye, -g), np.linalg.solve(kept + eye, -g)
    cosine = d @ d_blocks / np.linalg.norm(d) / np.linalg.norm(d_blocks)
    print(f"{lam:<8}  {np.degrees(np.arccos(cosine)):.0f} degrees")

figure = Figure(figsize=(5.6, 4.8), layout="constrained")
axes = figure.subplots()
image = axes.imshow(np.log10(np.abs(dense) + 1e-8), cmap="Greys", vmin=-6)
figure.colorbar(image, label="log10 |G|")
for name, block in G.partition.items():
    low, high = block.index.start, block.index.stop
    axes.plot([low, high, high, low, low], [low, low, high, high, low], "C3", linewidth=1)
    axes.text(low, high, f" {name}", color="C3", va="bottom")
size = params.size
axes.set(title="Gauss-Newton matrix of a ResNet, and its blocks", xlim=(0, size), ylim=(size, 0))
figure.savefig(OUT, dpi=120)
print(f"figure: {OUT}")
