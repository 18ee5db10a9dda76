"""One draw an update: the same noise for a case wherever in the update that case is used."""

import copy
import dataclasses
import json
from types import SimpleNamespace

import numpy as np
import pytest

import minihf as hf
from minihf import ops
from minihf.optim import CycledChunks, Independent, Prefix, SquaredGradients
from minihf.optim.batches import CHUNK, gradient, n_cases, objective, rows, with_noise

ROUNDING = 1e-12      # relative, float64: sums in another order

OPTIMIZERS = {
    "martens": hf.papers.martens2010(lam=1.0, l2=0.01),
    "zhang": hf.papers.zhang2017("layer", alpha=0.5, lam=0.1),
    "kiros": hf.papers.kiros2013(2),
    "sgd": hf.SGD(0.1, momentum=0.9),
    "adam": hf.Adam(0.01),
}
by_optimizer = pytest.mark.parametrize("opt", OPTIMIZERS.values(), ids=OPTIMIZERS)
hessian_free = pytest.mark.parametrize(
    "opt",
    [
        OPTIMIZERS["martens"],
        dataclasses.replace(OPTIMIZERS["martens"], curvature=hf.Hessian, sampling=Prefix(0.4)),
        dataclasses.replace(OPTIMIZERS["martens"], preconditioner=SquaredGradients()),
        OPTIMIZERS["zhang"],
    ],
    ids=["martens", "Hessian", "preconditioned", "zhang"],
)


class Watched(hf.Sequential):
    """Keeps, of every call with noise, the cases and their masks; of others, the cases."""

    def __call__(self, params, x):
        mask = params.scope("1").noise("mask")
        self.calls.append((numbers(x), None if mask is None else hf.to_host(mask)))
        return super().__call__(params, x)


def numbers(x):
    """Return which cases these are: the first feature tells."""
    return np.rint(1000 * hf.to_host(x)[:, 0]).astype(int)


def noisy(N=12, dtype=np.float64, p=0.4):
    rng = np.random.default_rng(0)
    x = rng.standard_normal((N, 4))
    x[:, 0] = np.arange(N) / 1000
    y = rng.random((N, 3))
    net = Watched(hf.Dense(4, 5), hf.Dropout(p, 5), hf.Tanh(), hf.Dense(5, 3))
    net.calls = []
    return SimpleNamespace(
        net=net,
        loss=hf.SquaredError(),
        params=net.init(0, dtype),
        batch=(hf.asarray(x, dtype), hf.asarray(y, dtype)),
    )


def mask_of(p, state, n=None):
    """Draw what the update from `state` will draw."""
    rng = np.random.default_rng()
    rng.bit_generator.state = state.rng
    return p.net.draw(rng, n or n_cases(p.batch), p.params.dtype)["1.mask"]


def frozen(mask):
    """Return the network as a function without noise layers, each case's mask written into it."""

    def net(params, x):
        W, b, V, c = (params[name] for name in ("0.W", "0.b", "3.W", "3.b"))
        return ops.dense(ops.tanh(ops.dense(x, W, b) * mask[numbers(x)]), V, c)

    return net


def bits(state):
    return {k: v.tobytes() if isinstance(v, np.ndarray) else v for k, v in vars(state).items()}


# One draw -------------------------------------------------------------------------------------


@pytest.mark.parametrize("N", [12, 2 * CHUNK + 7])
@by_optimizer
def test_a_case_meets_one_mask_throughout_an_update_and_another_in_the_next(opt, N, run, backend):
    p = noisy(N)
    params, state = p.params, opt.init(p.params)
    least, masks = 1, []  # the gradient
    if isinstance(opt, hf.HessianFree):  # and curvature, objective; twice more for rho on a chunk
        least = 5 if opt.damping.adaptive and opt.rho_on == "curvature" else 3
    for _ in range(3):
        mask = hf.to_host(mask_of(p, state))
        p.net.calls.clear()
        params, state, _ = run(opt, p, 1, params, state)
        assert len(p.net.calls) >= least
        for cases, used in p.net.calls:
            np.testing.assert_array_equal(used, mask[cases])
        masks.append(mask)
    assert (masks[0] != masks[1]).any()
    assert (masks[1] != masks[2]).any()


@hessian_free
def test_an_update_is_that_of_the_fixed_function_with_these_masks(opt, run):
    p = noisy()
    state = opt.init(p.params)
    for update in range(3):  # the sampling takes other cases each time
        state = dataclasses.replace(state, update=update)
        fixed = SimpleNamespace(**vars(p) | {"net": frozen(mask_of(p, state))})
        new, after, (report,) = run(opt, p, 1, state=state)
        same, expected, (fixed_report,) = run(opt, fixed, 1, state=state)
        np.testing.assert_array_equal(new.vector, same.vector)
        np.testing.assert_array_equal(after.solution, expected.solution)
        assert report.accepted
        for name in ("objective", "new_objective", "predicted", "rho", "lam", "products"):
            assert getattr(report, name) == pytest.approx(
                getattr(fixed_report, name), rel=0, nan_ok=True
            )
        state = after


