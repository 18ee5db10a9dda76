"""`minihf_property`: Hypothesis with the profile in use, and a line that runs a failure again.

    @minihf_property(problem=problems())
    def test_the_product_is_symmetric(problem):
        ...

A failure's last words are then a call of `minihf.testing.replay` that runs this test on this
example, in any shell: no database, no seed to set, no test runner. It works because the examples
are lines of text (see `minihf.testing.problem`), and because the decorated function can be called
with explicit arguments like any other.

Hypothesis is imported when it is needed: `minihf.testing` works without it.
"""

from __future__ import annotations

import inspect
import os
from collections.abc import Callable, Mapping
from functools import wraps
from typing import Any

from minihf.testing.cases import PROFILES, Profile, profile
from minihf.testing.replay import written

__all__ = ["load_profile", "minihf_property", "register_profiles"]


def minihf_property(*strategies: Any, **named: Any) -> Callable[[Callable[..., Any]], Any]:
    """Decorate a test as ``hypothesis.given`` does, with the profile that is in use.

    The profile (`minihf.testing.use_profile`, ``pytest --minihf-profile``) says how many examples
    are drawn. There is no deadline. Under CI, where the environment has ``CI``, every run draws the
    same examples, so that a failure belongs to the change at hand; `nightly` stays random.

    Parameters
    ----------
    *strategies, **named : SearchStrategy
        For the last parameters of the test, or by name. Other parameters are pytest's fixtures.

    Raises
    ------
    ModuleNotFoundError
        If Hypothesis is not installed.

    Notes
    -----
    With all its drawn arguments given, the decorated function runs the test on them, once.

    Examples
    --------
    >>> from minihf.testing import minihf_property
    >>> from minihf.testing.strategies import spd_operators
    >>> @minihf_property(A=spd_operators("clustered"))
    ... def curvature_is_positive(A):
    ...     assert A.b @ (A @ A.b) > 0
    >>> curvature_is_positive()
    """
    given, settings = hypothesis().given, hypothesis().settings
    no_failures = hypothesis().errors.HypothesisException

    def decorate(test: Callable[..., Any]) -> Any:
        names = list(inspect.signature(test).parameters)
        drawn = dict(zip(names[len(names) - len(strategies) :], strategies, strict=True)) | named

        def noting(*args: Any, **arguments: Any) -> Any:
            __tracebackhide__ = True
            try:
                return test(*args, **arguments)
            except no_failures:
                raise
            except Exception as error:
                if not args and arguments.keys() == drawn.keys():
                    _note(error, run, arguments)
                raise

        wraps(test)(noting)
        code = test.__code__                         # where Hypothesis says that tracebacks begin
        noting.__code__ = noting.__code__.replace(
            co_filename=code.co_filename, co_firstlineno=code.co_firstlineno, co_name=code.co_name
        )
        looking = settings(**_settings(profile()))(given(**drawn)(noting))

        @wraps(looking)
        def run(*args: Any, **arguments: Any) -> Any:
            __tracebackhide__ = True
            if drawn.keys() <= arguments.keys():
                return test(*args, **arguments)
            return looking(*args, **arguments)

        run.__qualname__ = test.__qualname__         # Hypothesis hides it; `written` needs it
        return run

    return decorate


def _note(error: Exception, test: Any, arguments: Mapping[str, Any]) -> None:
    """Add the line that runs the test again, if it can be written."""
    words = [written(test), *(written(value) for value in arguments.values())]
    if None in words:
        return
    given = ", ".join(f"{key}={word}" for key, word in zip(arguments, words[1:], strict=True))
    error.add_note(f"again: minihf.testing.replay({f'{words[0]}({given})'!r})")


def register_profiles() -> None:
    """Tell Hypothesis the profiles: ``minihf-dev``, ``minihf-ci``, ``minihf-grade`` and so on."""
    for name, each in PROFILES.items():
        hypothesis().settings.register_profile(f"minihf-{name}", **_settings(each))


def load_profile(name: str) -> None:
    """Register the profiles, and make one the default of all property tests."""
    register_profiles()
    hypothesis().settings.load_profile(f"minihf-{name}")


def _settings(each: Profile) -> dict[str, Any]:
    """Return Hypothesis's settings for a profile.

    No deadline: the first call pays for imports and allocations, and a busy machine is no bug. One
    failure at a time, without a hundred more runs to explain it, and no encoded example: the line
    to run it again is better.
    """
    return {
        "max_examples": each.examples,
        "deadline": None,
        "derandomize": bool(os.environ.get("CI")) and each.name != "nightly",
        "phases": [phase for phase in hypothesis().Phase if phase.name != "explain"],
        "print_blob": False,
        "report_multiple_bugs": False,
    }


def hypothesis() -> Any:
    """Import Hypothesis, or say how to get it."""
    try:
        import hypothesis
        import hypothesis.strategies
    except ModuleNotFoundError as error:
        if error.name != "hypothesis":
            raise
        raise ModuleNotFoundError(
            "property tests need Hypothesis: pip install 'minihf[testing]'", name="hypothesis"
        ) from None
    return hypothesis
