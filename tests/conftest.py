"""How many examples a property test draws, on which arrays it computes, and small networks.

Without ``--minihf-profile`` the property tests draw as many as in continuous integration, while the
checks look at few cases.
"""

import math
import signal
from itertools import pairwise
from types import SimpleNamespace

import numpy as np
import pytest

import minihf as hf
from minihf import testing
from minihf.testing.properties import load_profile
from minihf.train import checkpoint

load_profile("ci")

testing.install()


def pytest_report_header(config):
    """Say which array libraries the tests run on, and why no GPU if there is none."""
    fault = hf.backend._cupy_fault()
    end = ", cupy" if fault is None else f"; no GPU code is run: {fault}"
    return f"arrays: numpy, strict (a stand-in for a device){end}"


@pytest.fixture(scope="session", autouse=True)
def ctrl_c_is_heard():
    """Hear Ctrl-C, which a shell lets what it starts in the background ignore."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.fixture(
    scope="module", params=["numpy", "strict", pytest.param("cupy", marks=pytest.mark.gpu)]
)
def backend(request):
    """Run the test once per array library; where CuPy cannot compute, skip and say why."""
    try:
        hf.use(request.param)
    except RuntimeError as fault:
        pytest.skip(str(fault))
    yield request.param
    hf.use("numpy")


@pytest.fixture(autouse=True)
def numpy_unless_told(request):
    """`backend` lives as long as its module: a test without it must not inherit what it left."""
    hf.use(request.getfixturevalue("backend") if "backend" in request.fixturenames else "numpy")


@pytest.fixture
def count_gemms():
    """Count the matrix products that a call makes."""

    def count(call):
        made = []
        with hf.backend.observe_gemms(lambda a, b: made.append((a, b))):
            call()
        return len(made)

    return count


def autoencoder(rng):
    sizes = (12, 8, 3, 8, 12)
    layers = [part for D, M in pairwise(sizes) for part in (hf.Dense(D, M), hf.Sigmoid())]
    x = rng.random((8, 12))
    return hf.Sequential(*layers[:-1]), hf.SigmoidCrossEntropy(), x, x


def cnn(rng):
    net = hf.Sequential(
        hf.Conv2d(2, 4, 3, padding=1), hf.ReLU(), hf.MaxPool2d(2), hf.Conv2d(4, 4, 3, padding=1),
        hf.Tanh(), hf.Flatten(), hf.Dense(64, 5),
    )  # fmt: skip
    return net, hf.SoftmaxCrossEntropy(), rng.standard_normal((8, 2, 8, 8)), rng.integers(5, size=8)


def lstm(rng):
    net = hf.Sequential(hf.LSTM(3, 4), hf.LastStep(), hf.Dense(4, 5))
    return net, hf.SoftmaxCrossEntropy(), rng.standard_normal((8, 6, 3)), rng.integers(5, size=8)


@pytest.fixture(params=[autoencoder, cnn, lstm], ids=lambda make: make.__name__)
def kind(request):
    """Give one of each kind of network, its loss, and a function that makes eight cases of it."""
    net, loss, x, y = request.param(np.random.default_rng(0))

    def batch(dtype):
        return tuple(hf.asarray(a.astype(dtype) if a.dtype.kind == "f" else a) for a in (x, y))

    return SimpleNamespace(name=request.param.__name__, net=net, loss=loss, batch=batch)


@pytest.fixture
def stand_in():
    """Compute on the stand-in for a device."""
    hf.use("strict")
    yield
    hf.use("numpy")


@pytest.fixture
def often(monkeypatch):
    """Write a checkpoint after every update."""
    monkeypatch.setattr(checkpoint, "EVERY", 0.0)
    monkeypatch.setattr(checkpoint, "SHARE", math.inf)
