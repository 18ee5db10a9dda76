"""The four rules of every op, on every array library: the ladder of `minihf.testing.check_op`.

A new op adds a row to `minihf.testing.builtin`; a test sees to it that none is forgotten.
"""

import pytest

from minihf.op import LinearOp, Op
from minihf.testing.builtin import BUILTIN
from minihf.testing.replay import all_below

CASES = 10  # one of different sizes, all of size 1, each size 1 alone, and some drawn


@pytest.mark.parametrize("name", BUILTIN)
def test_rules_climb_the_ladder(name, backend):
    assert BUILTIN[name].check(cases=CASES).cases == CASES


def all_ops():
    """Every op of the library: those that can run forward."""
    ours = [op for op in all_below(Op) if op.__module__.startswith("minihf.")]
    return [op for op in ours if op.forward is not Op.forward]


def test_every_op_has_a_row():
    rows = {type(row.an_op()) for row in BUILTIN.values()}
    assert {op.__name__ for op in all_ops()} == {op.__name__ for op in rows}


@pytest.mark.parametrize("op", all_ops(), ids=lambda op: op.__name__)
def test_every_op_states_its_four_rules(op):
    for rule in ("forward", "rop", "vjp", "rvjp"):
        assert getattr(op, rule) is not getattr(Op, rule), f"{op.__name__} lacks {rule}"
    assert op.rvjp is not LinearOp.rvjp or issubclass(op, LinearOp)
