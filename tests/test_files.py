"""Files that appear whole or not at all, in folders that one process holds."""

import errno
import os
import signal
import stat
import subprocess
import sys

import pytest

from minihf import files
from minihf.files import alone_in, aside, folder, is_held, sweep, whole, writable, write_text

HOLD = """
import sys, time
from pathlib import Path
from minihf.files import alone_in
with alone_in(Path(sys.argv[1])):
    print("held", flush=True)
    time.sleep(600)
"""

WRITE = """
import os, signal, sys
from pathlib import Path
from minihf.files import whole
with whole(Path(sys.argv[1])) as part:
    part.write_text("ne")
    os.kill(os.getpid(), signal.SIGKILL)
"""

needs_flock = pytest.mark.skipif(sys.platform == "win32", reason="no flock")


def names(place):
    return sorted(path.name for path in place.iterdir())


# Files --------------------------------------------------------------------------------------


def test_two_that_write_the_same_file_do_not_disturb_each_other(tmp_path):
    path = tmp_path / "a.txt"
    with whole(path) as first, whole(path) as second:
        first.write_text("first")
        second.write_text("second")
    assert path.read_text() == "first"                               # it ended last
    assert names(tmp_path) == ["a.txt"]


def test_what_is_interrupted_leaves_the_file_as_it_was(tmp_path):
    path = tmp_path / "a.txt"
    path.write_text("old")

    def write(part):
        part.write_text("ne")
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt), whole(path) as part:
        write(part)
    assert path.read_text() == "old"
    assert names(tmp_path) == ["a.txt"]


def test_a_file_is_on_the_disk_before_it_has_its_name_and_then_so_is_the_name(
    tmp_path, monkeypatch
):
    fsync, replace, done = os.fsync, os.replace, []
    kinds = {stat.S_IFREG: "file", stat.S_IFDIR: "folder"}

    def spy(descriptor):
        done.append(kinds[stat.S_IFMT(os.fstat(descriptor).st_mode)])
        fsync(descriptor)

    monkeypatch.setattr(files.os, "fsync", spy)
    monkeypatch.setattr(files.os, "replace", lambda *two: done.append("name") or replace(*two))
    write_text(tmp_path / "a.txt", "new")
    assert done == ["file", "name", "folder"]


def test_a_disk_that_does_not_keep_it_leaves_the_file_as_it_was(tmp_path, monkeypatch):
    def is_full(descriptor):
        raise OSError(28, "No space left on device")

    write_text(tmp_path / "a.txt", "old")
    monkeypatch.setattr(files.os, "fsync", is_full)
    with pytest.raises(OSError, match="No space left on device"):
        write_text(tmp_path / "a.txt", "new")
    assert (tmp_path / "a.txt").read_text() == "old"
    assert names(tmp_path) == ["a.txt"]


def test_a_folder_that_cannot_be_brought_to_the_disk_is_no_error(tmp_path, monkeypatch):
    def are_not_opened(path, flags):
        raise PermissionError("folders are not opened here")

    monkeypatch.setattr(files.os, "open", are_not_opened)
    write_text(tmp_path / "a.txt", "new")
    assert (tmp_path / "a.txt").read_text() == "new"


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no pipes")
def test_what_is_no_file_is_not_replaced_by_one(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "folder").mkdir()
    for name, what in [("pipe", "it is no file"), ("folder", "it is a folder")]:
        with pytest.raises(OSError, match=rf"^cannot write '.*{name}': it is no file$"):
            write_text(tmp_path / name, "new")
        with pytest.raises(ValueError, match=rf"^cannot write '.*{name}': {what}$"):
            writable(tmp_path / name)
    assert names(tmp_path) == ["folder", "pipe"]
    assert (tmp_path / "pipe").is_fifo()


def test_what_is_written_to_a_link_goes_to_where_it_leads(tmp_path):
    (tmp_path / "public").mkdir()
    (tmp_path / "public" / "page").write_text("old")
    (tmp_path / "link").symlink_to(tmp_path / "public" / "page")
    write_text(writable(tmp_path / "link"), "new")
    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "public" / "page").read_text() == "new"


def test_where_a_file_can_be_written_is_known_before(tmp_path):
    assert writable(str(tmp_path / "a.txt")) == tmp_path / "a.txt"
    with pytest.raises(ValueError, match=r"cannot write '.*a.txt': no writable folder '.*none'"):
        writable(tmp_path / "none" / "a.txt")
    assert names(tmp_path) == []


def test_a_process_that_is_killed_leaves_the_file_as_it_was_and_something_to_sweep(tmp_path):
    path = tmp_path / "run.json"
    path.write_text("old")
    killed = subprocess.run([sys.executable, "-c", WRITE, str(path)], check=False)
    assert killed.returncode == -signal.SIGKILL
    assert path.read_text() == "old"
    assert len(names(tmp_path)) == 2
    sweep(tmp_path)
    assert names(tmp_path) == ["run.json"]


def left(path):
    """Return what `aside` gives, as a process leaves it that is killed."""
    with aside(path) as part:
        pass
    return part


