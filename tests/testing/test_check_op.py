"""`check_op` at the edges: what it lets pass, what it refuses, and what it says."""

import pickle
import warnings

import numpy as np
import pytest

import minihf as hf
from minihf.op import LinearOp, Op
from minihf.ops.dense import DenseOp
from minihf.ops.elementwise import ReLU, Tanh
from minihf.ops.rnn import RNNOp
from minihf.testing import CheckFailure, check_op, replay
from minihf.testing.builtin import RECURRENT
from minihf.testing.planting import plant

DENSE = "N D", "D M", "M"


def failure(op, *shapes, **options):
    """The failure of a check that must fail."""
    with pytest.raises(CheckFailure) as caught:
        check_op(op, *shapes, **options)
    return caught.value


class Scale(Op):
    """y = a x, and each rule for a subclass to break."""

    a = 2.0

    def forward(self, x):
        return self.a * x, None

    def rop(self, residuals, Rx):
        return self.a * Rx

    def vjp(self, residuals, u, needs):
        return (self.a * u,)

    def rvjp(self, residuals, Rinputs, u, Ru, needs):
        return (None,) if Ru is None else (self.a * Ru,)


def test_a_right_op_passes_and_the_verdict_says_how_well():
    verdict = check_op(Scale(), "N D")
    assert list(verdict.worst) == [
        "contract", "complex step", "adjoint", "needs", "second order", "linearity", "taylor",
        "float32",
    ]  # fmt: skip
    assert verdict.worst["complex step"] < 1e-15
    assert str(verdict).startswith("Scale: all 8 rungs hold in 6 cases\n")


# What must pass -----------------------------------------------------------------------------


def test_a_tangent_without_effect_is_right_if_it_is_zero():
    class Second(Scale):
        def forward(self, x, y):
            return super().forward(x)

        def rop(self, residuals, Rx, Ry):
            return 0 * Ry if Rx is None else super().rop(residuals, Rx)

        def vjp(self, residuals, u, needs):
            return *super().vjp(residuals, u, needs), 0 * u

        def rvjp(self, residuals, Rinputs, u, Ru, needs):
            return *super().rvjp(residuals, Rinputs, u, Ru, needs), None

    check_op(Second(), "N", "N")

    class NotZero(Second):
        def rop(self, residuals, Rx, Ry):
            return 1e-9 * Ry if Rx is None else super().rop(residuals, Rx, Ry)

    assert failure(NotZero(), "N", "N").error == np.inf


class UnitVectors(Op):
    """y = x / |x| along the last axis: for single numbers all derivatives cancel to rounding."""

    def forward(self, x):
        n = np.sqrt((x * x).sum(-1, keepdims=True))
        return x / n, (x, n)

    def rop(self, residuals, Rx):
        x, n = residuals
        return Rx / n - x * (x * Rx).sum(-1, keepdims=True) / n**3

    def vjp(self, residuals, u, needs):
        return (self.rop(residuals, u),)

    def rvjp(self, residuals, Rinputs, u, Ru, needs):
        (x, n), (Rx,) = residuals, Rinputs
        Rux = 0 * x if Ru is None else self.rop(residuals, Ru)
        if Rx is not None:
            xR, xu, uR = ((a * b).sum(-1, keepdims=True) for a, b in ((x, Rx), (x, u), (u, Rx)))
            Rux = Rux - (u * xR + Rx * xu + x * uR) / n**3 + 3 * x * xu * xR / n**5
        return (Rux,)


@pytest.mark.parametrize("sizes", [{"N": 1, "D": 1}, {"N": 3, "D": 1}, {"N": 2, "D": 3}], ids=str)
def test_what_cancels_to_rounding_is_not_accused(sizes):
    for seed in range(30):
        check_op(UnitVectors(), "N D", sizes=sizes, seed=seed)


class ForgetsLargeNumbers(Scale):
    def rop(self, residuals, Rx):
        return np.where(np.abs(residuals) > 4, 0, super().rop(residuals, Rx))

    def forward(self, x):
        return super().forward(x)[0], x

    def vjp(self, residuals, u, needs):
        return super().vjp(None, u, needs)


def test_a_wide_domain_looks_where_others_do_not():
    check_op(ForgetsLargeNumbers(), "N D")
    check_op(Tanh(), "N D", domain="wide")
    found = failure(ForgetsLargeNumbers(), "N D", domain="wide")
    assert found.rung == "complex step"
    assert "domain='wide'" in found.reproducer


@pytest.mark.parametrize("op", [Tanh(), Scale()])
def test_one_number_is_enough(op):
    check_op(op, "")
    check_op(op, "N", sizes={"N": 1})


