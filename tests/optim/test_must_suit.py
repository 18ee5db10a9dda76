"""What a composition cannot treat is refused before an update, as the update would refuse it."""

import dataclasses

import numpy as np
import pytest

import minihf as hf
from minihf.optim import (
    Cholesky,
    ConjugateGradients,
    Constant,
    ConvexMix,
    CycledChunks,
    FixedStep,
    Geometric,
    Independent,
    Jacobi,
    Kronecker,
    LevenbergMarquardt,
    Linear,
    MaxNorm,
    Prefix,
    Scaled,
    SquaredGradients,
    StructuralDamping,
    Subspace,
)

SMALL = hf.Sequential(hf.Dense(3, 4), hf.Tanh(), hf.Dense(4, 2))
X = np.random.default_rng(0).standard_normal((6, 3)).astype(np.float32)
BATCH = (X, X[:, :2])


class My:
    """A loss with no more than what it is given of the squared error's methods."""

    def __init__(self, *methods):
        for method in ("value", "grad", *methods):
            setattr(self, method, getattr(hf.SquaredError(), method))


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
        hf.HessianFree(), SMALL, My("hessian", "root"), TypeError,
        r"^Kronecker needs loss\.sample, which My has not; give it one, or take "
        r"preconditioner=SquaredGradients\(\)$",
    ),
    "a loss without a root": (
        hf.HessianFree(preconditioner=Jacobi()), SMALL, My("hessian", "sample"), TypeError,
        r"^Jacobi needs loss\.root, which My has not; give it one, or take "
        r"preconditioner=SquaredGradients\(\)$",
    ),
    "a loss without a Hessian": (
        hf.papers.zhang2017(), SMALL, My(), TypeError,
        r"^GGN needs loss\.hessian, which My has not; give it one, or train by hf.SGD or hf.Adam$",
    ),
    "a loss without a Hessian, for PCH": (
        hf.papers.chen2018(), SMALL, My("root"), TypeError,
        "^PositiveCurvature needs loss.hessian",
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


RISING, FALLING = Linear(0.5, 0.75, updates=10), Geometric(1e-3, 0.9)
RECURRENT = hf.Sequential(hf.RNN(3, 4), hf.LastStep(), hf.Dense(4, 2))

SCHEDULED = {
    "l2": hf.HessianFree(l2=FALLING),
    "SquaredGradients": hf.HessianFree(preconditioner=SquaredGradients(RISING)),
    "Jacobi": hf.HessianFree(preconditioner=Jacobi(Linear(1, 5, updates=10), RISING)),
    "Kronecker": hf.HessianFree(preconditioner=Kronecker(RISING, Linear(1, 5, updates=10))),
    "ConjugateGradients": hf.HessianFree(
        solver=ConjugateGradients(Linear(1, 5, updates=10), hf.RelativeResidual(FALLING), RISING)
    ),
    "RelativeProgress": hf.HessianFree(solver=ConjugateGradients(3, hf.RelativeProgress(FALLING))),
    "Cholesky": hf.HessianFree(solver=Cholesky(), damping=Constant(FALLING)),
    "ConvexMix": hf.HessianFree(damping=ConvexMix(RISING)),
    "LevenbergMarquardt": hf.HessianFree(damping=LevenbergMarquardt(FALLING, drop=RISING)),
    "FixedStep": hf.HessianFree(step_rule=FixedStep(FALLING)),
    "Scaled": hf.HessianFree(step_rule=Scaled(Subspace(factor=RISING), RISING)),
    "Prefix": hf.HessianFree(sampling=Prefix(RISING)),
    "Independent": hf.HessianFree(sampling=Independent(RISING)),
    "CycledChunks": hf.HessianFree(sampling=CycledChunks(Linear(1, 3, updates=10))),
    "MaxNorm": hf.HessianFree(projection=MaxNorm(RISING)),
    "StructuralDamping": dataclasses.replace(
        hf.papers.martens_sutskever2011(), structural=StructuralDamping(FALLING)
    ),
}


@pytest.mark.parametrize("name", SCHEDULED)
def test_a_schedule_in_any_part_is_trained_with(name):
    recurrent = name == "StructuralDamping"
    net, data = (RECURRENT, (X[:, None], X[:, :2])) if recurrent else (SMALL, BATCH)
    history = hf.fit(net, hf.SquaredError(), SCHEDULED[name], data, updates=2, progress=False)
    assert history.ended == "2 updates"
    assert history.params.dtype == np.float32
    assert history.last["train"] != history.records[0]["train"]


def test_a_warning_waits_for_the_update():
    """Scaling by a parameter has no Kronecker factors."""
    params = hf.Params.from_dict({"scale": np.ones(2)})
    opt, net = hf.HessianFree(), lambda params, x: x * params["scale"]
    batch = (X[:, :2].astype(float), X[:, 1:].astype(float))
    opt.must_suit(net, hf.SquaredError(), params, batch)
    with pytest.warns(RuntimeWarning, match="no Kronecker factors for scale"):
        opt.step(net, hf.SquaredError(), params, opt.init(params), batch)
