"""Settings: plain floats, whatever they were given as, and refused outside of their ranges."""

import math

import numpy as np
import pytest

import minihf as hf
from minihf.optim import (
    BacktrackingArmijo,
    ConjugateGradients,
    Constant,
    CycledChunks,
    FixedStep,
    Jacobi,
    Kronecker,
    LevenbergMarquardt,
    Linear,
    MaxNorm,
    PositiveCurvature,
    Prefix,
    SquaredGradients,
    StructuralDamping,
    Subspace,
)

number = np.float64(0.1)


@pytest.mark.parametrize(
    "opt",
    [
        hf.SGD(lr=number, momentum=number, l2=number),
        hf.SGD(lr=number, momentum=number, nesterov=True),
        hf.Adam(lr=number, beta1=number, l2=number),
        hf.papers.zhang2017(alpha=number, lam=number, warm_start=number),
        hf.papers.martens2010(lam=number, l2=number, warm_start=number),
        hf.HessianFree(
            preconditioner=Kronecker(decay=number), damping=LevenbergMarquardt(number),
            step_rule=Subspace(factor=number), l2=number,
        ),
        hf.HessianFree(preconditioner=Jacobi(exponent=number)),
    ],
    ids=["sgd", "nesterov", "adam", "zhang2017", "martens2010", "minihf", "jacobi"],
)
def test_numpy_numbers_as_settings_leave_float32_alone(opt, problem, run):
    p = problem(dtype=np.float32)
    params, state, _ = run(opt, p, 2)
    assert params.dtype == np.float32
    assert {array.dtype for array in arrays_in(vars(state))} == {np.dtype(np.float32)}


def arrays_in(state):
    """All arrays in nested dicts."""
    if isinstance(state, dict):
        return [array for value in state.values() for array in arrays_in(value)]
    return [state] if isinstance(state, np.ndarray) else []


