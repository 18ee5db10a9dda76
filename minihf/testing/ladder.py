"""The ladder: rungs from the weakest demand to the strongest, climbed until one breaks.

A rung looks at a subject (an op, a network, a loss in one case) and gives findings. Each rung is
climbed in all cases before the next is tried. At the first broken finding the case is made as small
as it goes, all cases that fail likewise are asked what the mistake has in common, and that is what
`CheckFailure` says.

Called by `minihf.testing.checks`.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np

from minihf.testing.cases import Case, shrink
from minihf.testing.diagnosis import diagnose
from minihf.testing.failure import CheckFailure, Finding, Verdict
from minihf.testing.measure import error_of, norm

__all__ = ["Raised", "Rung", "calling", "climb"]


@dataclass(frozen=True)
class Rung:
    """A demand: its name, what should hold, and a function of a subject that yields findings."""

    name: str
    says: str
    look: Callable[[Any], Iterable[Finding]]


class Raised(Exception):
    """A rule raised an exception: which rule, and what."""

    def __init__(self, rule: str, error: BaseException) -> None:
        self.rule, self.error = rule, error


@contextmanager
def calling(rule: str) -> Iterator[None]:
    """Note which rule of the subject is running, should it raise."""
    try:
        yield
    except Raised:
        raise
    except (Exception, SystemExit) as error:
        raise Raised(rule, error) from error


def climb(
    what: str,
    rungs: Sequence[Rung],
    subject: Callable[[Case], Any],
    cases: Sequence[Case],
    reproduce: Callable[[Case], str],
) -> Verdict:
    """Climb all rungs in all cases, or raise the first `CheckFailure`.

    Parameters
    ----------
    what : str
        The name of the thing, for messages.
    rungs : sequence of Rung
    subject : callable of Case
        Makes what the rungs look at; everything drawn comes from the case's seed.
    cases : sequence of Case
    reproduce : callable of Case
        Gives the line that runs one case again.
    """
    __tracebackhide__ = True
    subjects: dict[str, Any] = {}
    climbed: list[tuple[str, str, float, float]] = []

    def look(rung: Rung, case: Case) -> Iterator[Finding]:
        try:
            if str(case) not in subjects:
                subjects[str(case)] = subject(case)
            yield from rung.look(subjects[str(case)])
        except Raised as raised:
            yield _finding_of(raised)
        except SystemExit as error:                             # outside of all rules: in a maker
            yield _finding_of(Raised(what, error))

    with warnings.catch_warnings():
        # Only a warning, for NumPy; but the derivative that the complex step asks for is lost.
        warnings.simplefilter("error", np.exceptions.ComplexWarning)
        for rung in rungs:
            worst, limit, held = 0.0, 0.0, [name for name, *_ in climbed]
            for case in cases:
                for finding in look(rung, case):
                    if finding.broken:
                        failure = _failure(what, rung, finding, case, cases, look, reproduce, held)
                        raise failure from finding.cause
                    if finding.limit and finding.error / finding.limit >= worst / (limit or 1.0):
                        worst, limit = finding.error, finding.limit
            climbed.append((rung.name, rung.says, worst, limit))
    return Verdict(what, len(cases), tuple(climbed))


def _failure(
    what: str,
    rung: Rung,
    finding: Finding,
    case: Case,
    cases: Sequence[Case],
    look: Callable[[Rung, Case], Iterator[Finding]],
    reproduce: Callable[[Case], str],
    passed: Sequence[str],
) -> CheckFailure:
    """Make the case small, and find out what is wrong."""

    def broken_in(other: Case) -> Finding | None:
        found = (f for f in look(rung, other) if f.broken)
        return next((f for f in found if f.where == finding.where), None)

    small = shrink(case, lambda smaller: broken_in(smaller) is not None)
    smallest = broken_in(small) or finding
    diagnosis = smallest.why
    if not diagnosis and finding.evidence is not None:
        all_broken = [f for f in map(broken_in, cases) if f is not None and f.evidence is not None]
        diagnosis = diagnose([f.evidence() for f in all_broken if f.evidence is not None])
    shown, error = None, smallest.error
    if smallest.evidence is not None:
        shown = smallest.evidence()
        size = norm(shown.expected)
        error = error_of(shown.found, shown.expected, size)
    return CheckFailure(
        what=what,
        rung=rung.name,
        says=rung.says,
        where=finding.where,
        error=error,
        limit=finding.limit,
        case=small,
        diagnosis=diagnosis,
        reproducer=reproduce(small),
        found=None if shown is None else shown.found,
        expected=None if shown is None else shown.expected,
        passed=passed,
    )


def _finding_of(raised: Raised) -> Finding:
    error = raised.error
    if isinstance(error, np.exceptions.ComplexWarning):
        return Finding(
            raised.rule, np.inf, 0.0, cause=error,
            why="not complex-safe: a complex value is written into a real array, and its "
            "derivative is lost; make buffers of the result type of all inputs",
        )  # fmt: skip
    said = f"{type(error).__name__}: {error}".splitlines()[0]
    return Finding(raised.rule, np.inf, 0.0, f"it raised {said}", cause=error)
