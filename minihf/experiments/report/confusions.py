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

SIZE = (3.1, 3.4)
LONGEST = 40
"""Characters above the square."""

NUMBERED = 12
"""Classes up to which the squares have numbers in them."""


def confusion_drawing(portrait: Portrait, name: str) -> Drawing | None:
    """Draw a confusion matrix; None if the portrait has none."""
    if "confusion" not in portrait:
        return None
    counts = portrait["confusion"]
    right, cases = int(np.trace(counts)), int(counts.sum())
    title = f"{name}: {right:,} of {cases:,} right"
    with styled():
        figure, axes = blank(shorten(title, LONGEST, placeholder=" ..."), "answer", SIZE)
        axes.set_ylabel("label")
        classes = len(counts)
        axes.set(xlim=(-0.5, classes - 0.5), ylim=(classes - 0.5, -0.5), aspect="equal")
        for row, column in zip(*np.nonzero(counts), strict=True):
            _square(axes, counts, row, column)
        step = 1 if classes <= NUMBERED else -(-classes // NUMBERED)
        axes.set(xticks=range(0, classes, step), yticks=range(0, classes, step))
        axes.spines[:].set_visible(False)
        axes.grid(visible=False)
    return Drawing(f"confusion-{name}", f"confusion matrix of {title}", figure)


def _square(axes: Any, counts: np.ndarray, row: int, column: int) -> None:
    """Draw one square: the more of its label's cases, the stronger; a single mistake is seen."""
    from matplotlib.patches import Rectangle

    share = counts[row, column] / counts[row].sum()
    hue = RIGHT if row == column else WRONG
    strength = 0.75 * share if row == column else 0.15 + 0.85 * share
    axes.add_patch(
        Rectangle((column - 0.47, row - 0.47), 0.94, 0.94, color=colour(hue), alpha=strength, lw=0)
    )
    if len(counts) <= NUMBERED:
        axes.text(column, row, f"{counts[row, column]:,}", ha="center", va="center", fontsize=8)
