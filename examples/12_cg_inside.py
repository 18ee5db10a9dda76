"""Inside one solve by conjugate gradients: what its iterates do in a network, and when to stop.

(G + lam I) d = -g on a classifier of the UCI digits, with every iterate kept, and once more with
each preconditioner. Run it: python examples/12_cg_inside.py
"""

import sys

import numpy as np
from matplotlib.figure import Figure
from trained_classifier import trained

import minihf as hf
from minihf.curvature import Shifted
from minihf.optim import Jacobi, Kronecker, SquaredGradients
from minihf.solvers import every_iterate, martens_grid

LAM = 1e-3
KINDS = {"none": None, "squared gradients": SquaredGradients(), "Jacobi": Jacobi(draws=8),
         "Kronecker": Kronecker()}


def solves(at, iterations=100):
    """Solve to the end, without and with preconditioners."""
    G, rng, found = at.curvature(), np.random.default_rng(0), {}
    for name, kind in KINDS.items():
        M = kind and kind(G, at.g, {"network": LAM}, None, rng)[0]["network"]
        found[name] = hf.cg(Shifted(G, LAM), -at.g, None, M, iterations,
                            hf.RelativeResidual(1e-9), record=every_iterate)
    return found


def first_stop(rule, result):
    """Return the iteration at which the rule would have ended the solve."""
    q, r = result.quadratics, result.residuals
    return next((i for i in range(1, len(q)) if rule(q[: i + 1], r[: i + 1])), len(q) - 1)


def backtracked(values, last):
    """Return the kept iterations up to the last, and the one that going back arrives at."""
    kept = [i for i in range(1, last) if martens_grid(i)] + [last]
    chosen = len(kept) - 1
    while chosen and values[kept[chosen - 1]] < values[kept[chosen]]:
        chosen -= 1
    return kept, kept[chosen]


def draw(figure, found, values):
    """Draw quadratics and residuals; and of the plain solve, lengths and objective `values`."""
    (gaps, residuals), (lengths, objective) = figure.subplots(2, 2)
    best = min(result.quadratics[-1] for result in found.values())
    for name, result in found.items():
        gaps.semilogy(np.maximum(1 - np.array(result.quadratics) / best, 1e-6), label=name)
        residuals.semilogy(result.residuals)
    gaps.set(title="quadratic: share of the fall that is left", ylim=(1e-4, 1.5))
    gaps.legend()
    residuals.set(title="residual |b - A d| / |b|", ylim=(1e-4, None))
    lengths.plot([0, *(np.linalg.norm(d) for _, d in found["none"].iterates)])
    lengths.set(title="length |d|", xlabel="iteration")
    kept, chosen = backtracked(values, first_stop(hf.RelativeProgress(), found["none"]))
    objective.plot(values, "C7", linewidth=1)
    objective.plot(kept, [values[i] for i in kept], "C0.", label="kept until the stop")
    objective.plot(chosen, values[chosen], "C3o", fillstyle="none", label="chosen")
    objective.set(title="objective at the iterate", xlabel="iteration")
    objective.legend()


if __name__ == "__main__":
    OUT = sys.argv[1] if len(sys.argv) > 1 else "12_cg_inside.png"
    at, figure = trained(), Figure(figsize=(9, 6), layout="constrained")
    found = solves(at)
    values = [at.objective(), *(at.objective(d) for _, d in found["none"].iterates)]
    for name, result in found.items():
        stop, end = (first_stop(rule, result)
                     for rule in (hf.RelativeProgress(), hf.RelativeResidual(1e-3)))
        print(f"{name:18} Martens' rule stops at {stop:3}, q = {result.quadratics[stop]:.4f}; "
              f"residual below 1e-3 at {end:3}, q = {result.quadratics[end]:.4f}")
    draw(figure, found, values)
    figure.savefig(OUT, dpi=120)
    print(f"figure: {OUT}")
