"""Images and what networks make of them: rows of pictures, ink on paper.

Called by the sections.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from io import BytesIO

import numpy as np

from minihf.experiments.portrait import Portrait

__all__ = ["Picture", "reconstructions"]

MOST = 10
"""Images in a row."""

TALL = 84
"""Pixels to which small images are enlarged, by whole numbers."""

GAP = 2
"""Pixels of an image between two of them."""


@dataclass(frozen=True)
class Picture:
    """A row of images: its label, what it is for those who do not see it, and a PNG."""

    label: str
    alternative: str
    png: bytes


def reconstructions(portraits: Mapping[str, Portrait]) -> Iterator[Picture]:
    """Yield test images, and below them what each network makes of them.

    The test images come again where another network has others.
    """
    above = None
    for name, portrait in portraits.items():
        if "images" not in portrait:
            continue
        originals, output = portrait["images"][:, :MOST]
        if above is None or not np.array_equal(above, originals):
            yield Picture("test images", f"{len(originals)} test images", _row(originals))
        above = originals
        yield Picture(name, f"the same images, reconstructed by {name}", _row(output))


def _row(images: np.ndarray) -> bytes:
    """Return images (N, H, W) with values in [0, 1] side by side, as a PNG; 1 is ink.

    Values outside are cut, and what is no number is paper.
    """
    from matplotlib.image import imsave

    ink = np.clip(np.nan_to_num(images, nan=0.0, posinf=1.0, neginf=0.0), 0, 1)
    padded = np.pad(ink, ((0, 0), (0, 0), (0, GAP)))
    row = np.concatenate(list(padded), axis=1)[:, :-GAP]
    times = max(1, TALL // len(row))
    enlarged = np.kron(row, np.ones((times, times)))
    buffer = BytesIO()
    imsave(buffer, enlarged, cmap="gray_r", vmin=0, vmax=1, format="png")
    return buffer.getvalue()
