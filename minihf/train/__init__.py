"""Training: the loop and its record."""

from minihf.train.fit import fit
from minihf.train.history import History

__all__ = ["History", "fit"]
