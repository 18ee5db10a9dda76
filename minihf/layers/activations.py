"""Activation functions and `Flatten` as layers without parameters."""

from __future__ import annotations

from dataclasses import dataclass
from math import prod
from typing import Any

from minihf import ops
from minihf.layers.base import Layer, one_array

__all__ = ["Flatten", "Identity", "ReLU", "Sigmoid", "Softplus", "Tanh"]


@dataclass(frozen=True)
class Tanh(Layer):
    """y = tanh x."""

    def __call__(self, params: Any, x: Any) -> Any:
        """Apply it entry by entry."""
        return ops.tanh(one_array(self, params, x))


@dataclass(frozen=True)
class Sigmoid(Layer):
    """y = 1 / (1 + exp(-x))."""

    def __call__(self, params: Any, x: Any) -> Any:
        """Apply it entry by entry."""
        return ops.sigmoid(one_array(self, params, x))


@dataclass(frozen=True)
class ReLU(Layer):
    """y = max(x, 0); the derivative at 0 is taken as 0."""

    def __call__(self, params: Any, x: Any) -> Any:
        """Apply it entry by entry."""
        return ops.relu(one_array(self, params, x))


@dataclass(frozen=True)
class Softplus(Layer):
    """y = log(1 + exp x)."""

    def __call__(self, params: Any, x: Any) -> Any:
        """Apply it entry by entry."""
        return ops.softplus(one_array(self, params, x))


@dataclass(frozen=True)
class Identity(Layer):
    """y = x: a linear code layer, written down."""

    def __call__(self, params: Any, x: Any) -> Any:
        """Return x."""
        return x


@dataclass(frozen=True)
class Flatten(Layer):
    """All axes but the first as one, in C order."""

    def __call__(self, params: Any, x: Any) -> Any:
        """Map x (N, ...) to (N, product of the rest)."""
        one_array(self, params, x)
        return ops.reshape(x, (x.shape[0], prod(x.shape[1:])))
