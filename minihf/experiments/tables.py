"""The table of a race: a row for each method, medians over the seeds, as aligned Markdown.

Called by ``minihf demo``, ``minihf run`` and ``minihf race``, and by the report.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence

from minihf.experiments.summary import Runs, cost_to, ends, final, final_error, short, target_of
from minihf.train import History

__all__ = ["costs", "markdown", "notes", "rows", "table"]

SPENT = {"updates": "updates", "products": "products", "data_passes": "data passes"}
PRODUCTS = (
    "Products are those of the solvers; tangents of the step rule and of calibration are not "
    "counted."
)

ALONG_THE_WAY = (
    "Train and test error are those at the end, on more cases than along the way."
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
        row = [name, *(final_error(seeds, part).words() for part in ("train", "test"))]
        row += [] if target is None else [cost_to(seeds, target).words("–")]
        found.append(row + [short(final(seeds, cost).median) for cost in (*SPENT, "seconds")])
    return found


def costs(runs: Runs, target: float) -> list[list[str]]:
    """Return the cells of a table of what each method spent until it had come to the target."""
    found = [["until then", *SPENT.values(), "seconds"]]
    for name, seeds in runs.items():
        spent = (cost_to(seeds, target, cost).words("–") for cost in (*SPENT, "seconds"))
        found.append([name, *spent])
    return found


def notes(runs: Runs, target: float | None, first_order: Collection[str]) -> list[str]:
    """Return how to read the table, and which runs went wrong, a line each."""
    found = []
    if any(len(seeds) > 1 for seeds in runs.values()):
        found.append("Medians over the seeds, smallest and largest in parentheses.")
    if any("train_at_end" in history.last for seeds in runs.values() for history in seeds.values()):
        found.append(ALONG_THE_WAY)
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
    rows = [[cell.replace("|", r"\|") for cell in row] for row in rows]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]

    def line(cells: Sequence[str]) -> str:
        first, *others = zip(cells, widths, strict=True)
        return " | ".join(
            [f"| {first[0]:<{first[1]}}", *(f"{cell:>{width}}" for cell, width in others)]
        ) + " |"

    rule = "|:" + "-" * (widths[0] + 1) + "|" + "".join("-" * (w + 1) + ":|" for w in widths[1:])
    return "\n".join([line(rows[0]), rule, *map(line, rows[1:])])
