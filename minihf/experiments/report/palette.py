"""Colours: what is drawn in one on a page is drawn by its name, so that a dark page has its own.

Called by drawing, which uses the light ones, and by the page, whose style has both.
"""

from __future__ import annotations

from collections.abc import Mapping

__all__ = ["GRID", "INK", "NAMES", "PAPER", "SOFT", "colour", "series", "style"]

INK = "#1b1e23"
GRID = "#d9dce1"
PAPER = "#ffffff"
SOFT = "#5f646c"
TINT = "#f4f5f7"

SERIES: Mapping[str, str] = {
    "#2788fa": "#9fc4fd",
    "#a5101e": "#b17429",
    "#029c74": "#42bc80",
    "#6e0378": "#c45c9e",
    "#b97d00": "#dfd872",
    "#7e013a": "#fdb0cb",
    "#209094": "#1cece3",
    "#4644b0": "#a784df",
    "#3a4300": "#c5a546",
    "#5d6673": "#a5aebb",
}
"""Each on light paper, and on dark; the first six differ in lightness too where only hues that some
eyes mix up would tell them apart.
"""

NAMES: Mapping[str, str] = {
    INK: "--ink",
    GRID: "--grid",
    PAPER: "--paper",
    SOFT: "--soft",
    TINT: "--tint",
    **{light: f"--series-{i}" for i, light in enumerate(SERIES)},
}
"""What the page's style calls a colour."""

DARK: Mapping[str, str] = {
    INK: "#e6e8eb", GRID: "#3a3f47", PAPER: "#14161a", SOFT: "#9aa1ab", TINT: "#1f2228",
    **SERIES,
}


def series(i: int) -> int:
    """Return which colour the i-th of several things has; after the last one they begin again."""
    return i % len(SERIES)


def colour(i: int) -> str:
    """Return the colour of the i-th of several things, on light paper."""
    return list(SERIES)[series(i)]


def style() -> str:
    """Return the colours as a style sheet: light ones, and dark ones where one wants these."""

    def named(dark: bool) -> str:
        return " ".join(f"{name}: {DARK[c] if dark else c};" for c, name in NAMES.items())

    return (
        f":root {{ {named(False)} }}\n"
        f"@media screen and (prefers-color-scheme: dark) {{ :root {{ {named(True)} }} }}\n"
        + "".join(f".s{i} {{ --hue: var(--series-{i}); }}\n" for i in range(len(SERIES)))
    )
