"""Optimizers: one second-order composition, its parts, the papers made of them, and baselines."""

from minihf.optim import papers
from minihf.optim.block_solvers import Cholesky, ConjugateGradients, PreconditionerOnly
from minihf.optim.curvatures import PositiveCurvature
from minihf.optim.damping import Constant, ConvexMix, LevenbergMarquardt, StructuralDamping
from minihf.optim.first_order import SGD, Adam
from minihf.optim.hessian_free import HessianFree
from minihf.optim.preconditioners import Jacobi, Kronecker, SquaredGradients
from minihf.optim.report import BlockReport, Report
from minihf.optim.sampling import CycledChunks, Prefix
from minihf.optim.steps import BacktrackingArmijo, FixedStep, Subspace, SumThenMean

__all__ = [
    "SGD",
    "Adam",
    "BacktrackingArmijo",
    "BlockReport",
    "Cholesky",
    "ConjugateGradients",
    "Constant",
    "ConvexMix",
    "CycledChunks",
    "FixedStep",
    "HessianFree",
    "Jacobi",
    "Kronecker",
    "LevenbergMarquardt",
    "PositiveCurvature",
    "PreconditionerOnly",
    "Prefix",
    "Report",
    "SquaredGradients",
    "StructuralDamping",
    "Subspace",
    "SumThenMean",
    "papers",
]
