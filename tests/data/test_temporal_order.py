"""Temporal order: sequences as described, the same for everyone, and a class that order decides."""

import hashlib

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from minihf.data import load
from minihf.data.temporal_order import CLASSES, SYMBOLS, generate

seeds = st.integers(0, 2**32 - 1)


@given(seed=seeds, T=st.integers(10, 70))
def test_two_markers_stand_in_their_windows_and_spell_the_class(seed, T):
    x, y = generate(20, T, seed)
    assert (x.shape, x.dtype, y.dtype) == ((20, T, 6), np.float32, np.int64)
    assert (x.sum(axis=2) == 1).all()
    assert ((x == 0) | (x == 1)).all()
    for sequence, label in zip(x.argmax(axis=2), y, strict=True):
        t1, t2 = np.flatnonzero(sequence >= 4)             # two markers, no more and no less
        assert T // 10 <= t1 < 2 * T // 10
        assert 4 * T // 10 <= t2 < 5 * T // 10
        assert SYMBOLS[sequence[t1]] + SYMBOLS[sequence[t2]] == CLASSES[label]


def test_classes_and_noise_are_even_and_every_place_of_a_window_is_taken():
    x, y = generate(4000, 50, seed=1)
    symbols = x.argmax(axis=2)
    assert np.abs(np.bincount(y) / 4000 - 0.25).max() <= 0.03          # four standard errors
    noise = np.bincount(symbols[symbols < 4])
    assert np.abs(noise / noise.sum() - 0.25).max() <= 0.004
    where = np.flatnonzero((symbols >= 4).any(axis=0))
    assert where.tolist() == [*range(5, 10), *range(20, 25)]


def test_what_is_noise_tells_nothing_about_the_class():
    x, y = generate(4000, 50, seed=2)
    counts = x[:, :, :4].sum(axis=1)
    for k in range(4):
        assert np.abs(counts[y == k].mean(axis=0) - 12).max() <= 0.4   # four standard errors


@pytest.mark.parametrize("n", [0, 1, 7])
def test_the_first_sequences_do_not_depend_on_how_many_follow(n):
    for few, many in zip(generate(n, 30, seed=5), generate(40, 30, seed=5), strict=True):
        np.testing.assert_array_equal(few, many[:n])


def test_a_seed_means_the_same_sequences_everywhere():
    x, y = generate(100, 50, seed=0)
    symbols = x.argmax(axis=2).astype(np.uint8)
    assert hashlib.sha256(symbols.tobytes() + y.tobytes()).hexdigest() == (
        "f9bb7a78f29cc42fdf226875c559885cb55a8e659db52b082f4caf7f5379a22a"
    )


def test_another_seed_means_other_sequences():
    assert not np.array_equal(generate(5, 50, seed=0)[0], generate(5, 50, seed=1)[0])


def test_the_set_is_what_it_says():
    data = load("temporal-order", seed=3)
    assert data.x_train.shape == data.x_test.shape == (1000, 50, 6)
    assert "seed 3" in data.source
    assert not (data.x_train[:, None] == data.x_test[None, :40]).all(axis=(2, 3)).any()


@pytest.mark.parametrize(("n", "T"), [(-1, 50), (5, 9)])
def test_sizes_out_of_range_are_refused(n, T):
    with pytest.raises(ValueError, match=rf"n is {n} and T is {T}, expected 0 or more sequences"):
        generate(n, T)
