"""The eigenvalues of each block, two ways: the largest ones exactly, and all of them roughly.

SciPy's Lanczos solver finds the largest through `to_scipy()`, to the last digit. A few random
probes say where all of them lie. Run it: python examples/10_spectrum.py
"""

import sys

import numpy as np
from matplotlib.figure import Figure
from scipy.sparse.linalg import LinearOperator, eigsh
from trained_classifier import trained

import minihf as hf

LARGEST = 20


def largest(A):
    """Return the largest eigenvalues by SciPy, and the products that took."""
    of_scipy, products = A.to_scipy(), []

    def counted(v):
        products.append(v)
        return of_scipy @ v

    start = np.random.default_rng(0).standard_normal(A.shape[0])
    operator = LinearOperator(A.shape, counted, dtype=A.dtype)
    return eigsh(operator, LARGEST, v0=start, return_eigenvectors=False), len(products)


def spectra(at):
    """Return for each block, and for the whole G and H, the largest eigenvalues and a density."""
    blocks, rng = at.curvature("layer"), np.random.default_rng(0)
    matrices = {f"layer {name}": blocks.block(name) for name in blocks.partition.names}
    matrices |= {"G": at.curvature(), "H": at.curvature(kind=hf.Hessian)}
    return {
        name: (*largest(A), hf.spectral_density(A, rng, probes=10)) for name, A in matrices.items()
    }


def draw(figure, found):
    """Draw how many eigenvalues lie above a value, block by block, and the densities of G and H."""
    counts, densities = figure.subplots(1, 2)
    values = np.logspace(-4, 1, 300)
    for i, (name, (top, _, spectrum)) in enumerate(found.items()):
        if name.startswith("layer"):
            counts.loglog(values, spectrum.above(values), f"C{i}", label=name)
            counts.loglog(np.sort(top)[::-1], 0.5 + np.arange(LARGEST), f"C{i}.", markersize=4)
    counts.set(title="eigenvalues above (lines: estimate, dots: exact)", xlabel="value",
               ylim=(0.2, None))
    counts.legend()
    of_G, of_H = found["G"][2], found["H"][2]
    low, high = min(of_G.lowest, of_H.lowest), max(of_G.highest, of_H.highest)
    width = (high - low) / 100
    t = np.linspace(low - 5 * width, high + 5 * width, 500)
    for name, spectrum, style in (("H", of_H, "C3"), ("G", of_G, "C0")):
        densities.semilogy(t, spectrum.density(t, width), style, label=name)
    densities.set(title="densities of Hessian and Gauss-Newton", xlabel="eigenvalue",
                  ylim=(1e-4, 1e2))
    densities.legend()


if __name__ == "__main__":
    OUT = sys.argv[1] if len(sys.argv) > 1 else "10_spectrum.png"
    found = spectra(trained((64, 24, 16, 10), updates=10))
    print("           size  largest: SciPy, estimate   lowest    products       trace")
    for name, (top, products, spectrum) in found.items():
        trace = spectrum.size * spectrum.mean(lambda t: t)
        error = spectrum.size * spectrum.standard_error(lambda t: t)
        print(f"{name:8} {spectrum.size:6} {top.max():15.5f} {spectrum.highest:10.5f} "
              f"{spectrum.lowest:+8.4f}  {products:5} {spectrum.n_products:4}  "
              f"{trace:6.2f} +- {error:4.2f}")
    figure = Figure(figsize=(9, 3.8), layout="constrained")
    draw(figure, found)
    figure.savefig(OUT, dpi=120)
    print(f"figure: {OUT}")
