"""Layers: names, initial values and shape checks around the ops."""

from minihf.layers.activations import Flatten, Identity, ReLU, Sigmoid, Softplus, Tanh
from minihf.layers.base import Layer
from minihf.layers.containers import Residual, Sequential
from minihf.layers.conv import AvgPool2d, Conv2d, GlobalAvgPool2d, MaxPool2d
from minihf.layers.dense import Dense
from minihf.layers.initialisers import Glorot, He, Sparse
from minihf.layers.noise import Dropout, GaussianNoise, MaskingNoise
from minihf.layers.recurrent import LSTM, RNN, LastStep

__all__ = [
    "LSTM",
    "RNN",
    "AvgPool2d",
    "Conv2d",
    "Dense",
    "Dropout",
    "Flatten",
    "GaussianNoise",
    "GlobalAvgPool2d",
    "Glorot",
    "He",
    "Identity",
    "LastStep",
    "Layer",
    "MaskingNoise",
    "MaxPool2d",
    "ReLU",
    "Residual",
    "Sequential",
    "Sigmoid",
    "Softplus",
    "Sparse",
    "Tanh",
]
