"""Figures as data: what is drawn in one pair of axes, before and after it is drawn.

Called by the parts that say what is drawn, and by drawing.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from minihf.experiments.summary import Curve

__all__ = ["Drawing", "Key", "Line", "Panel"]


@dataclass(frozen=True)
class Key:
    """An entry of a legend: a colour by its number, or what a solid or a dashed line means."""

    name: str
    series: int | None = None
    dashed: bool = False


@dataclass(frozen=True, eq=False)
class Line:
    """A curve in a colour; `part` is what of its thing it shows, such as ``"test"``."""

    name: str
    series: int
    curve: Curve
    part: str = ""
    dashed: bool = False


@dataclass(frozen=True, eq=False)
class Panel:
    """Lines in one pair of axes.

    Attributes
    ----------
    name : str
        A word for a file name.
    up, across : str
        What the axes are.
    lines : sequence of Line
    log : bool
        Whether values of different powers are drawn over their powers.
    limits : two floats or None
        Where the axis up begins and ends, whatever the values.
    steps : bool
        Whether a value holds until the next one, as between two looks; else lines join them.
    """

    name: str
    up: str
    across: str
    lines: Sequence[Line]
    log: bool = True
    limits: tuple[float | None, float | None] = (None, None)
    steps: bool = True

    @property
    def title(self) -> str:
        """What the panel shows, in a line."""
        return f"{self.up}, over {self.across}"


@dataclass(frozen=True, eq=False)
class Drawing:
    """A figure that is drawn.

    Attributes
    ----------
    name, title : str
        A word for a file name, and what the figure shows.
    figure : Figure
        Of Matplotlib.
    keys : sequence of Key
        Its legend: beside it on the page, in it in a PNG.
    readout : mapping
        What the page shows where one points; page.js says how.
    """

    name: str
    title: str
    figure: Any
    keys: Sequence[Key] = ()
    readout: Mapping[str, Any] = field(default_factory=dict)
