"""Rules that are right are never accused, however many cases are looked at."""

import pytest

from minihf.testing.builtin import BUILTIN

ENOUGH = 2000
EACH = 30  # of every row


@pytest.mark.slow
def test_no_correct_case_is_accused():
    assert sum(row.check(cases=EACH, seed=1000).cases for row in BUILTIN.values()) >= ENOUGH
