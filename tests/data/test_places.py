"""Where a set is found, in which order, and what is said when it is not."""

import gzip
import os
import shutil
from dataclasses import replace

import numpy as np
import pytest

import minihf as hf
import minihf.data.places
from minihf.data import cache, embedded, find, first, load, read_images
from minihf.data.checksums import State, states
from minihf.data.sources import SOURCES

pytestmark = pytest.mark.usefixtures("little_mnist")


def test_the_user_s_folder_comes_before_the_cache_and_the_cache_before_the_system(
    write_idx, tmp_path, monkeypatch
):
    system = write_idx(tmp_path / "system" / "mnist", packed=True)
    monkeypatch.setattr(minihf.data.places, "SYSTEM", (tmp_path / "none", tmp_path / "system"))
    places = [(find("mnist").path, find("mnist").where)]
    cached = write_idx(cache.folder() / "mnist")
    places.append((find("mnist").path, find("mnist").where))
    users = write_idx(tmp_path / "users" / "mnist")
    monkeypatch.setenv("MINIHF_DATA", str(tmp_path / "users"))
    places.append((find("mnist").path, find("mnist").where))
    assert places == [
        (system, "the system"), (cached, "the user's cache"), (users, "$MINIHF_DATA")
    ]  # fmt: skip
    assert load("mnist").where == "$MINIHF_DATA"
    assert read_images("mnist", "mine").where == "$MINIHF_DATA"
    assert load("mnist", path=system).where == "given"
    given = find("mnist", system)
    assert (given.path, given.where, given.subset) == (system, "given", False)


def test_the_user_may_have_several_folders_and_what_is_fetched_goes_to_the_first(
    write_idx, tmp_path, monkeypatch
):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("MINIHF_DATA", os.pathsep.join(["", "~/one", str(tmp_path / "two"), ""]))
    second = write_idx(tmp_path / "two" / "mnist")
    assert (find("mnist").path, find("mnist").where) == (second, "$MINIHF_DATA")
    first = write_idx(tmp_path / "one" / "mnist")
    assert find("mnist").path == first
    assert minihf.data.places.folder_of_sets() == tmp_path / "one"
    with pytest.raises(FileNotFoundError, match=rf"in {tmp_path}/one, {tmp_path}/two, /"):
        find("cifar10")


def test_a_home_that_there_is_not_is_said_to_be_in_the_user_s_folder(monkeypatch):
    monkeypatch.setenv("MINIHF_DATA", "~nobody-has-this-name/sets")
    with pytest.raises(RuntimeError, match=r"^\$MINIHF_DATA is '~nobody.*', but there is no such"):
        find("mnist")


