"""Every layer: the ladder of checks, and in a tiny network dense oracles for curvature and blocks.

A new layer adds a row to `ROWS`; a test sees to it that none is forgotten.
"""

from dataclasses import dataclass

import numpy as np
import pytest

import minihf as hf
from minihf import layers
from minihf.testing import check_layer, jacobian, relative_error

pytestmark = pytest.mark.usefixtures("backend")

EXACT = 1e-10  # the complex step is good to 1e-15; a matrix of such columns, a little less
SAME = 1e-12  # the same sums in another order; terms that cancel leave their rounding
SINGLE = 1e-5  # of float32's 6e-8, over a few dozen terms and three steps
N = 4
LENGTHS = np.array([3, 1, 2, 3])
LOSS = hf.SigmoidCrossEntropy()  # of outputs of any shape, and with a Hessian that depends on them


@dataclass(frozen=True)
class Row:
    """A layer and the shape of a case; `lengths` when x is (sequence, lengths)."""

    layer: hf.Layer
    shape: tuple[int, ...]
    lengths: bool = False


FLAT, SEQUENCE, IMAGE = (3,), (3, 2), (2, 3, 4)  # (D,), (T, D), (C, H, W)

ROWS = {
    "Dense": Row(hf.Dense(3, 2), FLAT),
    "Dense, no bias": Row(hf.Dense(3, 2, bias=False), FLAT),
    "Dense, every step": Row(hf.Dense(2, 3), SEQUENCE),
    "Conv2d": Row(hf.Conv2d(2, 3, (2, 3), stride=(1, 2), padding=1), IMAGE),
    "Conv2d, no bias": Row(hf.Conv2d(2, 1, 2, stride=2, bias=False), IMAGE),
    "MaxPool2d": Row(hf.MaxPool2d(2), IMAGE),
    "MaxPool2d, overlapping": Row(hf.MaxPool2d((2, 3), 1), IMAGE),
    "AvgPool2d": Row(hf.AvgPool2d((3, 2)), IMAGE),
    "AvgPool2d, overlapping": Row(hf.AvgPool2d(2, 1), IMAGE),
    "GlobalAvgPool2d": Row(hf.GlobalAvgPool2d(), IMAGE),
    "RNN": Row(hf.RNN(2, 3), SEQUENCE),
    "RNN, lengths": Row(hf.Sequential(hf.RNN(2, 2), hf.LastStep()), SEQUENCE, lengths=True),
    "LSTM": Row(hf.LSTM(2, 1), SEQUENCE),
    "LSTM, lengths": Row(hf.Sequential(hf.LSTM(2, 1), hf.LastStep()), SEQUENCE, lengths=True),
    "LastStep": Row(hf.LastStep(), SEQUENCE),
    "LastStep, lengths": Row(hf.LastStep(), SEQUENCE, lengths=True),
    "Flatten, images": Row(hf.Flatten(), IMAGE),
    "Flatten, sequences": Row(hf.Flatten(), SEQUENCE),
    "Identity": Row(hf.Identity(), FLAT),
    "Tanh": Row(hf.Tanh(), FLAT),
    "Sigmoid": Row(hf.Sigmoid(), SEQUENCE),
    "ReLU": Row(hf.ReLU(), IMAGE),
    "Softplus": Row(hf.Softplus(), FLAT),
    "Dropout": Row(hf.Dropout(0.4, FLAT), FLAT),
    "Dropout, channels": Row(hf.Dropout(0.4, (2, 1, 1)), IMAGE),
    "MaskingNoise": Row(hf.MaskingNoise(0.4, SEQUENCE), SEQUENCE),
    "GaussianNoise": Row(hf.GaussianNoise(0.5, FLAT), FLAT),
    "Sequential": Row(hf.Sequential(hf.Dense(3, 2), code=hf.Tanh(), out=hf.Dense(2, 1)), FLAT),
    "Residual": Row(hf.Residual(hf.Sequential(hf.Dense(3, 2), hf.Tanh(), hf.Dense(2, 3))), FLAT),
    "Residual, projected": Row(
        hf.Residual(hf.Conv2d(2, 3, 2, stride=2), hf.Conv2d(2, 3, 1, stride=2)), (2, 4, 4)
    ),
}

every_row = pytest.mark.parametrize("row", ROWS.values(), ids=ROWS)
a_few = pytest.mark.parametrize("seed", range(2))
BEFORE = {1: lambda D: hf.Dense(D, D), 2: lambda T, D: hf.RNN(D, D),
          3: lambda C, H, W: hf.Conv2d(C, C, 1)}  # fmt: skip


