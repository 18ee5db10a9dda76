"""`check_operator` passes what is right, and says what is wrong."""

import numpy as np
import pytest
import scipy.sparse
import scipy.sparse.linalg

import minihf as hf
from minihf.curvature import Shifted
from minihf.testing import CheckFailure, check_operator

RNG = np.random.default_rng(0)
J = RNG.standard_normal((5, 4))
SPD = J.T @ J
SYMMETRIC = J[:4] + J[:4].T


def curvature(kind, partition="network", dtype=np.float64):
    net = hf.Sequential(hf.Dense(3, 2), hf.Tanh(), hf.Dense(2, 2))
    rng = np.random.default_rng(1)
    x = hf.asarray(rng.standard_normal((4, 3)), dtype=dtype)
    lin = hf.linearize(net, net.init(0, dtype), x)
    return kind(lin, hf.SoftmaxCrossEntropy(), hf.asarray(rng.integers(2, size=4)), partition)


class Operator:
    """A matrix in disguise, to be spoilt."""

    def __init__(self, A=SPD):
        self.matrix, self.shape = A, A.shape

    def __matmul__(self, v):
        return self.matrix @ v


def failure_of(A, **options):
    with pytest.raises(CheckFailure) as caught:
        check_operator(A, **options)
    return caught.value


# What is right is not accused


@pytest.mark.usefixtures("backend")
@pytest.mark.parametrize("partition", ["network", "layer"])
def test_curvature_passes(partition):
    G = curvature(hf.GGN, partition)
    verdict = check_operator(G, dense=G.to_dense())
    assert list(verdict.worst) == ["contract", "linearity", "symmetry", "psd", "dense"]
    assert check_operator(Shifted(G, 0.1)).cases > 1
    assert check_operator(G.block(G.partition.names[0])).cases > 1
    H = curvature(hf.Hessian, partition)
    assert list(check_operator(H, psd=False).worst) == ["contract", "linearity", "symmetry"]
    assert failure_of(H).rung == "psd"


def test_float32_is_asked_for_what_float32_can_give():
    G = curvature(hf.GGN, dtype=np.float32)
    worst = check_operator(G, dense=G.to_dense()).worst
    assert 1e-12 < worst["dense"] < 1e-5


@pytest.mark.parametrize(
    "A",
    [SPD, scipy.sparse.csr_array(SPD), scipy.sparse.linalg.aslinearoperator(SPD), np.zeros((3, 3)),
     np.eye(1), np.diag([1.0, 0.0]), 1e-7 * SPD, np.diag([2, 1])],
)  # fmt: skip
def test_matrices_of_numpy_and_scipy_pass(A):
    assert check_operator(A).worst["symmetry"] < 1e-15


def test_a_function_and_a_rectangle_pass():
    assert check_operator(lambda v: 2 * v, dense=2 * np.eye(3), n=3).worst["dense"] == 0
    assert "symmetry" not in check_operator(J, dense=J, symmetric=False).worst


# What is wrong is found, and named


class Writes(Operator):
    def __matmul__(self, v):
        v *= 2
        return self.matrix @ v / 2


class Reuses(Operator):
    out = np.empty(4)

    def __matmul__(self, v):
        return np.matmul(self.matrix, v, out=self.out)


class Random(Operator):
    rng = np.random.default_rng(0)

    def __matmul__(self, v):
        return self.matrix @ v + self.rng.random()


class Row(Operator):
    def __matmul__(self, v):
        return (self.matrix @ v)[None]


class Wide(Operator):
    dtype = np.dtype(np.float32)


class Affine(Operator):
    def __matmul__(self, v):
        return self.matrix @ v + 1


class Modulus(Operator):
    def __matmul__(self, v):
        return self.matrix @ abs(v)


class Raises(Operator):
    def __matmul__(self, v):
        raise NotImplementedError("product")


def spoilt(index, A=SPD, by=1.5):
    A = A.copy()
    A[index] *= by
    return A


