"""What is said of the machine that a timing depends on."""

import re

import pytest

from minihf.experiments import machine


@pytest.mark.parametrize(
    ("setting", "said"),
    [
        ({"OMP_NUM_THREADS": "3"}, "3 threads by OMP_NUM_THREADS"),
        ({"OPENBLAS_NUM_THREADS": "2", "OMP_NUM_THREADS": "3"}, "2 threads by OPENBLAS_NUM_"),
        ({}, r"its own number of threads, on \d+ cores \(OPENBLAS_NUM_THREADS sets it\)"),
    ],
)
def test_the_threads_of_the_blas_are_what_the_environment_says(setting, said, monkeypatch):
    monkeypatch.setattr(machine, "blas", lambda: "scipy-openblas 0.3")
    for name in machine.THREADS:
        monkeypatch.delenv(name, raising=False)
    for name, value in setting.items():
        monkeypatch.setenv(name, value)
    assert re.match(said, machine.threads())


def test_several_workers_are_told_of(monkeypatch):
    monkeypatch.setenv("OMP_NUM_THREADS", "4")
    monkeypatch.setattr(machine, "workers", lambda: 2)
    assert machine.threads().endswith(", shared by 2 workers")
