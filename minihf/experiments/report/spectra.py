"""The spectra of a network's curvature, block by block, as its portrait has them.

Called by the sections.
"""

from __future__ import annotations

import numpy as np

from minihf.experiments.portrait import Portrait
from minihf.experiments.report.drawing import draw, titled
from minihf.experiments.report.palette import series
from minihf.experiments.report.panels import Drawing, Key, Line, Panel
from minihf.experiments.report.scales import LARGE
from minihf.experiments.summary import Curve

__all__ = ["has_spectra", "spectrum_drawing"]

BEGINNING = "spectrum/"
LEAST = 1e-7
"""Densities below this share of the largest are drawn as none: they are tails of the smoothing."""


def has_spectra(portrait: Portrait) -> bool:
    """Tell whether a portrait has spectra, even such as leave nothing to draw."""
    return any(name.startswith(BEGINNING) for name in portrait)


def spectrum_drawing(portrait: Portrait, name: str) -> Drawing | None:
    """Draw the density of the eigenvalues of each block; None if there is nothing to be seen."""
    blocks = [key for key in portrait if key.startswith(BEGINNING)]
    lines = [
        Line(block.removeprefix(BEGINNING), series(i), found)
        for i, block in enumerate(blocks)
        if len((found := _curve(portrait[block])).x) > 1 and found.x[-1] > found.x[0]
    ]
    if not lines:
        return None
    keys = [Key(line.name, line.series) for line in lines]
    up = titled(name, "density")
    panel = Panel(f"spectrum-{name}", up, "eigenvalue", lines, steps=False)
    return draw(panel, keys)


def _curve(spectrum: np.ndarray) -> Curve:
    """Return a density over increasing eigenvalues, from the first that there is to the last."""
    x, density = spectrum[:, (np.abs(spectrum) < LARGE).all(axis=0)].astype(float)
    order = np.argsort(x, kind="stable")
    x, density = x[order], density[order]
    density[density <= LEAST * density.max(initial=0.0)] = 0.0
    seen = np.flatnonzero(density)
    part = slice(seen[0], seen[-1] + 1) if len(seen) else slice(0)
    return Curve(x[part], density[part], density[part], density[part])
