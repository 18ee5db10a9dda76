"""The plugin in a user's project, as pytest runs it: the option, the header, what a failure shows.

Each run is a process of its own; the plugin comes by its entry point.
"""

import os
import re
import subprocess
import sys

import pytest

from minihf.testing import replay

LAYERS = '''\
import numpy as np
import minihf as hf
from minihf.op import LinearOp


class Double(LinearOp):
    def forward(self, x):
        return 2 * x, None

    def rop(self, residuals, Rx):
        return 2 * Rx

    def vjp(self, residuals, u, needs):
        return (2 * u,)


class WrongDouble(Double):
    def vjp(self, residuals, u, needs):
        return (-2 * u,)


class Good(hf.Layer):
    op = Double()

    def __init__(self, width):
        self.width = width

    def parameters(self, rng):
        return {"w": rng.standard_normal(self.width)}

    def __call__(self, params, x):
        return self.op(x * params["w"])


class Bad(Good):
    op = WrongDouble()
'''

TESTS = '''\
from my_layers import Bad, Good

from minihf.testing import check_layer, minihf_property, profile
from minihf.testing.strategies import spd_operators

counted = []


def test_good():
    assert check_layer(Good, "N width").cases == profile().cases


def test_bad():
    check_layer(Bad, "N width")


@minihf_property(A=spd_operators("linear"))
def test_small(A):
    counted.append(A)
    assert A.size < 2


@minihf_property(A=spd_operators("linear"))
def test_count(A):
    counted.append(A)


def test_plain():
    assert sorted([2, 1]) == [2, 1]
'''

USER = {k: v for k, v in os.environ.items() if not k.startswith(("PYTEST_", "MINIHF_", "CI"))}


def pytest_of(folder, *words):
    """Run pytest in a folder; return its exit code, and all it said."""
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", *words],
        cwd=folder, env=USER | {"COLUMNS": "200"}, text=True, check=False, timeout=200,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL,
    )  # fmt: skip
    return done.returncode, done.stdout


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    folder = tmp_path_factory.mktemp("project")
    (folder / "my_layers.py").write_text(LAYERS)
    (folder / "test_my.py").write_text(TESTS)
    (folder / "test_other.py").write_text(
        "import sys\ndef test_other():\n    assert 'minihf' not in sys.modules\n"
    )
    return folder


@pytest.fixture(scope="module")
def alone(project):
    return pytest_of(project, "--minihf-profile", "dev", "test_my.py")


@pytest.fixture(scope="module")
def spread(project):
    return pytest_of(project, "--minihf-profile", "ci", "-n", "2", "test_my.py")


@pytest.fixture(params=["alone", "spread"])
def said(request):
    return request.getfixturevalue(request.param)[1]


def block(said, test):
    """Return what is said about one failed test."""
    return re.search(rf"\n_+ {test} _+\n(.*?)\n(?=_+ test|=+ )", said, flags=re.DOTALL)[1]


def test_right_layers_pass_and_wrong_ones_fail(said):
    assert "3 failed, 2 passed" in said


def test_a_failed_check_is_its_own_words_and_no_traceback(said):
    shown = block(said, "test_bad")
    assert "the cotangent of `x` has the wrong sign" in shown
    assert "again      minihf.testing.replay(" in shown
    for word in ("Traceback", "climb", ".py:", "    def ", "raise "):
        assert word not in shown.replace("my_layers.py:", "")
    assert len(shown.splitlines()) < 12


def test_the_line_in_the_summary_says_what_broke(said):
    assert re.search(r"FAILED test_my.py::test_bad - .*CheckFailure: Bad: broken at rung", said)


def test_another_failure_keeps_its_traceback(said):
    assert "assert sorted([2, 1]) == [2, 1]" in block(said, "test_plain")


def test_the_smallest_example_can_be_run_again(said, project, monkeypatch):
    found = re.search(r"again: minihf\.testing\.replay\((.*)\)", block(said, "test_small"))
    line = eval(found[1])
    assert line == "load('test_my.py:test_small')(A=SPD(2, 'linear'))"
    monkeypatch.chdir(project)
    with pytest.raises(AssertionError):
        replay(line)


def test_the_header_says_the_profile_and_the_backend(alone):
    assert re.search(r"\nminihf: profile dev \(6 cases, 10 examples\), backend \w+: ", alone[1])


def test_a_profile_that_there_is_not_is_a_usage_error_in_one_line(project):
    code, said = pytest_of(project, "--minihf-profile", "fast")
    assert code == pytest.ExitCode.USAGE_ERROR
    expected = "ERROR: --minihf-profile: unknown profile 'fast'; choose one of: dev, ci, grade, "
    assert said.strip().startswith(expected)
    assert len(said.strip().splitlines()) == 1


def test_a_project_without_minihf_does_not_load_it(project):
    code, said = pytest_of(project, "test_other.py")
    assert code == 0
    assert "minihf: " not in said


def test_a_traceback_that_is_asked_for_is_shown(project):
    _, said = pytest_of(project, "--tb=short", "test_my.py::test_bad")
    assert "in test_bad" in said
    assert "has the wrong sign" in said


def test_hypothesis_takes_the_profiles_by_its_own_option(project):
    (project / "test_default.py").write_text(
        "from hypothesis import settings\n"
        "def test_default():\n"
        "    assert settings().max_examples == 100\n"
    )
    options = ["--minihf-profile", "dev", "--hypothesis-profile", "minihf-grade"]
    assert pytest_of(project, *options, "test_default.py")[0] == 0
    assert pytest_of(project, *options[:2], "test_default.py")[0] == 1
