"""The figures and pictures of a report: each put into the page, and kept for a file of its own.

Called by the sections, which fill it, and by the page, which writes the files.
"""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Callable, Iterable, Sequence
from itertools import chain, count
from pathlib import Path
from xml.etree.ElementTree import Element

from minihf.experiments.files import file_name
from minihf.experiments.report.markup import node
from minihf.experiments.report.panels import Drawing, Key
from minihf.experiments.report.png import png_of
from minihf.experiments.report.svg import inline
from minihf.files import whole

__all__ = ["Gallery", "legend"]

class Gallery:
    """Figures by the names of their files, in the order of the page."""

    def __init__(self) -> None:
        self._files: dict[str, Callable[[], bytes]] = {}

    def __len__(self) -> int:
        return len(self._files)

    def figure(self, drawing: Drawing, *owners: str) -> Element:
        """Put a figure into the page; its file is named by its owners and by itself."""
        name = self._name(*owners, drawing.name)
        self._files[name] = lambda: png_of(drawing)
        return node("figure", inline(drawing, f"figure-{len(self)}"))

    def figures(
        self, drawings: Iterable[Drawing], *owners: str, last: Drawing | None = None
    ) -> Sequence[Element]:
        """Put figures into the page, side by side, below the legend that they have in common.

        The legend of a last one, which has others, is in its figure.
        """
        drawings = list(drawings)
        keys = dict.fromkeys(key for drawing in drawings for key in drawing.keys)
        figures = [self.figure(drawing, *owners) for drawing in drawings]
        if last is not None:
            figures.append(self.figure(last, *owners))
            figures[-1].append(legend(last.keys))
        common = [legend(keys)] if keys else []
        return [*common, node("div", *figures, class_="figures")] if figures else []

    def picture(self, png: bytes, alternative: str, *owners: str) -> Element:
        """Put a PNG into the page."""
        self._files[self._name(*owners)] = lambda: png
        source = f"data:image/png;base64,{b64encode(png).decode()}"
        width, height = (int.from_bytes(png[at : at + 4], "big") for at in (16, 20))
        return node("img", src=source, alt=alternative, width=width, height=height)

    def write(self, folder: Path) -> None:
        """Write the files, each whole or not at all."""
        for name, png in self._files.items():
            with whole(folder / f"{name}.png") as part:
                part.write_bytes(png())

    def _name(self, *words: str) -> str:
        name = file_name("-".join(word.replace(", ", "-").replace(" ", "-") for word in words))
        numbered = chain([name], (f"{name}-{number}" for number in count(2)))
        return next(free for free in numbered if free not in self._files)


def legend(keys: Iterable[Key]) -> Element:
    """Return a legend as a list."""
    return node("ul", *(node("li", _swatch(key), key.name) for key in keys), class_="keys")


def _swatch(key: Key) -> Element:
    hue = "dashed" if key.dashed else "" if key.series is None else f"s{key.series}"
    return node("i", class_=f"swatch {hue}".strip())


