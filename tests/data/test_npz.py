"""Images from a user's npz file: read without unpickling, or refused in one line."""

import io
import os
import struct
from contextlib import suppress
from zipfile import ZIP_BZIP2, ZIP_DEFLATED, ZIP_STORED, ZipFile

import numpy as np
import pytest

from minihf.data import read_npz, streams

SHAPES = {"x_train": (6, 3, 4, 5), "y_train": (6,), "x_test": (2, 3, 4, 5), "y_test": (2,)}


@pytest.fixture
def arrays():
    rng = np.random.default_rng(0)
    return {name: rng.integers(0, 10, shape).astype(np.uint8) for name, shape in SHAPES.items()}


@pytest.fixture
def write(tmp_path):
    def to_file(arrays):
        np.savez(tmp_path / "images.npz", **arrays)
        return tmp_path / "images.npz"

    return to_file


def test_images_keep_their_shape_and_become_numbers_from_zero_to_one(arrays, write):
    images = read_npz(write(arrays), "little")
    np.testing.assert_array_equal(images.x_train, arrays["x_train"] / np.float32(255))
    np.testing.assert_array_equal(images.y_test, arrays["y_test"])
    assert (images.name, images.image_shape, images.x_train.dtype) == ("little", (4, 5), np.float32)
    assert images.source == "images.npz: 6 training and 2 test images, as given"


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"y_test": None}, "it has no array y_test"),
        ({"x_train": np.zeros((6, 3, 4, 5))}, "x_train is float64"),
        ({"x_test": np.zeros((2, 60), np.uint8)}, "expected uint8 images"),
        ({"x_train": np.zeros((0, 3, 4, 5), np.uint8), "y_train": np.zeros(0, int)},
         r"images.npz': x_train is empty, \(0, 3, 4, 5\)"),
        ({"x_test": np.zeros((0, 3, 4, 5), np.uint8), "y_test": np.zeros(0, int)},
         r"images.npz': x_test is empty, \(0, 3, 4, 5\)"),
        ({"x_train": np.zeros((6, 3, 0, 5), np.uint8)}, "x_train is empty"),
        ({"x_test": np.zeros((2, 3, 5, 5), np.uint8)}, r"\(3, 4, 5\) .* x_test of \(3, 5, 5\)"),
        ({"y_test": np.array([0, 99])}, r"images.npz': y_test has a label 99; .*labels of y_train"),
        ({"y_test": np.array([-1, 0])}, "y_test has a label -1; expected 0 to"),
        ({"y_train": np.array([-2, 0, 1, 2, 3, 9])}, "y_train has a label -2"),
        ({"y_train": np.full(6, 2**64 - 1, np.uint64)}, "y_train has a label 18446744073709551615"),
        ({"y_train": np.zeros(5, np.uint8)}, "and integer labels"),
        ({"y_train": np.array([{}] * 6)}, "is no npz file of images: its y_train is no array of"),
    ],
)  # fmt: skip
def test_arrays_that_are_no_image_set_are_refused(arrays, write, change, expected):
    changed = {name: array for name, array in (arrays | change).items() if array is not None}
    with pytest.raises(ValueError, match=expected) as refusal:
        read_npz(write(changed), "little")
    assert "\n" not in str(refusal.value)
    assert "pickle" not in str(refusal.value)


def test_images_of_one_channel_need_not_say_so(arrays, write):
    flat = arrays | {name: arrays[name][:, 0] for name in ("x_train", "x_test")}
    images = read_npz(write(flat), "little")
    assert images.x_train.shape == (6, 1, 4, 5)
    np.testing.assert_array_equal(images.x_test[:, 0], flat["x_test"] / np.float32(255))


def test_labels_fit_the_classes(arrays, write):
    arrays |= {"y_train": np.array([0, 1, 2, 3, 4, 9])}
    assert read_npz(write(arrays), "little", classes=10).y_train.max() == 9
    with pytest.raises(ValueError, match=r"y_train has a label 9; expected 0 to 8$"):
        read_npz(write(arrays), "little", classes=9)


