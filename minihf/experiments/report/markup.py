"""HTML as a tree: what comes from a file is text in it, and can never become markup.

The standard library escapes every text and every attribute where the tree is written out. Called
by every part of the report.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TypeAlias
from xml.etree.ElementTree import Element, tostring

__all__ = ["Child", "document", "node", "table"]

Child: TypeAlias = "Element | str | None"


def node(tag: str, *children: Child, **attributes: str | int | None) -> Element:
    """Return an element with text and elements in it; None is left out, also among attributes.

    An attribute's name may end in an underscore, and those within it are hyphens: ``class_``,
    ``aria_label``.

    Examples
    --------
    >>> tostring(node("p", "1 < 2, ", node("b", "so"), ".", class_="fact"), encoding="unicode")
    '<p class="fact">1 &lt; 2, <b>so</b>.</p>'
    """
    named = {name.rstrip("_").replace("_", "-"): value for name, value in attributes.items()}
    made = Element(tag, {name: str(value) for name, value in named.items() if value is not None})
    for child in children:
        _add(made, child)
    return made


def _add(parent: Element, child: Child) -> None:
    if isinstance(child, Element):
        parent.append(child)
    elif child and len(parent):
        parent[-1].tail = (parent[-1].tail or "") + child
    elif child:
        parent.text = (parent.text or "") + child


def table(
    rows: Sequence[Sequence[Child]],
    caption: str,
    numbers: Iterable[int] = (),
    words: Iterable[int] = (),
) -> Element:
    """Return a table, its head the first row, in a frame that scrolls sideways where it must.

    Parameters
    ----------
    rows : sequence of rows of text and elements
        The first cell of each row is what the row is about.
    caption : str
        What the table is, for those who do not see it.
    numbers : iterable of int
        The columns that are aligned at their right.
    words : iterable of int
        The columns whose lines may be broken.
    """
    classes = dict.fromkeys(numbers, "number") | dict.fromkeys(words, "words")
    head, *others = rows
    top = [node("th", cell, scope="col", class_=classes.get(i)) for i, cell in enumerate(head)]
    body = [
        node(
            "tr",
            node("th", row[0], scope="row"),
            *(node("td", cell, class_=classes.get(i)) for i, cell in enumerate(row[1:], start=1)),
        )
        for row in others
    ]
    made = node("table", node("thead", node("tr", *top)), node("tbody", *body), aria_label=caption)
    return node("div", made, class_="frame", role="region", aria_label=caption, tabindex=0)


def document(root: Element) -> bytes:
    """Return a page as it lies in a file, UTF-8."""
    page = "<!doctype html>\n" + tostring(root, encoding="unicode", method="html") + "\n"
    return page.encode("utf-8", errors="replace")
