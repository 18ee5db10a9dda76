"""CIFAR-10 as its authors give it: both kinds of batches, and pickles that would do harm."""

import gzip
import io
import os
import pickle
import struct

import numpy as np
import pytest

from minihf.data import batch_pickle, cifar

MEBI = 2**20
BIN, PY = "cifar-10-batches-bin", "cifar-10-batches-py"


class Python2(pickle._Pickler):
    """Writes bytes as the strings of Python 2, and numpy's functions by their old names."""

    dispatch = pickle._Pickler.dispatch.copy()

    def save_string(self, obj):
        short = len(obj) < 256
        self.write(b"U" + bytes([len(obj)]) if short else b"T" + struct.pack("<i", len(obj)))
        self.write(obj)
        self.memoize(obj)

    dispatch[bytes] = save_string


def python2_pickle(batch):
    stream = io.BytesIO()
    Python2(stream, protocol=2).dump(batch)
    return stream.getvalue().replace(b"cnumpy._core.multiarray\n", b"cnumpy.core.multiarray\n")


def python_batch(binary):
    """Return the pickle of the same images as a binary batch."""
    x, y = cifar.binary_batch(binary)
    return python2_pickle({
        b"batch_label": b"training batch 1 of 5",
        b"labels": y.tolist(),
        b"data": x.reshape(len(x), 3072),
        b"filenames": [b"photograph_s_%06d.png" % i for i in range(len(x))],
    })  # fmt: skip


@pytest.fixture
def contents(batches):
    """Return the files of both kinds, by the folder of their archive."""
    return {
        BIN: batches,
        PY: {name.removesuffix(".bin"): python_batch(it) for name, it in batches.items()},
    }


@pytest.fixture
def expected(batches):
    parts = [cifar.binary_batch(content) for content in batches.values()]
    return {
        "x_train": np.concatenate([x for x, _ in parts[:5]]),
        "y_train": np.concatenate([y for _, y in parts[:5]]),
        "x_test": parts[5][0],
        "y_test": parts[5][1],
    }


def must_equal(found, expected):
    assert found.keys() == expected.keys()
    for key, array in found.items():
        np.testing.assert_array_equal(array, expected[key])


def test_a_record_is_a_label_and_three_planes_of_rows():
    red, green = (bytes(first + i % 97 for i in range(1024)) for first in (0, 100))
    x, y = cifar.binary_batch(bytes([7]) + red + green + bytes(1024))
    assert y.tolist() == [7]
    assert x.shape == (1, 3, 32, 32)
    assert x[0, 1, 2, 5] == 100 + (2 * 32 + 5) % 97
    assert x[0, 2].max() == 0


@pytest.mark.parametrize("kind", [BIN, PY])
def test_batches_are_read_from_their_archive_and_from_their_folder(
    kind, contents, expected, write_tar, tmp_path
):
    files = {f"{kind}/{name}": it for name, it in contents[kind].items()}
    must_equal(cifar.read_cifar_archive(write_tar({f"{kind}/readme": b"...", **files})), expected)
    (tmp_path / kind).mkdir()
    for name, content in files.items():
        (tmp_path / name).write_bytes(content)
    must_equal(cifar.read_cifar_folder(tmp_path / kind), expected)


@pytest.mark.parametrize("kind", [BIN, PY])
def test_a_folder_s_batches_may_be_packed(kind, contents, expected, tmp_path):
    for name, content in contents[kind].items():
        (tmp_path / f"{name}.gz").write_bytes(gzip.compress(content))
    must_equal(cifar.read_cifar_folder(tmp_path), expected)
    damaged = tmp_path / f"{next(iter(contents[kind]))}.gz"
    damaged.write_bytes(damaged.read_bytes()[:-6])
    with pytest.raises(ValueError, match=r"gz' is no batch of CIFAR-10: its gzip is damaged"):
        cifar.read_cifar_folder(tmp_path)


def test_a_batch_that_is_a_bomb_is_given_up(tmp_path, peak, monkeypatch):
    monkeypatch.setattr(cifar, "MOST", MEBI)
    (tmp_path / "data_batch_1.bin.gz").write_bytes(gzip.compress(bytes(2**26)))

    def read():
        with pytest.raises(ValueError, match="it has more than 1,048,576 bytes, unpacked"):
            cifar.read_cifar_folder(tmp_path)

    assert peak(read) < 8 * MEBI


