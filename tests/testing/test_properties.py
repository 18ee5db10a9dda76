"""`minihf_property`: as many examples as the profile says, and a line that runs a failure again."""

import re

import numpy as np
import pytest
from hypothesis import assume
from hypothesis import strategies as st

from minihf.testing import (
    CheckFailure,
    check_adjoint,
    minihf_property,
    profile,
    replay,
    use_profile,
)
from minihf.testing.properties import load_profile
from minihf.testing.strategies import networks, problems, spd_operators

DENSE = networks(["dense"])


@minihf_property(problem=problems(DENSE))
def narrow_networks_only(problem):
    assert problem.net.layers["0"].out_features < 2, "too wide"


@minihf_property(problem=problems(DENSE))
def wrong_adjoint(problem):
    check_adjoint(problem.lin.jvp, lambda u: 2 * problem.lin.vjp(u), problem.v, problem.u)


@minihf_property(spd_operators("linear"))
def positional(A):
    assert A.size < 3, "too large"


def failure_of(test, kind=AssertionError):
    with pytest.raises(kind) as caught:
        test()
    return caught.value


def lines_of(error):
    return [note for note in error.__notes__ if note.startswith("again: ")]


def replayed(error):
    (line,) = lines_of(error)
    call = re.fullmatch(r"again: minihf\.testing\.replay\((.*)\)", line)[1]
    return eval(call)


@pytest.fixture
def chosen():
    before = profile().name
    yield use_profile
    use_profile(before)


@pytest.mark.parametrize("test", [narrow_networks_only, wrong_adjoint, positional])
def test_the_line_of_a_failure_runs_the_test_again_on_the_smallest_example(test):
    failure = failure_of(test)
    line = replayed(failure)
    assert line.startswith(f"load('tests/testing/test_properties.py:{test.__name__}')(")
    with pytest.raises(AssertionError) as again:
        replay(line)
    assert type(again.value).__name__ == type(failure).__name__
    assert str(again.value).splitlines()[0] == str(failure).splitlines()[0]


def test_the_example_is_the_smallest():
    line = replayed(failure_of(narrow_networks_only))
    assert line.endswith(
        "(problem=Problem(Sequential(Dense(1, 2)), 'N 1', SquaredError(), sizes=dict(N=1)))"
    )


def test_a_failed_check_stays_a_failed_check():
    failure = failure_of(wrong_adjoint, CheckFailure)
    assert failure.rung == "adjoint"


def test_the_decorated_test_runs_once_on_arguments_that_are_given():
    seen = []

    @minihf_property(n=st.integers(0, 3))
    def look(n):
        seen.append(n)

    look(n=77)
    assert seen == [77]
    look()
    assert set(seen[1:]) <= {0, 1, 2, 3}


@pytest.mark.parametrize(("name", "at_most"), [("dev", 10), ("ci", 50)])
def test_the_profile_says_how_many_examples_are_drawn(name, at_most, chosen):
    chosen(name)
    seen = []

    @minihf_property(n=st.integers(0, 2**32))
    def look(n):
        seen.append(n)

    look()
    assert len(seen) == at_most


def test_under_ci_the_examples_are_the_same_every_time(monkeypatch, chosen):
    def seen(name):
        chosen(name)
        drawn = []

        @minihf_property(n=st.integers(0, 2**64))
        def look(n):
            drawn.append(n)

        look()
        return drawn

    monkeypatch.setenv("CI", "true")
    assert seen("dev") == seen("dev")
    monkeypatch.delenv("CI")
    assert seen("dev") != seen("dev")


def test_a_rejected_example_is_no_failure():
    @minihf_property(n=st.integers(0, 9))
    def look(n):
        assume(n > 2)

    look()


@minihf_property(n=st.integers(1, 4))
def test_fixtures_stand_beside_what_is_drawn(backend, n):
    assert backend in ("numpy", "strict", "cupy")
    assert np.arange(n).size == n


def test_what_cannot_be_written_leaves_no_line():
    @minihf_property(thing=st.just(object()))
    def local(thing):
        raise AssertionError

    assert lines_of(failure_of(local)) == []


def test_no_profile_of_that_name_is_refused():
    from hypothesis.errors import InvalidArgument

    with pytest.raises(InvalidArgument, match="minihf-fast"):
        load_profile("fast")
