"""What damping does: the steps d = -(G + lam I)^-1 g for all lam at once, and the rule that picks.

G is written down and taken apart into eigenvectors. Then lam follows the reduction ratio, from
three beginnings. Run it: python examples/11_damping.py
"""

import sys

import numpy as np
from matplotlib.figure import Figure
from trained_classifier import trained

import minihf as hf

LAMS = np.logspace(-5, 3, 33)


def sweep(at):
    """Return for all lam the steps, what they promise, what comes, and their angles to -g."""
    values, V = np.linalg.eigh(at.curvature().to_dense())
    slopes, before, rows = V.T @ at.g, at.objective(), []
    for lam in LAMS:
        c = -slopes / (np.maximum(values, 0) + lam)     # the step, in eigenvectors
        promised = slopes @ c + 0.5 * values @ c**2     # the quadratic, damping left out
        cosine = -slopes @ c / np.linalg.norm(slopes) / np.linalg.norm(c)
        rows.append((V @ c, promised, at.objective(V @ c) - before, np.degrees(np.arccos(cosine))))
    return [np.array(column) for column in zip(*rows, strict=True)]


def followed(at, lam, updates=40):
    """Return lam of each update of a run of Martens' rule that begins with this one."""
    opt, params, seen = hf.papers.martens2010(lam=lam, curvature_chunks=1), at.params, []
    state = opt.init(params)
    for _ in range(updates):
        seen.append(state.lam["network"])
        params, state, _ = opt.step(at.net, at.loss, params, state, (at.x, at.y))
    return seen


def draw(figure, at, found, runs):
    """Draw what a sweep found, its steps from one side, and lam of the runs."""
    (lengths, ratios), (plane, lams) = figure.subplots(2, 2)
    steps, promised, came, angles = found
    lengths.loglog(LAMS, np.linalg.norm(steps, axis=1))
    lengths.set(title="length of the step (line), degrees to -g (dots)", xlabel="lam")
    lengths.twinx().plot(LAMS, angles, "C1.", markersize=4)
    ratios.semilogx(LAMS, np.stack([-promised, -came], axis=1), label=["promised", "came"])
    ratios.semilogx(LAMS, came / promised, "C7--", label="ratio rho")
    ratios.axhspan(0.25, 0.75, color="C7", alpha=0.1)
    ratios.set(title="fall of the objective", xlabel="lam", ylim=(-0.5, 1.2))
    ratios.legend()
    draw_path(plane, at, steps)
    lams.semilogy(np.stack([*runs.values()], axis=1), label=[f"from {lam:g}" for lam in runs])
    lams.set(title="lam by Martens' rule", xlabel="update")
    lams.legend()


def draw_path(plane, at, steps):
    """Draw the steps' shadows on the plane of the longest one and -g, and the objective there."""
    Q, R = np.linalg.qr(np.stack([steps[0], -at.g], axis=1))
    Q *= np.sign(np.diag(R))                            # (n, 2), an orthonormal basis of the plane
    path = steps @ Q
    a, b = (side.max() * np.linspace(-0.2, 1.2, 41) for side in path.T)
    surface = [[at.objective(Q @ (i, j)) for i in a] for j in b]
    plane.contour(a, b, np.log(surface), levels=20, linewidths=0.7, cmap="Greys_r")
    plane.plot(*path.T, "C0.-")
    plane.set(title="shadows of the steps, from Newton (right) to -g", xlabel="along the longest")


if __name__ == "__main__":
    OUT = sys.argv[1] if len(sys.argv) > 1 else "11_damping.png"
    at, figure = trained((64, 12, 10), updates=3), Figure(figsize=(9, 6.4), layout="constrained")
    found, runs = sweep(at), {lam: followed(at, lam) for lam in (1e-5, 1e-2, 10.0)}
    print("lam       length promised     came      rho  degrees to -g")
    for lam, d, promise, came, angle in list(zip(LAMS, *found, strict=True))[::4]:
        numbers = np.linalg.norm(d), promise, came, came / promise, angle
        print(f"{lam:7.0e}", *(f"{number:8.3f}" for number in numbers))
    draw(figure, at, found, runs)
    figure.savefig(OUT, dpi=120)
    print(f"figure: {OUT}")
