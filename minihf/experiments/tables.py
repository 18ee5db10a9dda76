"""The table of a race: a row for each method, medians over the seeds, as aligned Markdown.

Called by ``minihf demo``, ``minihf run`` and ``minihf race``, and by the report.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Sequence

from minihf.experiments.summary import Runs, Spread, ends, final, seconds_to, target_of
from minihf.train import History

__all__ = ["markdown", "notes", "rows", "short", "table"]

SPENT = {"updates": "updates", "products": "products", "data_passes": "data passes"}
PRODUCTS = (
    "Products are those of the solvers; tangents of the step rule and of calibration are not "
    "counted."
)


def table(runs: Runs, target: float | None = None, first_order: Collection[str] = ()) -> str:
    """Return what the runs came to, with notes on how to read it and on runs that went wrong.

    Parameters
    ----------
    runs : Runs
    target : float, optional
        The training error of the column "seconds to"; without it, `target_of` the runs.
    first_order : collection of str
        Which of the methods go by gradients alone.
    """
    if target is None:
        target = target_of(runs, first_order)
    said = notes(runs, target, first_order)
    return "\n".join([markdown(rows(runs, target)), *([""] if said else []), *said])


def rows(runs: Runs, target: float | None) -> list[list[str]]:
    """Return the table's cells, the head first; without a target, without its column."""
    heads = ["method", "train error", "test error"]
    heads += [] if target is None else [f"seconds to {short(target)}"]
    found = [[*heads, *SPENT.values(), "seconds"]]
    for name, seeds in runs.items():
        row = [name, *(_with_range(final(seeds, part)) for part in ("train", "test"))]
        row += [] if target is None else [_with_range(seconds_to(seeds, target), "–")]
        found.append(row + [short(final(seeds, cost).median) for cost in (*SPENT, "seconds")])
    return found


def notes(runs: Runs, target: float | None, first_order: Collection[str]) -> list[str]:
    """Return how to read the table, and which runs went wrong, a line each."""
    found = []
    if any(len(seeds) > 1 for seeds in runs.values()):
        found.append("Medians over the seeds, smallest and largest in parentheses.")
    if target is not None:
        found.append(
            f"Seconds to {short(target)}: until a training error of {target:.6g} or less was "
            "first measured; – if it never was."
        )
    if not runs.keys() <= set(first_order):
        found.append(PRODUCTS)
    found += [
        f"{name}, seed {seed}: {problem}."
        for name, seeds in runs.items()
        for seed, history in seeds.items()
        if (problem := _problem(history))
    ]
    return found


def _problem(history: History) -> str:
    """Say what went wrong in a run, or nothing."""
    problems = [] if history.spent else [history.ended or "killed"]
    first, last = ends(history)
    if last > first:
        problems.append(
            f"diverged: ended above where it began ({short(first)} to {short(last)})"
        )
    return "; ".join(problems)


def markdown(rows: Sequence[Sequence[str]]) -> str:
    """Return rows, the head first, as a Markdown table whose columns line up.

    Examples
    --------
    >>> print(markdown([["method", "error"], ["adam", "4.2"]]))
    | method | error |
    |:-------|------:|
    | adam   |   4.2 |
    """
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]

    def line(cells: Sequence[str]) -> str:
        first, *others = zip(cells, widths, strict=True)
        return " | ".join(
            [f"| {first[0]:<{first[1]}}", *(f"{cell:>{width}}" for cell, width in others)]
        ) + " |"

    rule = "|:" + "-" * (widths[0] + 1) + "|" + "".join("-" * (w + 1) + ":|" for w in widths[1:])
    return "\n".join([line(rows[0]), rule, *map(line, rows[1:])])


def _with_range(spread: Spread, infinite: str = "inf") -> str:
    middle, low, high = (
        short(value, infinite) for value in (spread.median, spread.low, spread.high)
    )
    return middle if low == high else f"{middle} ({low} to {high})"


def short(value: float, infinite: str = "inf") -> str:
    """Return a number with three digits, or all that stand before the point.

    Examples
    --------
    >>> short(1234.5), short(0.012345), short(math.inf, "–")
    ('1,234', '0.0123', '–')
    """
    if not math.isfinite(value):
        return infinite
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"
