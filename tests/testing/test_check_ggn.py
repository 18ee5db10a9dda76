"""`check_ggn` passes what is right, and says what is wrong."""

import numpy as np
import pytest

import minihf as hf
from minihf.curvature import BlockOperator
from minihf.testing import CheckFailure, check_ggn, replay

RUNGS = [
    "contract", "linearity", "symmetry", "psd", "product", "blocks", "off-diagonal", "one block",
    "form", "cost",
]  # fmt: skip
TWINS = hf.Sequential(hf.Dense(3, 3), hf.Tanh(), hf.Dense(3, 3))


def failure_of(make, **options):
    with pytest.raises(CheckFailure) as caught:
        check_ggn(make, **options)
    return caught.value


# What is right is not accused


@pytest.mark.usefixtures("backend")
@pytest.mark.parametrize("partition", ["network", "layer", {"W": "*.W", "b": "*.b"}])
def test_the_operator_of_the_library_is_right(partition):
    verdict = check_ggn(partition=partition)
    assert list(verdict.worst) == RUNGS
    assert verdict.worst["product"] < 1e-13


@pytest.mark.parametrize("loss", [hf.SquaredError(), hf.SigmoidCrossEntropy()], ids=repr)
def test_every_loss_will_do(loss):
    assert check_ggn(loss=loss, partition="param").cases > 1
    assert check_ggn(loss=loss, sizes={"N": 1}).cases == 1


def test_every_network_will_do():
    conv = hf.Sequential(
        hf.Conv2d(1, 2, 2), hf.Tanh(), hf.MaxPool2d(2), hf.Flatten(), hf.Dense(2, 2)
    )
    assert check_ggn(net=conv, x="N 1 3 3").cases > 1
    sequence = hf.Sequential(hf.LSTM(2, 2), hf.LastStep(), hf.Dense(2, 2))
    assert check_ggn(net=sequence, x="N T 2", cases=3).cases == 3


# What is wrong is found, and named


class Writes(hf.GGN):
    def product(self, v, block):
        v *= 2
        return super().product(v, block) / 2


class Tall(hf.GGN):
    def product(self, v, block):
        return super().product(v, block)[:, None]


class OfAll(hf.GGN):
    """A block of the size of the whole."""

    def block(self, name):
        block = super().block(name)
        block.shape = self.shape
        return block


class Affine(hf.GGN):
    def product(self, v, block):
        return super().product(v, block) + 1e-3


class Lopsided(hf.GGN):
    def product(self, v, block):
        product = super().product(v, block)
        product[0] += v[-1]
        return product


class Negative(hf.GGN):
    def product(self, v, block):
        return -super().product(v, block)


class NoLoss(hf.GGN):
    def product(self, v, block):
        return self.lin.vjp(self.lin.jvp(v, block), block)


class Sum(hf.GGN):
    def product(self, v, block):
        return len(self.lin.output) * super().product(v, block)


class DiagonalLoss(hf.GGN):
    def product(self, v, block):
        z = self.lin.output
        p = np.exp(z) / np.exp(z).sum(axis=1, keepdims=True)
        return self.lin.vjp(p * (1 - p) * self.lin.jvp(v, block) / len(z), block)


class Fisher(hf.GGN):
    """sum_n g_n g_n' / N of the targets' own gradients g_n."""

    def product(self, v, block):
        s = self.loss.grad(self.lin.output, self.y)
        Rz = self.lin.jvp(v, block)
        return self.lin.vjp(len(s) * s * (s * Rz).sum(axis=1, keepdims=True), block)


class Damped(hf.GGN):
    def product(self, v, block):
        return super().product(v, block) + 0.1 * v


class OtherBlock(hf.GGN):
    def block(self, name):
        names = self.partition.names
        return super().block(names[names.index(name) - 1])


class OtherRows(hf.GGN):
    def block(self, name):
        class Rows(BlockOperator):
            def __matmul__(self, v):
                names = list(self.whole.partition.names)
                other = self.whole.partition[names[names.index(name) - 1]]
                return self.whole.lin.vjp(self.whole._H_L(self.whole.lin.jvp(v, self.of)), other)

        return Rows(self, self.partition[name])


