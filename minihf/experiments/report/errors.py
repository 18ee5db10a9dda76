"""The errors of a comparison: train and test, over updates, seconds, products and data passes.

Called by the sections.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from minihf.experiments.figures import LABELS
from minihf.experiments.logs import AXES
from minihf.experiments.report.comparisons import Comparison
from minihf.experiments.report.drawing import draw
from minihf.experiments.report.palette import series
from minihf.experiments.report.panels import Drawing, Key, Line, Panel
from minihf.experiments.report.scales import LARGE
from minihf.experiments.summary import curve, final

__all__ = ["BEYOND", "error_drawings"]

BEYOND = 100
"""Times the largest error at the beginning: of errors above that one sees that they are."""


def error_drawings(comparison: Comparison) -> Sequence[Drawing]:
    """Draw medians and ranges over the seeds; of methods that make products, over these too."""
    keys = [Key(name, series(i)) for i, name in enumerate(comparison.methods)]
    keys += [Key("train"), Key("test", dashed=True)]
    panels = [_panel(comparison, column) for column in AXES]
    return [draw(panel, keys) for panel in panels if panel.lines]


def _panel(comparison: Comparison, column: str) -> Panel:
    lines = [
        Line(name, series(i), curve(runs, column, part), part, dashed=part == "test")
        for i, (name, runs) in enumerate(comparison.histories.items())
        if final(runs, column).high > 0
        for part in ("train", "test")
    ]
    return Panel(
        name=f"error-over-{column}",
        up=comparison.facts.metric_name,
        across=LABELS.get(column, column),
        lines=lines,
        limits=(None, _top(lines)),
    )


def _top(lines: Sequence[Line]) -> float | None:
    """Return where errors leave the figure, if some do: they would press down the others."""
    values = np.concatenate([line.curve.high for line in lines] or [np.zeros(1)])
    values = values[values < LARGE]
    top = BEYOND * max((line.curve.high[0] for line in lines), default=0.0)
    return top if values.max(initial=0.0) > top > 0 else None
