"""Layers: names, initial values and shape checks around the ops."""

from minihf.layers.activations import Flatten, Identity, ReLU, Sigmoid, Softplus, Tanh
from minihf.layers.base import Layer
from minihf.layers.containers import Residual, Sequential
from minihf.layers.dense import Dense
from minihf.layers.initialisers import Glorot, He, Sparse

__all__ = [
    "Dense",
    "Flatten",
    "Glorot",
    "He",
    "Identity",
    "Layer",
    "ReLU",
    "Residual",
    "Sequential",
    "Sigmoid",
    "Softplus",
    "Sparse",
    "Tanh",
]