class Uncut(hf.GGN):
    def __matmul__(self, v):
        return self.lin.vjp(self._H_L(self.lin.jvp(v)))


class OwnCode(hf.GGN):
    def __init__(self, lin, loss, y, partition=None):
        super().__init__(lin, loss, y, partition)
        self.default = partition is None

    def __matmul__(self, v):
        if not self.default:
            return super().__matmul__(v)
        return self.lin.vjp(len(self.lin.output) * self._H_L(self.lin.jvp(v)) / 3) * 3 / len(
            self.lin.output
        )


class CutForm(hf.GGN):
    def quadratic_form(self, v):
        return v @ (self @ v)


class HalfForm(hf.GGN):
    def quadratic_form(self, v):
        return 0.5 * super().quadratic_form(v)


class Recomputes(hf.GGN):
    net = hf.Sequential(hf.Dense(3, 2), hf.Tanh(), hf.Dense(2, 3), hf.Tanh(), hf.Dense(3, 3))

    def product(self, v, block):
        x = hf.asarray(np.zeros((len(self.lin.output), 3)))
        self.net(self.lin.params, x)
        return super().product(v, block)


class WholeJacobian(hf.GGN):
    """Pays for the whole network in every block."""

    def product(self, v, block):
        full = np.zeros(self.shape[0])
        full[block.index] = v
        return self.lin.vjp(self._H_L(self.lin.jvp(full)))[block.index]


WRONG = {
    Writes: ("contract", "v was given, and is written into"),
    Tall: ("contract", ""),
    OfAll: ("contract", "it has shape (29, 29), expected (8, 8)"),
    Affine: ("linearity", "not linear"),
    Lopsided: ("symmetry", "G is not symmetric: entry ("),
    Negative: ("psd", "G has the wrong sign"),
    hf.Hessian: ("psd", "an eigenvalue is negative"),
    NoLoss: ("product", "the loss's Hessian is left out: it is J'J"),
    Sum: ("product", "G is off by 2 = N: mean and sum mixed up"),
    DiagonalLoss: ("product", "only the diagonal of the loss's Hessian is there"),
    Fisher: ("product", "it is the empirical Fisher"),
    Damped: ("product", "only the diagonal is wrong"),
    Uncut: ("off-diagonal", "the off-diagonal blocks are there"),
    OwnCode: ("one block", "the full matrix must be the case of one block"),
    CutForm: ("form", "the off-diagonal blocks are left out of it"),
    HalfForm: ("form", "the quadratic form is off by a factor of 0.5"),
    Recomputes: ("cost", "it makes 13 matrix products, and one jvp and one vjp make 10 (4 L - 2"),
    WholeJacobian: ("cost", "those from its layer to the output"),
}


@pytest.mark.parametrize("make", WRONG, ids=lambda make: make.__name__)
def test_a_wrong_operator_is_found_at_its_rung_and_named(make):
    rung, diagnosis = WRONG[make]
    said = failure_of(make)
    assert said.rung == rung
    assert diagnosis in said.diagnosis


@pytest.mark.parametrize(
    ("make", "diagnosis"),
    [(OtherBlock, "block '0' holds block '2'"),
     (OtherRows, "block '0' holds the rows of block '2'")],
)  # fmt: skip
def test_a_block_that_is_another_is_named(make, diagnosis):
    said = failure_of(make, net=TWINS)
    assert (said.rung, said.diagnosis) == ("blocks", diagnosis)


def test_every_rung_has_something_that_breaks_it():
    assert {rung for rung, _ in WRONG.values()} | {"blocks"} == set(RUNGS)


def test_the_case_is_as_small_as_it_goes_and_can_be_run_again():
    said = failure_of(NoLoss, loss=hf.SigmoidCrossEntropy())
    assert said.case.sizes == {"N": 1}
    with pytest.raises(CheckFailure, match="the loss's Hessian is left out"):
        replay(said.reproducer)


def test_a_network_without_init_is_refused():
    with pytest.raises(ValueError, match="net has no init"):
        check_ggn(net=lambda params, x: x)