class Case:
    """The layer after another one with parameters, so that its x has tangents and cotangents."""

    def __init__(self, row, seed, dtype=np.float64):
        rng = np.random.default_rng(seed)

        def draw(shape):
            return hf.asarray(rng.standard_normal(shape), dtype=dtype)

        self.net = hf.Sequential(before=BEFORE[len(row.shape)](*row.shape), layer=row.layer)
        self.params = self.net.init(0, dtype)
        self.params.vector[:] = draw(self.params.size)
        self.x = draw((N, *row.shape))
        if row.lengths:
            self.x = (self.x, hf.asarray(LENGTHS))
        self.noise = self.net.draw(rng, N, dtype)
        self.lin = self.at(self.params.vector)
        self.y = hf.asarray(rng.random(self.lin.output.shape), dtype=dtype)
        self.v, self.u = draw(self.params.size), draw(self.y.shape)

    def at(self, vector):
        return hf.linearize(self.net, self.params.with_vector(vector), self.x, self.noise)

    def output(self, vector):
        return self.net(self.params.with_vector(vector).with_noise(self.noise), self.x)

    def gradient(self, vector):
        lin = self.at(vector)
        return lin.vjp(LOSS.grad(lin.output, self.y))

    def products(self):
        """The output, J v, J' u, G v and H v."""
        lin, v = self.lin, self.v
        G = hf.GGN(lin, LOSS, self.y)
        return [lin.output, lin.jvp(v), lin.vjp(self.u), G @ v, lin.hvp(v, LOSS, self.y)]


@every_row
def test_the_ladder_holds(row):
    def padded(rng, sizes):
        return rng.standard_normal((N, *row.shape)), LENGTHS

    verdict = check_layer(row.layer, padded if row.lengths else ("N", *row.shape))
    assert 0 < verdict.worst["complex step"] + verdict.worst["gauss-newton"] <= EXACT


@every_row
@a_few
def test_curvature_and_its_blocks_are_the_dense_oracles(row, seed):
    case = Case(row, seed)
    z = case.lin.output
    J = jacobian(lambda theta: case.output(theta).reshape(-1), case.params.vector)
    H_L = jacobian(lambda z_: LOSS.grad(z_.reshape(z.shape), case.y).reshape(-1), z.reshape(-1))
    oracles = {hf.GGN: J.T @ H_L @ J, hf.Hessian: jacobian(case.gradient, case.params.vector)}
    for kind, dense in oracles.items():
        assert relative_error(kind(case.lin, LOSS, case.y).to_dense(), dense) <= EXACT
        blocks, masked = kind(case.lin, LOSS, case.y, "layer"), np.zeros_like(dense)
        for block in blocks.partition.values():
            masked[block.index, block.index] = dense[block.index, block.index]
        assert relative_error(blocks.to_dense(), masked) <= EXACT
    assert np.linalg.eigvalsh(oracles[hf.GGN]).min() >= -EXACT


@every_row
@a_few
def test_permuting_the_batch_permutes_the_output_and_leaves_the_sums(row, seed):
    case, order = Case(row, seed), np.array([2, 0, 3, 1])
    z, Rz, *sums = case.products()
    at = hf.asarray(order)
    case.x = tuple(a[at] for a in case.x) if row.lengths else case.x[at]
    case.noise = {name: a[at] for name, a in case.noise.items()}
    case.y, case.u, case.lin = case.y[at], case.u[at], case.at(case.params.vector)
    for found, expected in zip(case.products(), [z[at], Rz[at], *sums], strict=True):
        assert relative_error(found, expected) <= SAME


@every_row
@a_few
def test_float32_is_float64_to_its_own_precision(row, seed):
    single, double = (Case(row, seed, dtype).products() for dtype in (np.float32, np.float64))
    for one, exact in zip(single, double, strict=True):
        assert (one.dtype, exact.dtype) == (np.float32, np.float64)
        assert relative_error(one, exact) <= SINGLE


def test_every_layer_has_a_row():
    everything = {getattr(layers, name) for name in layers.__all__}
    kinds = {kind for kind in everything if issubclass(kind, hf.Layer)} - {hf.Layer}
    tried = {type(row.layer) for row in ROWS.values()}
    assert {kind.__name__ for kind in kinds - tried} == set()
