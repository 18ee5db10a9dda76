"""The README's promises: its code runs as it stands, its links lead somewhere, its tasks exist."""

import re
import subprocess
from pathlib import Path

import pytest

from minihf.data import read_npz

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text()
BLOCKS = re.findall(r"```python\n(.*?)```", README, flags=re.DOTALL)


def test_the_python_blocks_run_from_top_to_bottom(capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert len(BLOCKS) >= 4
    namespace = {}
    for block in BLOCKS:
        exec(compile(block, "README.md", "exec"), namespace)
    assert "products" in capsys.readouterr().out
    assert read_npz("images.npz", "mine", classes=10).x_train.shape == (15, 1, 28, 28)


def test_the_three_lines_of_the_product_are_those_of_the_source():
    shown = re.search(r"```\n(Rz = .*?)```", README, flags=re.DOTALL).group(1)
    source = (ROOT / "minihf/curvature/ggn.py").read_text()
    for line in shown.splitlines():
        code = line.split("#")[0].strip()
        assert f"        {code}\n" in source, code


@pytest.mark.parametrize("target", sorted(set(re.findall(r"\]\(([^)#]+)\)", README))))
def test_a_link_leads_to_a_file(target):
    assert (ROOT / target).exists()


def test_every_task_it_names_is_listed_by_make_help():
    listed = subprocess.run(
        ["make", "help"], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout
    tasks = "demo test test-fast test-gpu browser lint docs bench bench-gpu clean"
    for task in tasks.split():
        assert f"make {task} " in listed
        assert task in README
