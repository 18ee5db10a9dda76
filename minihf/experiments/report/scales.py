"""Axes that fit what is drawn: their scales, their ends, and few plain numbers along them.

Called by drawing.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from minihf.experiments.report.panels import Panel

__all__ = ["LARGE", "plain", "scale", "ticks"]

LARGE = 1e30
"""Beyond it, and at infinity, a curve is drawn above its axes; no axis goes there."""

MUCH = 20
"""From which ratio on two numbers are far apart, and powers are drawn rather than numbers."""


def scale(axes: Any, panel: Panel) -> None:
    """Set scales and ends before anything is drawn: how fine a curve is depends on them."""
    curves = [line.curve for line in panel.lines]
    left = 0.0 if panel.steps else min(curve.x[0] for curve in curves)
    _scale_across(axes, left, [curve.x[-1] for curve in curves])
    values = np.concatenate([part for curve in curves for part in (curve.low, curve.high)])
    values = values[np.abs(values) < LARGE]
    if len(values):
        _scale_up(axes, values, panel.log)
    axes.set_ylim(*panel.limits)


def _scale_across(axes: Any, left: float, right: Sequence[float]) -> None:
    if left > 0 and max(right) > MUCH * left:
        axes.set_xscale("log")
    elif left == 0 and max(right) > MUCH * max(min(right), 0.05):        # methods that differ much
        axes.set_xscale("symlog", linthresh=1)
    axes.set_xlim(left, max(right) if max(right) > left else left + 1)


def _scale_up(axes: Any, values: np.ndarray, log: bool) -> None:
    """Let all values be seen; over powers, a zero lies below the axes."""
    positive = values[values > 0]
    if log and values.min() >= 0 and len(positive) and positive.max() > MUCH * positive.min():
        axes.set_yscale("log", nonpositive="clip")
        axes.set_ylim(positive.min() / 1.2, positive.max() * 1.2)
        return
    room = 0.05 * (values.max() - values.min()) or 0.5 * abs(values.max()) or 0.5
    axes.set_ylim(values.min() - room, values.max() + room)


def ticks(axis: Any) -> None:
    """Write few plain numbers: 1, 2 and 5 of each power, or powers alone, or round numbers."""
    from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullLocator

    low, high = sorted(axis.get_view_interval())
    if axis.get_scale() == "linear":
        axis.set_major_locator(MaxNLocator(5, steps=(1, 2, 5, 10)))
    elif axis.get_scale() == "log":
        powers = math.log10(high) - math.log10(low)
        axis.set_major_locator(LogLocator(subs=(1, 2, 5)) if powers < 3 else LogLocator(numticks=7))
    axis.set_minor_locator(NullLocator())
    axis.set_major_formatter(FuncFormatter(lambda value, position: plain(value)))


def plain(value: float) -> str:
    """Return a number as an axis has it.

    Examples
    --------
    >>> plain(0.0002), plain(12000.0), plain(1e-9)
    ('0.0002', '12,000', '1e-09')
    """
    return f"{value:,.0f}" if 1000 <= abs(value) < 1e6 else f"{value:g}"
