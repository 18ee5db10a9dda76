"""NumPy against a device: the same numbers, to rounding, of all that training is made of.

The rows `cupy` are what ``make test-gpu`` is for; they skip, with the reason, where CuPy cannot
compute. The rows `strict` run the same comparisons on the stand-in, everywhere.

Of a difference in rounding CG makes a larger one. The systems here are damped well, so that it does
not become large.
"""

import os

import numpy as np
import pytest

import minihf as hf
from minihf import backend as seam
from minihf.curvature import Shifted
from minihf.fused import fused
from minihf.optim import Kronecker
from minihf.train import feed

FLOAT64 = 1e-10        # sums in another order; relative, in norm
SOLVED64 = 1e-8        # after ten iterations of CG, or an update: 1e-9 was seen
FLOAT32 = 2e-5         # the same: 300 units in the last place, for sums of up to a thousand terms
SOLVED32 = 1e-3        # after ten iterations of CG, or an update: what is left of single precision

in_float32 = pytest.mark.skipif(
    os.environ.get("CUPY_TF32", "0") != "0", reason="CUPY_TF32 is set: float32 is not float32"
)
every_precision = pytest.mark.parametrize(
    ("dtype", "rounding", "solved"),
    [
        pytest.param(np.float64, FLOAT64, SOLVED64, id="float64"),
        pytest.param(np.float32, FLOAT32, SOLVED32, id="float32", marks=in_float32),
    ],
)


@pytest.fixture(params=["strict", pytest.param("cupy", marks=pytest.mark.gpu)])
def both(request):
    """Give the function that computes on NumPy and on a device, and returns two dicts of arrays."""
    try:
        hf.use(request.param)
    except RuntimeError as fault:
        pytest.skip(str(fault))

    def computed(what):
        results = []
        for name in ("numpy", request.param):
            hf.use(name)
            results.append({key: hf.to_host(x) for key, x in what().items()})
        return results

    yield computed
    hf.use("numpy")


def assert_same(found, expected, rounding):
    assert found.keys() == expected.keys()
    for key, one in found.items():
        other = expected[key]
        assert one.dtype == other.dtype, key
        assert np.linalg.norm(one - other) <= rounding * np.linalg.norm(other), key
        assert np.linalg.norm(other) > 0, key


def vector(params, dtype, seed=1):
    return hf.asarray(np.random.default_rng(seed).standard_normal(params.size).astype(dtype))


@every_precision
def test_outputs_gradients_and_products_agree(kind, dtype, rounding, solved, both):
    def products():
        params, (x, y) = kind.net.init(0, dtype), kind.batch(dtype)
        lin, v = hf.linearize(kind.net, params, x), vector(params, dtype)
        G, H = (C(lin, kind.loss, y, "layer") for C in (hf.GGN, hf.Hessian))
        return {
            "output": lin.output,
            "value": kind.loss.value(lin.output, y),
            "gradient": lin.vjp(kind.loss.grad(lin.output, y)),
            "tangent": lin.jvp(v),
            "GGN": hf.GGN(lin, kind.loss, y) @ v,
            "Hessian": hf.Hessian(lin, kind.loss, y) @ v,
            "blocks of GGN": G @ v,
            "blocks of Hessian": H @ v,
        }

    expected, found = both(products)
    assert_same(found, expected, rounding)


@every_precision
def test_solves_agree(kind, dtype, rounding, solved, both):
    def solutions():
        params, (x, y) = kind.net.init(0, dtype), kind.batch(dtype)
        G = hf.GGN(hf.linearize(kind.net, params, x), kind.loss, y, "layer")
        b, shift, rng = vector(params, dtype), dict.fromkeys(G.partition, 0.5), None
        rng = np.random.default_rng(0)
        M, _ = Kronecker(refresh=1)(G, b, shift, None, rng)
        found = {}
        for name, block in G.partition.items():
            A, b_b = Shifted(G.block(name), shift[name]), b[block.index]
            found[f"M in {name}"] = M[name] @ b_b
            for how, by in (("CG", None), ("preconditioned CG", M[name])):
                result = hf.cg(A, b_b, M=by, max_iters=10, stop=lambda *_: None, check_every=3)
                found[f"{how} in {name}"] = result.x
                found[f"{how} in {name}, q"] = np.array(result.quadratics[1:])
        return found

    expected, found = both(solutions)
    assert_same(found, expected, solved)


OPTIMIZERS = {
    "minihf": hf.HessianFree(),
    "zhang2017": hf.papers.zhang2017(lam=0.5),
    "martens2010": hf.papers.martens2010(lam=1.0, max_iters=20),
    "martens_sutskever2011": hf.papers.martens_sutskever2011(lam=1.0, max_iters=20),
    "kiros2013": hf.papers.kiros2013(lam=1.0),
    "wiesler2013": hf.papers.wiesler2013(lam=1.0),
    "chan_szeto1999": hf.papers.chan_szeto1999(),
    "chen2018": hf.papers.chen2018(),
    "sgd": hf.SGD(0.1, momentum=0.9),
    "adam": hf.Adam(),
}
NOT_FOR = {"martens_sutskever2011": ("autoencoder", "cnn"), "chen2018": ("cnn", "lstm")}


def test_every_optimizer_of_the_library_is_compared():
    assert {*hf.papers.__all__} <= {*OPTIMIZERS}


@every_precision
@pytest.mark.parametrize("method", OPTIMIZERS)
def test_an_update_agrees(method, kind, dtype, rounding, solved, both):
    if kind.name in NOT_FOR.get(method, ()):
        pytest.skip(f"{method} is not for this network")

    def update():
        opt, params = OPTIMIZERS[method], kind.net.init(0, dtype)
        batch = kind.batch(dtype)
        new, _, report = opt.step(kind.net, kind.loss, params, opt.init(params), batch)
        assert report.accepted, report.problem
        return {
            "objective": np.array(report.objective),
            "move": new.vector - params.vector,
        }

    expected, found = both(update)
    assert_same(found, expected, solved)


def test_training_agrees_wherever_the_data_lie(kind, both, monkeypatch):
    def train():
        moved = {}
        for where, limit in (("device", feed.RESIDENT), ("host", 0)):
            monkeypatch.setattr(feed, "RESIDENT", limit)
            data = tuple(map(hf.to_host, kind.batch(np.float64)))
            start = kind.net.init(0, np.float64)
            history = hf.fit(
                kind.net, kind.loss, hf.Adam(), data, updates=5, batch_size=3, params=start,
                progress=False,
            )  # fmt: skip
            moved[where] = history.params.vector - start.vector
        return moved

    expected, found = both(train)
    np.testing.assert_array_equal(found["host"], found["device"])
    assert_same(found, expected, FLOAT64)


def test_a_fused_chain_is_its_numpy_lines(both):
    chain = fused(
        lambda x, y, out: np.multiply(x, y, out=out) if isinstance(out, np.ndarray) else None,
        "out = choose(x > 0, x * y, y * x)",
    )

    def product():
        x, y = (hf.asarray(np.random.default_rng(seed).standard_normal(9)) for seed in (0, 1))
        out = seam.array_module(x).zeros_like(x)
        chain(x, y, out)
        return {"out": out}

    expected, found = both(product)
    assert_same(found, expected, FLOAT64)