def test_one_case_and_one_step_hide_what_needs_two():
    shallow = plant("minihf.ops.rnn:RNNOp._pull", "if t == T - 1", "if True")
    check_op(shallow(), *RECURRENT, sizes={"N": 1, "T": 1, "D": 1, "H": 1})
    assert failure(shallow(), *RECURRENT).case.sizes == {"N": 1, "T": 2, "D": 1, "H": 1}
    check_op(RNNOp(), *RECURRENT, sizes={"N": 1, "T": 1, "D": 1, "H": 1})


def test_float32_inputs_are_promoted():
    x = np.linspace(-1, 1, 5, dtype=np.float32)
    assert check_op(Tanh(), x).worst["complex step"] < 1e-14


def test_constants_have_no_tangent():
    class Rows(LinearOp):
        def forward(self, x, index):
            return x[index], (x.shape, index)

        def rop(self, residuals, Rx, Rindex):
            return Rx[residuals[1]]

        def vjp(self, residuals, u, needs):
            shape, index = residuals
            c = np.zeros(shape, dtype=u.dtype)
            np.add.at(c, index, u)
            return c, None

    check_op(Rows(), "N+2 D", np.array([0, 1, 1]))


def test_a_kink_is_no_mistake():
    check_op(ReLU(), np.zeros(4))
    check_op(ReLU(), "N D")                      # at any distance from zero

    class Absolute(Op):
        def forward(self, x):
            up = x.real > 0
            return np.where(up, x, -x), np.where(up, 1, -1).astype(x.real.dtype)

        def rop(self, residuals, Rx):
            return residuals * Rx

        def vjp(self, residuals, u, needs):
            return (residuals * u,)

        def rvjp(self, residuals, Rinputs, u, Ru, needs):
            return (None,) if Ru is None else (residuals * Ru,)

    check_op(Absolute(), "N D")
    check_op(Absolute(), np.array([-1.0, 0.0, 1e-5, 2.0]))


class Faint(Op):
    """y = 1e-7 x^2; `wrong` is added to its slope."""

    def __init__(self, wrong=0.0):
        self.wrong = wrong

    def __repr__(self):
        return f"Faint({self.wrong})"

    def forward(self, x):
        return 1e-7 * x * x, (2e-7 + self.wrong) * x

    def rop(self, residuals, Rx):
        return residuals * Rx

    def vjp(self, residuals, u, needs):
        return (residuals * u,)

    def rvjp(self, residuals, Rinputs, u, Ru, needs):
        (Rx,) = Rinputs
        terms = [] if Ru is None else [residuals * Ru]
        terms += [] if Rx is None else [(2e-7 + self.wrong) * Rx * u]
        return (sum(terms),)


def test_no_absolute_floor_hides_a_wrong_tiny_derivative():
    check_op(Faint(), "N D")
    found = failure(Faint(2e-10), "N D")
    assert (found.rung, found.diagnosis) == (
        "complex step", "the `x` term of rop is off by a factor of 1.001",
    )  # fmt: skip


def test_other_sizes_and_seeds_can_be_held():
    assert check_op(DenseOp(), *DENSE, sizes={"N": 4}, seed=7, cases=3).cases == 3


# What is refused before anything is tried ---------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "options", "fault"),
    [
        ((Tanh(),), {}, "check_op: give a shape for each input"),
        ((Tanh(), np.arange(3)), {}, "check_op: no input has a derivative; give a shape"),
        ((Tanh(), None), {}, "check_op: no input has a derivative"),
        ((Tanh(), "4-H"), {}, "'4-H' is no axis"),
        ((Tanh(), "N"), {"domain": "imaginary"}, "unknown domain 'imaginary'"),
        ((Tanh(), "N"), {"sizes": {"M": 2}}, "sizes has M; the shapes name N"),
        ((Tanh(), "N"), {"sizes": {"N": 0}}, "size N must be a whole number from 1"),
        ((np.tanh, "N"), {}, "check_op: .*tanh"),
        ((3, "N"), {}, "check_op: 3 is not what it checks, nor does it make one"),
        ((lambda N: 3, "N"), {}, "made 3, which is not what it checks"),
        ((lambda K, /: Tanh(), "N"), {}, "cannot be made of nothing: .*'K'"),
    ],
)  # fmt: skip
def test_bad_arguments_are_refused_in_one_line(arguments, options, fault):
    with pytest.raises(ValueError, match=fault) as caught:
        check_op(*arguments, **options)
    assert "\n" not in str(caught.value)


# What is found, and in which words ----------------------------------------------------------


class Noisy(Scale):
    def __init__(self):
        self.rng = np.random.default_rng(0)

    def rop(self, residuals, Rx):
        return super().rop(residuals, Rx) + 1e-3 * self.rng.standard_normal(Rx.shape)


