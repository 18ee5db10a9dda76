"""IDX files: read as they are, or refused in one line, without memory for what they announce."""

import gzip
import os
import struct

import numpy as np
import pytest

from minihf.data import idx, streams

MEBI = 2**20


@pytest.mark.parametrize("packed", [False, True])
def test_a_set_is_read_packed_or_not(packed, arrays, write_idx, tmp_path):
    found = idx.read_idx_folder(write_idx(tmp_path / "set", packed))
    assert found.keys() == arrays.keys()
    for key, array in found.items():
        assert array.dtype == np.uint8
        np.testing.assert_array_equal(array, arrays[key])


def test_what_is_packed_is_known_by_its_content_and_not_by_its_name(payloads, arrays, tmp_path):
    path = tmp_path / "train-images-idx3-ubyte"
    path.write_bytes(gzip.compress(payloads["train-images-idx3-ubyte"]))
    np.testing.assert_array_equal(idx.read_idx(path, 3), arrays["x_train"])


def header(*shape, magic=(0, 0, 8, 3)):
    return bytes(magic) + struct.pack(f">{len(shape)}I", *shape)


DAMAGES = {
    "another magic number": (header(1, 2, 2, magic=(0, 0, 9, 3)) + b"1234", "begins with 00 00 09"),
    "labels": (header(4, magic=(0, 0, 8, 1)) + b"1234", "begins with 00 00 08 01; expected 00"),
    "nothing": (b"", "it ends after 0 of 4 bytes"),
    "half a header": (header(1, 2, 2)[:9], "it ends after 5 of 12 bytes"),
    "too little": (header(1, 2, 2) + b"123", "it ends after 3 of 4 bytes"),
    "too much": (header(1, 2, 2) + b"12345", "it goes on after the 4 bytes that it announces"),
    "a lie": (header(2**31, 28, 28) + b"1" * 84, "it ends after 84 of 1,683,627,180,032 bytes"),
    "a larger lie": (header(*[2**32 - 1] * 3) + b"1" * 84, "it ends after 84 of 79,"),
}


@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize("damage", DAMAGES)
def test_a_file_that_is_not_what_it_says_is_refused_in_one_line(damage, packed, tmp_path, peak):
    content, expected = DAMAGES[damage]
    path = tmp_path / "images"
    path.write_bytes(gzip.compress(content) if packed else content)

    def read():
        with pytest.raises(ValueError, match=expected) as refusal:
            idx.read_idx(path, 3)
        assert str(refusal.value).startswith(f"{str(path)!r} is no IDX file of 3 axes: ")
        assert "\n" not in str(refusal.value)

    assert peak(read) < 4 * MEBI


def test_a_packed_file_that_is_cut_off_or_has_a_changed_byte_is_refused(payloads, tmp_path):
    path = tmp_path / "images.gz"
    whole = gzip.compress(payloads["train-images-idx3-ubyte"])
    for damaged in (whole[:-20], whole[:-4], whole[:500] + bytes([whole[500] ^ 255]) + whole[501:]):
        path.write_bytes(damaged)
        with pytest.raises(ValueError, match=r"images.gz' is no IDX file of 3 axes: "):
            idx.read_idx(path, 3)


def test_a_bomb_is_given_up_before_it_fills_the_memory(tmp_path, peak, monkeypatch):
    monkeypatch.setattr(streams, "LARGEST", MEBI)
    path = tmp_path / "images.gz"
    path.write_bytes(gzip.compress(header(64, MEBI, 1) + bytes(64 * MEBI)))
    assert path.stat().st_size < MEBI / 8

    def read():
        with pytest.raises(ValueError, match="it has more than 1,048,576 bytes, unpacked"):
            idx.read_idx(path, 3)

    assert peak(read) < 5 * MEBI


def test_a_file_may_be_as_large_as_it_is_if_it_is_not_packed(tmp_path, monkeypatch):
    monkeypatch.setattr(streams, "LARGEST", 100)
    path = tmp_path / "images"
    path.write_bytes(header(10, 28, 28) + bytes(7840))
    assert idx.read_idx(path, 3).shape == (10, 28, 28)


def test_a_missing_file_is_named(write_idx, tmp_path):
    folder = write_idx(tmp_path / "set")
    (folder / "t10k-labels-idx1-ubyte").unlink()
    with pytest.raises(ValueError, match=r"set' has no t10k-labels-idx1-ubyte, and no t10k"):
        idx.read_idx_folder(folder)


def test_a_pipe_is_not_waited_for(tmp_path):
    os.mkfifo(tmp_path / "images")
    with pytest.raises(ValueError, match=r"cannot read '.*images': it is no file"):
        idx.read_idx(tmp_path / "images", 3)
