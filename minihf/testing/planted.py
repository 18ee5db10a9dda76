"""Planted bugs: mistakes that people make, made on purpose, to see that each is found and named.

Called by the diagnosis and by tests.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from minihf.backend import Array

__all__ = ["name_the_bug"]


def name_the_bug(
    x: Sequence[Array], y: np.ndarray, rule: str, result: Callable[[Any], Any], found: np.ndarray
) -> str | None:
    """Return the diagnosis of the planted bug that has the same result, if there is one."""
    return None
