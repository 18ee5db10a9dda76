"""`check_optimizer`: the library's optimizers pass, and each rung finds what breaks it."""

from dataclasses import replace

import numpy as np
import pytest

import minihf as hf
from minihf.testing import CheckFailure, check_optimizer

OPTIMIZERS = {
    "sgd": hf.SGD(lr=0.05, momentum=0.9, nesterov=True),
    "adam": hf.Adam(lr=0.02),
    "zhang2017": hf.papers.zhang2017(lam=0.1),
    "martens2010": hf.papers.martens2010(lam=1.0),
    "minihf": hf.HessianFree(),
}


@pytest.mark.parametrize("opt", OPTIMIZERS.values(), ids=OPTIMIZERS)
def test_the_librarys_optimizers_pass(opt):
    assert check_optimizer(opt).cases == 6


class Wrong(hf.SGD):
    """A baseline with something wrong in `step`: a subclass changes what it gives."""

    def change(self, params, given):
        return given

    def step(self, net, loss, params, state, batch):
        return self.change(params, super().step(net, loss, params, state, batch))


class LacksTheReport(Wrong):
    def change(self, params, given):
        return given[:2]


class WritesInto(Wrong):
    def change(self, params, given):
        params.vector[:] = given[0].vector
        return given


class KeepsAGenerator(Wrong):
    def init(self, params, seed=0):
        return replace(super().init(params, seed), rng=np.random.default_rng(seed))


class WritesIntoTheState(Wrong):
    def step(self, net, loss, params, state, batch):
        state.velocity[:] += 1
        return super().step(net, loss, params, state, batch)


class Chance(Wrong):
    def change(self, params, given):
        new, state, report = given
        noise = np.random.default_rng().standard_normal(params.size)
        return params.with_vector(new.vector + 1e-3 * noise), state, report


class Remembers(Wrong):
    """Keeps the number of its calls outside of the state, from one `init` to the next."""

    def init(self, params, seed=0):
        object.__setattr__(self, "calls", 0)
        return super().init(params, seed)

    def step(self, net, loss, params, state, batch):
        object.__setattr__(self, "calls", self.calls + 1)
        scaled = replace(state, velocity=state.velocity / self.calls)
        return super().step(net, loss, params, scaled, batch)


class RestartsWithEveryObject(Wrong):
    """Takes a state that it has not given itself for a new one."""

    def step(self, net, loss, params, state, batch):
        if getattr(self, "known", None) is not state:
            state = replace(state, velocity=0 * state.velocity)
        result = super().step(net, loss, params, state, batch)
        object.__setattr__(self, "known", result[1])
        return result


class ReportsAnother(Wrong):
    def change(self, params, given):
        return *given[:2], replace(given[2], objective=2 * given[2].objective)


class CountsTooMany(Wrong):
    def change(self, params, given):
        return *given[:2], replace(given[2], products=10**6)


class MovesThoughRejected(Wrong):
    def change(self, params, given):
        return *given[:2], replace(given[2], accepted=False)


class Uphill(Wrong):
    def change(self, params, given):
        return params.with_vector(2 * params.vector - given[0].vector), *given[1:]


class TakesNaN(Wrong):
    def change(self, params, given):
        new, state, report = given
        moved = new.vector + (0 if report.accepted else 1)
        return params.with_vector(moved), state, replace(report, accepted=True)


class Widens(Wrong):
    def change(self, params, given):
        return params.with_vector(given[0].vector * np.float64(1.0) + np.zeros(1)), *given[1:]


WRONG = [
    (LacksTheReport, "contract", "step must return (params, state, report)"),
    (WritesInto, "contract", "step writes into the parameters"),
    (KeepsAGenerator, "contract", "it is Generator, expected arrays, numbers and text"),
    (WritesIntoTheState, "contract", "step writes into the state"),
    (Chance, "determinism", "gave other parameters the second time"),
    (Remembers, "resume", "after a checkpoint the parameters go another way"),
    (RestartsWithEveryObject, "resume", "after a checkpoint the parameters go another way"),
    (ReportsAnother, "honest", "the objective is"),
    (CountsTooMany, "honest", "it reports 1000000 products"),
    (MovesThoughRejected, "honest", "said to be rejected, and the parameters move"),
    (Uphill, "descent", "the objective does not fall in 20 updates"),
    (TakesNaN, "bad numbers", "the parameters move where the objective is not finite"),
    (Widens, "float32", "float32 came in, float64 came out"),
]


@pytest.mark.parametrize(("kind", "rung", "diagnosis"), WRONG, ids=[w[0].__name__ for w in WRONG])
def test_a_wrong_optimizer_breaks_at_its_rung_and_is_told_why(kind, rung, diagnosis):
    check_optimizer(Wrong(lr=0.05, momentum=0.9), cases=2)
    with pytest.raises(CheckFailure) as caught:
        check_optimizer(kind(lr=0.05, momentum=0.9))
    assert caught.value.rung == rung
    assert diagnosis in caught.value.diagnosis
    assert all(size <= 2 for size in caught.value.case.sizes.values())


@pytest.mark.parametrize("thing", [hf.SGD, None, "sgd"])
def test_what_is_no_optimizer_is_refused_in_one_line(thing):
    with pytest.raises(ValueError, match="is no optimizer; expected an object with init and step"):
        check_optimizer(thing)