@pytest.mark.parametrize("kind", [BIN, PY])
def test_a_missing_batch_is_named(kind, contents, write_tar, tmp_path):
    files = {f"{kind}/{name}": it for name, it in contents[kind].items() if "batch_4" not in name}
    with pytest.raises(ValueError, match=r"is no archive of CIFAR-10: it has no data_batch_4"):
        cifar.read_cifar_archive(write_tar(files))
    (tmp_path / kind).mkdir()
    for name, content in files.items():
        (tmp_path / name).write_bytes(content)
    with pytest.raises(ValueError, match=rf"{kind}' is no folder of CIFAR-10: it has no data_batc"):
        cifar.read_cifar_folder(tmp_path / kind)


def test_an_archive_of_something_else_is_refused(write_tar):
    with pytest.raises(ValueError, match=r"is no archive of CIFAR-10: it has no cifar-10"):
        cifar.read_cifar_archive(write_tar({"readme": b"..."}))


def test_half_a_record_is_refused(batches, write_tar):
    files = {f"{BIN}/{name}": it for name, it in batches.items()}
    files[f"{BIN}/data_batch_2.bin"] = files[f"{BIN}/data_batch_2.bin"][:-1]
    with pytest.raises(ValueError, match=r"its data_batch_2.bin has 12,291 bytes; expected whole"):
        cifar.read_cifar_archive(write_tar(files))


# Pickles ------------------------------------------------------------------------------------


def test_a_batch_written_by_python_2_is_read_to_the_last_name(batches):
    content = python_batch(batches["data_batch_1.bin"])
    reconstruct, dtype = b"cnumpy.core.multiarray\n_reconstruct\n", b"cnumpy\ndtype\n"
    for word in (b"U\x0bbatch_label", reconstruct, dtype):
        assert word in content                             # so the official files begin
    found = batch_pickle.read(content)
    assert found[b"batch_label"] == b"training batch 1 of 5"
    assert found[b"filenames"][3] == b"photograph_s_000003.png"


