"""Which cases the curvature is measured on."""

import copy
import dataclasses

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import minihf as hf
from minihf.optim import CycledChunks, Independent, Prefix

pytestmark = pytest.mark.usefixtures("backend")

FIVE_SIGMA = 5 * (0.25 * 0.75 / 2000) ** 0.5      # of a share of one case in 2000 draws


def batch(N):
    return hf.asarray(np.arange(N)), hf.asarray(-np.arange(N))


@pytest.mark.parametrize(
    ("fraction", "N", "taken"), [(0.25, 8, 2), (0.25, 9, 3), (0.01, 5, 1), (1.0, 5, 5)]
)
def test_a_prefix_is_the_first_part_rounded_up(fraction, N, taken):
    x, y = Prefix(fraction).draw(batch(N), update=3, rng=None)
    assert x.tolist() == (-y).tolist() == list(range(taken))


@given(st.integers(1, 40), st.integers(1, 10))
def test_cycled_chunks_go_through_all_cases_once_and_begin_again(N, count):
    rule, turns = CycledChunks(count), min(count, N)
    drawn = [rule.draw(batch(N), update, rng=None) for update in range(2 * turns)]
    assert [int(n) for x, _ in drawn[:turns] for n in x] == list(range(N))
    assert max(len(x) for x, _ in drawn) - min(len(x) for x, _ in drawn) <= 1
    for (x, y), (again, _) in zip(drawn[:turns], drawn[turns:], strict=True):
        assert x.tolist() == again.tolist() == (-y).tolist()


@given(st.integers(1, 40), st.integers(0, 9), st.floats(0.01, 1.0))
def test_independent_draws_some_cases_once_each_and_others_at_the_next_update(N, seed, fraction):
    rng = np.random.default_rng(seed)
    x, y = Independent(fraction).draw(batch(N), update=0, rng=rng)
    assert len(x) == Prefix(fraction).draw(batch(N), update=0, rng=None)[0].size
    x, y = hf.to_host(x), hf.to_host(y)
    assert len(set(x)) == len(x)
    assert set(x) <= set(range(N))
    np.testing.assert_array_equal(y, -x)


def test_in_the_long_run_independent_takes_every_case_equally_often():
    rng, rule = np.random.default_rng(0), Independent(0.25)
    drawn = [hf.to_host(rule.draw(batch(20), update, rng)[0]) for update in range(2000)]
    share = np.bincount(np.concatenate(drawn), minlength=20) / 2000
    np.testing.assert_allclose(share, 0.25, atol=FIVE_SIGMA)


def test_the_optimizers_seed_decides_which_and_going_on_from_a_state_is_going_on(problem, run):
    p = problem()
    opt = dataclasses.replace(hf.papers.zhang2017(lam=0.5), sampling=Independent(0.5))
    through, last, _ = run(opt, p, 4)
    params, state, _ = run(opt, p, 2)
    again, end, _ = run(opt, p, 2, params, copy.deepcopy(state))
    assert again.vector.tobytes() == through.vector.tobytes()
    assert end.rng == last.rng != state.rng
    other = run(opt, p, 4, state=opt.init(p.params, seed=1))[0]
    assert other.vector.tobytes() != through.vector.tobytes()


@pytest.mark.parametrize("rule", [Prefix, Independent])
@pytest.mark.parametrize("fraction", [0.0, -0.5, 1.5])
def test_a_part_of_nothing_or_too_much_is_refused(fraction, rule):
    with pytest.raises(ValueError, match=r"fraction must be in \(0, 1\]"):
        rule(fraction)


def test_no_chunks_are_refused():
    with pytest.raises(ValueError, match="count must be 1 or more, got 0"):
        CycledChunks(0)
