"""A figure as a part of a page: SVG without a word that it does not need.

Matplotlib writes a file of its own; in a page its colours get the page's names, its words the
page's font, its numbers two digits behind the point, and its names (of clips, say) a beginning
that no other figure's have. Called by the sections.
"""

from __future__ import annotations

import json
import re
from io import BytesIO
from itertools import chain
from xml.etree.ElementTree import Element, fromstring

from minihf.experiments.report.drawing import styled
from minihf.experiments.report.palette import NAMES
from minihf.experiments.report.panels import Drawing

__all__ = ["inline"]

SVG = "{http://www.w3.org/2000/svg}"
HREF = "{http://www.w3.org/1999/xlink}href"
LEFT_OUT = {f"{SVG}metadata", f"{SVG}style", f"{SVG}title"}


def inline(drawing: Drawing, beginning: str) -> Element:
    """Return the figure as an element of a page, told to those who do not see it by its title.

    Parameters
    ----------
    drawing : Drawing
    beginning : str
        Of the names in it: no other figure's on the page.
    """
    buffer = BytesIO()
    with styled():
        drawing.figure.savefig(buffer, format="svg", metadata={"Date": None})
    svg = fromstring(buffer.getvalue())
    used = set(re.findall(r"#([\w-]+)", " ".join(_attributes(svg))))
    for element in list(svg.iter()):
        for child in list(element):
            if child.tag in LEFT_OUT:
                element.remove(child)
        _clean(element, used, beginning)
    svg.attrib = {
        "viewBox": svg.get("viewBox", ""), "role": "img", "aria-label": drawing.title,
        "class": "drawing",
    }  # fmt: skip
    if drawing.readout:
        svg.set("tabindex", "0")
        svg.set("data-readout", json.dumps(drawing.readout, allow_nan=False, separators=(",", ":")))
    return svg


def _attributes(svg: Element) -> chain[str]:
    return chain.from_iterable(element.attrib.values() for element in svg.iter())


def _clean(element: Element, used: set[str], beginning: str) -> None:
    element.tag = element.tag.removeprefix(SVG)
    element.text, element.tail = (_words(text) for text in (element.text, element.tail))
    attributes = {}
    for name, value in element.attrib.items():
        if name == "id" and value in used:
            attributes[name] = f"{beginning}-{value}"
        elif name == HREF:
            attributes["href"] = value.replace("#", f"#{beginning}-")
        elif name == "d":
            attributes[name] = shorter(value)
        elif name != "id" and not value.startswith("rotate(-0 "):
            attributes[name] = _value(value, beginning)
    element.attrib = attributes


def _words(text: str | None) -> str | None:
    return text if text and text.strip() else None


def _value(value: str, beginning: str) -> str:
    """Return an attribute with the page's colours and font, rounded, and with its own names."""
    value = value.replace("url(#", f"url(#{beginning}-")
    value = re.sub(r" font-family: [^;]*;", "", value)
    value = re.sub(r"#[0-9a-f]{6}\b", lambda found: _colour(found[0]), value)
    return re.sub(r"-?\d+\.\d{3,}", lambda found: f"{round(float(found[0]), 2):g}", value)


def shorter(path: str) -> str:
    """Return a path whose corners are numbers of one digit, and its level and upright lines short.

    Examples
    --------
    >>> shorter("M 41.4 -212.25 L 41.4 -211.98 L 43.47 -211.98 z")
    'M41.4 -212.2V-212H43.5z'
    """
    made: list[str] = []
    before = ["", ""]
    for command, numbers in re.findall(r"([A-Za-z])([^A-Za-z]*)", path):
        points = [f"{round(float(number), 1):g}" for number in numbers.split()]
        if command == "L" and points[0] == before[0]:
            made.append(f"V{points[1]}" if points[1] != before[1] else "")
        elif command == "L" and points[1] == before[1]:
            made.append(f"H{points[0]}")
        else:
            made.append(command + " ".join(points))
        before = points[-2:] or before
    return "".join(made)


def _colour(hexadecimal: str) -> str:
    return f"var({NAMES[hexadecimal]})" if hexadecimal in NAMES else hexadecimal
