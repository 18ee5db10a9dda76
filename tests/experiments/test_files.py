"""What files and folders of experiments are called."""

from pathlib import Path

import pytest

from minihf.experiments.files import file_name, new_folder


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
    assert sorted(it.name for it in path.parent.iterdir()) == sorted([*found, f"{path.name}-2"])


def test_a_new_folder_that_cannot_be_made_is_one_line(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(OSError, match=r"^cannot write into '.*/file': File exists$"):
        new_folder(tmp_path / "file" / "run")
