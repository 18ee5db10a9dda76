"""A figure as a PNG, for slides: on white, its legend below it.

Called by the gallery.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from io import BytesIO
from textwrap import shorten
from typing import Any

from minihf.experiments.report.drawing import styled
from minihf.experiments.report.palette import INK, PAPER, SOFT, colour
from minihf.experiments.report.panels import Drawing, Key

__all__ = ["png_of"]

COLUMNS = 3
LONGEST = 30
"""Characters of a name in a legend."""

LINE, MARGIN = 0.2, 0.08
"""Inches of a legend's line, and below the last one."""


def png_of(drawing: Drawing) -> bytes:
    """Return the figure as a PNG; it is another figure then, with a legend."""
    buffer = BytesIO()
    with styled():
        if drawing.keys:
            _make_room(drawing.figure, LINE * math.ceil(len(drawing.keys) / COLUMNS) + MARGIN)
            _add_legend(drawing.figure, drawing.keys)
        drawing.figure.patch.set_alpha(1)
        drawing.figure.savefig(buffer, format="png", dpi=200, facecolor=PAPER)
    return buffer.getvalue()


def _make_room(figure: Any, inches: float) -> None:
    """Add paper below a figure, and leave its axes as they are."""
    width, height = figure.get_size_inches()
    share = height / (height + inches)
    figure.set_size_inches(width, height + inches)
    for axes in figure.axes:
        box = axes.get_position()
        axes.set_position((box.x0, 1 - share * (1 - box.y0), box.width, share * box.height))


def _add_legend(figure: Any, keys: Sequence[Key]) -> None:
    from matplotlib.lines import Line2D

    handles = [
        Line2D(
            [], [], color=SOFT if key.series is None else colour(key.series),
            linestyle="--" if key.dashed else "-",
            label=shorten(key.name, LONGEST, placeholder=" ..."),
        )
        for key in keys
    ]  # fmt: skip
    figure.legend(
        handles=handles, loc="lower center", ncols=COLUMNS, frameon=False, labelcolor=INK,
        fontsize="small", borderaxespad=0.3, labelspacing=0.3,
    )  # fmt: skip
