"""`check_loss` passes what is right, and says what is wrong."""

from dataclasses import dataclass

import numpy as np
import pytest

import minihf as hf
from minihf.testing import CheckFailure, check_loss, draw_targets, replay

LOSSES = [hf.SquaredError(), hf.SigmoidCrossEntropy(), hf.SoftmaxCrossEntropy()]
RUNGS = [
    "contract", "complex step", "symmetry", "psd", "mean", "linearity", "taylor", "sampling",
    "masks", "float32",
]  # fmt: skip


def failure_of(loss, **options):
    with pytest.raises(CheckFailure) as caught:
        check_loss(loss, **options)
    return caught.value


# What is right is not accused


@pytest.mark.usefixtures("backend")
@pytest.mark.parametrize("z", ["N M", "N T M"])
@pytest.mark.parametrize("loss", LOSSES, ids=repr)
def test_the_losses_of_the_library_are_right(loss, z):
    verdict = check_loss(loss, z)
    assert list(verdict.worst) == RUNGS
    assert verdict.worst["complex step"] < 1e-13
    assert verdict.worst["sampling"] > 0.1  # something was measured


@pytest.mark.parametrize("sizes", [{"N": 1, "M": 1}, {"N": 1, "M": 4}, {"N": 5, "M": 1}])
@pytest.mark.parametrize("loss", LOSSES, ids=repr)
def test_one_case_and_one_output_are_no_trouble(loss, sizes):
    assert check_loss(loss, sizes=sizes).cases == 1


class Plain:
    """Softmax cross-entropy as on a blackboard: where there is one class, rounding is all."""

    def __init__(self, scale=1.0):
        self.scale = scale

    def _p(self, z):
        return np.exp(z) / np.exp(z).sum(axis=1, keepdims=True)

    def value(self, z, y):
        return -self.scale * np.log(self._p(z)[np.arange(len(z)), y]).mean()

    def grad(self, z, y):
        return self.scale * (self._p(z) - np.eye(z.shape[1], dtype=z.dtype)[y]) / len(z)

    def hessian(self, z, y):
        p = self._p(z)
        return lambda Rz: self.scale * p * (Rz - (p * Rz).sum(axis=1, keepdims=True)) / len(z)

    def hvp(self, z, y, Rz):
        return self.hessian(z, y)(Rz)


@pytest.mark.parametrize("scale", [1.0, 1e-7, 1e7])
@pytest.mark.parametrize("seed", range(0, 60, 12))
def test_rounding_is_no_error_whatever_the_scale(scale, seed):
    assert check_loss(Plain(scale), targets="labels", seed=seed, cases=12).cases == 12


def test_a_wrong_tiny_derivative_is_wrong():
    class Tiny(Plain):
        def grad(self, z, y):
            return super().grad(z, y) * (1 + 1e-8)

    said = failure_of(Tiny(1e-7), targets="labels")
    assert (said.rung, said.where) == ("complex step", "grad(z, y)")
    assert said.diagnosis == "" or "factor of 1" in said.diagnosis
    assert 0.9e-8 < said.error < 1.1e-8


class Power:
    """z^4 / 4 - c z^2 / 2: two valleys for c > 0, and targets that do not matter."""

    def __init__(self, c=1.0):
        self.c = c

    def value(self, z, y):
        return (z**4 / 4 - self.c * z * z / 2).sum() / len(z)

    def grad(self, z, y):
        return (z**3 - self.c * z) / len(z)

    def hessian(self, z, y):
        return lambda Rz: (3 * z * z - self.c) * Rz / len(z)

    def hvp(self, z, y, Rz):
        return self.hessian(z, y)(Rz)


def test_a_loss_need_not_be_convex_if_it_says_so():
    said = failure_of(Power())
    assert said.rung == "psd"
    assert "negative curvature" in said.diagnosis
    assert "convex=False" in said.diagnosis
    assert "psd" not in check_loss(Power(), convex=False).worst
    assert check_loss(Power(-1.0)).cases


def test_a_loss_may_be_given_as_its_type_and_with_a_domain():
    @dataclass(frozen=True)
    class Poisson:
        """Rates z > 0 and counts y: z - y log z."""

        def value(self, z, y):
            return (z - y * np.log(z)).sum() / len(z)

        def grad(self, z, y):
            return (1 - y / z) / len(z)

        def hessian(self, z, y):
            return lambda Rz: y / (z * z) * Rz / len(z)

        def hvp(self, z, y, Rz):
            return self.hessian(z, y)(Rz)

    counts = lambda rng, z: rng.poisson(2.0, z.shape).astype(z.dtype)  # noqa: E731
    assert check_loss(Poisson, targets=counts, domain="positive").what == "Poisson"


def test_masks_are_looked_at_where_there_are_any():
    assert "masks" not in check_loss(Plain(), targets="labels").worst
    assert "masks" not in check_loss(hf.SquaredError(), masks=False).worst
    said = failure_of(Plain(), targets="labels", masks=True)
    assert (said.rung, said.where) == ("masks", "value")
    assert "it raised" in said.diagnosis


# What is wrong is found, and named


