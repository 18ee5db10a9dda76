"""Every example runs, prints numbers, and leaves a figure where it says."""

import subprocess
import sys
from pathlib import Path

import pytest

EXAMPLES = sorted((Path(__file__).parents[1] / "examples").glob("[0-9]*.py"))
LINES = 80


@pytest.mark.slow
@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_it_runs_without_a_warning_and_draws_its_figure(path, tmp_path):
    figure = tmp_path / "figure.png"
    run = subprocess.run(
        [sys.executable, "-W", "error", path, figure],
        capture_output=True, text=True, timeout=120, check=False, cwd=tmp_path,
    )  # fmt: skip
    assert run.returncode == 0, run.stderr
    assert any(character.isdigit() for character in run.stdout)
    assert run.stdout.splitlines()[-1] == f"figure: {figure}"
    assert figure.read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_it_is_short_enough_to_read_at_once(path):
    assert len(path.read_text().splitlines()) <= LINES


def test_there_are_examples():
    assert len(EXAMPLES) >= 4
