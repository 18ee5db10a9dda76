"""One line runs a check again: what is written can be read, and nothing else is run."""

import numpy as np
import pytest

import minihf as hf
from minihf.ops.conv import Conv2dOp
from minihf.ops.dense import DenseOp
from minihf.ops.shape import GetItem
from minihf.testing import check_layer, load, replay
from minihf.testing.cases import Case
from minihf.testing.replay import read, reproducer, written

THINGS = [
    hf.Dense(3, 2, init_with=hf.He()),
    hf.Sequential(hf.Dense(3, 2), hf.Tanh(), top=hf.Residual(hf.Dense(2, 2))),
    hf.Conv2d(1, 2, (3, 2), stride=2),
    hf.Dropout(0.5, (2, 1)),
    hf.SoftmaxCrossEntropy(),
    hf.Adam(lr=0.01),
    hf.papers.martens2010(lam=1.0),
    hf.papers.zhang2017({"encoder": "encoder.*", "rest": ("a", "b")}),
    DenseOp(),
    Conv2dOp((2, 1), (0, 1)),
    GetItem((0, -1)),
    hf.LSTM,
    check_layer,
    ("N", 28, (1,)),
    {"W": "D H"},
    -1.5,
    None,
]


@pytest.mark.parametrize("thing", THINGS, ids=lambda thing: type(thing).__name__)
def test_what_is_written_is_read_back_as_it_was(thing):
    line = written(thing)
    assert repr(read(line)) == repr(thing)


@pytest.mark.parametrize(
    "thing", [lambda x: x, object(), np.ones(3), (np.ones(2), 1), GetItem(np.array([0, 0]))]
)
def test_what_cannot_be_written_says_so_and_leaves_no_line(thing):
    assert written(thing) is None
    assert reproducer(check_layer, [thing, "N D"], Case({"N": 1}, 0)) == ""


def test_a_line_is_the_call_with_its_case():
    case = Case({"N": 1, "D": 2}, 5)
    line = reproducer(check_layer, [hf.Tanh(), "N D"], case, independent_cases=False)
    expected = "check_layer(Tanh(), 'N D', independent_cases=False, sizes=dict(N=1, D=2), seed=5)"
    assert line == expected
    assert replay(line).cases == 1


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("check_layer(", "cannot read"),
        ("Tanh", "is no call of a check"),
        ("check_nothing(Tanh(), 'N D')", "'check_nothing' is no name of this library"),
        ("__import__('os').system('true')", "no name of this library|neither a name"),
        ("check_layer(Tanh(), 'N' + 'D')", "neither a name, nor a literal, nor a call"),
        ("check_layer(hf.tape.linearize, 'N D')", "neither a name"),
        ("hf.__loader__('x')", "hf.__loader__ is no name of this library"),
        ("(lambda: 1)()", "neither a name"),
    ],
)
def test_a_line_that_is_no_such_call_is_refused(line, message):
    with pytest.raises(ValueError, match=message):
        replay(line)


# Files


def test_a_thing_is_loaded_from_a_file_beside_its_own_modules(tmp_path):
    (tmp_path / "helper_of_mine.py").write_text("TWO = 2\n")
    (tmp_path / "mine.py").write_text("from helper_of_mine import TWO\nclass Mine: size = TWO\n")
    target = f"{tmp_path}/mine.py:Mine"
    assert load(target).size == 2
    assert load(target) is load(target)


def test_a_file_that_has_changed_is_run_again(tmp_path):
    import os

    file = tmp_path / "changing.py"
    file.write_text("size = 1\n")
    os.utime(file, (1, 1))
    assert load(f"{file}:size") == 1
    file.write_text("size = 2\n")
    assert load(f"{file}:size") == 2


@pytest.mark.parametrize(
    ("source", "target", "message"),
    [
        (None, "mine.py:Mine", "there is no file '.*mine.py'"),
        ("a = 1\n", "mine.py", r"must read FILE.py:NAME"),
        ("a = 1\n", "mine.py:", r"must read FILE.py:NAME"),
        ("def f(): pass\nx = 1\n", "mine.py:g", "has no 'g'; it has: f"),
        ("1 / 0\n", "mine.py:g", "does not run: ZeroDivisionError: division by zero"),
        ("def f(:\n", "mine.py:f", "does not run: SyntaxError"),
    ],
)
def test_what_cannot_be_loaded_is_refused_in_one_line(tmp_path, source, target, message):
    if source is not None:
        (tmp_path / "mine.py").write_text(source)
    with pytest.raises(ValueError, match=message) as caught:
        load(f"{tmp_path}/{target}")
    assert "\n" not in str(caught.value)
