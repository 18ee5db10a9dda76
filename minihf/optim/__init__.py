"""Optimizers: one second-order composition, its parts, the papers made of them, and baselines."""

from minihf.optim import papers
from minihf.optim.block_solvers import Cholesky, ConjugateGradients, PreconditionerOnly
from minihf.optim.curvatures import PositiveCurvature
from minihf.optim.damping import (
    ByAcceptance,
    Constant,
    ConvexMix,
    LevenbergMarquardt,
    StructuralDamping,
)
from minihf.optim.first_order import SGD, Adam
from minihf.optim.hessian_free import HessianFree
from minihf.optim.preconditioners import Jacobi, Kronecker, SquaredGradients
from minihf.optim.projections import MaxNorm
from minihf.optim.report import BlockReport, Report
from minihf.optim.sampling import CycledChunks, Independent, Prefix
from minihf.optim.scaled_step import Scaled
from minihf.optim.schedules import Geometric, Linear, Schedule
from minihf.optim.steps import BacktrackingArmijo, FixedStep, Subspace, SumThenMean

__all__ = [
    "SGD",
    "Adam",
    "BacktrackingArmijo",
    "BlockReport",
    "ByAcceptance",
    "Cholesky",
    "ConjugateGradients",
    "Constant",
    "ConvexMix",
    "CycledChunks",
    "FixedStep",
    "Geometric",
    "HessianFree",
    "Independent",
    "Jacobi",
    "Kronecker",
    "LevenbergMarquardt",
    "Linear",
    "MaxNorm",
    "PositiveCurvature",
    "PreconditionerOnly",
    "Prefix",
    "Report",
    "Scaled",
    "Schedule",
    "SquaredGradients",
    "StructuralDamping",
    "Subspace",
    "SumThenMean",
    "papers",
]
