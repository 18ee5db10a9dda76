"""Why the solver stopped in each block, over the updates: a strip for each block of one run.

Called by the sections.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any

import numpy as np

from minihf.experiments.report.blocks import block_names, history_of
from minihf.experiments.report.drawing import blank, styled, titled
from minihf.experiments.report.palette import colour, series
from minihf.experiments.report.panels import Drawing, Key
from minihf.experiments.report.readout import box_of, kept, places
from minihf.experiments.report.scales import ticks
from minihf.solvers import Reason
from minihf.train import History

__all__ = ["reason_drawing", "reason_fact"]

FEW = 5
"""Strips for which there is room, at least: one alone is no wall."""

UP = "why the solver stopped"


@dataclass(frozen=True)
class Strip:
    """A block's reasons, each with the updates at which one looked before, and then."""

    block: str
    starts: np.ndarray
    updates: np.ndarray
    reasons: Sequence[str]

    def stretches(self) -> Iterator[tuple[str, int, int]]:
        """Yield each reason with the updates from which and to which it is the only one."""
        for reason, group in groupby(range(len(self.reasons)), key=self.reasons.__getitem__):
            first, *others = group
            yield reason, self.starts[first], self.updates[others[-1] if others else first]

    def thinned(self, axes: Any) -> Strip:
        """Return the strip as far as it can be seen in these axes."""
        keep = kept(places(axes, self.updates))
        updates = self.updates[keep]
        starts = np.append(self.starts[:1], updates[:-1])
        return Strip(self.block, starts, updates, [self.reasons[i] for i in keep])


def reason_drawing(histories: Mapping[int, History], name: str = "") -> Drawing | None:
    """Draw the reasons of one run's blocks; None if all runs, by their seeds, have but one.

    The run is the first with two reasons, if there is one. A method's name stands before the title.
    """
    if len(_reasons_of(histories)) < 2:
        return None
    found = {seed: strips for seed, run in histories.items() if (strips := _strips(run))}
    seed = max(found, key=lambda seed: len(_reasons(found[seed])) > 1)
    strips = found[seed]
    reasons = _reasons(strips)
    hues = {reason: series(_place(reason, reasons)) for reason in reasons}
    up = titled(f"{name}, seed {seed}" if name else f"seed {seed}", UP)
    with styled():
        figure, axes = blank(up, "updates")
        axes.set_xlim(0, max(strip.updates[-1] for strip in strips))
        drawn = [strip.thinned(axes) for strip in strips]
        for row, strip in enumerate(drawn):
            for reason, hue in hues.items():
                ends = [(*ends, math.nan) for found, *ends in strip.stretches() if found == reason]
                axes.plot(
                    np.ravel(ends), [row] * 3 * len(ends), color=colour(hue),
                    linewidth=0.42 * _room(axes, drawn), solid_capstyle="butt",
                )  # fmt: skip
        _name_rows(axes, drawn)
        ticks(axes.xaxis)
        keys = [Key(reason, hue) for reason, hue in hues.items()]
        return Drawing("blocks-reasons", f"{up}, over updates", figure, keys, _readout(axes, drawn))


def reason_fact(histories: Mapping[int, History]) -> str:
    """Say the only reason that there was in all runs, or nothing."""
    reasons = _reasons_of(histories)
    return f"{UP}: {reasons[0]} throughout" if len(reasons) == 1 else ""


def _strips(history: History) -> Sequence[Strip]:
    strips = []
    for name in block_names({0: history}):
        found = [
            (record["updates"], _in_words(record["reason"]))
            for record in history_of(history, name)
            if isinstance(record.get("reason"), str)
        ]
        if found:
            updates = np.array([at for at, _ in found])
            starts = np.append(0, updates[:-1])
            strips.append(Strip(name, starts, updates, [reason for _, reason in found]))
    return strips


def _in_words(reason: str) -> str:
    """Return a solver's reason as one reads it; of another's, what it says."""
    return reason.replace("_", " ").lower() if reason in Reason.__members__ else reason


def _place(reason: str, others: Sequence[str]) -> int:
    """Return a reason's place among those of the solvers, so that it has one colour on a page.

    Places are counted from the last colours: the first are those of the blocks beside it.
    """
    known = [_in_words(name) for name in Reason.__members__]
    place = known.index(reason) if reason in known else len(known) + others.index(reason)
    return -2 - place


def _reasons(strips: Sequence[Strip]) -> Sequence[str]:
    return list(dict.fromkeys(reason for strip in strips for reason in strip.reasons))


def _reasons_of(histories: Mapping[int, History]) -> Sequence[str]:
    return _reasons([strip for history in histories.values() for strip in _strips(history)])


def _name_rows(axes: Any, strips: Sequence[Strip]) -> None:
    """Write each block's name above its strip, as small as many of them need it."""
    for row, strip in enumerate(strips):
        axes.text(
            0, row - 0.25, strip.block, transform=axes.get_yaxis_transform(), va="bottom",
            fontsize=min(9.0, 0.45 * _room(axes, strips)),
        )  # fmt: skip
    axes.set_ylim(max(len(strips), FEW) - 0.6, -0.8)
    axes.set_yticks([])
    axes.spines["left"].set_visible(False)


def _room(axes: Any, strips: Sequence[Strip]) -> float:
    """Return the height of a strip with its name, in points."""
    return axes.bbox.height / max(len(strips), FEW)


def _readout(axes: Any, strips: Sequence[Strip]) -> Mapping[str, Any]:
    lines = [
        {
            "name": strip.block,
            "part": "",
            "at": [round(float(place), 1) for place in places(axes, strip.starts)],
            "x": strip.updates.tolist(),
            "values": list(strip.reasons),
        }
        for strip in strips
    ]
    return {"across": "updates", "box": box_of(axes), "lines": lines}
