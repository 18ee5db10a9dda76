"""The page: one file that needs nothing beside it, and lets nothing in.

Its style and its script stand in it, and a policy in its head forbids whatever else a browser would
fetch or run; the script is named there by its digest. Called by ``minihf report``.
"""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Iterator, Sequence
from hashlib import sha256
from importlib.resources import files
from pathlib import Path
from xml.etree.ElementTree import Element

import minihf
from minihf.experiments.report import palette
from minihf.experiments.report.comparisons import Comparison, comparisons_of
from minihf.experiments.report.gallery import Gallery
from minihf.experiments.report.markup import document, node
from minihf.experiments.report.reading import cleaned, find_runs
from minihf.experiments.report.sections import SECTIONS
from minihf.files import folder, whole, writable

__all__ = ["report"]


def report(root: Path, out: Path, png: Path | None = None) -> int:
    """Write the report of all runs at and below a folder.

    Parameters
    ----------
    root : path
        A run directory, a race, or any folder above some.
    out : path
        The page, written whole or not at all.
    png : path, optional
        A folder for the figures as PNG, made if it is not there.

    Returns
    -------
    int
        How many figures there are.

    Raises
    ------
    OSError
        If there is no run, or figures cannot be written.
    ValueError
        If the page cannot be written there.
    """
    found, out = find_runs(root), writable(out)
    gallery = Gallery()
    page = document(_page(root, comparisons_of(found.runs), found.problems, gallery))
    if png is not None:
        with folder(png):
            gallery.write(png)
    with whole(out) as part:
        part.write_bytes(page)
    return len(gallery)


def _page(
    root: Path, comparisons: Sequence[Comparison], problems: Sequence[str], gallery: Gallery
) -> Element:
    alone = len(comparisons) == 1
    title = comparisons[0].facts.task if alone else cleaned(root.resolve().name)
    parts = [
        _part(it, gallery, f"part-{i}", "" if alone else f"{it.facts.task}, ")
        for i, it in enumerate(comparisons, start=1)
    ]
    script = _asset("page.js")
    head = node(
        "head",
        node("meta", charset="utf-8"),
        node("meta", name="viewport", content="width=device-width, initial-scale=1"),
        node("meta", http_equiv="Content-Security-Policy", content=_policy(script)),
        node("title", f"{title}: minihf"),
        node("style", palette.style() + _asset("page.css")),
    )
    body = node(
        "body",
        node("header", node("h1", title), *_problems(problems), *_contents(parts)),
        node("main", *parts),
        node("footer", f"Made by minihf {minihf.__version__}."),
        node("script", script),
    )
    return node("html", head, body, lang="en")


def _asset(name: str) -> str:
    return files(__package__).joinpath(name).read_text(encoding="utf-8")


def _policy(script: str) -> str:
    digest = b64encode(sha256(script.encode()).digest()).decode()
    return (
        "default-src 'none'; img-src data:; style-src 'unsafe-inline'; "
        f"script-src 'sha256-{digest}'; base-uri 'none'; form-action 'none'"
    )


def _problems(problems: Sequence[str]) -> Iterator[Element]:
    """Yield what could not be read, a line each."""
    if problems:
        yield node(
            "section",
            node("strong", f"{len(problems)} that cannot be shown, or not all of it"),
            node("ul", *(node("li", problem) for problem in problems)),
            class_="problems",
            aria_label="Problems",
        )


def _contents(parts: Sequence[Element]) -> Iterator[Element]:
    """Yield links to the parts, or, of a single one, to the headings in it."""
    level = "h3" if len(parts) == 1 else "h2"
    links = [
        node("a", heading.text, href=f"#{heading.get('id')}")
        for part in parts
        for heading in part.findall(level)
    ]
    if links:
        yield node("nav", node("ol", *(node("li", link) for link in links)), aria_label="Contents")


def _part(comparison: Comparison, gallery: Gallery, name: str, task: str) -> Element:
    """Return the part on one comparison; `task` begins its heading."""
    facts = comparison.facts
    part = node(
        "section",
        node("h2", f"{task}{facts.spends} for each run", id=name),
        node("p", facts.summary, class_="lead"),
        node("p", _runs(comparison), class_="soft"),
        aria_labelledby=name,
    )
    for i, (heading, section) in enumerate(SECTIONS.items(), start=1):
        elements = list(section(comparison, gallery))
        if elements:
            part.append(node("h3", heading, id=f"{name}-{i}"))
            part.extend(elements)
    return part


def _runs(comparison: Comparison) -> str:
    """Say how many runs there are, of what, and where they lie."""
    runs, methods = comparison.all_runs, comparison.methods
    seeds = sorted({run.facts.seed for run in runs})
    scale = f", at scale {comparison.facts.scale}" if comparison.facts.scale else ""
    place = "" if comparison.folder == "." else f", in {comparison.folder}"
    return (
        f"{_several(len(runs), 'run')}: {_several(len(methods), 'method')}, "
        f"{'seed' if len(seeds) == 1 else 'seeds'} {', '.join(map(str, seeds))}{scale}{place}"
    )


def _several(n: int, thing: str) -> str:
    return f"{n} {thing}" if n == 1 else f"{n} {thing}s"
