"""Matrix-free curvature over a linearization."""

from minihf.curvature.ggn import GGN
from minihf.curvature.hessian import Hessian
from minihf.curvature.kronecker import KroneckerFactors
from minihf.curvature.operator import BlockOperator, CurvatureOperator, Shifted
from minihf.curvature.pch import PCH, AveragedPCH
from minihf.curvature.structural import StructuralGGN

__all__ = [
    "GGN",
    "PCH",
    "AveragedPCH",
    "BlockOperator",
    "CurvatureOperator",
    "Hessian",
    "KroneckerFactors",
    "Shifted",
    "StructuralGGN",
]
