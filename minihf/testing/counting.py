"""Counting matrix products: a cost that is the same on every machine and in every run.

Called by tests and by the book.
"""

from minihf.experiments.bench.counts import Gemms, count_gemms

__all__ = ["Gemms", "count_gemms"]
