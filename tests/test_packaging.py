"""What a user gets: a wheel that works on its own, and an import that stays light."""

import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]

# Nothing of the developer's Python leaks into the user's, and pip gives up soon without a network.
USER = {k: v for k, v in os.environ.items() if not k.startswith(("PYTHON", "PYTEST", "MINIHF_"))}
USER |= {"PIP_RETRIES": "1", "PIP_DEFAULT_TIMEOUT": "20"}

PATIENCE = 240  # seconds for one command; a build or an installation takes about 20


def run(what, *command, cwd, expected=0):
    """Run a command to its end and return what it printed, or fail with a line that says what."""
    try:
        done = subprocess.run(
            [str(word) for word in command],
            cwd=cwd, env=USER, stdin=subprocess.DEVNULL, timeout=PATIENCE,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False,
        )
    except subprocess.TimeoutExpired:
        pytest.fail(f"{what}: no end after {PATIENCE} s", pytrace=False)
    if done.returncode != expected:
        pytest.fail(f"{what}: exit {done.returncode}\n{done.stdout[-2000:]}", pytrace=False)
    return done.stdout


@pytest.mark.slow
@pytest.mark.timeout(4 * PATIENCE)
def test_the_wheel_installed_alone_works(tmp_path):
    network = "(needs the package index: is there a network?)"

    # The sdist first, then the wheel from the sdist: both must be complete.
    run(f"building the wheel {network}",
        sys.executable, "-m", "build", "--outdir", tmp_path / "dist", ROOT, cwd=tmp_path)
    (wheel,) = (tmp_path / "dist").glob("*.whl")

    files = (p for p in (ROOT / "minihf").rglob("*") if p.is_file() and p.suffix != ".pyc")
    source = {p.relative_to(ROOT).as_posix() for p in files} | {"pytest_minihf.py"}
    missing = source.difference(zipfile.ZipFile(wheel).namelist())
    assert source, "nothing to compare with"
    assert not missing, f"not in the wheel: {sorted(missing)}"

    run("creating an empty venv", sys.executable, "-m", "venv", tmp_path / "venv", cwd=tmp_path)
    bin = tmp_path / "venv" / "bin"
    run(f"installing the wheel {network}",
        bin / "python", "-m", "pip", "install", wheel, cwd=tmp_path)

    where = run("importing minihf", bin / "python", "-c",
                "import minihf; print(minihf.__file__)", cwd=tmp_path)
    assert Path(where.strip()).is_relative_to(tmp_path)
    run("loading the digits", bin / "python", "-c",
        "import minihf; assert len(minihf.data.load('digits').x_train)", cwd=tmp_path)
    run("minihf --help", bin / "minihf", "--help", cwd=tmp_path)


MY_LAYER = """\
import minihf as hf


class Scale(hf.Layer):
    def __init__(self, width):
        self.width = width

    def parameters(self, rng):
        return {"w": rng.standard_normal(self.width)}

    def __call__(self, params, x):
        return x * params["w"]


class Centred(Scale):
    def __call__(self, params, x):
        return (x - x.mean(axis=0)) * params["w"]
"""

MY_TEST = """\
from my_layer import LAYER

from minihf.testing import check_layer, minihf_property
from minihf.testing.strategies import batches


@minihf_property(batch=batches(LAYER(3), x="N 3"))
def test_shape(batch):
    assert batch.z.shape == batch.x.shape


def test_layer():
    check_layer(LAYER, "N width")
"""


@pytest.mark.slow
@pytest.mark.timeout(4 * PATIENCE)
def test_a_users_project_checks_its_layers_with_the_installed_wheel(tmp_path):
    run("building the wheel (needs the package index: is there a network?)",
        sys.executable, "-m", "build", "--wheel", "--outdir", tmp_path / "dist", ROOT, cwd=tmp_path)
    (wheel,) = (tmp_path / "dist").glob("*.whl")

    # The wheel alone is new: all that it needs is looked up where this Python has it.
    run("creating a venv", sys.executable, "-m", "venv", tmp_path / "venv", cwd=tmp_path)
    python = tmp_path / "venv" / "bin" / "python"
    run("installing the wheel",
        python, "-m", "pip", "install", "--no-deps", "--no-index", wheel, cwd=tmp_path)
    there, here = (run("finding the packages", p, "-c",
                       "import sysconfig; print(sysconfig.get_path('purelib'))", cwd=tmp_path)
                   for p in (python, sys.executable))  # fmt: skip
    (Path(there.strip()) / "borrowed.pth").write_text(here)
    where = run("importing minihf", python, "-c", "import minihf; print(minihf.__file__)",
                cwd=tmp_path)
    assert Path(where.strip()).is_relative_to(tmp_path)

    test = [python, "-m", "pytest", "--minihf-profile", "dev", "-p", "no:cacheprovider"]
    (tmp_path / "test_my.py").write_text(MY_TEST)
    (tmp_path / "my_layer.py").write_text(MY_LAYER + "LAYER = Scale\n")
    assert "2 passed" in run("a right layer's tests", *test, "test_my.py", cwd=tmp_path)
    (tmp_path / "my_layer.py").write_text(MY_LAYER + "LAYER = Centred\n")
    said = run("a wrong layer's tests", *test, "test_my.py", cwd=tmp_path, expected=1)
    assert "1 failed, 1 passed" in said
    assert "diagnosis  a case's output depends on the other cases" in said
    minihf = tmp_path / "venv" / "bin" / "minihf"
    run("minihf check", minihf, "check", "my_layer.py:Scale", cwd=tmp_path)
    run("minihf check", minihf, "check", "my_layer.py:Centred", cwd=tmp_path, expected=1)


def test_import_loads_nothing_heavy(tmp_path):
    heavy = {"matplotlib", "tqdm", "minihf.testing"}
    loaded = run("importing minihf", sys.executable, "-c",
                 "import sys, minihf; print(*sys.modules)", cwd=tmp_path).split()
    assert "minihf" in loaded
    assert heavy.intersection(loaded) == set()
