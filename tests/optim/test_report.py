"""What a sequential update tells about itself: its turns put together."""

import dataclasses
import math

import numpy as np
import pytest

import minihf as hf
from minihf.optim import (
    BacktrackingArmijo,
    Cholesky,
    Constant,
    FixedStep,
    LevenbergMarquardt,
    Prefix,
    Report,
)
from minihf.optim.report import joined

pytestmark = pytest.mark.usefixtures("backend")


def turn(before, after, *, accepted=True, predicted=-1.0, length=1.0, lam=1.0, problem=""):
    rho = (after - before) / predicted if accepted and predicted < 0 else math.nan
    return Report(
        objective=before, new_objective=after, accepted=accepted, problem=problem, cases=4,
        seconds=1.0, products=3, step_length=length, lam=lam, predicted=predicted, rho=rho,
    )  # fmt: skip


def test_one_turn_is_itself():
    one = turn(3.0, 2.0)
    assert joined([one]) is one


def test_turns_that_were_made_add_up():
    report = joined([
        turn(9.0, 7.0, predicted=-4.0, length=0.5, lam=3.0),
        turn(7.0, 6.0, predicted=-1.0, length=0.8, lam=5.0),
        turn(6.0, 5.5, predicted=-1.0, length=0.1, lam=2.0),
    ])
    assert (report.objective, report.new_objective, report.accepted) == (9.0, 5.5, True)
    assert report.predicted == -6.0
    assert report.rho == pytest.approx(3.5 / 6)
    assert (report.step_length, report.lam) == (0.8, 5.0)
    assert (report.cases, report.products, report.seconds) == (12, 9, 3.0)
    assert report.problem == ""


@pytest.mark.parametrize("place", [0, 1, 2])
@pytest.mark.parametrize("predicted", [-2.0, math.nan, None])
def test_a_refused_turn_promises_nothing_and_keeps_no_ratio_back(place, predicted):
    refused = turn(6.0, 6.0, accepted=False, length=0.0, problem="update rejected: no")
    turns = [turn(9.0, 7.0, predicted=-4.0), turn(7.0, 6.0, predicted=-1.0)]
    turns.insert(place, dataclasses.replace(refused, predicted=predicted, lam=8.0))
    report = joined(turns)
    assert report.predicted == -5.0
    assert report.rho == pytest.approx(3 / 5)
    assert (report.accepted, report.step_length, report.lam) == (True, 1.0, 8.0)
    assert report.problem == "1 of 3 blocks: update rejected: no"


def test_if_all_turns_were_refused_there_is_no_promise_and_no_ratio():
    refused = turn(6.0, 6.0, accepted=False, length=0.0, problem="update rejected: no")
    report = joined([refused, refused])
    assert (report.accepted, report.predicted, report.step_length) == (False, 0.0, 0.0)
    assert math.isnan(report.rho)


class OnlyLast(FixedStep):
    """Lets the first block stay."""

    def __call__(self, candidates, here):
        step = super().__call__(candidates, here)
        stays = bool(step.direction[0])
        return dataclasses.replace(step, length=0.0, problem="no") if stays else step


def test_the_joined_promise_is_that_of_the_way_that_was_gone(problem, run, dense):
    p = problem()
    opt = hf.HessianFree(
        "layer", hf.GGN, Cholesky(), None, LevenbergMarquardt(0.1, per_block=True), OnlyLast(1.0),
        Prefix(1.0), l2=0.0, update="sequential",
    )  # fmt: skip
    new, _, (report,) = run(opt, p, 1)
    here, way = dense(p), hf.to_host(new.vector - p.params.vector)
    predicted = here.g @ way + 0.5 * way @ here.G @ way
    assert report.predicted == pytest.approx(predicted, rel=1e-9)
    change = report.new_objective - report.objective
    assert report.rho == pytest.approx(change / predicted, rel=1e-9)


def test_the_new_objective_is_that_of_the_new_parameters(problem, run, dense):
    p = problem(N=6)
    opt = hf.HessianFree(
        "layer", hf.GGN, Cholesky(), None, Constant(1e-3), BacktrackingArmijo(c=0.6),
        Prefix(1.0), l2=0.0, update="sequential",
    )  # fmt: skip
    new, _, (report,) = run(opt, p, 1)
    assert report.new_objective == pytest.approx(dense(p, params=new).f, rel=1e-10)


def test_a_turn_that_sees_no_gradient_tells_its_own_blocks_damping(problem, run):
    p = problem()
    p.params.vector[0] = np.nan
    rule = LevenbergMarquardt(1.0, boost=2.0, per_block=True)
    opt = hf.HessianFree("layer", damping=rule, update="sequential")
    _, state, (report,) = run(opt, p, 1)
    assert state.lam == {"0": 2.0, "2": 2.0}
    assert report.lam == 1.0                              # the second block was not at 2 yet
