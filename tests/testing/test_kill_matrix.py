"""The kill matrix: the ladder finds every bug, the checks that people use do not."""

import pytest

import minihf as hf
from minihf.testing.builtin import BUILTIN
from minihf.testing.kill_matrix import WEAK, as_row, kill_matrix, sees
from minihf.testing.planted import BUGS

LOSSES = [hf.SquaredError, hf.SigmoidCrossEntropy, hf.SoftmaxCrossEntropy]
MISSED = {"ones": 15, "differences": 8, "in float32": 9}
"""How many of the bugs in derivatives each weaker check misses, as measured."""


@pytest.fixture(scope="module")
def matrix():
    hf.use("numpy")
    return kill_matrix()


def test_every_bug_is_killed_by_its_one_rung(matrix):
    rungs = matrix.killed[:, : -len(WEAK)]
    assert matrix.killed.shape == (len(BUGS), len(matrix.columns))
    assert (rungs.sum(axis=1) == 1).all()
    assert [matrix.columns[i] for i in rungs.argmax(axis=1)] == [bug.rung for bug in BUGS]


def test_the_weaker_checks_are_asked_about_derivatives_only(matrix):
    asked = {bug.on for bug, asked in zip(BUGS, matrix.asked, strict=True) if asked}
    assert asked <= {*BUILTIN, "loss"}
    assert matrix.asked.sum() >= 65
    assert not matrix.killed[~matrix.asked, -len(WEAK) :].any()


@pytest.mark.parametrize("name", WEAK)
def test_each_weaker_check_misses_bugs(matrix, name):
    assert len(matrix.missed_by(name)) >= MISSED[name]


@pytest.mark.parametrize("name", WEAK)
def test_the_weaker_checks_are_no_straw_men(matrix, name):
    """They accuse nothing that is right, and see most of what is wrong."""
    right = [*BUILTIN.values(), *map(as_row, LOSSES)]
    assert not [row for row in right if sees(name, row)]
    assert len(matrix.missed_by(name)) < 0.25 * matrix.asked.sum()


def test_no_one_weaker_check_makes_up_for_another(matrix):
    missed = {name: set(matrix.missed_by(name)) for name in WEAK}
    assert missed["ones"] - missed["differences"]
    assert missed["differences"] - missed["ones"]
    assert set.intersection(*missed.values())        # and some no weaker check sees


def test_the_matrix_is_written_as_a_table():
    some = [bug for bug in BUGS if bug.name in ("log: epsilon in the slope", "damping: subtracted")]
    assert str(kill_matrix(some)).splitlines() == [
        "                           complex step  dense  ones  differences  in float32",
        "log: epsilon in the slope       x          .     x         .           .",
        "damping: subtracted             .          x",
    ]
