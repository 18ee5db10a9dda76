"""Block-diagonal Hessian-free optimization (Zhang et al. 2017) next to the classical one.

The same network, curvature, CG and step, and only the blocks differ: all parameters as one, encoder
and decoder, each layer by itself. Run it: python examples/04_block_diagonal_hf.py
"""

import sys

from matplotlib.figure import Figure

import minihf as hf

OUT = sys.argv[1] if len(sys.argv) > 1 else "04_block_diagonal_hf.png"
UPDATES = 30

digits = hf.data.load("digits").autoencoding()
net = hf.Sequential(
    encoder=hf.Sequential(hf.Dense(64, 40), hf.Tanh(), hf.Dense(40, 10)),
    decoder=hf.Sequential(hf.Dense(10, 40), hf.Tanh(), hf.Dense(40, 64)),
)
loss = hf.SquaredError()
partitions = {
    "one block (HF)": "network",
    "encoder, decoder": {"encoder": "encoder.*", "decoder": "decoder.*"},
    "layers": "layer",
}

figure = Figure(figsize=(9, 3.8), layout="constrained")
left, right = figure.subplots(1, 2, sharey=True)
print(f"{net.init(0).size} parameters, {UPDATES} updates of alpha 0.1, at most 30 CG iterations")
print(f"{'blocks':18}  train    test     products  CG iterations of the last update")
for name, blocks in partitions.items():
    opt = hf.papers.zhang2017(blocks=blocks, lam=0.01)
    history = hf.fit(net, loss, opt, digits, updates=UPDATES, looks=UPDATES, progress=False)
    last = history.last
    print(f"{name:18}  {last['train']:.4f}   {last['test']:.4f}   {last['products']:8}  "
          f"{last['iterations']}")
    left.plot(history.column("updates"), history.column("train"), label=name)
    right.plot(history.column("products"), history.column("train"), label=name)

# The blocks of a partition are named index sets of the flat parameter vector.
params = net.init(0)
for name, block in hf.Partition.of(params, partitions["encoder, decoder"]).items():
    print(f"block {name!r}: {block.size} parameters at {block.index}")

left.set(xlabel="updates", ylabel="squared error / 2, training images", yscale="log")
right.set(xlabel="products with a block")
left.legend()
figure.savefig(OUT, dpi=120)
print(f"figure: {OUT}")
