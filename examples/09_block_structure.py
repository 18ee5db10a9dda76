"""What a block-diagonal matrix drops, and how good the step is that is made without it.

A classifier's Gauss-Newton matrix, cut by layers, units, or chance: energy off the blocks, angle to
Newton's step, fall of the full quadratic. Run it: python examples/09_block_structure.py
"""

import sys

import numpy as np
from matplotlib.figure import Figure
from trained_classifier import trained

import minihf as hf
from minihf.curvature.partitions import arbitrary, k_units

LAMS = (1.0, 0.1, 0.01, 0.001)


def partitions(params):
    """Return partitions by name, from one block to a block for each parameter."""
    found = {word: hf.Partition.of(params, word) for word in ("network", "layer", "param")}
    found |= {f"units, {k} by {k}": k_units(params, k) for k in (4, 2, 1)}
    return {**found, "each by itself": arbitrary(params, params.size)}


def cut(full, partition):
    """Return the matrix with zeros outside of the blocks."""
    numbers = np.empty(len(full), int)
    for i, block in enumerate(partition.values()):
        numbers[block.index] = i
    return np.where(numbers[:, None] == numbers, full, 0)


def quality(full, kept, g, lam):
    """Return the angle to Newton's step, and the share of its fall, at the best length."""
    damping = lam * np.eye(len(g))
    newton, d = (-np.linalg.solve(matrix + damping, g) for matrix in (full, kept))
    cosine = min(1, newton @ d / np.linalg.norm(newton) / np.linalg.norm(d))
    return np.degrees(np.arccos(cosine)), (g @ d) ** 2 / (d @ (full + damping) @ d) / -(g @ newton)


def measured(at):
    """Return energy dropped and qualities (lam, 2) of each partition, and of as many by chance."""
    full, found = at.curvature().to_dense(), {}
    for name, partition in partitions(at.params).items():
        for by, blocks in (name, partition), ("chance", arbitrary(at.params, len(partition))):
            kept = cut(full, blocks)
            qualities = np.array([quality(full, kept, at.g, lam) for lam in LAMS])
            found[by, len(blocks)] = 1 - np.sum(kept**2) / np.sum(full**2), qualities
    return found


def draw(figure, energy, found):
    """Draw the energies between blocks, and the quality of the step against the blocks' number."""
    left, right = figure.subplots(1, 2)
    image = left.imshow(np.log10(energy.table / energy.table.sum()), cmap="Blues", vmin=-4)
    figure.colorbar(image, label="log10 of the share")
    left.set_xticks(range(len(energy.names)), energy.names)
    left.set(title="energy between weights and biases", yticks=[])
    left.grid(False)
    for i, lam in enumerate(LAMS):
        for chance, style, label in (False, ".-", f"lam {lam:g}"), (True, ":", None):
            rows = [(count, qualities[i, 1]) for (by, count), (_, qualities) in found.items()
                    if (by == "chance") == chance]
            right.semilogx(*zip(*rows, strict=True), f"C{i}{style}", label=label)
    right.set(title="share of Newton's fall (dotted: by chance)", xlabel="blocks", ylim=(0, 1.05))
    right.legend()


if __name__ == "__main__":
    OUT = sys.argv[1] if len(sys.argv) > 1 else "09_block_structure.png"
    at, figure = trained((64, 12, 12, 10)), Figure(figsize=(9.6, 4), layout="constrained")
    found, some = measured(at), hf.block_energy(at.curvature("layer"), np.random.default_rng(0))
    print(f"energy off the layers' blocks: {some.off_diagonal:.1%} +- {some.standard_error:.1%}")
    print("blocks                  dropped   degrees to Newton's step, lam", *LAMS)
    for (by, count), (dropped, qualities) in found.items():
        print(f"{by:16} {count:6} {dropped:8.1%}  ", *(f"{a:5.1f}" for a in qualities[:, 0]))
    draw(figure, hf.block_energy(at.curvature("param")), found)
    figure.savefig(OUT, dpi=120)
    print(f"figure: {OUT}")
