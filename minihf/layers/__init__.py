"""Layers: names, initial values and shape checks around the ops."""

from minihf.layers.activations import Flatten, Identity, ReLU, Sigmoid, Softplus, Tanh
from minihf.layers.base import Layer
from minihf.layers.containers import Residual, Sequential
from minihf.layers.dense import Dense
from minihf.layers.initialisers import Glorot, He, Sparse
from minihf.layers.recurrent import LSTM, RNN, LastStep

__all__ = [
    "LSTM",
    "RNN",
    "Dense",
    "Flatten",
    "Glorot",
    "He",
    "Identity",
    "LastStep",
    "Layer",
    "ReLU",
    "Residual",
    "Sequential",
    "Sigmoid",
    "Softplus",
    "Sparse",
    "Tanh",
]
