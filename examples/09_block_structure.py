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
    """Give rows of each partition and of as many blocks by chance: energy dropped, qualities."""
    full = at.curvature().to_dense()
    for name, partition in partitions(at.params).items():
        for by, blocks in (name, partition), ("chance", arbitrary(at.params, len(partition))):
            kept = cut(full, blocks)
            qualities = np.array([quality(full, kept, at.g, lam) for lam in LAMS])
            yield by, len(blocks), np.sum((full - kept) ** 2) / np.sum(full**2), qualities


def draw(figure, energy, rows):
    """Draw energies, and angles and qualities against the number of blocks; dotted: by chance."""
    (table, dropped), (angle, share) = figure.subplots(2, 2)
    figure.colorbar(table.imshow(np.log10(energy.table / energy.table.sum()), "Blues", zorder=2))
    table.set_xticks(range(len(energy.names)), energy.names)
    table.set(title="share of the energy, log10", yticks=[])
    for some, style in (rows[::2], ".-"), (rows[1::2], ":"):
        _, counts, energies, qualities = (np.array(it) for it in zip(*some, strict=True))
        dropped.semilogx(counts, energies, f"C7{style}")
        for i in range(len(LAMS)):
            angle.semilogx(counts, qualities[:, i, 0], f"C{i}{style}")
            share.semilogx(counts, qualities[:, i, 1], f"C{i}{style}")
    dropped.set(title="energy off the blocks", ylim=(0, 1.05))
    angle.set(title="degrees to Newton's step", xlabel="blocks")
    share.set(title="share of Newton's fall", xlabel="blocks", ylim=(0, 1.05))
    share.legend([f"lam {lam:g}" for lam in LAMS])


if __name__ == "__main__":
    OUT = sys.argv[1] if len(sys.argv) > 1 else "09_block_structure.png"
    at, figure = trained((64, 12, 12, 10)), Figure(figsize=(9.6, 7), layout="constrained")
    rows, some = [*measured(at)], hf.block_energy(at.curvature("layer"), np.random.default_rng(0))
    print(f"energy off the layers' blocks: {some.off_diagonal:.1%} +- {some.standard_error:.1%}")
    print("blocks, energy off them, degrees to Newton's step and share of its fall for lam", *LAMS)
    for by, count, dropped, qualities in rows:
        print(f"{by:14} {count:4} {dropped:6.1%}  ", *(f"{a:6.1f} {s:.2f}" for a, s in qualities))
    draw(figure, hf.block_energy(at.curvature("param")), rows)
    figure.savefig(OUT, dpi=120)
    print(f"figure: {OUT}")
