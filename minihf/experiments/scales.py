"""How much of a task is trained: to see that it works, on a laptop, or as the papers did.

Called by the runner and the studies.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

__all__ = ["SCALES", "Scale"]


@dataclass(frozen=True)
class Scale:
    """How much of a task is trained.

    Attributes
    ----------
    summary : str
        One line for helps.
    budget : mapping
        Of a run, as `minihf.fit` takes it: ``{"seconds": 120.0}``.
    seeds : tuple of int
    cases : int, optional
        The first so many cases of training and test data; without it, all.
    whole : bool
        Whether the whole data set is wanted, where the package has a part of it.
    """

    summary: str
    budget: Mapping[str, float]
    seeds: tuple[int, ...] = (0, 1, 2)
    cases: int | None = None
    whole: bool = False


SCALES: Mapping[str, Scale] = {
    "smoke": Scale("two updates on 200 cases: does it run?", {"updates": 2}, (0,), cases=200),
    "laptop": Scale("minutes on two cores, on the data that the package has", {"seconds": 120.0}),
    "paper": Scale("an hour a run, on whole data sets, for a GPU", {"seconds": 3600.0}, whole=True),
}
