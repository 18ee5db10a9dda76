"""Archives: only what was asked for, by its very name, and nothing is ever unpacked."""

import gzip
import os
import tarfile

import pytest

from minihf.data import streams
from minihf.data.archives import members

MEBI = 2**20


def test_files_are_given_by_their_names_and_all_others_passed_over(write_tar):
    path = write_tar({"a/one": b"1" * 700, "a/two": b"2" * 1024, "b/one": b"3", "./a/three": b""})
    assert members(path, ["a/two", "a/three", "one"]) == {"a/two": b"2" * 1024, "a/three": b""}


def test_an_archive_that_is_not_packed_will_do(write_tar, tmp_path):
    (tmp_path / "plain").write_bytes(gzip.decompress(write_tar({"one": b"1"}).read_bytes()))
    assert members(tmp_path / "plain", ["one"]) == {"one": b"1"}


@pytest.mark.parametrize("layout", [tarfile.PAX_FORMAT, tarfile.GNU_FORMAT, tarfile.USTAR_FORMAT])
def test_what_surrounds_the_files_is_passed_over(layout, tmp_path):
    with tarfile.open(tmp_path / "a.tar.gz", "w:gz", format=layout) as archive:
        for name in ("long/" * 20 + "ä" * 30, "one"):
            (tmp_path / "content").write_text(name)
            archive.add(tmp_path / "content", name)
        archive.add(tmp_path, "folder", recursive=False)
    assert members(tmp_path / "a.tar.gz", ["one"]) == {"one": b"one"}


def link(name, target, kind):
    info = tarfile.TarInfo(name)
    info.type, info.linkname = kind, target
    return info


@pytest.mark.parametrize("kind", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.CHRTYPE])
def test_a_link_or_a_device_in_the_place_of_a_file_is_refused(kind, write_tar):
    path = write_tar({"one": link("one", "/etc/passwd", kind), "two": b"2"})
    assert members(path, ["two"]) == {"two": b"2"}
    with pytest.raises(ValueError, match="its one is no file"):
        members(path, ["one"])


def test_paths_that_lead_out_of_the_archive_lead_nowhere(write_tar, tmp_path):
    path = write_tar({"../escaped": b"1", str(tmp_path / "absolute"): b"2", "one": b"3"})
    assert members(path, ["escaped", "absolute", "one"]) == {"one": b"3"}
    assert sorted(os.listdir(tmp_path)) == [path.name]


def test_a_name_that_is_there_twice_is_refused(tmp_path):
    with tarfile.open(tmp_path / "a.tar.gz", "w:gz") as archive:
        for _ in range(2):
            archive.addfile(tarfile.TarInfo("one"))
    with pytest.raises(ValueError, match="it has one twice"):
        members(tmp_path / "a.tar.gz", ["one"])


def header(name, size, kind=tarfile.REGTYPE):
    info = tarfile.TarInfo(name)
    info.size, info.type = size, kind
    return info.tobuf(tarfile.GNU_FORMAT)


def test_a_link_has_no_bytes_whatever_it_announces(tmp_path):
    content = header("a", 512, tarfile.LNKTYPE) + header("one", 3) + b"123" + bytes(509 + 1024)
    (tmp_path / "a.tar").write_bytes(content)
    assert members(tmp_path / "a.tar", ["one"]) == {"one": b"123"}


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (header("one", 2**40) + b"1" * 100, "it ends after 100 of 1,099,511,627,776 bytes"),
        (header("other", 2**40) + b"1" * 100, "it ends in the middle of a file"),
        (header("one", -5) + b"1" * 100, "its one announces -5 bytes"),
        (header("one", 3) + b"123" + bytes(509), "it ends after 0 of 512 bytes"),
        (b"no archive at all" * 100, "bad checksum|invalid header"),
    ],
    ids=["a lie", "a lie that is passed over", "less than nothing", "no end", "text"],
)
def test_an_archive_that_is_not_what_it_says_is_refused_without_memory_for_it(
    content, expected, tmp_path, peak
):
    (tmp_path / "a.tar.gz").write_bytes(gzip.compress(content))

    def read():
        with pytest.raises((ValueError, tarfile.TarError), match=expected):
            members(tmp_path / "a.tar.gz", ["one"])

    assert peak(read) < 4 * MEBI


@pytest.mark.parametrize("name", ["one", "other"])
def test_a_bomb_is_given_up(name, tmp_path, peak, monkeypatch):
    monkeypatch.setattr(streams, "LARGEST", MEBI)
    (tmp_path / "a.tar.gz").write_bytes(gzip.compress(header(name, 2**26) + bytes(2**26)))

    def read():
        with pytest.raises(ValueError, match="it has more than 1,048,576 bytes, unpacked"):
            members(tmp_path / "a.tar.gz", ["one"])

    assert peak(read) < 5 * MEBI


def test_an_archive_with_a_changed_byte_is_refused(write_tar):
    path = write_tar({"one": os.urandom(5000)})
    whole = bytearray(path.read_bytes())
    whole[-6] ^= 1                                         # of gzip's checksum
    path.write_bytes(whole)
    with pytest.raises(gzip.BadGzipFile, match="CRC"):
        members(path, ["one"])
