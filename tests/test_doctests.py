"""The examples in the docstrings run and print what they say."""

import doctest
import importlib
import pkgutil

import pytest

import minihf
from minihf.testing import profile, use_profile

OPTIONAL = "minihf.experiments.bench.rivals."  # each imports a library that need not be there
MODULES = [
    info.name
    for info in pkgutil.walk_packages(minihf.__path__, "minihf.")
    if not info.name.startswith(OPTIONAL)
]


@pytest.fixture(autouse=True)
def _the_profile_they_were_written_for():
    before = profile().name
    use_profile("dev")
    yield
    use_profile(before)


@pytest.mark.parametrize("name", MODULES)
def test_the_examples_of_a_module_hold(name, monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    result = doctest.testmod(importlib.import_module(name))
    assert not result.failed


def test_the_main_modules_have_examples():
    finder = doctest.DocTestFinder(exclude_empty=True)
    for name in ("params", "tape", "losses", "curvature.ggn", "solvers.cg", "train.fit"):
        assert any(t.examples for t in finder.find(importlib.import_module(f"minihf.{name}")))
