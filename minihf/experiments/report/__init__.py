"""The report: one page of HTML of all runs below a folder, and its figures as PNG.

    reading -> comparisons -> panels (errors, blocks, spectra), confusions, pictures
            -> drawing, svg -> sections, captions -> page

What is read is a run directory by the names of its files; what is written is a page that needs
nothing beside it. Called by ``minihf report``.
"""

from minihf.experiments.report.page import report

__all__ = ["report"]