def test_a_missing_a_torn_and_a_foreign_file_are_refused(arrays, write, tmp_path):
    with pytest.raises(ValueError, match=r"cannot read '.*none.npz': No such file"):
        read_npz(tmp_path / "none.npz", "little")
    path = write(arrays)
    path.write_bytes(path.read_bytes()[:300])
    with pytest.raises(ValueError, match="is no npz file of images"):
        read_npz(path, "little")
    with path.open("wb") as stream:
        np.save(stream, np.zeros(3))
    with pytest.raises(ValueError, match="is no npz file of images: it is not what numpy"):
        read_npz(path, "little")
    for text in ("not a file of arrays", ""):
        path.write_text(text)
        with pytest.raises(ValueError, match="is no npz file of images: it is not what numpy"):
            read_npz(path, "little")
    with ZipFile(path, "w") as file:
        for name in SHAPES:
            file.writestr(name, "text")
    with pytest.raises(ValueError, match="is no npz file of images: its x_train is no array"):
        read_npz(path, "little")


def test_a_pipe_is_not_waited_for(tmp_path):
    os.mkfifo(tmp_path / "images.npz")
    with pytest.raises(ValueError, match=r"cannot read '.*images.npz': it is no file"):
        read_npz(tmp_path / "images.npz", "little")


def test_a_file_with_a_changed_byte_is_refused(arrays, write):
    path = write(arrays)
    whole = bytearray(path.read_bytes())
    whole[whole.index(arrays["x_train"].tobytes()[:50]) + 10] ^= 255
    path.write_bytes(whole)
    with pytest.raises(ValueError, match="is no npz file of images: its x_train is"):
        read_npz(path, "little")


def test_no_changed_byte_is_anything_but_a_line(arrays, write):
    path = write(arrays)
    good = path.read_bytes()
    for where in range(good.index(b"PK\1\2"), len(good)):    # the zip's own table
        changed = bytearray(good)
        changed[where] ^= 128
        path.write_bytes(changed)
        with suppress(ValueError):
            read_npz(path, "little")


def raw_header(text):
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(text)) + text


def npy_header(shape, dtype):
    stream = io.BytesIO()
    description = {"descr": dtype, "fortran_order": False, "shape": shape}
    np.lib.format.write_array_header_1_0(stream, description)
    return stream.getvalue()


@pytest.mark.parametrize(
    ("member", "kind"),
    [
        (npy_header((2**31, 28, 28), "|u1") + b"1" * 100, ZIP_STORED),
        (npy_header((2**31, 28, 28), "|u1") + b"1" * 100, ZIP_DEFLATED),
        (npy_header((1,), "|V2000000000") + b"1" * 100, ZIP_STORED),
        (npy_header((2**62, 2**62), "<f8"), ZIP_STORED),
        (npy_header((-4,), "|u1") + b"1234", ZIP_STORED),
        (npy_header((4,), "|u1") + b"12345", ZIP_STORED),
        (npy_header((4,), "|V0"), ZIP_STORED),
        (npy_header((4,), "|u1") + b"1234", ZIP_BZIP2),
        (raw_header(b"{'descr': '|u1', 'shape': ("), ZIP_STORED),
        (raw_header(b"{[]: 1}"), ZIP_STORED),
        (raw_header(b"  1\n 2"), ZIP_STORED),
        (raw_header(b"(" * 5000), ZIP_STORED),
        (b"\x93NUMPY\x02\x00\xff\xff\xff\xff" + b"1" * 100, ZIP_STORED),
    ],
)
def test_a_header_that_lies_is_refused_without_memory_for_it(member, kind, arrays, write, peak):
    path = write({name: array for name, array in arrays.items() if name != "x_test"})
    with ZipFile(path, "a") as file:
        file.writestr("x_test.npy", member, kind)

    def read():
        with pytest.raises(ValueError, match="its x_test is no array of numbers, or damaged"):
            read_npz(path, "little")

    assert peak(read) < 4 * 2**20


def test_a_bomb_is_given_up(arrays, write, peak, monkeypatch):
    monkeypatch.setattr(streams, "LARGEST", 2**20)
    path = write({name: array for name, array in arrays.items() if name != "x_test"})
    with ZipFile(path, "a", ZIP_DEFLATED) as file:
        file.writestr("x_test.npy", npy_header((2**26,), "|u1") + bytes(2**26))
    assert path.stat().st_size < 2**18

    def read():
        with pytest.raises(ValueError, match="its x_test is no array of numbers, or damaged"):
            read_npz(path, "little")

    assert peak(read) < 5 * 2**20


def test_arrays_may_be_packed_or_stored_columns_first(arrays, tmp_path):
    turned = {name: np.asfortranarray(array) for name, array in arrays.items()}
    np.savez_compressed(tmp_path / "images.npz", **turned)
    images = read_npz(tmp_path / "images.npz", "little")
    np.testing.assert_array_equal(images.x_train, arrays["x_train"] / np.float32(255))