@pytest.mark.parametrize("folder", ["~/sets", "sets", "./sets"])
def test_the_user_s_folder_may_begin_at_home_or_here(folder, write_idx, tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MINIHF_DATA", folder)
    assert minihf.data.places.folder_of_sets() == tmp_path / "sets"
    assert find("mnist").subset
    mnist = write_idx(tmp_path / "sets" / "mnist")
    assert find("mnist").path == mnist


def test_a_folder_that_torchvision_filled_will_do(write_idx, tmp_path, monkeypatch):
    folder = write_idx(tmp_path / "MNIST" / "raw")
    monkeypatch.setenv("MINIHF_DATA", str(tmp_path))
    assert find("mnist").path == folder


def test_a_part_of_a_set_is_passed_over_for_all_of_it(write_idx, tmp_path, monkeypatch):
    part = write_idx(tmp_path / "users" / "mnist")
    (part / "t10k-images-idx3-ubyte").unlink()
    monkeypatch.setenv("MINIHF_DATA", str(tmp_path / "users"))
    assert find("mnist").subset
    cached = write_idx(cache.folder() / "mnist")
    assert find("mnist").path == cached


def test_without_all_of_mnist_there_is_the_subset_and_it_says_so():
    place = find("mnist")
    assert (place.path.name, place.where, place.subset) == ("mnist-5k.npz", "the package", True)
    with pytest.warns(UserWarning, match=r"^of mnist only a subset is here, mnist-5k in the package"
                                         "; `minihf data fetch mnist` fetches all of it$") as told:
        images = load("mnist")
    assert told[0].filename == __file__
    assert (images.name, images.subset, len(images.x_train)) == ("mnist-5k", True, 5000)
    assert "subset, the first 5,000 of 60,000" in images.source
    assert "subset=True, where='the package'" in repr(images)


def test_only_subsets_say_that_they_are_some():
    assert embedded.mnist_5k().subset
    assert embedded.mnist_5k().autoencoding().subset
    assert not embedded.digits().subset
    assert first(embedded.digits(), 50).subset
    assert not first(embedded.digits(), 1437).autoencoding().subset


def test_embedded_sets_are_in_the_package_and_drawn_ones_nowhere():
    assert find("digits").path.name == "digits.npz"
    assert find("digits").path.exists()
    with pytest.raises(ValueError, match="no set 'curves' lies anywhere; those that do: mnist, "):
        find("curves")


def test_a_set_that_is_not_there_is_one_line_with_the_places_and_the_command(monkeypatch, tmp_path):
    with pytest.raises(FileNotFoundError) as refusal:
        load("cifar10")
    assert str(refusal.value) == (
        f"cifar10 is not here: looked for 'cifar10' in {cache.folder()} ($MINIHF_DATA is not set); "
        "`minihf data fetch cifar10` fetches it; or put cifar-10-binary.tar.gz or "
        "cifar-10-python.tar.gz, from https://www.cs.toronto.edu/~kriz/cifar.html, there"
    )
    monkeypatch.setenv("MINIHF_DATA", str(tmp_path))
    with pytest.raises(FileNotFoundError, match=rf"in {tmp_path}, {cache.folder()}; "):
        load("fashion-mnist")


def test_a_part_of_a_set_is_no_set(write_idx, payloads, monkeypatch, little_mnist):
    monkeypatch.setitem(SOURCES, "fashion-mnist", replace(little_mnist, name="fashion-mnist"))
    folder = write_idx(cache.folder() / "mnist")
    (folder / "t10k-images-idx3-ubyte").unlink()
    with pytest.raises(FileNotFoundError, match=r"fashion-mnist is not all there: '.*mnist' has no "
                                                "t10k-images-idx3-ubyte; `minihf data fetch"):
        find("fashion-mnist")


def test_a_path_that_leads_nowhere_is_named():
    with pytest.raises(FileNotFoundError, match="cannot read '/no/such': no such file or folder"):
        find("mnist", "/no/such")


# What is loaded -------------------------------------------------------------------------------


@pytest.mark.parametrize("packed", [False, True])
def test_a_set_is_loaded_from_where_it_is_found(packed, write_idx, arrays):
    write_idx(cache.folder() / "mnist", packed)
    images = load("mnist")
    assert (images.name, images.image_shape, images.subset) == ("mnist", (28, 28), False)
    assert images.source == (
        "MNIST (LeCun, Cortes and Burges): all 20 training and 10 test images; CC BY-SA 3.0"
    )
    np.testing.assert_array_equal(
        images.x_train, arrays["x_train"].reshape(20, 784) / np.float32(255)
    )
    np.testing.assert_array_equal(images.y_test, arrays["y_test"])
    assert images.x_test.dtype == np.float32
    assert images.y_test.dtype == np.int64
    for array in (images.x_train, images.y_train, images.x_test, images.y_test):
        assert not array.flags.writeable


def test_a_damaged_set_is_never_loaded_by_its_name(write_idx):
    folder = write_idx(cache.folder() / "mnist")
    path = folder / "train-labels-idx1-ubyte"
    path.write_bytes(path.read_bytes()[:-1] + b"\x01")
    with pytest.raises(ValueError, match=r"mnist is damaged: train-labels-idx1-ubyte in .*fetch"):
        load("mnist")
    given = load("mnist", path=folder)               # whoever gives a path knows what is there
    assert given.y_train[-1] == 1
    assert given.source == "mnist: 20 training and 10 test images, as given"


def test_each_file_is_fine_damaged_or_missing(write_idx, tmp_path, little_mnist):
    folder = write_idx(tmp_path / "set", packed=True)
    (folder / "train-images-idx3-ubyte.gz").write_bytes(gzip.compress(b"something else"))
    (folder / "train-labels-idx1-ubyte.gz").write_bytes(b"\x1f\x8b damaged")
    (folder / "t10k-images-idx3-ubyte.gz").unlink()
    found = {file.name: it for file, it in states(little_mnist, folder).items()}
    assert list(found.values()) == [State.DAMAGED, State.DAMAGED, State.MISSING, State.FINE]
    shutil.rmtree(folder)
    assert states(little_mnist, folder) == {}


def test_a_file_that_cannot_be_read_is_not_called_damaged(write_idx, little_mnist):
    folder = write_idx(cache.folder() / "mnist")
    (folder / "t10k-images-idx3-ubyte").unlink()
    (folder / "t10k-images-idx3-ubyte").mkdir()
    assert [it.value for it in states(little_mnist, folder).values()] == [
        "fine", "fine", "unreadable", "fine"
    ]  # fmt: skip
    with pytest.raises(ValueError, match=r"^cannot read '.*t10k-images-idx3-ubyte': it is no file"):
        load("mnist")


def test_a_path_is_only_for_sets_that_lie_somewhere():
    with pytest.raises(ValueError, match="'digits' comes with the package, but got a path"):
        load("digits", path="somewhere")
    with pytest.raises(ValueError, match="'mnist' is always the same and takes no seed"):
        load("mnist", seed=1)
    assert hf.data.find is find