@pytest.mark.parametrize(
    ("make", "expected"),
    [
        (lambda: hf.SGD(lr=0), "SGD: lr must be positive, got 0.0"),
        (lambda: hf.SGD(lr="fast"), "SGD: lr is 'fast', not a number"),
        (lambda: hf.SGD(momentum=1), r"SGD: momentum must be in \[0, 1\), got 1.0"),
        (lambda: hf.Adam(eps=-1), "Adam: eps must be positive"),
        (lambda: hf.Adam(l2=-1), "Adam: l2 must be 0 or more"),
        (lambda: Constant(-1), "Constant: initial must be 0 or more, got -1.0"),
        (lambda: LevenbergMarquardt(math.nan), "LevenbergMarquardt: initial must be 0 or more"),
        (lambda: LevenbergMarquardt(boost=0.5), "boost must be 1 or more, got 0.5"),
        (lambda: LevenbergMarquardt(low=0.9, high=0.1), "low 0.9 must not be above high 0.1"),
        (lambda: FixedStep(-0.1), "FixedStep: alpha must be positive, got -0.1"),
        (lambda: BacktrackingArmijo(factor=1), r"factor must be in \(0, 1\), got 1.0"),
        (lambda: ConjugateGradients(max_iters=0), "max_iters must be 1 or more, got 0"),
        (lambda: CycledChunks(0), "CycledChunks: count must be 1 or more"),
        (lambda: Prefix(2), r"Prefix: fraction must be in \(0, 1\], got 2.0"),
        (lambda: SquaredGradients(-1), "SquaredGradients: exponent must be positive"),
        (lambda: hf.HessianFree(l2=-1), "HessianFree: l2 must be 0 or more"),
        (lambda: hf.HessianFree(damping=3.0), "damping is 3.0; expected something like Constant"),
        (lambda: hf.HessianFree(sampling=0.25), "sampling is 0.25; expected something like Prefix"),
        (lambda: hf.HessianFree(step_rule=0.1), "step_rule is 0.1; expected something like Fixed"),
        (lambda: Jacobi(draws=0), "Jacobi: draws must be 1 or more, got 0"),
        (lambda: Kronecker(decay=1), r"Kronecker: decay must be in \[0, 1\), got 1.0"),
        (lambda: Kronecker(refresh=0), "Kronecker: refresh must be 1 or more, got 0"),
        (lambda: Subspace(factor=1), r"Subspace: factor must be in \(0, 1\), got 1.0"),
        (lambda: hf.HessianFree(preconditioner="kfac"), "preconditioner is 'kfac'; .* Kronecker"),
        (lambda: hf.HessianFree(solver=ConjugateGradients), "solver is <class .* Conjugate.*Grad"),
        (lambda: hf.HessianFree(curvature="ggn"), "curvature is 'ggn'; expected .* hf.GGN"),
        (lambda: hf.HessianFree(curvature=hf.Adam), "curvature is <class .*Adam'>; expected .* hf"),
        (lambda: hf.HessianFree(curvature=0.1), "curvature is 0.1; expected .* PositiveCurvature"),
        (lambda: PositiveCurvature("absolute"), "mode must be one of identity, abs, .*'absolute'"),
        (lambda: hf.HessianFree(curvature=None), "curvature is None; expected .* hf.GGN"),
        (lambda: hf.HessianFree(damping=None), "damping is None; expected .* Constant"),
        (lambda: hf.SGD(lr="0.1"), "SGD: lr is '0.1', not a number"),
        (lambda: FixedStep(math.inf), "FixedStep: alpha must be positive, got inf"),
        (lambda: Constant(math.inf), "Constant: initial must be 0 or more, got inf"),
        (lambda: hf.HessianFree(l2=math.inf), "HessianFree: l2 must be 0 or more, got inf"),
        (lambda: LevenbergMarquardt(boost=math.inf), "boost must be 1 or more, got inf"),
        (lambda: MaxNorm(math.inf), "MaxNorm: most must be positive, got inf"),
        (lambda: MaxNorm("wide"), "MaxNorm: most is 'wide', not a number"),
        (lambda: ConjugateGradients(2.5), "Gradients: max_iters is 2.5, not a whole number"),
        (lambda: ConjugateGradients("30"), "Gradients: max_iters is '30', not a whole number"),
        (lambda: ConjugateGradients(None), "Gradients: max_iters is None, not a whole number"),
        (lambda: ConjugateGradients(math.inf), "Gradients: max_iters is inf, not a whole number"),
        (lambda: ConjugateGradients(check_every=1.5), "check_every is 1.5, not a whole number"),
        (lambda: CycledChunks(2.5), "CycledChunks: count is 2.5, not a whole number"),
        (lambda: Jacobi(draws=1.5), "Jacobi: draws is 1.5, not a whole number"),
        (lambda: Kronecker(refresh=2.5), "Kronecker: refresh is 2.5, not a whole number"),
        (lambda: Kronecker(calibrate=3), "Kronecker: calibrate is 3, not True, False or None"),
        (lambda: ConjugateGradients(stop=1e-3), r"stop is 0.001; expected .* RelativeResidual\("),
        (lambda: ConjugateGradients(stop=hf.RelativeResidual), "stop is <class .*; expected"),
        (lambda: ConjugateGradients(record=None), "record is None; expected .* martens_grid"),
        (lambda: hf.RelativeResidual(-1), "RelativeResidual: rtol must be 0 or more, got -1"),
        (lambda: hf.RelativeResidual(math.nan), "rtol must be 0 or more, got nan"),
        (lambda: hf.RelativeResidual("0.1"), "rtol must be 0 or more, got '0.1'"),
        (lambda: hf.RelativeResidual(Linear(0.1, -0.1, 9)), r"rtol must be 0 or more, got Linear"),
        (lambda: hf.RelativeProgress(-1e-4), "RelativeProgress: tolerance must be 0 or more, got"),
        (lambda: StructuralDamping(distance=0.1), "StructuralDamping: distance is 0.1; expected"),
        (lambda: hf.papers.kiros2013(1.5), "kiros2013: updates_per_epoch is 1.5, not a whole num"),
        (lambda: hf.papers.kiros2013(0), "kiros2013: updates_per_epoch must be 1 or more, got 0"),
        (lambda: hf.papers.kiros2013(drop=0), r"kiros2013: drop must be in \(0, 1\], got 0.0"),
    ],
)
def test_a_setting_out_of_its_range_is_named_before_any_work(make, expected):
    with pytest.raises((TypeError, ValueError), match=expected):
        make()


def test_whole_numbers_of_any_kind_become_ints():
    for given in (7, 7.0, np.int32(7), np.float64(7)):
        solver = ConjugateGradients(given)
        assert (solver.max_iters, type(solver.max_iters)) == (7, int)
    assert MaxNorm(np.float64(2)).most == 2.0
    assert type(MaxNorm(np.float64(2)).most) is float
    assert MaxNorm().most is None


def test_lam_never_reaches_zero_from_where_no_factor_leads_back():
    rule = LevenbergMarquardt(1e-19)
    lam = 1e-19
    for _ in range(100):
        lam = rule.update(lam, 1.0)
    assert lam == rule.minimum > 0
