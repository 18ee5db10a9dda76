"""What one reads where one points at a figure: its curves as numbers, and where they are drawn.

Of points that lie closer than can be seen one is kept, in the drawing as in the numbers. Called by
drawing; page.js shows them.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from minihf.experiments.report.panels import Line, Panel
from minihf.experiments.summary import Curve

__all__ = ["box_of", "kept", "places", "readout", "thinned"]

RESOLUTION = 1.0
"""Units of the figure, of which it is some hundreds wide, that hold one point."""


def thinned(curve: Curve, axes: Any) -> Curve:
    """Return a curve with the points that can be told apart in these axes."""
    keep = kept(places(axes, curve.x))
    return Curve(curve.x[keep], curve.median[keep], curve.low[keep], curve.high[keep])


def kept(at: np.ndarray) -> np.ndarray:
    """Return which of increasing places are kept: the last in each unit, and the first of all.

    Examples
    --------
    >>> kept(np.array([0.0, 0.2, 0.7, 1.1, 5.0])).tolist()
    [0, 2, 3, 4]
    """
    cells = np.floor(at / RESOLUTION)
    keep = np.append(cells[1:] != cells[:-1], True)
    keep[0] = True
    return np.flatnonzero(keep)


def places(axes: Any, x: np.ndarray) -> np.ndarray:
    """Return where x lies in the figure, in units from its left side."""
    points = np.column_stack([x, np.zeros(len(x))])
    return axes.get_xaxis_transform().transform(points)[:, 0]


def box_of(axes: Any) -> list[float]:
    """Return where axes lie in their figure, from its upper left: left, top, right, bottom."""
    box, height = axes.bbox, axes.figure.bbox.height
    return [round(float(end), 1) for end in (box.x0, height - box.y1, box.x1, height - box.y0)]


def readout(panel: Panel, axes: Any, drawn: Iterable[tuple[Line, Curve]]) -> Mapping[str, Any]:
    """Return the numbers of a panel, plain values for JSON."""
    return {
        "across": panel.across,
        "box": box_of(axes),
        "lines": [
            {
                "name": line.name,
                "part": line.part,
                "series": line.series,
                "at": [round(float(place), 1) for place in places(axes, curve.x)],
                "x": _digits(curve.x),
                "values": _digits(curve.median),
                **_ranges(curve),
            }
            for line, curve in drawn
        ],
    }


def _ranges(curve: Curve) -> Mapping[str, Any]:
    if np.array_equal(curve.low, curve.high):
        return {}
    return {"low": _digits(curve.low), "high": _digits(curve.high)}


def _digits(values: np.ndarray) -> list[float | None]:
    """Return values with four digits, and None for what is no number."""
    return [float(f"{value:.4g}") if math.isfinite(value) else None for value in values]
