"""Cases: the edges are among them, they fit the profile, and a failing one shrinks to the least."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from minihf.testing import PROFILES, cases
from minihf.testing.cases import Case, plan, profile, shrink, use_profile

TWO = ("N", "D")


@pytest.fixture(autouse=True)
def same_profile_afterwards(monkeypatch):
    monkeypatch.setattr(cases, "_profile", None)
    monkeypatch.delenv("MINIHF_PROFILE", raising=False)


def test_different_sizes_come_first_then_ones_then_each_one_alone():
    first, ones, *alone = (case.sizes for case in plan("NTD")[:5])
    assert len(set(first.values())) == 3
    assert ones == {"N": 1, "T": 1, "D": 1}
    assert alone == [{"N": 1, "T": 2, "D": 2}, {"N": 2, "T": 1, "D": 2}, {"N": 2, "T": 2, "D": 1}]


@pytest.mark.parametrize("name", PROFILES)
def test_a_profile_says_how_many_and_how_large(name):
    use_profile(name)
    drawn = plan(TWO)
    assert len(drawn) == PROFILES[name].cases
    assert {case.seed for case in drawn} == set(range(len(drawn)))
    sizes = {size for case in drawn for size in case.sizes.values()}
    assert sizes <= set(range(1, max(3, PROFILES[name].largest) + 1))
    assert plan(TWO) == drawn


def test_the_environment_chooses_unless_a_call_did(monkeypatch):
    assert profile().name == "dev"
    monkeypatch.setattr(cases, "_profile", None)
    monkeypatch.setenv("MINIHF_PROFILE", "grade")
    assert profile().name == "grade"
    assert use_profile("ci").name == profile().name == "ci"
    with pytest.raises(ValueError, match="unknown profile 'weekly'; choose one of: dev, ci, grade"):
        use_profile("weekly")


def test_all_sizes_given_is_one_case_and_some_are_held():
    assert plan(TWO, {"N": 4, "D": 7}, seed=9) == [Case({"N": 4, "D": 7}, 9)]
    assert {case.sizes["N"] for case in plan(TWO, {"N": 4})} == {4}
    assert len({case.sizes["D"] for case in plan(TWO, {"N": 4})}) > 1
    assert [case.sizes for case in plan((), count=2)] == [{}, {}]


@pytest.mark.parametrize(
    ("sizes", "message"),
    [
        ({"K": 2}, "sizes has K; the shapes name N, D"),
        ({"N": 0}, "size N must be a whole number from 1, got 0"),
        ({"N": 1.5}, "size N must be a whole number from 1, got 1.5"),
    ],
)
def test_sizes_that_do_not_fit_are_refused(sizes, message):
    with pytest.raises(ValueError, match=message):
        plan(TWO, sizes)


@given(
    least=st.dictionaries(st.sampled_from("NTD"), st.integers(1, 5), min_size=3),
    more=st.integers(0, 3),
    seed=st.integers(0, 10**6),
)
def test_shrinking_finds_the_least_failing_sizes(least, more, seed):
    start = Case({name: size + more for name, size in least.items()}, seed)

    def fails(case):
        return all(case.sizes[name] >= size for name, size in least.items())

    smallest = shrink(start, fails)
    assert smallest.sizes == least
    assert smallest.seed == 0


def test_shrinking_keeps_a_case_that_alone_fails():
    start = Case({"N": 3}, 8)
    assert shrink(start, lambda case: case == start) == start
    assert str(start) == "N = 3, seed 8"


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"count": 2.5}, "cases must be a whole number from 1, got 2.5"),
        ({"count": 0}, "cases must be a whole number from 1, got 0"),
        ({"seed": -1}, "seed must be a whole number from 0, got -1"),
        ({"seed": "a"}, "seed must be a whole number from 0, got 'a'"),
    ],
)
def test_numbers_of_cases_and_seeds_are_whole(options, message):
    with pytest.raises(ValueError, match=message):
        plan(TWO, **options)
