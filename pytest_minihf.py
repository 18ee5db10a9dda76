"""The pytest plugin: ``pytest --minihf-profile nightly``, and failed checks without a traceback.

A module of its own beside the package, for pytest loads it in every project of an environment that
has minihf: this file imports nothing of the library until it is asked to.
"""

from __future__ import annotations

import importlib.util
import sys
import warnings
from collections.abc import Generator
from typing import Any

import pytest


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the option."""
    parser.getgroup("minihf").addoption(
        "--minihf-profile", metavar="NAME",
        help="how many cases minihf's checks look at, and how many examples its property tests "
        "draw: dev, ci, grade or nightly (default: $MINIHF_PROFILE, else dev)",
    )  # fmt: skip


@pytest.hookimpl(tryfirst=True)
def pytest_configure(config: pytest.Config) -> None:
    """Choose the profile, for the checks and for Hypothesis; pytest-xdist's workers do it, too."""
    name = config.getoption("minihf_profile")
    if name is None:
        return
    from minihf.testing import use_profile

    try:
        use_profile(name)
    except ValueError as error:
        raise pytest.UsageError(f"--minihf-profile: {error}") from None
    if importlib.util.find_spec("hypothesis") is not None:
        from minihf.testing.properties import load_profile

        load_profile(name)                           # --hypothesis-profile comes later, and wins


def pytest_report_header(config: pytest.Config) -> str | None:
    """Say the profile and the backend, in a run that has to do with minihf."""
    if "minihf.testing" not in sys.modules:
        return None
    import minihf
    from minihf.testing import profile

    try:
        with warnings.catch_warnings(action="ignore"):         # the reason stands in the line
            device, chosen = minihf.device(), profile()
    except (RuntimeError, ValueError) as error:
        return f"minihf: {error}"
    return (
        f"minihf: profile {chosen.name} ({chosen.cases} cases, {chosen.examples} examples), "
        f"backend {device}"
    )


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[Any]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Show a failed check by its own words: they say more than the way to the line they came from.

    With a traceback that is asked for, as by ``--tb=short``, pytest's own report stays.
    """
    report = yield
    failure = sys.modules.get("minihf.testing.failure")
    options = item.config.option
    if (
        failure is not None
        and call.excinfo is not None
        and isinstance(call.excinfo.value, failure.CheckFailure)
        and report.failed
        and options.tbstyle == "auto"
        and not options.fulltrace
    ):
        shown: Any = call.excinfo.getrepr(style="value", chain=False)
        for note in getattr(call.excinfo.value, "__notes__", ()):
            shown.addsection("again" if note.startswith("again: ") else "note", note, sep="-")
        report.longrepr = shown
    return report
