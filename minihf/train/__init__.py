"""Training: the loop and its record."""

from minihf.train.fit import fit
from minihf.train.history import History
from minihf.train.looks import Looks

__all__ = ["History", "Looks", "fit"]
