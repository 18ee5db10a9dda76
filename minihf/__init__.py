"""minihf: block-diagonal Hessian-free optimization, small enough to read.

An engine with hand-written R-operator rules, a curvature matrix that is only ever multiplied with,
conjugate gradients on its blocks, and the optimizers that classical papers made of these parts.
The modules build on each other in this order, and so do the chapters of the book:

    backend -> params -> recording, op -> tape, ops -> layers, losses -> curvature -> solvers
            -> optim -> files -> data -> train -> experiments -> cli
"""

from minihf import data, ops, optim
from minihf.backend import asarray, device, to_host, use
from minihf.curvature import GGN, PCH, Hessian, block_energy, spectral_density
from minihf.layers import (
    LSTM,
    RNN,
    AvgPool2d,
    Conv2d,
    Dense,
    Dropout,
    Flatten,
    GaussianNoise,
    GlobalAvgPool2d,
    Glorot,
    He,
    Identity,
    LastStep,
    Layer,
    MaskingNoise,
    MaxPool2d,
    ReLU,
    Residual,
    Sequential,
    Sigmoid,
    Softplus,
    Sparse,
    Tanh,
)
from minihf.losses import SigmoidCrossEntropy, SoftmaxCrossEntropy, SquaredError
from minihf.optim import SGD, Adam, HessianFree, papers
from minihf.parallel import use_workers, workers
from minihf.params import Params
from minihf.partition import Partition
from minihf.recording import tap
from minihf.solvers import CGResult, Reason, RelativeProgress, RelativeResidual, cg, cholesky
from minihf.tape import Linearization, linearize
from minihf.train import History, Looks, fit

__all__ = [
    "GGN",
    "LSTM",
    "PCH",
    "RNN",
    "SGD",
    "Adam",
    "AvgPool2d",
    "CGResult",
    "Conv2d",
    "Dense",
    "Dropout",
    "Flatten",
    "GaussianNoise",
    "GlobalAvgPool2d",
    "Glorot",
    "He",
    "Hessian",
    "HessianFree",
    "History",
    "Identity",
    "LastStep",
    "Layer",
    "Linearization",
    "Looks",
    "MaskingNoise",
    "MaxPool2d",
    "Params",
    "Partition",
    "ReLU",
    "Reason",
    "RelativeProgress",
    "RelativeResidual",
    "Residual",
    "Sequential",
    "Sigmoid",
    "SigmoidCrossEntropy",
    "SoftmaxCrossEntropy",
    "Softplus",
    "Sparse",
    "SquaredError",
    "Tanh",
    "asarray",
    "block_energy",
    "cg",
    "cholesky",
    "data",
    "device",
    "fit",
    "linearize",
    "ops",
    "optim",
    "papers",
    "spectral_density",
    "tap",
    "to_host",
    "use",
    "use_workers",
    "workers",
]

__version__ = "0.1.0"