class Trap:
    """Unpickling it makes a folder."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return os.mkdir, (str(self.path),)


@pytest.mark.parametrize("protocol", range(6))
@pytest.mark.parametrize("place", ["data", "labels", "filenames", None])
def test_a_pickle_that_would_do_something_does_nothing(protocol, place, tmp_path):
    sprung = tmp_path / "sprung"
    trap = Trap(sprung)
    content = pickle.dumps({place: trap} if place else trap, protocol=protocol)
    with pytest.raises(ValueError, match="which no batch of CIFAR-10"):
        cifar.python_batch(content)
    assert not sprung.exists()
    pickle.loads(content)                                  # the trap is one
    assert sprung.exists()


@pytest.mark.parametrize(
    "content",
    [
        b"cbuiltins\neval\n(S'1'\ntR.", b"cos\nsystem\n(S'true'\ntR.", b"(S'true'\nios\nsystem\n.",
        b"\x80\x02cnumpy\nload\n.", b"\x80\x02cnumpy.core.multiarray\nscalar\n.",
        b"\x80\x04\x8c\x02os\x8c\x06system\x93.", b"\x80\x02\x82\x01.", b"P1\n.",
        b"\x80\x02cos\\ \nsystem\n.",                     # of which Python would warn
    ],
)  # fmt: skip
def test_no_other_name_and_no_other_instruction_is_taken(content):
    with pytest.raises(ValueError, match="which no batch of CIFAR-10"):
        batch_pickle.read(content)


@pytest.mark.parametrize(
    "content",
    [
        b"", b".", b"\x80\x02", b"\x80\x02K\x01", b"\x80\x02R.", b"\x80\x02h\x05.", b"\x80\x02(.a",
        b"\x80\x02}K\x01a.", b"\x80\x02](K\x01u.", b"\x80\x02}(K\x01u.", b"\x80\x02}]K\x01s.",
        b"\x80\x02K\x01K\x02b.", b"\x80\x02K\x01K\x02R.", b"\x80\x02t.", b"\x80\x02\x87.", b"\xff",
        b"\x80\x02T\xff\xff\xff\xff.", b"\x80\x02(K\x01a.",
    ],
)  # fmt: skip
def test_a_pickle_without_sense_is_refused(content):
    with pytest.raises(ValueError, match=r"is no batch: "):
        cifar.python_batch(content)


@pytest.mark.parametrize(
    "content",
    [
        b"\x80\x02T\xff\xff\xff\x7f" + b"1" * 84,          # a string of 2 GiB
        b"\x80\x03B\xff\xff\xff\xff" + b"1" * 84,          # 4 GiB of bytes
        b"\x80\x04\x8e" + b"\xff" * 7 + b"\x00" + b"1" * 84,    # and more than there is
        b"\x80\x02X\xff\xff\xff\xff" + b"1" * 84,
        b"\x80\x02]r\xff\xff\xff\x7f" + b"1" * 84,         # the last of 2**31 memos
    ],
)
def test_a_pickle_takes_no_memory_for_its_lies(content, peak):
    def read():
        with pytest.raises(ValueError, match="is no batch"):
            cifar.python_batch(content)

    assert peak(read) < MEBI


DEEP = b"N" + 10**5 * b"\x85"                             # ((((None,),),),) and so on
DOUBLED = b"N" + b"".join(b"q%ch%c\x86" % (i, i) for i in range(64))    # 2**64 times None


@pytest.mark.parametrize("key", [DEEP, DOUBLED, b"K\x01"])
def test_no_key_is_taken_that_might_take_stack_or_time(key):
    with pytest.raises(ValueError, match="it is a pickle that makes no sense"):
        batch_pickle.read(b"\x80\x02}" + key + b"K\x01s.")


def test_a_pickle_of_very_many_instructions_is_given_up(monkeypatch, peak):
    monkeypatch.setattr(batch_pickle, "MOST", 1000)

    def read():
        with pytest.raises(ValueError, match="it has more than 1,000 instructions"):
            batch_pickle.read(b"\x80\x02" + 10**5 * b"]" + b".")

    assert peak(read) < MEBI


def test_a_name_is_quoted_and_not_at_any_length():
    name = b"\x1b[31mos" + 1000 * b"m"
    with pytest.raises(ValueError, match=r"it names '\\x1b\[31mosm") as refusal:
        batch_pickle.read(b"\x80\x02c" + name + b"\nsystem\n.")
    assert len(str(refusal.value)) < 200


RECONSTRUCT = "numpy.core.multiarray _reconstruct"


def recipe(shape, dtype=b"u1", content=b"", fortran=False, name=RECONSTRUCT):
    kind = batch_pickle.Recipe("numpy dtype", (dtype, 0, 1))
    return batch_pickle.Recipe(name, None, (1, shape, kind, fortran, content))


@pytest.mark.parametrize(
    "data",
    [
        recipe((2**31, 3072)), recipe((1, 3072), content=bytes(3071)), recipe((1, 3071)),
        recipe((3072,), content=bytes(3072)), recipe((1, 3072), b"O8", bytes(3072)),
        recipe((1, 3072), b"u2", bytes(3072)), recipe((1, 3072), b"u1", bytes(3072), True),
        recipe((-1, 3072)), recipe((1, 3072), b"u1", [0] * 3072),
        recipe((1, 3072), content=bytes(3072), name="numpy ndarray"), [[0] * 3072], None,
    ],
)  # fmt: skip
def test_only_an_array_of_bytes_is_made_from_a_recipe(data):
    np.testing.assert_array_equal(
        cifar._pixels(recipe((1, 3072), content=b"7" * 3072)), np.full((1, 3072), 55)
    )
    with pytest.raises(ValueError, match="its data are no array of bytes"):
        cifar._pixels(data)


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({b"labels": [0, 1, 2, 10]}, "labels are no list of numbers from 0 to 9"),
        ({b"labels": [0, 1, 2, -1]}, "labels are no list of numbers from 0 to 9"),
        ({b"labels": [0, 1, 2, b"3"]}, "labels are no list of numbers from 0 to 9"),
        ({b"labels": 7}, "labels are no list of numbers from 0 to 9"),
        ({b"labels": [1, 2, 3]}, "has 4 images and 3 labels"),
        ({b"data": b"pixels"}, "its data are no array of bytes"),
    ],
)
def test_labels_and_pixels_that_do_not_fit_are_refused(change, expected):
    batch = {b"data": np.zeros((4, 3072), np.uint8), b"labels": [0, 1, 2, 3]}
    assert cifar.python_batch(python2_pickle(batch))[1].tolist() == [0, 1, 2, 3]
    with pytest.raises(ValueError, match=expected):
        cifar.python_batch(python2_pickle(batch | change))


def test_something_that_is_no_dictionary_is_refused():
    with pytest.raises(ValueError, match="it is no dictionary of data and labels"):
        cifar.python_batch(python2_pickle([1, 2]))
