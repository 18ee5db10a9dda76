"""What a check finds and says: findings, a verdict when all is well, a failure when not.

A failure is written for somebody who has never seen this library from inside: which rule, which
term, how wrong, in which smallest case, what it probably is, and one line that runs it again. There
is nothing to learn from its traceback.

Called by the ladder; raised to users.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from minihf.testing.cases import Case

__all__ = ["CheckFailure", "Evidence", "Finding", "Verdict", "holds"]


@dataclass(frozen=True)
class Evidence:
    """A wrong result beside the right one, and the words for what they are.

    Attributes
    ----------
    case : Case
    found, expected : numpy.ndarray
        Of one shape.
    term : str
        What is wrong, as the subject of a sentence: "the `W` term".
    absent : str
        The sentence for a result that is zero: "the tangent of `W` is ignored".
    axes : tuple of str
        The names of the arrays' axes, where they are known.
    differences : callable, optional
        Central differences for the same, to ask whether `expected` is to blame.
    known : callable of numpy.ndarray, optional
        Gives the name of the well-known mistake that has just this result, or several, or None.
    """

    case: Case
    found: np.ndarray
    expected: np.ndarray
    term: str
    absent: str
    axes: tuple[str, ...] = ()
    differences: Callable[[], np.ndarray] | None = None
    known: Callable[[np.ndarray], str | Sequence[str] | None] | None = None


@dataclass(frozen=True)
class Finding:
    """One comparison: where, how wrong, and how wrong it may be.

    `why` is the diagnosis where it is known at once; else `evidence` gives what to make one of.
    """

    where: str
    error: float
    limit: float
    why: str = ""
    evidence: Callable[[], Evidence] | None = None
    cause: BaseException | None = None

    @property
    def broken(self) -> bool:
        """Whether the error is above the limit, or no number at all."""
        return not self.error <= self.limit


def holds(where: str, fact: Any, why: str) -> Finding:
    """Return the finding of a yes-or-no question."""
    return Finding(where, 0.0 if fact else np.inf, 0.0, why)


@dataclass(frozen=True)
class Verdict:
    """All rungs hold. ``str`` gives a table; ``worst`` the largest error of each rung.

    Attributes
    ----------
    what : str
        The thing that was checked.
    cases : int
        How many cases were looked at.
    rungs : tuple of (name, says, worst error, limit)
        Error and limit are 0 where there was nothing to measure.
    """

    what: str
    cases: int
    rungs: tuple[tuple[str, str, float, float], ...] = field(repr=False)

    @property
    def worst(self) -> dict[str, float]:
        """The largest error of each rung."""
        return {name: error for name, _, error, _ in self.rungs}

    def __str__(self) -> str:
        names = max(len(name) for name, *_ in self.rungs)
        words = max(len(says) for _, says, *_ in self.rungs)
        cases = f"{self.cases} case" + "s" * (self.cases != 1)
        lines = [f"{self.what}: all {len(self.rungs)} rungs hold in {cases}"]
        for name, says, error, limit in self.rungs:
            number = f"{error:8.1e}  <= {limit:.0e}" if limit else "      ok"
            lines.append(f"  {name:{names}}  {says:{words}}  {number}")
        return "\n".join(lines)


class CheckFailure(AssertionError):
    """A rung is broken, and this says which, where, how much, and what it probably is.

    Attributes
    ----------
    what : str
        The thing that was checked.
    rung, says : str
        The first broken rung, and what should hold there.
    where : str
        Which result is wrong.
    error, limit : float
        Relative error; infinite for what is wrong without being a number.
    case : Case
        The smallest case that fails.
    diagnosis : str
        What it probably is; empty if nothing simple explains it.
    reproducer : str
        A line that `replay` runs again; empty if the thing cannot be written down.
    found, expected : numpy.ndarray or None
        In the smallest case.
    """

    def __init__(
        self,
        what: str,
        rung: str,
        says: str,
        where: str,
        error: float,
        limit: float,
        case: Case,
        diagnosis: str,
        reproducer: str,
        found: np.ndarray | None = None,
        expected: np.ndarray | None = None,
        passed: Sequence[str] = (),
    ) -> None:
        self.what, self.rung, self.says, self.where = what, rung, says, where
        self.error, self.limit, self.case = error, limit, case
        self.diagnosis, self.reproducer = diagnosis, reproducer
        self.found, self.expected, self.passed = found, expected, tuple(passed)
        super().__init__(str(self))

    def __str__(self) -> str:
        rows = [("where", self.where)]
        if np.isfinite(self.error) and self.limit:
            rows.append(("error", f"{self.error:.1e}, limit {self.limit:.0e}"))
        rows.append(("case", str(self.case)))
        if self.found is not None and self.expected is not None and self.found.size <= 6:
            rows.append(("found", _numbers(self.found)))
            rows.append(("expected", _numbers(self.expected)))
        rows.append(("diagnosis", self.diagnosis or "nothing simple; begin with this small case"))
        line = f"minihf.testing.replay({self.reproducer!r})" if self.reproducer else NO_LINE
        rows.append(("again", line))
        held = f" (held: {', '.join(self.passed)})" if self.passed else ""
        lines = [f"{self.what}: broken at rung {len(self.passed) + 1}, {self.rung}: {self.says}"]
        return "\n".join([lines[0] + held, *(f"  {name:10} {text}" for name, text in rows)])

    def __reduce__(self) -> Any:
        return type(self), (
            self.what, self.rung, self.says, self.where, self.error, self.limit, self.case,
            self.diagnosis, self.reproducer, self.found, self.expected, self.passed,
        )  # fmt: skip


NO_LINE = (
    "no line: what was checked has no repr that makes it again; pass its class, or give it one"
)


def _numbers(x: np.ndarray) -> str:
    return " ".join(f"{number:.6g}" for number in np.ravel(x))