WRONG = {
    "writes": (Writes(), {}, "contract", "v was given, and is written into"),
    "reuses": (Reuses(), {}, "contract", "a later call wrote into this result"),
    "random": (Random(), {}, "contract", "not deterministic"),
    "row": (Row(), {}, "contract", "it has shape (1, 4), expected (4,)"),
    "wide": (Wide(), {}, "contract", "float32 came in, float64 came out"),
    "raises": (Raises(), {}, "contract", "it raised NotImplementedError: product"),
    "affine": (Affine(), {}, "linearity", "not linear"),
    "modulus": (Modulus(), {}, "linearity", "A is not linear"),
    "asymmetric": (spoilt((0, 2)), {}, "symmetry", "A is not symmetric: entry (0, 2) is"),
    "rectangle": (J, {}, "symmetry", "a symmetric matrix is square"),
    "indefinite": (SYMMETRIC, {}, "psd", "an eigenvalue is negative: "),
    "negative": (-SPD, {}, "psd", "none is positive: A has the wrong sign"),
    "large": (-np.eye(100), {}, "psd", "an eigenvalue is negative"),
    "sign": (-J, {"dense": J, "symmetric": False}, "dense", "A has the wrong sign"),
    "transposed": (J[:4].T, {"dense": J[:4], "symmetric": False}, "dense", "A is transposed"),
    "twice": (2 * SPD, {"dense": SPD}, "dense", "A is off by a factor of 2"),
    "zero": (0 * SPD, {"dense": SPD}, "dense", "A is always zero"),
    "column": (spoilt(np.s_[:, 2], J), {"dense": J, "symmetric": False}, "dense", "column 2 is wr"),
    "row 1": (spoilt(np.s_[1], J), {"dense": J, "symmetric": False}, "dense", "row 1 is wrong"),
    "both": (spoilt((np.s_[[3, 0]], np.s_[[0, 3]])), {"dense": SPD}, "dense",
             "what is wrong in it: (0, 3), (3, 0)"),
    "cross": (
        SPD + np.outer(np.eye(4)[1], np.ones(4)) + np.outer(np.ones(4), np.eye(4)[1]),
        {"dense": SPD, "psd": False}, "dense", "row and column 1 are wrong",
    ),
    "shifted": (SPD + np.eye(4), {"dense": SPD}, "dense", "only the diagonal is wrong"),
    "diagonal": (np.diag(np.diag(SPD)), {"dense": SPD}, "dense", "only the diagonal is there"),
    "tiny": (1e-7 * SPD * (1 + 1e-9), {"dense": 1e-7 * SPD}, "dense", ""),
}  # fmt: skip


@pytest.mark.parametrize("name", WRONG)
def test_a_wrong_operator_is_found_at_its_rung_and_named(name):
    A, options, rung, diagnosis = WRONG[name]
    said = failure_of(A, **options)
    assert said.rung == rung
    assert diagnosis in said.diagnosis


def test_what_does_not_fit_is_refused():
    with pytest.raises(ValueError, match=r"needs a shape .*, or n for a function of v"):
        check_operator(lambda v: v)
    with pytest.raises(ValueError, match=r"dense has shape \(5, 4\), the operator \(4, 4\)"):
        check_operator(SPD, dense=J)


@pytest.mark.parametrize("few", [1, 20])
def test_a_negative_eigenvalue_among_many_columns_is_found(few):
    right = np.linspace(0.01, 1, 150)
    check_operator(np.diag(right))
    check_operator(np.diag(np.r_[right, np.zeros(few)]))
    with pytest.raises(CheckFailure, match=r"an eigenvalue is negative: -0\.1 next to 1"):
        check_operator(np.diag(np.r_[right, -0.1 * np.ones(few)]))


def test_numbers_that_are_not_finite_are_named():
    bad = np.diag([np.nan, 1.0])
    with pytest.raises(CheckFailure, match="A v is not finite, for a finite v"):
        check_operator(bad)
    with pytest.raises(ValueError, match="dense holds NaN or infinity"):
        check_operator(np.eye(2), dense=bad)
