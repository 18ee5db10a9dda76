"""The datasets by name, and the embedded ones down to the last byte."""

import dataclasses
import hashlib
import importlib
import io
import subprocess
import sys
import zipfile
from importlib.resources import files
from pathlib import Path

import numpy as np
import pytest

import minihf.data
import minihf.files
from minihf.data import Dataset, curves, embedded, load, names

FOLDER = files("minihf.data")
HERE = ("curves", "digits", "mnist-5k", "temporal-order")       # without a network
BUDGET = 1_500_000              # bytes of all embedded files together

FIXED = {                       # name: train, test, image shape, levels per unit of intensity
    "digits": (1437, 360, (8, 8), 16),
    "mnist-5k": (5000, 1000, (28, 28), 255),
}

SHA256 = {                      # of the payload, array by array
    ("digits.npz", "x_train"): "b284d50d1ff250076877f9fa076dc54f7a48937f997c4571de6cae27017f4f99",
    ("digits.npz", "y_train"): "00d355536cfe54c3c5aaa1bbc756008bcc5ba7030407f225954ebda1d1ca46c9",
    ("digits.npz", "x_test"): "cfff6ae4478611800cb91b9d2c5ae329e83dec33ba4d539ec56620f0182f6b56",
    ("digits.npz", "y_test"): "7a7a9acee298b8862700d7c2a0341a0ee3744e1369c9107a26149f5d0e61b304",
    ("mnist-5k.npz", "x_train"): "a853ca5da5c224d531837eaa3fe56ac036778bb2fdfad445143b5b7d4ec1c739",
    ("mnist-5k.npz", "y_train"): "4263f048ea43702387ef1c8494b59e785853c0410e9770600d50f541a6fee264",
    ("mnist-5k.npz", "x_test"): "f8f3c5a608a9f7d4bd5e9d69b90c53932b8b99371d9db26121b42f62f3abcd56",
    ("mnist-5k.npz", "y_test"): "d14ba0a1a3818edefa35518ed001ece84b7ac0eabe9394551c73928493175d3f",
}


def small_curves(monkeypatch, train=20, test=10):
    """Let ``load("curves")`` make a few images instead of 30,000."""
    monkeypatch.setattr(curves, "N_TRAIN", train)
    monkeypatch.setattr(curves, "N_TEST", test)


# What every dataset promises ------------------------------------------------------------------


@pytest.mark.parametrize("name", HERE)
def test_cases_are_float32_in_the_unit_interval_and_read_only(name, monkeypatch):
    small_curves(monkeypatch)
    data = load(name)
    assert isinstance(data, Dataset)
    assert data.name == name
    height, width = data.image_shape
    for x in (data.x_train, data.x_test):
        assert x.dtype == np.float32
        assert x.flags.c_contiguous
        flat = name != "temporal-order"         # images are rows, a sequence is (T, D)
        assert x.shape[1:] == ((height * width,) if flat else (height, width))
        assert x.min() == 0.0
        assert 0.5 < x.max() <= 1.0
        with pytest.raises(ValueError, match="read-only"):
            x[0] = 1.0


@pytest.mark.parametrize("name", HERE)
def test_the_source_is_one_line_that_names_the_licence_or_the_lack_of_need(name, monkeypatch):
    small_curves(monkeypatch)
    source = load(name).source
    assert source.isprintable()
    expected = {"digits": "CC BY 4.0", "mnist-5k": "CC BY-SA 3.0"}
    assert expected.get(name, "no third-party data") in source


def test_a_subset_says_so():
    assert "subset" in load("mnist-5k").source
    assert "all 1,797 images" in load("digits").source


@pytest.mark.parametrize("name", HERE)
def test_loading_twice_gives_equal_but_separate_arrays(name, monkeypatch):
    small_curves(monkeypatch)
    one, two = load(name), load(name)
    np.testing.assert_array_equal(one.x_train, two.x_train)
    np.testing.assert_array_equal(one.x_test, two.x_test)
    assert not np.shares_memory(one.x_train, two.x_train)


def test_a_dataset_is_frozen_and_prints_without_its_arrays():
    digits = load("digits")
    with pytest.raises(dataclasses.FrozenInstanceError):
        digits.name = "other"
    assert len(repr(digits)) < 300
    assert digits != load("digits")             # compared as objects: no ambiguous truth value


@pytest.mark.parametrize("name", HERE)
def test_autoencoding_makes_the_images_their_own_targets(name, monkeypatch):
    small_curves(monkeypatch)
    data = load(name)
    pairs = data.autoencoding()
    assert pairs.x_train is pairs.y_train is data.x_train
    assert pairs.x_test is pairs.y_test is data.x_test
    assert (pairs.name, pairs.source) == (data.name, data.source)


# Names and seeds ------------------------------------------------------------------------------


def test_names_are_sorted():
    assert names == tuple(sorted([*HERE, "cifar10", "fashion-mnist", "mnist"]))


@pytest.mark.parametrize(
    ("wrong", "hint"),
    [
        ("mnst", " (did you mean 'mnist'?)"),
        ("MNIST-5K", " (did you mean 'mnist-5k'?)"),
        ("curve", " (did you mean 'curves'?)"),
        ("zzz", ""),
        ("", ""),
        ("a\nb", ""),
        (5, ""),
        (None, ""),
    ],
)
def test_an_unknown_name_is_answered_in_one_line(wrong, hint):
    with pytest.raises(ValueError, match="unknown dataset") as error:
        load(wrong)
    message = str(error.value)
    assert message == f"unknown dataset {wrong!r}; known: {', '.join(names)}{hint}"
    assert "\n" not in message


