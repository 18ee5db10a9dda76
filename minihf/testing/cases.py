"""Cases: which sizes and which seed a check looks at, how many, and the smallest that fails.

A case is a size for each name and a seed for everything else. It holds no arrays: whoever has the
case has the arrays, on every machine. The number of cases is the profile's: `PROFILES`.

Called by the ladder.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

__all__ = ["PROFILES", "Case", "Profile", "plan", "profile", "shrink", "use_profile"]


@dataclass(frozen=True)
class Profile:
    """How thoroughly to look.

    Attributes
    ----------
    name : str
    cases : int
        Cases per check.
    examples : int
        Examples that Hypothesis draws per property test.
    largest : int
        The largest size of a named axis.
    """

    name: str
    cases: int
    examples: int
    largest: int


PROFILES: Mapping[str, Profile] = {
    "dev": Profile("dev", cases=6, examples=10, largest=3),
    "ci": Profile("ci", cases=12, examples=50, largest=4),
    "grade": Profile("grade", cases=25, examples=100, largest=5),
    "nightly": Profile("nightly", cases=150, examples=500, largest=6),
}
"""By name: while writing, in continuous integration, to grade an assignment, over night."""

_profile: Profile | None = None


def use_profile(name: str) -> Profile:
    """Choose how many cases the checks look at: ``dev``, ``ci``, ``grade`` or ``nightly``.

    Without a call, the environment variable ``MINIHF_PROFILE`` decides, else ``dev``.

    Raises
    ------
    ValueError
        If there is no such profile.
    """
    global _profile
    if name not in PROFILES:
        raise ValueError(f"unknown profile {name!r}; choose one of: {', '.join(PROFILES)}")
    _profile = PROFILES[name]
    return _profile


def profile() -> Profile:
    """Return the profile in use."""
    if _profile is not None:
        return _profile
    return use_profile(os.environ.get("MINIHF_PROFILE", "dev"))


@dataclass(frozen=True)
class Case:
    """A size for each name, and a seed."""

    sizes: Mapping[str, int]
    seed: int

    def rng(self) -> np.random.Generator:
        """Return the generator that everything in this case is drawn from."""
        return np.random.default_rng(self.seed)

    def __str__(self) -> str:
        sizes = [f"{name} = {size}" for name, size in self.sizes.items()]
        return ", ".join([*sizes, f"seed {self.seed}"])


def plan(
    names: Sequence[str],
    sizes: Mapping[str, int] | None = None,
    seed: int = 0,
    count: int | None = None,
) -> list[Case]:
    """Choose cases: different sizes, all sizes 1, each size 1 alone, then drawn ones.

    With `sizes` for all names there is one case.

    Raises
    ------
    ValueError
        If `sizes` are not those of the names, or not whole numbers from 1; likewise `count`, and
        `seed` from 0.
    """
    for what, number, least in (("cases", count, 1), ("seed", seed, 0)):
        if number is not None and not (isinstance(number, int | np.integer) and number >= least):
            raise ValueError(f"{what} must be a whole number from {least}, got {number!r}")
    given = dict(sizes or {})
    unknown = [name for name in given if name not in names]
    if unknown:
        raise ValueError(
            f"sizes has {', '.join(unknown)}; the shapes name {', '.join(names) or 'no sizes'}"
        )
    for name, size in given.items():
        if not isinstance(size, int) or size < 1:
            raise ValueError(f"size {name} must be a whole number from 1, got {size!r}")
    if sizes is not None and len(given) == len(names):
        return [Case(given, seed)]
    count, largest = count or profile().cases, profile().largest
    rng = np.random.default_rng(seed)
    free = [name for name in names if name not in given]
    drawn: list[dict[str, int]] = [{name: 2 + i for i, name in enumerate(free)}]
    if free:
        drawn.append(dict.fromkeys(free, 1))
        drawn += [dict.fromkeys(free, 2) | {name: 1} for name in free if len(free) > 1]
    while len(drawn) < count:
        drawn.append({name: int(rng.integers(1, largest + 1)) for name in free})
    return [
        Case({name: (given | some)[name] for name in names}, seed + i)
        for i, some in enumerate(drawn[:count])
    ]


def shrink(case: Case, fails: Callable[[Case], bool]) -> Case:
    """Return a case no larger that fails, too: smallest sizes first, then the smallest seed."""
    while (smaller := next(filter(fails, _smaller(case)), None)) is not None:
        case = smaller
    return case


def _smaller(case: Case) -> Iterator[Case]:
    for name, size in case.sizes.items():
        for less in range(1, size):
            yield replace(case, sizes={**case.sizes, name: less})
    for seed in range(min(case.seed, 3)):
        yield replace(case, seed=seed)
