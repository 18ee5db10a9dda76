"""Matrix-free curvature over a linearization."""

from minihf.curvature.energy import BlockEnergy, block_energy
from minihf.curvature.ggn import GGN
from minihf.curvature.hessian import Hessian
from minihf.curvature.kronecker import KroneckerFactors
from minihf.curvature.lanczos import GaussRule
from minihf.curvature.operator import BlockOperator, CurvatureOperator, Shifted
from minihf.curvature.pch import PCH, AveragedPCH
from minihf.curvature.spectrum import Spectrum, spectral_density
from minihf.curvature.structural import StructuralGGN

__all__ = [
    "GGN",
    "PCH",
    "AveragedPCH",
    "BlockEnergy",
    "BlockOperator",
    "CurvatureOperator",
    "GaussRule",
    "Hessian",
    "KroneckerFactors",
    "Shifted",
    "Spectrum",
    "StructuralGGN",
    "block_energy",
    "spectral_density",
]
