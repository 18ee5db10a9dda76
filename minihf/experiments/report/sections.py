"""The parts of a report on one comparison, in the order in which one asks: who won, how, and why.

Each yields elements of the page, none if there is nothing to show. Called by the page.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from textwrap import shorten
from typing import TypeAlias
from xml.etree.ElementTree import Element

from minihf.experiments import tables
from minihf.experiments.report import captions
from minihf.experiments.report.blocks import block_drawings, block_facts
from minihf.experiments.report.comparisons import Comparison
from minihf.experiments.report.confusions import confusion_drawing
from minihf.experiments.report.errors import error_drawings
from minihf.experiments.report.gallery import Gallery
from minihf.experiments.report.markup import Child, node, table
from minihf.experiments.report.pictures import reconstructions
from minihf.experiments.report.reading import Run
from minihf.experiments.report.reasons import reason_drawing, reason_fact
from minihf.experiments.report.spectra import has_spectra, spectrum_drawing
from minihf.experiments.summary import short, target_of

__all__ = ["SECTIONS"]

LONGEST = 300
"""Characters of what a run says of its last problem."""


def _results(comparison: Comparison, gallery: Gallery) -> Iterator[Element]:
    """Yield the table of the methods, and how to read it."""
    runs = comparison.histories
    target = target_of(runs, comparison.first_order)
    rows = tables.rows(runs, target)
    cells: list[list[Child]] = [[*rows[0]]]
    cells += [[row[0], *map(_in_two_lines, row[1:])] for row in rows[1:]]
    yield table(cells, "Results", numbers=range(1, len(rows[0])))
    notes = tables.notes(runs, target, comparison.first_order)
    notes += [
        f"{run.facts.method}, seed {run.facts.seed}: not finished ({run.ended}), left out."
        for run in comparison.left_out
    ]
    if notes:
        yield node("ul", *(node("li", note) for note in notes), class_="notes")


def _in_two_lines(cell: str) -> Element:
    """Return a median, and its range, if it has one, below it."""
    median, space, spread = cell.partition(" ")
    return node("span", median, node("small", spread) if space else None)


def _errors(comparison: Comparison, gallery: Gallery) -> Iterator[Element]:
    """Yield the curves of all methods, and how to read them."""
    yield _caption(_medians(comparison), captions.ERRORS, captions.POINT)
    yield from gallery.figures(error_drawings(comparison), comparison.name)


def _caption(*sentences: str) -> Element:
    return node("p", " ".join(filter(None, sentences)), class_="notes")


def _medians(comparison: Comparison) -> str:
    """Say what curves and bands are, if there are several seeds."""
    several = any(len(seeds) > 1 for seeds in comparison.histories.values())
    return captions.MEDIANS if several else ""


def _portraits(comparison: Comparison, gallery: Gallery) -> Iterator[Element]:
    """Yield images with their reconstructions, and confusion matrices."""
    portraits = {_title(name, run): run.portrait for name, run in comparison.with_portraits.items()}
    pictures = [
        element
        for picture in reconstructions(portraits)
        for element in (
            node("span", picture.label),
            gallery.picture(picture.png, picture.alternative, comparison.name, picture.label),
        )
    ]
    if pictures:
        yield node("div", *pictures, class_="pictures")
    confusions = [confusion_drawing(portrait, name) for name, portrait in portraits.items()]
    figures = [gallery.figure(drawing, comparison.name) for drawing in confusions if drawing]
    if figures:
        yield _caption(captions.CONFUSION)
        yield node("div", *figures, class_="figures squares")


def _blocks(comparison: Comparison, gallery: Gallery) -> Iterator[Element]:
    """Yield, for each method with blocks, what its updates say of them, and how to read it."""
    methods = list(_methods_with_blocks(comparison, gallery))
    if methods:
        yield _caption(captions.LAST_UPDATE, _medians(comparison), captions.RATIO)
    yield from methods


def _methods_with_blocks(comparison: Comparison, gallery: Gallery) -> Iterator[Element]:
    for name, runs in comparison.histories.items():
        drawings, reasons = list(block_drawings(runs, name)), reason_drawing(runs, name)
        facts = [*block_facts(runs), reason_fact(runs)]
        said = "; ".join(fact for fact in facts if fact)
        if not (drawings or reasons or said):
            continue
        yield node("h4", name)
        if said:
            yield node("p", f"{said[0].upper()}{said[1:]}.", class_="soft")
        yield from gallery.figures(drawings, comparison.name, name, last=reasons)


def _spectra(comparison: Comparison, gallery: Gallery) -> Iterator[Element]:
    """Yield the spectra, how to read them, and a line on those that leave nothing to draw."""
    portraits = {
        _title(name, run): run.portrait
        for name, run in comparison.with_portraits.items()
        if has_spectra(run.portrait)
    }
    if portraits:
        yield _caption(captions.SPECTRA)
    drawings = {title: spectrum_drawing(portrait, title) for title, portrait in portraits.items()}
    yield from gallery.figures([it for it in drawings.values() if it], comparison.name)
    for title, drawing in drawings.items():
        if drawing is None:
            yield _caption(f"{title}: {captions.NO_CURVATURE}")


def _settings(comparison: Comparison, gallery: Gallery) -> Iterator[Element]:
    entries = []
    for name, seeds in comparison.methods.items():
        facts = next(iter(seeds.values())).facts
        label = facts.label if facts.label.lower() != name.lower() else ""
        entries += [
            node("dt", name, node("small", label) if label else None),
            node("dd", node("code", facts.settings)),
        ]
    yield node("dl", *entries, class_="settings")


def _runs(comparison: Comparison, gallery: Gallery) -> Iterator[Element]:
    """Yield how each run ended, and what went wrong in it."""
    rows: list[list[Child]] = [
        ["method", "seed", "ended", "updates", "seconds", "started (UTC)", "folder", "problems"]
    ]
    for name, seeds in comparison.methods.items():
        rows += [[name, *_ending(run)] for run in seeds.values()]
    if not any(map(_problems, comparison.all_runs)):
        rows = [row[:-1] for row in rows]
    yield table(rows, "Runs", numbers=(1, 3, 4), words=[7])


def _ending(run: Run) -> list[str]:
    last, started = run.history.last, run.facts.started.removesuffix("+00:00").replace("T", " ")
    return [
        str(run.facts.seed), run.ended, f"{last['updates']:,}", short(last["seconds"]),
        started, run.folder, _problems(run) or "–",
    ]  # fmt: skip


def _problems(run: Run) -> str:
    """Say what went wrong, and under which other conditions the run went on, if it did."""
    last = run.history.last
    counts = (("rejected", "rejected updates"), ("rose", "updates in which the objective rose"))
    found = [f"{last[name]} {what}" for name, what in counts if last.get(name)]
    found += [f"went on under other conditions: {change}" for change in run.facts.went_on or ()]
    problem = shorten(str(last.get("problem") or ""), LONGEST, placeholder=" ...")
    return "; ".join([*found, *([problem] if problem else [])])


def _conditions(comparison: Comparison, gallery: Gallery) -> Iterator[Element]:
    """Yield the commands that made the runs, and what else their numbers depend on."""
    for command in dict.fromkeys(run.facts.command for run in comparison.all_runs):
        yield node("pre", node("code", command))
    facts = [
        element
        for name, value in comparison.facts.conditions.items()
        for element in (node("dt", name.replace("_", " ")), node("dd", str(value)))
    ]
    yield node("dl", *facts)


def _title(name: str, run: Run) -> str:
    return f"{name}, seed {run.facts.seed}"


Section: TypeAlias = Callable[[Comparison, Gallery], Iterable[Element]]

SECTIONS: Mapping[str, Section] = {
    "Results": _results,
    "Errors": _errors,
    "What the networks show": _portraits,
    "Blocks": _blocks,
    "Curvature": _spectra,
    "Settings": _settings,
    "Runs": _runs,
    "Command and environment": _conditions,
}
"""By their headings."""