class Greedy(Scale):
    def vjp(self, residuals, u, needs):
        u *= self.a
        return (u,)


class GreedyForward(Scale):
    def forward(self, x):
        x *= self.a
        return 1 * x, None


class Workspace(Scale):
    def forward(self, x):
        return super().forward(x)[0], np.empty_like(x)

    def rvjp(self, residuals, Rinputs, u, Ru, needs):
        return (np.multiply(self.a, 0 * u if Ru is None else Ru, out=residuals),)


class Unsafe(Scale):
    """Right, but the complex step cannot see it."""

    def forward(self, x):
        return abs(x), np.sign(x.real)

    def rop(self, residuals, Rx):
        return residuals * Rx

    def vjp(self, residuals, u, needs):
        return (residuals * u,)

    def rvjp(self, residuals, Rinputs, u, Ru, needs):
        return (None,) if Ru is None else (residuals * Ru,)


class RealBuffer(Scale):
    def forward(self, x):
        y = np.empty(x.shape)
        y[...] = self.a * x
        return y, None


class Raises(Scale):
    def rvjp(self, residuals, Rinputs, u, Ru, needs):
        raise KeyError("gate")


class TooMany(Scale):
    def vjp(self, residuals, u, needs):
        return u, u


class NoTuple(Scale):
    def vjp(self, residuals, u, needs):
        return self.a * u


class NoCotangent(Scale):
    def vjp(self, residuals, u, needs):
        return (None,)


class NoPair(Scale):
    def forward(self, x):
        return self.a * x


class Affine(Scale):
    def vjp(self, residuals, u, needs):
        return (self.a * u + 1e-20,)


class Branching(Scale):
    """Complex arguments take another way than real ones."""

    def forward(self, x):
        return (self.a if x.dtype.kind == "c" else 3.0) * x, None


class Widening(Scale):
    def rop(self, residuals, Rx):
        return np.float64(self.a) * Rx


class NoRop(Op):
    def forward(self, x):
        return x, None


class Transposes(LinearOp):
    """y = x', whose rop forgets it."""

    def forward(self, x):
        return x.T, None

    def rop(self, residuals, Rx):
        return Rx

    def vjp(self, residuals, u, needs):
        return (u.T,)


class LastStep(LinearOp):
    """y_t = x_t + x_{t+1} backwards is forgotten but for the last step."""

    def forward(self, x):
        return 2 * x, None

    def rop(self, residuals, Rx):
        Ry = Rx.copy()
        Ry[:, -1] *= 2
        return Ry

    def vjp(self, residuals, u, needs):
        return (2 * u,)


class Late(LastStep):
    """Every time step gets the tangent of the one before."""

    def rop(self, residuals, Rx):
        return 2 * np.concatenate([Rx[:, -1:], Rx[:, :-1]], axis=1)


SAID = [
    (Noisy, "N D", "contract", "not deterministic: the same call gave other numbers"),
    (Greedy, "N D", "contract", "vjp writes into u, which it was given"),
    (GreedyForward, "N D", "contract", "forward writes into x, which it was given"),
    (Workspace, "N D", "contract", "a later call wrote into this result"),
    (Unsafe, "N D", "complex step", "not complex-safe: central differences agree with the rule"),
    (RealBuffer, "N D", "complex step", "not complex-safe: a complex value is written into a real"),
    (Raises, "N D", "contract", "it raised KeyError: 'gate'"),
    (TooMany, "N D", "contract", "it must return a tuple of 1 cotangents, one per input, and "
                                 "returned 2"),
    (NoTuple, "N D", "contract", "and returned ndarray"),
    (NoCotangent, "N D", "contract", "the cotangent of `x` is None, but was asked for"),
    (NoPair, "N D", "contract", "it raised TypeError: forward must return (output, residuals)"),
    (NoRop, "N D", "contract", "it raised NotImplementedError: op NoRop lacks its rule 'rop'"),
    (Affine, "N D", "linearity", "vjp is not linear: zeros give something else than zeros"),
    (Branching, "N D", "taylor", "(order 1.00, not 2)"),
    (Widening, "N D", "float32", "float32 came in, float64 came out"),
    (Transposes, "N N", "complex step", "the `x` term of rop is transposed"),
    (Transposes, "N D", "contract", "it has shape (1, 2), expected (2, 1): transposed"),
    (LastStep, "N T D", "complex step", "right only at the last time step"),
    (Late, "N T D", "complex step", "is one time step too late"),
]  # fmt: skip


