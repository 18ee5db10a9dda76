"""The four rules of every op, on every array library: the ladder of `minihf.testing.check_op`.

A new op adds a row to `minihf.testing.builtin`; a test sees to it that none is forgotten.
"""

import numpy as np
import pytest

import minihf as hf
from minihf.op import LinearOp, Op
from minihf.testing.builtin import BUILTIN
from minihf.testing.cases import plan
from minihf.testing.checks.op_case import OpCase
from minihf.testing.replay import all_below
from minihf.testing.shapes import names_of, shape

CASES = 10  # one of different sizes, all of size 1, each size 1 alone, and some drawn


@pytest.mark.parametrize("name", BUILTIN)
def test_rules_climb_the_ladder(name, backend):
    assert BUILTIN[name].check(cases=CASES).cases == CASES


TRANSCENDENTAL = ("tanh", "exp", "expm1", "log", "log1p", "sinh", "cosh", "sin", "cos", "power")
EVALUATE = {"tanh", "sigmoid", "softplus", "exp", "log", "rnn", "lstm"}


@pytest.mark.parametrize("name", BUILTIN)
def test_only_forward_evaluates_a_transcendental_function(name, backend):
    asked = []

    def recorded(function):
        def call(*arguments, **options):
            asked.append(function)
            return function(*arguments, **options)

        return call

    namespace = hf.backend.array_module(hf.asarray(np.ones(1)))
    row = BUILTIN[name]
    shapes = [shape(text) for text in row.shapes]
    (case, *_) = plan(names_of(shapes))
    with pytest.MonkeyPatch.context() as patch:
        for function in TRANSCENDENTAL:
            known = recorded(getattr(namespace, function))
            patch.setattr(namespace, function, known, raising=False)
        at = OpCase(row.an_op(case.sizes), shapes, case, row.domain)
        assert bool(asked) == (name.partition(",")[0] in EVALUATE)
        asked.clear()
        for R in [at.R, *(at.alone(i) for i, _ in at.inputs)]:
            at.rop(R)
            at.rvjp(R, at.Ru)
        at.vjp(at.u)
    assert asked == []


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


@pytest.mark.parametrize("rule", ["activations", "sensitivities", "split", "join"])
def test_a_rule_for_weights_that_is_not_stated_is_named(rule):
    class Bare(Op):
        pass

    arguments = (None,) * (1 if rule == "activations" else 2)
    with pytest.raises(NotImplementedError, match=f"op Bare lacks its rule '{rule}'"):
        getattr(Bare(), rule)(*arguments)
