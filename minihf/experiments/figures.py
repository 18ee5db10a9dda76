"""Figures of runs, drawn without a screen and written whole or not at all.

Called by the command line.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from minihf.train import History

__all__ = ["draw_race", "must_be_drawable", "write_figure"]

FORMATS = (".pdf", ".png", ".svg")


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
    if path.is_dir():
        raise ValueError(f"cannot write {str(path)!r}: it is a folder")
    if not path.parent.is_dir() or not os.access(path.parent, os.W_OK):
        raise ValueError(f"cannot write {str(path)!r}: no writable folder {str(path.parent)!r}")
    return path


def draw_race(histories: Mapping[str, History], title: str, ylabel: str) -> Any:
    """Draw train (solid) and test (dashed) error against updates and against seconds."""
    from matplotlib.figure import Figure
    from matplotlib.ticker import StrMethodFormatter

    figure = Figure(figsize=(10, 4.2), layout="constrained")
    figure.suptitle(title)
    for axes, axis in zip(figure.subplots(1, 2, sharey=True), ("updates", "seconds"), strict=True):
        for i, (label, history) in enumerate(histories.items()):
            x = history.column(axis)
            axes.plot(x, history.column("train"), color=f"C{i}", label=label)
            axes.plot(x, history.column("test"), color=f"C{i}", linestyle="--", linewidth=1)
        axes.set(xlabel=axis, yscale="log")
        axes.yaxis.set_major_formatter(StrMethodFormatter("{x:g}"))
        axes.yaxis.set_minor_formatter(StrMethodFormatter("{x:g}"))
        axes.grid(which="both", alpha=0.25)
        axes.set_xlim(left=0)
        if axis == "updates":
            axes.set_xscale("symlog", linthresh=1)
            axes.set_ylabel(ylabel)
        else:
            axes.plot([], [], color="grey", label="train")
            axes.plot([], [], color="grey", linestyle="--", linewidth=1, label="test")
            axes.legend()
    return figure


def write_figure(figure: Any, path: Path) -> None:
    """Write a figure under a temporary name, then put it in place."""
    part = path.with_name(f".{path.stem}.part{path.suffix}")
    try:
        figure.savefig(part, dpi=150)
        os.replace(part, path)
    finally:
        part.unlink(missing_ok=True)
