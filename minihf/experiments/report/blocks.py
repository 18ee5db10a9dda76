"""What a method's blocks did: iterations, damping and reduction ratio, over the updates.

A record of a run tells of the last update before it. What never changes is said in a line, not
drawn. Called by the sections.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import astuple
from typing import Any

import numpy as np

from minihf.experiments.report.drawing import draw, titled
from minihf.experiments.report.palette import series
from minihf.experiments.report.panels import Drawing, Key, Line, Panel
from minihf.experiments.summary import Curve, curve
from minihf.train import History

__all__ = ["RATIOS", "block_drawings", "block_facts", "block_names", "history_of"]

TOGETHER, GREY = "all blocks", series(-1)
"""What several blocks are called, and drawn in, if they are all the same: the last colour."""

RATIOS = (-0.5, 2.0)
"""The reduction ratios that are shown: one is perfect, and below zero the objective rose."""

QUANTITIES: Mapping[str, tuple[str, Mapping[str, Any]]] = {
    "iterations": ("iterations of the solver", {"log": False, "limits": (0.0, None)}),
    "lam": ("damping λ", {}),
    "rho": ("reduction ratio ρ", {"log": False, "limits": RATIOS}),
}
"""By its name in a record: what it is called, and how it is drawn."""


def block_drawings(histories: Mapping[int, History], name: str = "") -> Sequence[Drawing]:
    """Draw medians and ranges over the seeds, of each block in a colour of its own.

    A method's name stands before the titles.
    """
    return [
        draw(
            Panel(f"blocks-{quantity}", titled(name, up), "updates", lines, **how),
            [Key(line.name, line.series) for line in lines],
        )
        for quantity, (up, how) in QUANTITIES.items()
        if _changes(lines := _lines(histories, quantity))
    ]


def block_facts(histories: Mapping[int, History]) -> Sequence[str]:
    """Say what is the same in all blocks at all times, and what was not measured."""
    if not block_names(histories):
        return []
    return [
        f"{up}: {lines[0].curve.median[0]:.4g} throughout" if lines else f"{up}: not measured"
        for quantity, (up, _) in QUANTITIES.items()
        if not _changes(lines := _lines(histories, quantity))
    ]


def block_names(histories: Mapping[int, History]) -> Sequence[str]:
    """Return the names of the blocks, in the order in which the records have them."""
    blocks = (_blocks(record) for history in histories.values() for record in history)
    return list(dict.fromkeys(name for named in blocks for name in named))


def history_of(history: History, block: str) -> History:
    """Return a history of one block: of its records, those that tell of it."""
    records = [
        {"updates": record["updates"], **_blocks(record)[block]}
        for record in history
        if block in _blocks(record)
    ]
    return History(records)


def _blocks(record: Mapping[str, Any]) -> Mapping[str, Mapping[str, Any]]:
    """Return what a record says of blocks, as far as it is that."""
    blocks = record.get("blocks")
    if not isinstance(blocks, dict):
        return {}
    return {name: block for name, block in blocks.items() if isinstance(block, dict)}


def _lines(histories: Mapping[int, History], quantity: str) -> Sequence[Line]:
    """Return a line for each block of which the quantity is known."""
    lines = []
    for i, name in enumerate(block_names(histories)):
        runs = {seed: _numbers(history, name, quantity) for seed, history in histories.items()}
        known = {seed: history for seed, history in runs.items() if history.records}
        if known:
            lines.append(Line(name, series(i), curve(known, "updates", quantity)))
    if len(lines) > 1 and all(_same(lines[0].curve, line.curve) for line in lines):
        return [Line(TOGETHER, GREY, lines[0].curve)]
    return lines


def _same(one: Curve, other: Curve) -> bool:
    return all(np.array_equal(*pair) for pair in zip(astuple(one), astuple(other), strict=True))


def _numbers(history: History, block: str, quantity: str) -> History:
    """Return a block's history as far as the quantity is a number there."""
    records = [
        {"updates": record["updates"], quantity: float(record[quantity])}
        for record in history_of(history, block)
        if type(record.get(quantity)) in (int, float)
    ]
    return History(records)


def _changes(lines: Sequence[Line]) -> bool:
    values = [part for line in lines for part in (line.curve.low, line.curve.high)]
    return len(np.unique(np.concatenate(values))) > 1 if values else False
