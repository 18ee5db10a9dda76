"""Images from whatever a path leads to, and what their source says of them."""

import gzip
import hashlib
import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from minihf.data import cache, find, load, read_images
from minihf.data.checksums import State, states
from minihf.data.sources import SOURCES, File, Form

BIN = "cifar-10-batches-bin"


@pytest.fixture
def archive(batches, write_tar):
    files = {f"{BIN}/{name}": content for name, content in batches.items()}
    return write_tar(files, "cifar-10-binary.tar.gz")


@pytest.fixture
def little_cifar(archive, monkeypatch):
    """Let CIFAR-10 be the 22 images of this archive."""
    checksum = f"sha256:{hashlib.sha256(archive.read_bytes()).hexdigest()}"
    form = Form(archive.name, (File(archive.name, checksum),))
    source = replace(SOURCES["cifar10"], forms=(form,), n_train=20, n_test=2)
    monkeypatch.setitem(SOURCES, "cifar10", source)


def npz(path, arrays):
    np.savez(path, **arrays)
    return path


def test_every_kind_of_path_gives_the_same_kind_of_data(
    arrays, archive, batches, write_idx, tmp_path
):
    unpacked = tmp_path / "unpacked" / BIN
    unpacked.mkdir(parents=True)
    for name, content in batches.items():
        (unpacked / name).write_bytes(content)
    (tmp_path / "with archive").mkdir()
    (tmp_path / "with archive" / archive.name).write_bytes(archive.read_bytes())

    folders = write_idx(tmp_path / "plain"), write_idx(tmp_path / "packed", packed=True)
    digits = [npz(tmp_path / "a.npz", arrays), *folders]
    photographs = [archive, unpacked, unpacked.parent, tmp_path / "with archive"]
    for paths, shape in ((digits, (20, 1, 28, 28)), (photographs, (20, 3, 32, 32))):
        first, *others = [read_images(path, "mine", classes=10) for path in paths]
        assert first.x_train.shape == shape
        assert first.x_train.dtype == np.float32
        assert first.x_train.max() == 1.0
        assert not first.x_train.flags.writeable
        assert first.y_train.dtype == np.int64
        for other in others:
            for key in ("x_train", "y_train", "x_test", "y_test"):
                np.testing.assert_array_equal(getattr(first, key), getattr(other, key))


@pytest.mark.usefixtures("little_mnist")
def test_a_set_is_recognised_by_its_checksums_wherever_it_lies(write_idx, tmp_path):
    folder = write_idx(tmp_path / "downloads", packed=True)
    images = read_images(folder, "downloads")
    assert images.name == "mnist"
    assert images.source.startswith("MNIST (LeCun, Cortes and Burges): all 20 training and 10 test")
    labels = folder / "t10k-labels-idx1-ubyte"
    labels.with_name(f"{labels.name}.gz").rename(tmp_path / "aside")
    labels.write_bytes(bytes([0, 0, 8, 1, 0, 0, 0, 10]) + bytes(10))
    images = read_images(folder, "downloads")
    assert images.name == "downloads"
    assert images.source == "downloads: 20 training and 10 test images, as given"


def test_batches_may_be_packed_one_by_one_and_then_are_located_verified_and_read_alike(
    batches, monkeypatch, tmp_path
):
    digests = {name: hashlib.sha256(it).hexdigest() for name, it in batches.items()}
    form = Form(BIN, tuple(File(name, f"sha256:{it}") for name, it in digests.items()))
    source = replace(SOURCES["cifar10"], forms=(form,), n_train=20, n_test=2)
    monkeypatch.setitem(SOURCES, "cifar10", source)
    monkeypatch.setenv("MINIHF_DATA", str(tmp_path))
    folder = tmp_path / "cifar10" / BIN
    folder.mkdir(parents=True)
    for number, (name, content) in enumerate(batches.items()):
        packed = number % 2 == 0
        path = folder / (f"{name}.gz" if packed else name)
        path.write_bytes(gzip.compress(content) if packed else content)
    assert find("cifar10").path == folder
    assert set(states(source, folder).values()) == {State.FINE}
    assert "all 20 training and 2 test images" in load("cifar10").source
    assert "all 20 training and 2 test images" in read_images(folder.parent, "mine").source


@pytest.mark.usefixtures("little_cifar")
def test_the_archive_is_recognised_and_loaded(archive, tmp_path, monkeypatch):
    whole = "CIFAR-10 (Krizhevsky): all 20 training and 2 test images; no licence is stated by its "
    assert read_images(archive, "cifar10", 10).source.startswith(whole)
    monkeypatch.setenv("MINIHF_DATA", str(tmp_path))
    images = load("cifar10")
    assert images.source.startswith(whole)
    assert images.x_test.shape == (2, 3, 32, 32)
    archive.write_bytes(archive.read_bytes() + b"\0")
    with pytest.raises(ValueError, match=r"cifar10 is damaged: cifar-10-binary.tar.gz in '"):
        load("cifar10")


