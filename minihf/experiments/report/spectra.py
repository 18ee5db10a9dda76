"""The spectra of a network's curvature, block by block, as its portrait has them.

Called by the sections.
"""

from __future__ import annotations

from textwrap import shorten

import numpy as np

from minihf.experiments.portrait import Portrait
from minihf.experiments.report.drawing import draw
from minihf.experiments.report.palette import series
from minihf.experiments.report.panels import Drawing, Key, Line, Panel
from minihf.experiments.report.scales import LARGE
from minihf.experiments.summary import Curve

__all__ = ["spectrum_drawing"]

BEGINNING = "spectrum/"
LONGEST = 50
"""Characters of a name above the axes."""

LEAST = 1e-7
"""Densities below this share of the largest are drawn as none: they are tails of the smoothing."""


def spectrum_drawing(portrait: Portrait, name: str) -> Drawing | None:
    """Draw the density of the eigenvalues of each block; None if the portrait has none."""
    curves = {
        name.removeprefix(BEGINNING): _curve(array)
        for name, array in portrait.items()
        if name.startswith(BEGINNING)
    }
    curves = {name: found for name, found in curves.items() if len(found.x) > 1}
    if not curves:
        return None
    lines = [Line(name, series(i), found) for i, (name, found) in enumerate(curves.items())]
    keys = [Key(name, series(i)) for i, name in enumerate(curves)]
    up = f"{shorten(name, LONGEST, placeholder=' ...')}: density"
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
