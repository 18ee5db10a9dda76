"""What a composition cannot treat is refused before an update, as the update would refuse it."""

import numpy as np
import pytest

import minihf as hf

SMALL = hf.Sequential(hf.Dense(3, 4), hf.Tanh(), hf.Dense(4, 2))
X = np.random.default_rng(0).standard_normal((6, 3)).astype(np.float32)
BATCH = (X, X[:, :2])


class NoSamples:
    """A loss without `sample`, which Kronecker factors need."""

    of = hf.SquaredError()
    value, grad, hessian = of.value, of.grad, of.hessian


REFUSED = {
    "a shared weight": (
        hf.papers.chen2018(),
        hf.Sequential(hf.Dense(3, 4), hf.Residual(hf.Dense(4, 4)), hf.Dense(4, 2)),
        hf.SquaredError(), ValueError, "its op Add after that of '1.body.W'",
    ),
    "noise, which is not there in evaluation": (
        hf.papers.chen2018(),
        hf.Sequential(hf.Dense(3, 4), hf.Tanh(), hf.Dropout(0.5, 4), hf.Dense(4, 2)),
        hf.SquaredError(), ValueError, "its op Mul after that of '0.W'",
    ),
    "no hidden states": (
        hf.papers.martens_sutskever2011(), SMALL, hf.SquaredError(), ValueError,
        "marks no hidden states",
    ),
    "blocks of other names": (
        hf.papers.zhang2017({"all": "encoder.*"}), SMALL, hf.SquaredError(), ValueError,
        r"'encoder\.\*' matches no parameter",
    ),
    "large blocks": (
        hf.papers.chan_szeto1999(max_size=5), SMALL, hf.SquaredError(), ValueError,
        "Cholesky takes 5 at most",
    ),
    "a loss that cannot be sampled": (
        hf.HessianFree(), SMALL, NoSamples(), AttributeError, "sample",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", REFUSED)
def test_it_is_refused_and_fit_writes_nothing(name, tmp_path):
    opt, net, loss, error, message = REFUSED[name]
    log = tmp_path / "new" / "log.jsonl"
    with pytest.raises(error, match=message):
        hf.fit(net, loss, opt, BATCH, updates=1, log=log, progress=False)
    with pytest.raises(error, match=message):
        opt.must_suit(net, loss, net.init(0), BATCH)
    assert not log.parent.exists()


@pytest.mark.parametrize(
    "opt",
    [hf.HessianFree(), hf.papers.chen2018(), hf.papers.martens2010(),
     hf.papers.martens_sutskever2011(mu=0)],
    ids=["house", "chen2018", "martens2010", "plain HF by mu = 0"],
)  # fmt: skip
def test_what_suits_is_left_as_it_is(opt):
    params = SMALL.init(0)
    before = params.vector.copy()
    opt.must_suit(SMALL, hf.SquaredError(), params, BATCH)
    opt.must_suit(SMALL, hf.SquaredError(), params, (X[:1], X[:1, :2]))
    assert np.array_equal(params.vector, before)


def test_a_warning_waits_for_the_update():
    """Scaling by a parameter has no Kronecker factors."""
    params = hf.Params.from_dict({"scale": np.ones(2)})
    opt, net = hf.HessianFree(), lambda params, x: x * params["scale"]
    batch = (X[:, :2].astype(float), X[:, 1:].astype(float))
    opt.must_suit(net, hf.SquaredError(), params, batch)
    with pytest.warns(RuntimeWarning, match="no Kronecker factors for scale"):
        opt.step(net, hf.SquaredError(), params, opt.init(params), batch)