@pytest.mark.parametrize(
    ("op", "shape", "rung", "words"), SAID, ids=[f"{op.__name__}, {s}" for op, s, *_ in SAID]
)
def test_a_mistake_is_found_and_named(op, shape, rung, words):
    found = failure(op(), shape)
    assert found.rung == rung
    assert words in found.diagnosis


def test_a_rule_that_raises_is_named_and_its_error_kept():
    found = failure(Raises(), "N D")
    assert found.where == "rvjp"
    assert isinstance(found.__cause__, KeyError)


def test_a_lost_imaginary_part_is_an_error_though_warnings_are_ignored():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        assert "real array" in failure(RealBuffer(), "N D").diagnosis


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [("u2.sum(axis=0", "u2.mean(axis=0", "off by 1/2 = 1/N: mean and sum mixed up"),
     ("u2.sum(axis=0, out=out[2])", "len(u2) * u2.sum(axis=0)", "off by 2 = N: mean and sum"),
     ("gemm(u2, W.T)", "-gemm(u2, W.T)", "the cotangent of `x` has the wrong sign"),
     ("gemm(u2, W.T)", "0 * gemm(u2, W.T)", "the cotangent of `x` is always zero"),
     ("gemm(u2, W.T)", "gemm(u2, 1.5 * W.T)", "the cotangent of `x` is off by a factor of 1.5"),
     ("gemm(u2, W.T)", "gemm(u2, W.T / 0)", "the cotangent of `x` is not finite")],
)  # fmt: skip
def test_a_relation_is_told_from_all_failing_cases(old, new, words):
    wrong = plant("minihf.ops.dense:DenseOp.vjp", old, new)
    with np.errstate(all="ignore"):
        found = failure(wrong(), *DENSE)
    assert (found.rung, found.case.seed) == ("adjoint", 0)
    assert words in found.diagnosis


# The failure itself -------------------------------------------------------------------------


class Forgetful(DenseOp):
    """Forgets one half of the bias."""

    def rop(self, residuals, Rx, RW, Rb):
        return super().rop(residuals, Rx, RW, None if Rb is None else Rb / 2)


def test_the_text_of_a_failure_tells_all():
    found = failure(Forgetful(), *DENSE, sizes={"N": 1, "D": 1, "M": 1})
    home = "load('tests/testing/test_check_op.py:Forgetful')()"
    line = f"check_op({home}, 'N D', 'D M', 'M', sizes=dict(N=1, D=1, M=1), seed=0)"
    numbers = f"{found.found[0, 0]:.6g}", f"{found.expected[0, 0]:.6g}"
    assert str(found).splitlines() == [
        "Forgetful: broken at rung 2, complex step: rop is the derivative of forward "
        "(held: contract)",
        "  where      R{output} along the tangent of b",
        f"  error      {found.error:.1e}, limit 1e-10",
        "  case       N = 1, D = 1, M = 1, seed 0",
        f"  found      {numbers[0]}",
        f"  expected   {numbers[1]}",
        "  diagnosis  the `b` term of rop is off by a factor of 0.5",
        f"  again      minihf.testing.replay({line!r})",
    ]
    assert found.found == 0.5 * found.expected


def test_a_failure_can_be_sent_to_another_process():
    found = failure(Forgetful(), *DENSE)
    again = pickle.loads(pickle.dumps(found))
    assert str(again) == str(found)
    assert (again.case, again.diagnosis) == (found.case, found.diagnosis)
    np.testing.assert_array_equal(again.found, found.found)


@pytest.mark.parametrize("op", [Forgetful(), Faint(2e-10)], ids=repr)
def test_a_failure_is_replayed_from_its_line(op):
    found = failure(op, *DENSE) if isinstance(op, DenseOp) else failure(op, "N D")
    with pytest.raises(CheckFailure) as again:
        replay(found.reproducer)
    assert str(again.value) == str(found)


def test_an_op_in_a_file_is_replayed_from_its_line(tmp_path):
    file = tmp_path / "my_op.py"
    file.write_text(
        "from minihf.ops.elementwise import Tanh\n\n\n"
        "class Double(Tanh):\n"
        "    def vjp(self, residuals, u, needs):\n"
        "        return (2 * residuals[0] * u,)\n"
    )
    found = failure(hf.testing.load(f"{file}:Double")(), "N D")
    assert found.diagnosis == "the cotangent of `x` is off by a factor of 2"
    with pytest.raises(CheckFailure) as again:
        replay(found.reproducer)
    assert str(again.value) == str(found)


def test_an_op_that_is_in_no_module_has_no_line():
    class Local(Forgetful):
        pass

    found = failure(Local(), *DENSE)
    assert found.reproducer == ""
    assert "again      no line: what was checked has no repr" in str(found)
