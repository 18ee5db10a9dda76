"""Which classes a trained classifier takes for which: a square of squares, from its portrait.

Called by the sections.
"""

from __future__ import annotations

from textwrap import shorten
from typing import Any

import numpy as np

from minihf.experiments.portrait import Portrait
from minihf.experiments.report.drawing import blank, styled
from minihf.experiments.report.palette import colour
from minihf.experiments.report.panels import Drawing

__all__ = ["confusion_drawing"]

RIGHT, WRONG = 0, 1
"""Colours: of what lies on the diagonal, and off it."""

SIZE = (3.1, 3.7)
LONGEST = 40
"""Characters of a name above the square."""

NUMBERED = 12
"""Classes up to which the squares have numbers in them."""


def confusion_drawing(portrait: Portrait, name: str) -> Drawing | None:
    """Draw a confusion matrix; None if the portrait has none."""
    if "confusion" not in portrait:
        return None
    counts = portrait["confusion"].astype(float)
    right = f"{np.trace(counts):,.0f} of {counts.sum():,.0f} right"
    with styled():
        up = f"{shorten(name, LONGEST, placeholder=' ...')}\n{right}"
        figure, axes = blank(up, "answer", SIZE)
        axes.set_ylabel("label")
        classes = len(counts)
        axes.set(xlim=(-0.5, classes - 0.5), ylim=(classes - 0.5, -0.5), aspect="equal")
        _draw_squares(axes, counts)
        step = 1 if classes <= NUMBERED else -(-classes // NUMBERED)
        axes.set(xticks=range(0, classes, step), yticks=range(0, classes, step))
        axes.spines[:].set_visible(False)
        axes.grid(visible=False)
    return Drawing(f"confusion-{name}", f"confusion matrix of {name}: {right}", figure)


def _draw_squares(axes: Any, counts: np.ndarray) -> None:
    """Draw squares: the more of its label's cases, the stronger; a single mistake is seen."""
    from matplotlib.colors import to_rgb

    share = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    squares = np.empty((*counts.shape, 4))
    squares[..., :3] = to_rgb(colour(WRONG))
    squares[..., 3] = np.where(counts > 0, 0.15 + 0.85 * share, 0)
    on = np.arange(len(counts))
    squares[on, on, :3] = to_rgb(colour(RIGHT))
    squares[on, on, 3] = 0.75 * share[on, on]
    if len(counts) > NUMBERED:
        axes.imshow(squares, interpolation="nearest")
        return
    for row, column in zip(*np.nonzero(counts), strict=True):
        _square(axes, row, column, squares[row, column])
        axes.text(column, row, f"{counts[row, column]:,.0f}", ha="center", va="center", fontsize=8)


def _square(axes: Any, row: int, column: int, rgba: np.ndarray) -> None:
    from matplotlib.patches import Rectangle

    *hue, strength = rgba
    axes.add_patch(
        Rectangle((column - 0.47, row - 0.47), 0.94, 0.94, color=hue, alpha=strength, lw=0)
    )