def test_what_is_left_is_swept_up_and_nothing_else(tmp_path):
    for name in ("latest.npz", "labels-ubyte", "labels.gz"):
        left(tmp_path / name).touch()
    left(tmp_path / "package").mkdir()
    (left(tmp_path / "package") / "deep").mkdir(parents=True)
    others = [".lock", ".run.part.json", "latest.npz", "run.json"]
    for name in others:
        (tmp_path / name).touch()
    sweep(tmp_path)
    assert names(tmp_path) == others


def test_what_is_left_of_other_files_stays_where_one_is_named(tmp_path):
    other = left(tmp_path / "curves-1-7.npz")
    for part in (other, left(tmp_path / "curves-1-0.npz")):
        part.touch()
    sweep(tmp_path, "curves-1-0")
    assert names(tmp_path) == [other.name]


def test_a_folder_beside_goes_with_all_that_is_in_it(tmp_path):
    with aside(tmp_path / "package") as part:
        part.mkdir()
        (part / "a").touch()
    assert names(tmp_path) == []


# Folders ------------------------------------------------------------------------------------


def test_a_folder_is_made_and_stays_if_something_lies_in_it(tmp_path):
    with folder(tmp_path / "a" / "b"):
        (tmp_path / "a" / "b" / "c").touch()
    assert names(tmp_path / "a" / "b") == ["c"]
    with pytest.raises(ZeroDivisionError), folder(tmp_path / "a" / "d" / "e"):
        1 / 0  # noqa: B018
    assert names(tmp_path / "a") == ["b"]
    with folder(tmp_path / "a" / "b"):
        (tmp_path / "a" / "b" / "c").unlink()
    assert (tmp_path / "a" / "b").is_dir()                           # it was there before


@pytest.mark.parametrize(
    ("place", "message"),
    [
        ("file", r"^'.*/file' is a file; expected a folder$"),
        ("file/x/y", r"^'.*/file' is a file; expected a folder$"),
        ("x" * 300, r"^cannot write into '.*': File name too long$"),
        ("/dev/null", "^'/dev/null' is a file; expected a folder$"),
        pytest.param(
            "/proc/foo", "^cannot write into '/proc/foo': ",
            marks=pytest.mark.skipif(not os.path.isdir("/proc"), reason="no /proc"),
        ),
    ],
)  # fmt: skip
def test_what_cannot_be_a_folder_is_one_line(place, message, tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(OSError, match=message), folder(tmp_path / place):
        raise AssertionError("not to be reached")
    assert names(tmp_path) == ["file"]


@needs_flock
def test_one_who_only_looks_whether_a_folder_is_held_stands_in_nobody_s_way(tmp_path, monkeypatch):
    looking = (tmp_path / files.LOCK).open("w")
    files.fcntl.flock(looking, files.fcntl.LOCK_SH)
    monkeypatch.setattr(files, "sleep", lambda seconds: looking.close())
    with alone_in(tmp_path):
        assert is_held(tmp_path)


@needs_flock
def test_a_folder_is_held_by_one_and_let_go_again(tmp_path):
    with alone_in(tmp_path):
        with (
            pytest.raises(RuntimeError, match=r"another fetch is running in .* \(\$MINIHF_DATA\)$"),
            alone_in(tmp_path, "fetch", "$MINIHF_DATA"),
        ):
            raise AssertionError("not to be reached")
        with pytest.raises(RuntimeError, match="another race is running in"), alone_in(tmp_path):
            raise AssertionError("the refused one has let go of what it did not hold")
    with pytest.raises(ZeroDivisionError), alone_in(tmp_path):
        1 / 0  # noqa: B018
    with alone_in(tmp_path):
        pass
    assert names(tmp_path) == []


@needs_flock
@pytest.mark.parametrize("by", [signal.SIGTERM, signal.SIGKILL])
def test_a_process_that_is_killed_holds_nothing(by, tmp_path):
    with subprocess.Popen(
        [sys.executable, "-c", HOLD, str(tmp_path)], stdout=subprocess.PIPE, text=True
    ) as other:
        assert other.stdout.readline() == "held\n"
        with pytest.raises(RuntimeError, match="another race"), alone_in(tmp_path):
            raise AssertionError("not to be reached")
        other.send_signal(by)
        other.wait()
    with alone_in(tmp_path):
        pass
    assert names(tmp_path) == []


@needs_flock
def test_a_lock_that_is_gone_is_none(tmp_path, monkeypatch):
    """Opened while another held it, locked when that one had removed it: a third may have a new."""
    flock = files.fcntl.flock

    def late(file, how):
        (tmp_path / files.LOCK).unlink()
        flock(file, how)

    monkeypatch.setattr(files.fcntl, "flock", late)
    with pytest.raises(RuntimeError, match="another race"), alone_in(tmp_path):
        raise AssertionError("not to be reached")


@needs_flock
def test_where_a_file_system_has_no_locks_nothing_is_held(tmp_path, monkeypatch):
    def has_none(file, how):
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr(files.fcntl, "flock", has_none)
    with alone_in(tmp_path):
        assert is_held(tmp_path) is None
    assert names(tmp_path) == []