class SumGrad(hf.SquaredError):
    def grad(self, z, y):
        return z - y


class SumHessian(hf.SigmoidCrossEntropy):
    def hessian(self, z, y):
        product = super().hessian(z, y)
        return lambda Rz: len(z) * product(Rz)


class MeanOverOutputs(hf.SquaredError):
    def grad(self, z, y):
        return super().grad(z, y) / z.shape[1]


class WrongSign(hf.SquaredError):
    def grad(self, z, y):
        return (y - z) / len(z)


class Doubled(hf.SquaredError):
    def hvp(self, z, y, Rz):
        return 2 * Rz / len(z)


class NoHessian(hf.SquaredError):
    def hessian(self, z, y):
        return lambda Rz: 0 * Rz


class Diagonal(hf.SoftmaxCrossEntropy):
    def hessian(self, z, y):
        p = np.exp(z) / np.exp(z).sum(axis=1, keepdims=True)
        return lambda Rz: p * (1 - p) * Rz / len(z)


class Modulus(hf.SquaredError):
    def value(self, z, y):
        return 0.5 * (abs(z - y) ** 2).sum() / len(z)


class RealBuffer(hf.SquaredError):
    def value(self, z, y):
        e = np.empty(z.shape)
        e[...] = z - y
        return super().value(e, 0 * y)


class Noisy(hf.SquaredError):
    def __init__(self):
        super().__init__()
        object.__setattr__(self, "rng", np.random.default_rng(0))

    def value(self, z, y):
        return super().value(z, y) + self.rng.random()


class PerCase(hf.SquaredError):
    def value(self, z, y):
        return 0.5 * ((z - y) ** 2).sum(axis=1)


class Number(hf.SquaredError):
    def value(self, z, y):
        return float(super().value(z, y))


class Overwrites(hf.SquaredError):
    def grad(self, z, y):
        z -= y
        return z / len(z)


class Workspace(hf.SquaredError):
    def __init__(self):
        super().__init__()
        object.__setattr__(self, "work", {})

    def hvp(self, z, y, Rz):
        return np.divide(Rz, len(z), out=self.work.setdefault(Rz.shape, np.empty(Rz.shape)))

    def hessian(self, z, y):
        return lambda Rz: self.hvp(z, y, Rz)


class Remembers(hf.SigmoidCrossEntropy):
    """A memo without the tangent among its keys."""

    def __init__(self):
        super().__init__()
        object.__setattr__(self, "memo", {})

    def hessian(self, z, y):
        product = super().hessian(z, y)
        return lambda Rz: self.memo.setdefault(z.tobytes(), product(Rz)).copy()


class Sum(hf.SquaredError):
    def value(self, z, y):
        return len(z) * super().value(z, y)

    def grad(self, z, y):
        return len(z) * super().grad(z, y)

    def hessian(self, z, y):
        return lambda Rz: 1 * Rz

    sample = property()


class Couples(Power):
    """The square of the mean: a function of the whole batch."""

    def value(self, z, y):
        return 0.5 * (z.sum(axis=0) ** 2).sum() / len(z) ** 2

    def grad(self, z, y):
        return (z.sum(axis=0) + 0 * z) / len(z) ** 2

    def hessian(self, z, y):
        return lambda Rz: (Rz.sum(axis=0) + 0 * Rz) / len(z) ** 2


class Normalised(hf.SquaredError):
    def hvp(self, z, y, Rz):
        with np.errstate(invalid="ignore"):
            return Rz / np.linalg.norm(Rz) * np.linalg.norm(Rz) / len(z)


class ByDtype(hf.SquaredError):
    def value(self, z, y):
        return super().value(z, y) * (1.0 if z.dtype.kind == "c" else 1.001)


class ScaledSamples(hf.SquaredError):
    def sample(self, z, rng, y=None):
        return super().sample(z, rng, y) / len(z)


class NarrowSamples(hf.SigmoidCrossEntropy):
    def sample(self, z, rng, y=None):
        return 0.5 * super().sample(z, rng, y)


class ShiftedSamples(hf.SquaredError):
    def sample(self, z, rng, y=None):
        return super().sample(z, rng, y) + 0.1


class OneDraw(hf.SquaredError):
    """The same noise for every case."""

    def sample(self, z, rng, y=None):
        return np.tile(rng.standard_normal(z.shape[1:]), (len(z), 1)).reshape(z.shape)


class PerStep(hf.SquaredError):
    """Divides by the share of steps that count, too."""

    def value(self, z, y):
        return super().value(z, y) / self._share(y)

    def grad(self, z, y):
        return super().grad(z, y) / self._share(y)

    def hessian(self, z, y):
        product = super().hessian(z, y)
        return lambda Rz: product(Rz) / self._share(y)

    def _share(self, y):
        return y[1].mean() if isinstance(y, tuple) else 1.0


class TimesMask(hf.SquaredError):
    """Multiplies with the mask, so that NaN comes through."""

    def _error(self, z, y):
        if not isinstance(y, tuple):
            return super()._error(z, y)
        return (z - y[0]) * y[1].reshape(*y[1].shape, *(1,) * (z.ndim - 2))


