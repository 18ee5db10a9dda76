"""How to read a report's figures, in words below their headings.

Called by the sections.
"""

from __future__ import annotations

from minihf.experiments.portrait import CASES, PROBES, STEPS
from minihf.experiments.report.blocks import RATIOS
from minihf.experiments.report.errors import BEYOND

__all__ = [
    "CONFUSION",
    "ERRORS",
    "LAST_UPDATE",
    "MEDIANS",
    "NO_CURVATURE",
    "POINT",
    "RATIO",
    "SPECTRA",
]

MEDIANS = (
    "Curves are medians over the seeds, bands reach from the smallest to the largest value, and "
    "both end where the first run does."
)
ERRORS = (
    "Solid: training, dashed: test, of the cases that looks measure; a value holds until the next "
    "look. A curve that leaves the "
    f"figure at its top is not finite, or above {BEYOND} times the errors at the beginning."
)
POINT = "Point at a figure, or focus it and press the arrow keys, to read its values."
CONFUSION = "How many test cases of a label (row) got an answer (column)."
LAST_UPDATE = (
    "Values are of the last update before each look; curves hold them until the next look, strips "
    "reach back to the one before."
)
RATIO = (
    "The reduction ratio ρ is the change of the objective over the one that the quadratic "
    f"foretold, from {RATIOS[0]:g} to {RATIOS[1]:g}: a curve that leaves the figure is beyond."
)
SPECTRA = (
    "Density of the eigenvalues of each block of the Gauss-Newton matrix, with integral 1, on the "
    f"first {CASES} training cases at most, at the parameters that the last errors are of. Blocks "
    f"are those of the task, for all methods. Estimated by Lanczos' method ({PROBES} random "
    f"vectors, {STEPS} products each) and smoothed by a hundredth of the block's range: a hump "
    "that stands alone is one eigenvalue or a few."
)
NO_CURVATURE = "no eigenvalue above 0 was found, so that there is nothing to draw."