@pytest.mark.parametrize("name", FIXED)
def test_a_fixed_set_takes_no_seed(name):
    with pytest.raises(ValueError, match=f"'{name}' is always the same and takes no seed"):
        load(name, seed=0)


def test_a_seed_is_a_non_negative_integer():
    with pytest.raises(ValueError, match="'curves': the seed is -1, but must be 0, 1"):
        load("curves", seed=-1)
    for seed in ("../../elsewhere", 1.5):
        with pytest.raises(ValueError, match=f"the seed is {seed!r}, but must be 0, 1"):
            load("curves", seed=seed)


# The embedded sets ----------------------------------------------------------------------------


@pytest.mark.parametrize("name", FIXED)
def test_embedded_shapes_labels_and_levels(name):
    n_train, n_test, image_shape, white = FIXED[name]
    data = load(name)
    assert data.image_shape == image_shape
    pairs = [(data.x_train, data.y_train, n_train), (data.x_test, data.y_test, n_test)]
    for x, y, n in pairs:
        assert x.shape == (n, image_shape[0] * image_shape[1])
        assert y.shape == (n,)
        assert y.dtype == np.int64
        assert not y.flags.writeable
        assert x.max() == 1.0
        levels = np.rint(white * x)
        np.testing.assert_array_equal((levels / white).astype(np.float32), x)


def test_digits_are_the_whole_file_with_its_known_class_counts():
    digits = load("digits")
    counts = np.bincount(np.concatenate([digits.y_train, digits.y_test]))
    # Class distribution of optdigits.tes, from its own documentation.
    assert counts.tolist() == [178, 182, 177, 183, 181, 182, 181, 179, 174, 180]


def test_mnist_5k_has_its_known_class_counts():
    mnist = load("mnist-5k")
    assert np.bincount(mnist.y_train).tolist() == [479, 563, 488, 493, 535, 434, 501, 550, 462, 495]
    assert np.bincount(mnist.y_test).tolist() == [85, 126, 116, 107, 110, 87, 87, 99, 89, 94]


@pytest.mark.parametrize("name", FIXED)
def test_images_and_labels_belong_together(name):
    data = load(name)
    means = np.stack([data.x_train[data.y_train == c].mean(axis=0) for c in range(10)])
    distances = ((data.x_test[:, np.newaxis] - means) ** 2).sum(axis=2)
    accuracy = np.mean(distances.argmin(axis=1) == data.y_test)
    assert accuracy > 0.75      # nearest class mean; shuffled labels give 0.1


@pytest.mark.parametrize(("file", "array"), SHA256)
def test_the_payload_is_what_it_was(file, array):
    with np.load(io.BytesIO((FOLDER / file).read_bytes()), allow_pickle=False) as arrays:
        assert sorted(arrays) == ["x_test", "x_train", "y_test", "y_train"]
        payload = arrays[array]
    assert payload.dtype == np.uint8
    assert hashlib.sha256(payload.tobytes()).hexdigest() == SHA256[file, array]


def test_embedded_files_stay_within_their_budget():
    sizes = {f.name: len(f.read_bytes()) for f in FOLDER.iterdir() if f.name.endswith(".npz")}
    assert sizes.keys() == {"digits.npz", "mnist-5k.npz"}
    assert sum(sizes.values()) < BUDGET


def test_every_embedded_file_has_its_notice():
    notice = (FOLDER / "NOTICE").read_text(encoding="utf-8")
    for phrase in ("mnist-5k.npz", "LeCun", "Cortes", "Burges", "CC BY-SA 3.0",
                   "digits.npz", "Alpaydin", "Kaynak", "CC BY 4.0"):
        assert phrase in notice


def test_a_pickle_in_an_embedded_file_is_refused(tmp_path, monkeypatch):
    np.savez(tmp_path / "bad.npz", x_train=np.array([print], dtype=object))
    monkeypatch.setattr(embedded, "files", lambda package: tmp_path)
    with pytest.raises(ValueError, match="allow_pickle=False"):
        embedded._read("bad.npz")


def test_the_data_load_from_a_zip_on_the_path(tmp_path):
    archive = tmp_path / "minihf.zip"
    with zipfile.ZipFile(archive, "w") as z:
        z.writestr("minihf/__init__.py", "")
        z.writestr("minihf/files.py", Path(minihf.files.__file__).read_bytes())
        for f in FOLDER.iterdir():
            if f.is_file():
                z.writestr(f"minihf/data/{f.name}", f.read_bytes())
    script = (
        f"import sys; sys.path.insert(0, {str(archive)!r})\n"
        "import minihf.data as d\n"
        "assert '.zip' in d.__file__, d.__file__\n"
        "print(d.load('digits').x_train.shape, d.load('mnist-5k').x_test.shape)"
    )
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", script],
        cwd=tmp_path, capture_output=True, text=True, check=False,
    )
    assert done.stdout.strip() == "(1437, 64) (1000, 784)", done.stderr


def test_importing_the_data_does_not_import_how_they_were_made():
    script = "import sys, minihf.data; print('minihf.data.make_embedded' in sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "False"


def test_every_public_name_exists():
    folder = Path(minihf.data.__file__).parent
    for name in ("", *(f".{path.stem}" for path in folder.glob("[a-z]*.py"))):
        module = importlib.import_module(minihf.data.__name__ + name)
        assert all(hasattr(module, public) for public in module.__all__)