class Widens(hf.SquaredError):
    def grad(self, z, y):
        return super().grad(z, y) * np.float64(1.0)


class Raises(hf.SquaredError):
    def hessian(self, z, y):
        raise RuntimeError("not written yet")


WRONG = {
    PerCase: ("contract", "value(z, y)", "it has shape (1,), expected ()"),
    Number: ("contract", "value(z, y)", "it is float, expected an array"),
    Noisy: ("contract", "value(z, y)", "not deterministic"),
    Overwrites: ("contract", "z, afterwards", "z was given, and is written into"),
    Workspace: ("contract", "hessian(z, y)(Rz)", ""),
    Raises: ("contract", "hessian", "it raised RuntimeError: not written yet"),
    SumGrad: ("complex step", "grad(z, y)", "grad is off by 2 = N: mean and sum mixed up"),
    SumHessian: (
        "complex step", "hessian(z, y)(Rz)", "the Hessian is off by 2 = N: mean and sum mixed up"
    ),
    MeanOverOutputs: ("complex step", "grad(z, y)", "grad is off by 1/3 = 1/M: mean and sum mi"),
    WrongSign: ("complex step", "grad(z, y)", "grad has the wrong sign"),
    Doubled: ("complex step", "hvp(z, y, Rz)", "the Hessian is off by a factor of 2"),
    NoHessian: ("complex step", "hessian(z, y)(Rz)", "the Hessian is always zero"),
    Diagonal: ("complex step", "hessian(z, y)(Rz)", "only the diagonal of the Hessian is there"),
    Modulus: ("complex step", "grad(z, y)", "not complex-safe: central differences agree"),
    RealBuffer: ("complex step", "value", "not complex-safe: a complex value is written into a r"),
    Remembers: ("symmetry", "hessian(z, y)(Rz)", "the Hessian is not symmetric"),
    Sum: ("mean", "value, the batch twice over", "value is a sum over cases, not a mean"),
    Couples: ("mean", "value, the cases alone", "the value is no mean over cases"),
    Normalised: ("linearity", "hvp(z, y, Rz) of zeros", "zeros give something else than zeros"),
    ByDtype: ("taylor", "the remainder of value", "value branches on the dtype"),
    ScaledSamples: ("sampling", "", "the samples carry the 1/N"),
    NarrowSamples: ("sampling", "", "E[s_n s_n'] is 0.25 times N times the Hessian's block"),
    ShiftedSamples: ("sampling", "", "the samples of a case do not have mean 0"),
    OneDraw: ("sampling", "", "drawn from the model's own predictions, for every case anew"),
    PerStep: ("masks", "value, with a mask and with its complement", "N must stay the number of"),
    TimesMask: ("masks", "grad, masked steps", "0 * nan is nan, so take where(mask, ., 0)"),
    Widens: ("float32", "grad", "float32 came in, float64 came out"),
}  # fmt: skip


@pytest.mark.parametrize("loss", WRONG, ids=lambda loss: loss.__name__)
def test_a_wrong_loss_is_found_at_its_rung_and_named(loss):
    rung, where, diagnosis = WRONG[loss]
    said = failure_of(loss())
    assert said.rung == rung
    assert where in said.where
    assert diagnosis in said.diagnosis
    assert len(said.passed) == RUNGS.index(rung)


def test_every_rung_has_something_that_breaks_it():
    assert {rung for rung, _, _ in WRONG.values()} | {"psd"} == set(RUNGS)


def test_the_case_is_as_small_as_it_goes_and_can_be_run_again():
    said = failure_of(SumGrad)
    assert said.case.sizes == {"N": 2, "M": 1}
    with pytest.raises(CheckFailure, match="mean and sum mixed up"):
        replay(said.reproducer)


# Targets and arguments


def test_targets_are_of_the_first_kind_that_the_loss_accepts():
    z, rng = np.zeros((4, 3), np.float32), np.random.default_rng(0)
    kinds = [draw_targets(loss, z, rng) for loss in LOSSES]
    assert [y.dtype.name for y in kinds] == ["float32", "float32", "int64"]
    assert kinds[0].min() < 0 <= kinds[1].min()
    assert draw_targets(hf.SquaredError(), z, rng, "unit").min() >= 0
    assert draw_targets(None, z, rng, lambda rng, z: (z, z))[1].shape == (4, 3)


def test_a_loss_that_accepts_nothing_says_so():
    class Picky(hf.SquaredError):
        def value(self, z, y):
            raise ValueError("targets must be words")

    said = failure_of(Picky())
    assert said.rung == "contract"
    assert "accepts none of the targets like z, unit, labels" in said.diagnosis
    assert "targets must be words" in said.diagnosis


def test_what_cannot_be_read_is_refused():
    loss = hf.SquaredError()
    with pytest.raises(ValueError, match="unknown targets 'words'; choose one of: like z, unit"):
        check_loss(loss, targets="words")
    with pytest.raises(ValueError, match="unknown domain 'complex'"):
        check_loss(loss, domain="complex")
    with pytest.raises(ValueError, match="z needs an axis of cases"):
        check_loss(loss, z="")
