"""Axes that fit what is drawn: their scales, their ends, and few plain numbers along them.

Called by whatever draws.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from minihf.experiments.report.panels import Panel
from minihf.experiments.summary import Curve

__all__ = ["LARGE", "plain", "scale", "ticks"]

LARGE = 1e30
"""Beyond it, and at infinity, a curve is drawn above its axes; no axis goes there."""

MUCH = 10
"""From which ratio on two numbers are far apart, and powers are drawn rather than numbers."""

FEW = 6
"""Powers along an axis, at most."""

ZERO = 0.4
"""How far zero lies below the smallest power, on an axis that has both: a share of a power."""


def scale(axes: Any, panel: Panel) -> None:
    """Set scales and ends before anything is drawn: how fine a curve is depends on them."""
    curves = [line.curve for line in panel.lines]
    left = 0.0 if panel.steps else min(curve.x[0] for curve in curves)
    right = [curve.x[-1] for curve in curves]
    _scale_across(axes, left, right, 1.0 if panel.steps else _unit(curves))
    values = np.concatenate([part for curve in curves for part in (curve.low, curve.high)])
    ends = [end for end in panel.limits if end is not None]
    values = np.append(values[np.abs(values) < LARGE], ends)
    if len(values):
        _scale_up(axes, values, panel.log)
    axes.set_ylim(*panel.limits)


def _scale_across(axes: Any, left: float, right: Sequence[float], unit: float) -> None:
    if left > 0 and max(right) > MUCH * left:
        axes.set_xscale("log")
    elif left <= 0 and max(right) > MUCH * max(min(right), 0.05 * unit):   # curves that differ much
        axes.set_xscale("symlog", linthresh=unit)
    axes.set_xlim(left, max(right) if max(right) > left else left + 1)


def _unit(curves: Sequence[Curve]) -> float:
    """Return from where on curves over any numbers may be drawn over powers."""
    x = np.concatenate([curve.x for curve in curves])
    return _power_below(x[x > 0].min(initial=x.max())) if x.max() > 0 else 1.0


def _scale_up(axes: Any, values: np.ndarray, log: bool) -> None:
    """Let all values be seen; zero has a place below the powers."""
    positive = values[values > 0]
    if log and values.min() >= 0 and len(positive) and positive.max() > MUCH * positive.min():
        if len(positive) == len(values):
            axes.set_yscale("log", nonpositive="clip")
            axes.set_ylim(positive.min() / 1.2, positive.max() * 1.2)
        else:
            least = _power_below(positive.min())
            axes.set_yscale("symlog", linthresh=least, linscale=ZERO)
            axes.set_ylim(-0.2 * least, positive.max() * 1.2)
        return
    room = 0.05 * (values.max() - values.min()) or 0.5 * abs(values.max()) or 0.5
    axes.set_ylim(values.min() - room, values.max() + room)


def _power_below(value: float) -> float:
    """Return the largest power of ten that is not above a number.

    Examples
    --------
    >>> _power_below(0.0002), _power_below(10.0)
    (0.0001, 10.0)
    """
    return float(f"1e{math.floor(math.log10(value) + 1e-9)}") or value


def ticks(axis: Any) -> None:
    """Write few plain numbers: 1, 2 and 5 of each power, or powers alone, or round numbers."""
    from matplotlib.ticker import FixedLocator, FuncFormatter, LogLocator, MaxNLocator, NullLocator

    low, high = sorted(axis.get_view_interval())
    if axis.get_scale() == "linear":
        axis.set_major_locator(MaxNLocator(5, steps=(1, 2, 5, 10)))
    elif axis.get_scale() == "log":
        powers = math.log10(high) - math.log10(low)
        axis.set_major_locator(LogLocator(subs=(1, 2, 5)) if powers < 3 else LogLocator(numticks=7))
    else:
        axis.set_major_locator(FixedLocator(_zero_and_powers(axis.get_transform().linthresh, high)))
    axis.set_minor_locator(NullLocator())
    axis.set_major_formatter(FuncFormatter(lambda value, position: plain(value)))


def _zero_and_powers(least: float, high: float) -> Sequence[float]:
    """Return where an axis of powers has numbers that begins at zero.

    Examples
    --------
    >>> _zero_and_powers(0.01, 3.0), _zero_and_powers(1.0, 2e9)
    ([0.0, 0.01, 0.1, 1.0], [0.0, 1.0, 100.0, 10000.0, 1000000.0, 100000000.0])
    """
    first, last = (math.floor(math.log10(end) + 1e-9) for end in (least, high))
    step = -(-(last - first + 1) // FEW)
    return [0.0, *(float(f"1e{power}") for power in range(first, last + 1, step))]


def plain(value: float) -> str:
    """Return a number as an axis has it.

    Examples
    --------
    >>> plain(0.0002), plain(12000.0), plain(1e-9)
    ('0.0002', '12,000', '1e-09')
    """
    return f"{value:,.0f}" if 1000 <= abs(value) < 1e6 else f"{value:g}"
