"""Figures of runs, drawn without a screen and written whole or not at all.

Called by ``minihf demo``, ``minihf run`` and ``minihf race``.
"""

from __future__ import annotations

import math
import textwrap
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from minihf.experiments.summary import Runs, curve, final
from minihf.files import whole, writable
from minihf.train import History

__all__ = ["draw_race", "must_be_drawable", "write_figure"]

FORMATS = (".pdf", ".png", ".svg")
LABELS = {
    "products": "products of the solvers (not of step rule and calibration)",
    "data_passes": "data passes",
}


def must_be_drawable(path: str | Path) -> Path:
    """Return the path if a figure can be written there.

    Raises
    ------
    ValueError
        If its ending is no format we draw, or its folder is missing or not writable: said before
        the run, not after it.
    """
    path = Path(path)
    if path.suffix not in FORMATS:
        raise ValueError(f"{str(path)!r} is no figure: its name must end in {', '.join(FORMATS)}")
    return writable(path)


def draw_race(
    runs: Runs, title: str, ylabel: str, against: Sequence[str] = ("updates", "seconds")
) -> Any:
    """Draw train (solid) and test (dashed) error, medians and ranges over the seeds.

    One panel for each column of `against`, two in a row. Curves are steps, for between two looks
    nothing is known. A method that has none of a column, such as products, has no curve there, and
    the panel says so.
    """
    from matplotlib.figure import Figure
    from matplotlib.ticker import LogLocator, StrMethodFormatter

    height = math.ceil(len(against) / 2)
    figure = Figure(figsize=(10, 0.6 + 3.6 * height), layout="constrained")
    figure.suptitle(title)
    panels = figure.subplots(height, 2, sharey=True, squeeze=False)
    for axes, column in zip(panels.flat, against, strict=True):
        left_out = [name for name, seeds in runs.items() if not final(seeds, column).high]
        for i, (name, seeds) in enumerate(runs.items()):
            if name not in left_out:
                _draw_curve(axes, seeds, column, "train", f"C{i}", linewidth=1.5)
                _draw_curve(axes, seeds, column, "test", f"C{i}", linewidth=1, linestyle="--")
        axes.set(xlabel=LABELS.get(column, column), yscale="log")
        if left_out:
            note = textwrap.fill(f"left out, without any: {', '.join(left_out)}", 60)
            axes.set_title(note, fontsize="small", loc="left")
        axes.yaxis.set_major_formatter(StrMethodFormatter("{x:g}"))
        axes.yaxis.set_minor_locator(LogLocator(subs=(2, 5)))
        axes.yaxis.set_minor_formatter(StrMethodFormatter("{x:g}"))
        axes.grid(which="both", alpha=0.25)
        if column != "seconds":                  # methods differ by orders of magnitude
            axes.set_xscale("symlog", linthresh=1)
        axes.set_xlim(left=0)
    for axes in panels[:, 0]:
        axes.set_ylabel(ylabel)
    for i, name in enumerate(runs):
        axes.plot([], [], color=f"C{i}", label=name)
    axes.plot([], [], color="grey", label="train")
    axes.plot([], [], color="grey", linestyle="--", linewidth=1, label="test")
    figure.legend(loc="outside lower center", ncols=4)
    return figure


def _draw_curve(
    axes: Any, seeds: Mapping[int, History], x: str, y: str, color: str, **line: Any
) -> None:
    found = curve(seeds, x, y)
    axes.step(found.x, found.median, where="post", color=color, **line)
    if len(seeds) > 1:
        axes.fill_between(
            found.x, found.low, found.high, step="post", color=color, alpha=0.15, linewidth=0
        )


def write_figure(figure: Any, path: Path) -> None:
    """Write a figure, whole or not at all."""
    with whole(path) as part:
        figure.savefig(part, dpi=150)
