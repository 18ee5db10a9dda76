"""Which cases the curvature is measured on."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from minihf.optim import CycledChunks, Prefix


def batch(N):
    return np.arange(N), -np.arange(N)


@pytest.mark.parametrize(
    ("fraction", "N", "taken"), [(0.25, 8, 2), (0.25, 9, 3), (0.01, 5, 1), (1.0, 5, 5)]
)
def test_a_prefix_is_the_first_part_rounded_up(fraction, N, taken):
    x, y = Prefix(fraction).draw(batch(N), update=3)
    assert x.tolist() == list(range(taken))
    np.testing.assert_array_equal(y, -x)


@given(st.integers(1, 40), st.integers(1, 10))
def test_cycled_chunks_go_through_all_cases_once_and_begin_again(N, count):
    rule, turns = CycledChunks(count), min(count, N)
    drawn = [rule.draw(batch(N), update) for update in range(2 * turns)]
    assert np.concatenate([x for x, _ in drawn[:turns]]).tolist() == list(range(N))
    assert max(len(x) for x, _ in drawn) - min(len(x) for x, _ in drawn) <= 1
    for (x, y), (again, _) in zip(drawn[:turns], drawn[turns:], strict=True):
        assert x.tolist() == again.tolist() == (-y).tolist()


@pytest.mark.parametrize("fraction", [0.0, -0.5, 1.5])
def test_a_prefix_of_nothing_or_too_much_is_refused(fraction):
    with pytest.raises(ValueError, match=r"fraction must be in \(0, 1\]"):
        Prefix(fraction)


def test_no_chunks_are_refused():
    with pytest.raises(ValueError, match="count must be 1 or more, got 0"):
        CycledChunks(0)
