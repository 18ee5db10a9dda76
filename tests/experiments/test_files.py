"""Files that appear whole, under names of their own, in folders that one process holds."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from minihf.experiments import files
from minihf.experiments.files import alone_in, aside, file_name, folder, new_folder, sweep, whole

HOLD = """
import sys, time
from pathlib import Path
from minihf.experiments.files import alone_in
with alone_in(Path(sys.argv[1])):
    print("held", flush=True)
    time.sleep(600)
"""

needs_flock = pytest.mark.skipif(sys.platform == "win32", reason="no flock")


def names(place):
    return sorted(path.name for path in place.iterdir())


# Names --------------------------------------------------------------------------------------


def test_a_long_word_is_a_name_that_file_systems_take_and_no_other_word_has(tmp_path):
    words = ["minihf" + ":l2=1e-5" * 40 + end for end in ("", "0", "1")]
    found = {file_name(word) for word in words}
    assert len(found) == 3
    for name in found:
        (tmp_path / f".{name}-0.part.jsonl").touch()


def test_a_short_word_is_readable():
    assert file_name("zhang2017:solver.max_iters=3") == "zhang2017,solver.max_iters=3"
    assert file_name("adam:blocks='é'") == "adam,blocks=,,,"


def test_a_name_that_is_taken_is_numbered(tmp_path):
    path = tmp_path / "new" / "digits-adam,lr=0.1-0"
    path.parent.mkdir()
    Path(f"{path}-2").touch()
    found = [new_folder(path).name for _ in range(3)]
    assert found == [f"{path.name}", f"{path.name}-3", f"{path.name}-4"]
    assert names(path.parent) == sorted([*found, f"{path.name}-2"])


def test_a_new_folder_that_cannot_be_made_is_one_line(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(OSError, match=r"^cannot write into '.*/file': File exists$"):
        new_folder(tmp_path / "file" / "run")


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


def test_what_a_killed_process_left_is_swept_up_and_nothing_else(tmp_path):
    for name in ("run.json", "latest.npz"):
        with aside(tmp_path / name) as part:
            part.touch()
            (tmp_path / f"{part.name}.kept").touch()
        (tmp_path / f"{part.name}.kept").rename(part)
    assert len(names(tmp_path)) == 2
    others = [".lock", ".run.part.json", "latest.npz", "run.json"]
    for name in others:
        (tmp_path / name).touch()
    sweep(tmp_path)
    assert names(tmp_path) == others


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
def test_a_folder_is_held_by_one_and_let_go_again(tmp_path):
    with alone_in(tmp_path):
        with pytest.raises(RuntimeError, match="another race is running in"), alone_in(tmp_path):
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
