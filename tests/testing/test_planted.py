"""Mistakes planted in the library's own rules: each is found, by its rung, and named."""

import numpy as np
import pytest

import minihf as hf
from minihf.op import Op
from minihf.testing import CheckFailure, check_op
from minihf.testing.bug import CHECKS
from minihf.testing.planted import BUGS
from minihf.testing.planting import plant

LSTM = "N T D", "D 4H", "H 4H", "4H"


@pytest.mark.parametrize("bug", BUGS, ids=lambda bug: bug.name)
def test_a_planted_bug_is_found_by_its_rung_and_named(bug):
    with pytest.raises(CheckFailure) as caught:
        bug.check()
    assert caught.value.rung == bug.rung
    if bug.known:
        assert caught.value.diagnosis == bug.diagnosis
    else:
        assert bug.diagnosis in caught.value.diagnosis


def test_there_are_many_and_no_two_are_the_same():
    assert len(BUGS) >= 80
    assert len({bug.name for bug in BUGS}) == len({(b.target, b.old, b.new) for b in BUGS})
    assert len({bug.name for bug in BUGS}) == len(BUGS)
    assert sum(bool(bug.diagnosis) for bug in BUGS) >= 70


@pytest.mark.parametrize("name", CHECKS)
def test_what_is_checked_is_right_without_the_bug(name):
    right = {bug.right for bug in BUGS if bug.on == name}
    assert right
    for thing in right:
        CHECKS[name](thing)


# Planting -----------------------------------------------------------------------------------


def test_what_is_not_in_the_source_once_cannot_be_exchanged():
    for old, times in (("no such thing", 0), ("Rx", 2)):
        with pytest.raises(ValueError, match=f"and is {times}"):
            plant("minihf.ops.elementwise:Unary.rop", old, "")


def test_what_is_not_there_cannot_be_planted_in():
    for target in ("minihf.ops.dense:DenseOp.pull", "minihf.ops.dense:NoOp.rop", "no.module:f"):
        with pytest.raises(ValueError, match="plant: there is no"):
            plant(target, "a", "b")


def test_the_library_is_as_it_was():
    wrong = plant("minihf.ops.elementwise:Exp.forward", "exp(x)", "expm1(x)")
    right = wrong.__mro__[1]
    assert (wrong().forward(np.zeros(1))[0], right().forward(np.zeros(1))[0]) == (0, 1)
    assert wrong.__module__ == "planted"  # and so no op of the library


def test_functions_and_methods_that_call_super_can_be_planted_in():
    assert plant("minihf.solvers.cg:martens_grid", "i < 5", "i < 6")(5) is False

    planted = plant("minihf.curvature.ggn:GGN.__init__", "loss.hessian(lin.output, y)", "None")
    net = hf.Sequential(hf.Dense(2, 1))
    lin = hf.linearize(net, net.init(0), np.ones((1, 2), np.float32))
    assert planted(lin, hf.SquaredError(), np.ones((1, 1), np.float32))._H_L is None


# In an op of one's own ----------------------------------------------------------------------


def sigmoid(a):
    return 0.5 * (1 + np.tanh(0.5 * a))


class StudentLSTM(Op):
    """An LSTM as one writes it: step by step, from zero states, each rule by itself.

    `mistake` makes one of three: a cell state of the wrong time, no recurrence, a slope.
    """

    def __init__(self, mistake=""):
        self.mistake = mistake

    def forward(self, x, Wx, Wh, b):
        h = c = np.zeros((len(x), len(Wh)))
        steps, hs = [], []
        for t in range(x.shape[1]):
            a = x[:, t] @ Wx + h @ Wh + b
            i, f, g, o = np.split(a, 4, axis=1)
            i, f, g, o = sigmoid(i), sigmoid(f), np.tanh(g), sigmoid(o)
            new = f * c + i * g
            steps.append((h, c, new, i, f, g, o))
            c, h = new, o * np.tanh(new)
            hs.append(h)
        return np.stack(hs, axis=1), (x, Wx, Wh, steps)

    def rop(self, residuals, Rx, RWx, RWh, Rb):
        x, Wx, Wh, steps = residuals
        Rh = Rc = np.zeros_like(steps[0][0])
        Rhs = []
        for t, (h, c, new, i, f, g, o) in enumerate(steps):
            Ra = np.zeros((len(x), Wx.shape[1]))
            if self.mistake != "recurrence":
                Ra = Ra + Rh @ Wh
            Ra = Ra if Rx is None else Ra + Rx[:, t] @ Wx
            Ra = Ra if RWx is None else Ra + x[:, t] @ RWx
            Ra = Ra if RWh is None else Ra + h @ RWh
            Ra = Ra if Rb is None else Ra + Rb
            Ri, Rf, Rg, Ro = np.split(Ra, 4, axis=1)
            Rf = (f if self.mistake == "slope" else f * (1 - f)) * Rf
            Rc = f * Rc + Rf * c + i * (1 - i) * Ri * g + i * (1 - g * g) * Rg
            m = np.tanh(c if self.mistake == "old cell" else new)
            Rh = o * (1 - o) * Ro * m + o * (1 - m * m) * Rc
            Rhs.append(Rh)
        return np.stack(Rhs, axis=1)

    def vjp(self, residuals, u, needs):
        x, Wx, Wh, steps = residuals
        ux, uWx, uWh, ub = np.zeros_like(x), 0 * Wx, 0 * Wh, np.zeros(Wx.shape[1])
        uh = uc = np.zeros_like(steps[0][0])
        for t in reversed(range(len(steps))):
            h, c, new, i, f, g, o = steps[t]
            m = np.tanh(c if self.mistake == "old cell backward" else new)
            uh = u[:, t] + uh
            uc = uc + o * (1 - m * m) * uh
            ua = np.concatenate(
                [uc * g * i * (1 - i), uc * c * f * (1 - f), uc * i * (1 - g * g),
                 uh * m * o * (1 - o)], axis=1,
            )  # fmt: skip
            ux[:, t] = ua @ Wx.T
            uWx, uWh, ub = uWx + x[:, t].T @ ua, uWh + h.T @ ua, ub + ua.sum(axis=0)
            uh, uc = ua @ Wh.T, f * uc
        return ux, uWx, uWh, ub

    def rvjp(self, residuals, Rinputs, u, Ru, needs):
        """To be written: the ladder says so."""
        return tuple(0 * x for x in self.vjp(residuals, u, needs))


@pytest.mark.parametrize(
    ("mistake", "rung", "diagnosis"),
    [
        ("old cell", "complex step", "uses the old cell state c_{t-1} where c_t belongs"),
        ("old cell backward", "adjoint", "uses the old cell state c_{t-1} where c_t belongs"),
        ("slope", "complex step", "the slope of the forget gate lacks its factor 1 - f"),
        ("recurrence", "complex step",
         "R{h_{t-1}} Wh is missing: the tangent does not pass from step to step"),
        ("", "second order", "in R{cotangent of `x`}, the tangent of x is ignored"),
    ],
)  # fmt: skip
def test_a_mistake_in_an_op_of_ones_own_is_known_by_its_result(mistake, rung, diagnosis):
    with pytest.raises(CheckFailure) as caught:
        check_op(StudentLSTM(mistake), *LSTM)
    assert (caught.value.rung, caught.value.diagnosis) == (rung, diagnosis)
