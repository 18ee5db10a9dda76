"""How a panel is drawn: once, for the page and for a PNG.

Called by the parts that say what is drawn.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from textwrap import shorten
from typing import Any

import numpy as np

from minihf.experiments.report.palette import GRID, INK, colour
from minihf.experiments.report.panels import Drawing, Key, Line, Panel
from minihf.experiments.report.readout import readout, thinned
from minihf.experiments.report.scales import LARGE, scale, ticks
from minihf.experiments.summary import Curve

__all__ = ["SIZE", "blank", "draw", "styled", "titled"]

SIZE = (5.0, 3.4)
"""Inches; a page's figure has 72 units an inch."""

LONGEST = 50
"""Characters of a name above the axes."""

BOX = (0.115, 0.145, 0.855, 0.755)
"""Where in a figure its axes are, as shares: left, bottom, width, height."""

STYLE: dict[Any, Any] = {
    "font.size": 10,
    "axes.titlesize": 10,
    "axes.labelsize": 10,
    "axes.edgecolor": INK,
    "axes.labelcolor": INK,
    "axes.linewidth": 0.6,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": GRID,
    "grid.linewidth": 0.6,
    "text.color": INK,
    "text.parse_math": False,                   # a method's word may hold any character
    "xtick.color": INK,
    "ytick.color": INK,
    "xtick.major.size": 0,
    "ytick.major.size": 0,
    "svg.fonttype": "none",
    "svg.hashsalt": "minihf",
}


@contextmanager
def styled() -> Iterator[None]:
    """Draw in the report's style; a character that the font does not have is drawn as a box."""
    from matplotlib import rc_context

    with rc_context(STYLE), warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Glyph")
        yield


def blank(up: str, across: str, size: tuple[float, float] = SIZE) -> tuple[Any, Any]:
    """Return a figure of so many inches with empty axes; what goes up is said above them."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=size, dpi=72)
    figure.patch.set_alpha(0)
    axes = figure.add_axes(BOX)
    axes.patch.set_alpha(0)
    axes.set_title(up, loc="left")
    axes.set_xlabel(across)
    return figure, axes


def titled(name: str, title: str) -> str:
    """Return a title that begins with a name, if there is one, so that it can stand alone.

    Examples
    --------
    >>> titled("adam, seed 0", "density"), titled("", "density")
    ('adam, seed 0: density', 'density')
    """
    return f"{shorten(name, LONGEST, placeholder=' ...')}: {title}" if name else title


def draw(panel: Panel, keys: Sequence[Key] = ()) -> Drawing:
    """Draw a panel of at least one line."""
    with styled():
        figure, axes = blank(panel.up, panel.across)
        scale(axes, panel)
        drawn = [(line, thinned(line.curve, axes)) for line in panel.lines]
        for line, curve in drawn:
            _draw_line(axes, line, curve, panel.steps)
        ticks(axes.xaxis)
        ticks(axes.yaxis)
        return Drawing(panel.name, panel.title, figure, keys, readout(panel, axes, drawn))


def _draw_line(axes: Any, line: Line, curve: Curve, steps: bool) -> None:
    hue = colour(line.series)
    median, low, high = (
        np.clip(part, -LARGE, LARGE) for part in (curve.median, curve.low, curve.high)
    )
    axes.plot(
        curve.x, median, color=hue, drawstyle="steps-post" if steps else "default",
        linewidth=1.1 if line.dashed else 1.7, linestyle=(0, (3.5, 1.8)) if line.dashed else "-",
    )  # fmt: skip
    bottom, top = axes.get_ylim()
    if steps and bottom <= median[-1] <= top:             # the last value holds for no time
        axes.plot(curve.x[-1:], median[-1:], "o", color=hue, markersize=3, clip_on=False)
    if not np.array_equal(low, high):
        axes.fill_between(
            curve.x, low, high, color=hue, alpha=0.13, linewidth=0,
            step="post" if steps else None,
        )  # fmt: skip