def test_a_curvature_batch_of_its_own_has_noise_of_its_own():
    p, opt = noisy(), OPTIMIZERS["martens"]
    state = opt.init(p.params)
    own = rows(p.batch, slice(0, 5))
    _, after, _ = opt.step(p.net, p.loss, p.params, state, p.batch, own)
    rng = np.random.default_rng()
    rng.bit_generator.state = state.rng
    both = {n: p.net.draw(rng, n, np.float64)["1.mask"] for n in (12, 5)}
    assert {len(cases) for cases, _ in p.net.calls} == {12, 5}
    for cases, used in p.net.calls:
        np.testing.assert_array_equal(used, both[len(cases)])
    assert after.rng == rng.bit_generator.state


def test_a_batch_that_has_its_noise_keeps_it():
    p, opt = noisy(), OPTIMIZERS["martens"]
    state = opt.init(p.params)
    noise = p.net.draw(np.random.default_rng(5), 12, np.float64)
    _, after, _ = opt.step(p.net, p.loss, p.params, state, (*p.batch, noise))
    for cases, used in p.net.calls:
        np.testing.assert_array_equal(used, noise["1.mask"][cases])
    assert after.rng == state.rng


def test_a_sampling_rule_that_loses_the_noise_is_told():
    class Careless:
        def draw(self, batch, update, rng):
            return batch[0][:3], batch[1][:3]

    p, opt = noisy(), dataclasses.replace(OPTIMIZERS["martens"], sampling=Careless())
    with pytest.raises(ValueError, match=r"Careless\.draw lost the noise"):
        opt.step(p.net, p.loss, p.params, opt.init(p.params), p.batch)


@pytest.mark.parametrize("rule", [Prefix(0.3), CycledChunks(5), Independent(0.3)])
def test_sampling_takes_the_noise_of_its_cases(rule):
    p = noisy(13)
    batch, _ = with_noise(p.net, p.params, p.batch, hf.SGD().init(p.params))
    for update in range(5):
        x, _, noise = rule.draw(batch, update, np.random.default_rng(update))
        np.testing.assert_array_equal(noise["1.mask"], batch[2]["1.mask"][numbers(x)])


def test_chunks_with_noise_add_up_to_one_pass(backend):
    p = noisy(2 * CHUNK + 3)
    (x, y, noise), _ = with_noise(p.net, p.params, p.batch, hf.SGD().init(p.params))
    lin = hf.linearize(p.net, p.params, x, noise)
    value, g = gradient(p.net, p.loss, p.params, (x, y, noise))
    assert float(value) == pytest.approx(float(p.loss.value(lin.output, y)), rel=ROUNDING)
    assert float(value) == float(objective(p.net, p.loss, p.params, (x, y, noise)))
    expected = hf.to_host(lin.vjp(p.loss.grad(lin.output, y)))
    np.testing.assert_allclose(hf.to_host(g), expected, atol=ROUNDING)


# The same bits --------------------------------------------------------------------------------


@by_optimizer
def test_the_seed_decides_the_noise(opt, run):
    one, again = (run(opt, noisy(dtype=np.float32), 4) for _ in "ab")
    assert one[0].vector.dtype == np.float32
    assert one[0].vector.tobytes() == again[0].vector.tobytes()
    assert bits(one[1]) == bits(again[1])
    p = noisy(dtype=np.float32)
    other = run(opt, p, 4, state=opt.init(p.params, seed=1))
    assert other[0].vector.tobytes() != one[0].vector.tobytes()


@by_optimizer
def test_a_run_that_goes_on_from_a_copied_state_was_never_stopped(opt, run):
    p = noisy(dtype=np.float32)
    through = run(opt, p, 5)
    params, state, _ = run(opt, p, 2)
    saved = json.loads(json.dumps(state.rng))
    copied = dataclasses.replace(copy.deepcopy(state), rng=saved)
    resumed = run(opt, p, 3, params, copied)
    assert resumed[0].vector.tobytes() == through[0].vector.tobytes()
    assert bits(resumed[1]) == bits(through[1])


@by_optimizer
def test_a_rejected_update_draws_anew(opt):
    p = noisy()
    p.batch[0][0, 1] = np.nan
    state = opt.init(p.params)
    with np.errstate(invalid="ignore"):
        _, after, report = opt.step(p.net, p.loss, p.params, state, p.batch)
    assert not report.accepted
    assert after.rng != state.rng


@by_optimizer
def test_without_noise_layers_nothing_is_drawn_and_plain_functions_need_no_draw(opt, problem, run):
    p = problem()
    state = run(opt, p, 2)[1]
    assert state.rng == opt.init(p.params).rng
    function = SimpleNamespace(**vars(p) | {"net": lambda params, x: p.net(params, x)})
    assert bits(run(opt, function, 2)[1]) == bits(state)


def test_noise_is_not_drawn_from_the_stream_of_the_initial_parameters():
    state = hf.SGD().init(hf.Dense(2, 2).init(3), seed=3)
    assert state.rng != np.random.default_rng(3).bit_generator.state