def test_a_part_of_a_larger_set_says_how_much_it_is(archive, tmp_path):
    images = read_images(archive, "cifar10", classes=10)
    assert images.subset
    assert images.source == (
        "cifar-10-binary.tar.gz: subset, 20 of 50,000 training and 2 of 10,000 test images of "
        "CIFAR-10 (Krizhevsky), as given"
    )
    rng = np.random.default_rng(0)
    x, y = rng.integers(0, 256, (7, 3, 32, 32), np.uint8), np.arange(7)
    some = {"x_train": x, "y_train": y, "x_test": x[:3], "y_test": y[:3]}
    path = npz(tmp_path / "some.npz", some)
    assert load("cifar10", path=path).source == (
        "some.npz: subset, 7 of 50,000 training and 3 of 10,000 test images of CIFAR-10 "
        "(Krizhevsky), as given"
    )
    other = read_images(path, "mine")
    assert not other.subset
    assert other.source == "some.npz: 7 training and 3 test images, as given"


@pytest.mark.usefixtures("little_mnist")
def test_a_name_stands_for_the_set_that_is_found_and_never_for_a_subset(
    write_idx, tmp_path, monkeypatch
):
    with pytest.raises(FileNotFoundError, match=r"of mnist only a subset is here.*fetch mnist"):
        read_images("mnist", "mnist")
    with pytest.raises(FileNotFoundError, match="cifar10 is not here: looked for"):
        read_images("cifar10", "cifar10")
    write_idx(cache.folder() / "mnist")
    assert "all 20 training" in read_images("mnist", "mnist").source


@pytest.mark.usefixtures("little_mnist")
def test_a_bare_name_is_the_set_whatever_lies_here_under_that_name(
    write_idx, tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    other = write_idx(tmp_path / "mnist") / "t10k-labels-idx1-ubyte"
    other.write_bytes(other.read_bytes()[:-1] + b"\0")
    for name in ("mnist", Path("mnist")):
        with pytest.raises(FileNotFoundError, match=r"; what lies here under .* is './mnist'$"):
            read_images(name, "mine")
    write_idx(cache.folder() / "mnist")
    for name in ("mnist", Path("mnist")):
        assert read_images(name, "mine").y_test[-1] == 9
    for path in ("./mnist", "mnist/", "../" + tmp_path.name + "/mnist", other.parent):
        images = read_images(path, "mine")
        assert (images.name, images.y_test[-1]) == ("mine", 0)


@pytest.mark.usefixtures("little_mnist")
def test_a_path_that_load_is_given_is_one_even_if_it_reads_like_a_name(
    write_idx, tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(FileNotFoundError, match="cannot read 'mnist': no such file or folder"):
        load("mnist", path="mnist")
    write_idx(tmp_path / "mnist")
    assert "all 20 training" in load("mnist", path="mnist").source


@pytest.mark.usefixtures("little_mnist")
def test_a_path_with_another_set_than_was_asked_for_is_refused(write_idx, archive, tmp_path):
    folder = write_idx(tmp_path / "downloads")
    with pytest.raises(ValueError, match=r"downloads' is mnist; expected fashion-mnist$"):
        load("fashion-mnist", path=folder)
    with pytest.raises(ValueError, match=r"gz' has images of \(3, 32, 32\) channels.* mnist has"):
        load("mnist", path=archive)


def test_what_has_no_images_is_refused_with_what_was_expected(tmp_path, payloads):
    (tmp_path / "empty").mkdir()
    (tmp_path / "text").write_text("not images")
    (tmp_path / "one").write_bytes(payloads["train-images-idx3-ubyte"])
    os.mkfifo(tmp_path / "pipe")
    for name, expected in [
        ("empty", "is a folder without images; expected an npz file, an archive or a folder of"),
        ("text", "is not a file of images that is known here; expected an npz file"),
        ("one", "or a folder with the IDX files train-images-idx3-ubyte, train-labels-"),
        ("pipe", "cannot read '.*pipe': it is no file"),
        ("nothing", "cannot read '.*nothing': No such file or directory"),
    ]:
        with pytest.raises(ValueError, match=expected) as refusal:
            read_images(tmp_path / name, "mine")
        assert name in str(refusal.value)
        assert "\n" not in str(refusal.value)


def test_of_a_folder_with_idx_files_and_an_archive_the_files_count_for_the_archive_has_a_path(
    write_idx, archive, tmp_path
):
    folder = write_idx(tmp_path / "downloads")
    archive.rename(folder / archive.name)
    assert read_images(folder, "mine").x_train.shape == (20, 1, 28, 28)
    assert read_images(folder / archive.name, "mine").x_train.shape == (20, 3, 32, 32)


def test_labels_are_checked_whatever_they_come_from(write_idx, tmp_path):
    folder = write_idx(tmp_path / "set")
    with pytest.raises(ValueError, match=r"set': y_train has a label 9; expected 0 to 8$"):
        read_images(folder, "mine", classes=9)
    (folder / "t10k-labels-idx1-ubyte").write_bytes(bytes([0, 0, 8, 1, 0, 0, 0, 9]) + bytes(9))
    with pytest.raises(ValueError, match=r"y_test uint8 \(9,\); expected uint8 images"):
        read_images(folder, "mine")
