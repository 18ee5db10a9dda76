"""The cache: a convenience when it works, and never an error when it does not."""

import os
from pathlib import Path

import numpy as np
import pytest

from minihf.data import cache, curves, load

SHAPE = (6, 5)


class Maker:
    """Makes an array, and counts how often it had to."""

    def __init__(self):
        self.calls = 0

    def __call__(self):
        self.calls += 1
        return np.random.default_rng(1).integers(0, 256, SHAPE, dtype=np.uint8)


@pytest.fixture
def make():
    return Maker()


@pytest.fixture
def file(cache_home):
    """Return the path of the cached file; its folder exists."""
    folder = cache_home / "minihf"
    folder.mkdir(parents=True)
    return folder / "x.npz"


def test_an_array_is_made_once_and_then_read(make, cache_home):
    first = cache.cached("x.npz", SHAPE, make)
    second = cache.cached("x.npz", SHAPE, make)
    assert make.calls == 1
    assert second.dtype == np.uint8
    np.testing.assert_array_equal(first, second)
    assert os.listdir(cache_home / "minihf") == ["x.npz"]       # and nothing beside it


def truncated(path):
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 2])


def bare(path):
    with path.open("wb") as stream:
        np.save(stream, np.zeros(SHAPE, np.uint8))


CORRUPTIONS = {
    "empty": lambda path: path.write_bytes(b""),
    "noise": lambda path: path.write_bytes(b"\x93 no array at all" * 100),
    "truncated": truncated,
    "no such array": lambda path: np.savez(path, other=np.zeros(SHAPE, np.uint8)),
    "another shape": lambda path: np.savez(path, array=np.zeros((6, 4), np.uint8)),
    "another dtype": lambda path: np.savez(path, array=np.zeros(SHAPE)),
    "one bare array": bare,
}


@pytest.mark.parametrize("corrupt", CORRUPTIONS.values(), ids=CORRUPTIONS)
def test_a_corrupt_file_is_made_again(corrupt, make, file):
    cache.cached("x.npz", SHAPE, make)
    good = file.read_bytes()
    corrupt(file)
    np.testing.assert_array_equal(cache.cached("x.npz", SHAPE, make), make())
    assert make.calls == 3                                      # the last one by this test
    assert file.read_bytes() == good


@pytest.mark.parametrize("flip", [0x01, 0x80, 0xFF])
def test_no_damaged_byte_changes_the_array_or_raises(
    flip, make, file, monkeypatch
):
    monkeypatch.setattr(os, "fsync", lambda descriptor: None)   # hundreds of them take seconds
    expected = cache.cached("x.npz", SHAPE, make)
    good = file.read_bytes()
    assert len(good) < 1000
    for where in range(len(good)):
        damaged = bytearray(good)
        damaged[where] ^= flip
        file.write_bytes(damaged)
        np.testing.assert_array_equal(cache.cached("x.npz", SHAPE, make), expected)
    assert make.calls > len(good) // 2                          # most of them were noticed


class Trap:
    """Unpickling it makes a folder."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return os.mkdir, (str(self.path),)


def test_a_pickle_in_the_cache_is_not_run(make, file, tmp_path):
    sprung = tmp_path / "sprung"
    np.savez(file, array=np.array([Trap(sprung)], dtype=object))
    cache.cached("x.npz", SHAPE, make)
    assert not sprung.exists()
    assert make.calls == 1


def test_a_folder_in_the_place_of_the_file_means_no_cache(make, file):
    file.mkdir()
    for _ in range(2):
        np.testing.assert_array_equal(cache.cached("x.npz", SHAPE, make), Maker()())
    assert make.calls == 2
    assert os.listdir(file.parent) == ["x.npz"]


def test_a_cache_folder_that_cannot_be_made_means_no_cache(make, cache_home):
    cache_home.write_text("a file where the folder should be")
    cache.cached("x.npz", SHAPE, make)
    cache.cached("x.npz", SHAPE, make)
    assert make.calls == 2


def test_a_read_only_cache_folder_means_no_cache(make, file):
    file.parent.chmod(0o500)
    try:
        if os.access(file.parent, os.W_OK):
            pytest.skip("this user may write anywhere")
        cache.cached("x.npz", SHAPE, make)
        cache.cached("x.npz", SHAPE, make)
    finally:
        file.parent.chmod(0o700)
    assert make.calls == 2


def test_a_full_disk_leaves_nothing_behind(make, file, monkeypatch):
    def fails_half_way(path, **arrays):
        Path(path).write_bytes(b"PK half")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(np, "savez", fails_half_way)
    np.testing.assert_array_equal(cache.cached("x.npz", SHAPE, make), make())
    assert os.listdir(file.parent) == []


def test_an_interrupted_write_leaves_the_old_file_and_no_litter(make, file, monkeypatch):
    def is_interrupted(path, **arrays):
        Path(path).write_bytes(b"PK half")
        raise KeyboardInterrupt

    file.write_bytes(b"old")
    monkeypatch.setattr(np, "savez", is_interrupted)
    with pytest.raises(KeyboardInterrupt):
        cache.cached("x.npz", SHAPE, make)
    assert file.read_bytes() == b"old"
    assert os.listdir(file.parent) == ["x.npz"]


def test_what_a_killed_writer_left_goes_with_the_next_that_writes_the_same(make, file):
    left = file.with_name(".x.0123abcd.part.npz")
    other = file.with_name(".y.0123abcd.part.npz")
    for part in (left, other):
        part.write_bytes(b"PK half")
    cache.cached("x.npz", SHAPE, make)
    assert sorted(os.listdir(file.parent)) == [other.name, "x.npz"]


def test_an_error_in_the_making_is_not_hidden(cache_home):
    def fails():
        raise OSError("the maker's own")

    with pytest.raises(OSError, match="the maker's own"):
        cache.cached("x.npz", SHAPE, fails)


@pytest.mark.parametrize("base", [None, "", "relative/path"])
def test_without_an_absolute_folder_the_cache_is_below_the_home(base, monkeypatch, tmp_path):
    if base is None:
        monkeypatch.delenv("XDG_CACHE_HOME")
    else:
        monkeypatch.setenv("XDG_CACHE_HOME", base)
    monkeypatch.setattr(Path, "home", lambda: tmp_path)
    assert cache.folder() == tmp_path / ".cache" / "minihf"


def test_without_any_home_there_is_no_cache(make, monkeypatch):
    def no_home():
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setattr(Path, "home", no_home)
    cache.cached("x.npz", SHAPE, make)
    assert make.calls == 1


def test_curves_are_drawn_once_per_seed_and_made_again_if_corrupt(monkeypatch, cache_home):
    monkeypatch.setattr(curves, "N_TRAIN", 20)
    monkeypatch.setattr(curves, "N_TEST", 10)
    seeds = []
    draw = curves._draw
    monkeypatch.setattr(curves, "_draw", lambda n, seed: seeds.append(seed) or draw(n, seed))

    first = load("curves")
    load("curves", seed=0)
    load("curves", seed=7)
    assert seeds == [0, 7]
    files = sorted(os.listdir(cache_home / "minihf"))
    assert files == ["curves-1-0.npz", "curves-1-7.npz"]

    (cache_home / "minihf" / files[0]).write_bytes(b"corrupt")
    again = load("curves", seed=0)
    assert seeds == [0, 7, 0]
    np.testing.assert_array_equal(first.x_train, again.x_train)
    np.testing.assert_array_equal(first.x_test, again.x_test)
