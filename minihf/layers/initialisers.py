"""How weights start: three classical rules, each one a few lines.

An initialiser draws a weight matrix (fan_in, fan_out) and a bias (fan_out,) in float64 on the host;
layers of other shapes reshape it. Called by `minihf.layers.Dense`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np

__all__ = ["Glorot", "He", "Initialiser", "Sparse"]


class Initialiser(Protocol):
    """What a layer asks of an initialiser."""

    def weight(self, rng: np.random.Generator, fan_in: int, fan_out: int) -> np.ndarray:
        """Draw a matrix (fan_in, fan_out)."""

    def bias(self, rng: np.random.Generator, fan_out: int) -> np.ndarray:
        """Draw a vector (fan_out,)."""


class _EqualBiases:
    bias_value = 0.0

    def bias(self, rng: np.random.Generator, fan_out: int) -> np.ndarray:
        """Start at `bias_value`."""
        return np.full(fan_out, float(self.bias_value))


@dataclass(frozen=True)
class Glorot(_EqualBiases):
    """Uniform on +-gain sqrt(6 / (fan_in + fan_out)); biases 0.

    X. Glorot & Y. Bengio, "Understanding the difficulty of training deep feedforward neural
    networks", AISTATS 2010, eq. 16. With `count_bias` the bias counts as a connection, 6 / (fan_in
    + fan_out + 1), and ReLU units may begin active by ``bias_value=0.1``: so does Kiros 2013.
    """

    gain: float = 1.0
    bias_value: float = 0.0
    count_bias: bool = False

    def weight(self, rng: np.random.Generator, fan_in: int, fan_out: int) -> np.ndarray:
        """Draw the matrix."""
        bound = self.gain * np.sqrt(6 / (fan_in + fan_out + self.count_bias))
        return rng.uniform(-bound, bound, (fan_in, fan_out))


@dataclass(frozen=True)
class He(_EqualBiases):
    """Normal with variance 2 / fan_in, for ReLU; biases 0.

    K. He, X. Zhang, S. Ren & J. Sun, "Delving deep into rectifiers", ICCV 2015, eq. 10.
    """

    def weight(self, rng: np.random.Generator, fan_in: int, fan_out: int) -> np.ndarray:
        """Draw the matrix."""
        return rng.standard_normal((fan_in, fan_out)) * np.sqrt(2 / fan_in)


@dataclass(frozen=True)
class Sparse(_EqualBiases):
    """Each unit gets a few incoming connections from N(0, scale^2), the others are zero.

    J. Martens, "Deep learning via Hessian-free optimization", ICML 2010, section 5: 15 connections;
    for tanh units ``Sparse(scale=0.5, bias_value=0.5)``.
    """

    connections: int = 15
    scale: float = 1.0
    bias_value: float = 0.0

    def weight(self, rng: np.random.Generator, fan_in: int, fan_out: int) -> np.ndarray:
        """Draw the matrix, column by column."""
        W = np.zeros((fan_in, fan_out))
        count = min(self.connections, fan_in)
        for unit in range(fan_out):
            chosen = rng.choice(fan_in, size=count, replace=False)
            W[chosen, unit] = self.scale * rng.standard_normal(count)
        return W
