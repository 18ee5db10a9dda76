"""Layers for images (N, C, H, W): convolution around `minihf.ops.conv2d`, and pooling."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from minihf import ops
from minihf.backend import widens
from minihf.layers.base import Layer, must_be_sizes, named, one_array
from minihf.layers.initialisers import Glorot, Initialiser
from minihf.ops.conv import conv2d_fault
from minihf.ops.pool import pool2d_fault
from minihf.ops.windows import pair

__all__ = ["AvgPool2d", "Conv2d", "GlobalAvgPool2d", "MaxPool2d"]


@dataclass(frozen=True)
class Conv2d(Layer):
    """y = x ⋆ W + b: a filter bank slides over the image (cross-correlation).

    Parameters
    ----------
    in_channels, out_channels : int
        C and F, both at least 1.
    kernel_size : int or pair of int
        KH and KW.
    stride, padding : int or pair of int
        How far apart the windows lie, and how many zeros surround the image.
    bias : bool
        Whether there is a b.
    init_with : Initialiser
        `Glorot` (the default), `He`, `Sparse`, or your own; fan_in is C KH KW, fan_out is F.

    Raises
    ------
    ValueError
        When made with a size below 1, or called with images that do not fit.

    Examples
    --------
    >>> import numpy as np, minihf as hf
    >>> layer = hf.Conv2d(1, 16, 3, stride=2, padding=1)
    >>> params = layer.init(0)
    >>> params["W"].shape, layer(params, np.ones((5, 1, 28, 28), np.float32)).shape
    ((16, 1, 3, 3), (5, 16, 14, 14))
    """

    in_channels: int
    out_channels: int
    kernel_size: Any
    stride: Any = 1
    padding: Any = 0
    bias: bool = True
    init_with: Initialiser = field(default_factory=Glorot)

    def __post_init__(self) -> None:
        must_be_sizes(self, in_channels=self.in_channels, out_channels=self.out_channels)
        _must_be_pairs(self, kernel_size=self.kernel_size, stride=self.stride)
        _must_be_pairs(self, at_least=0, padding=self.padding)

    def parameters(self, rng: np.random.Generator) -> dict[str, np.ndarray]:
        """Draw W (F, C, KH, KW) and b (F,)."""
        shape = (self.out_channels, self.in_channels, *pair(self.kernel_size))
        matrix = self.init_with.weight(rng, int(np.prod(shape[1:])), self.out_channels)
        arrays = {"W": matrix.T.reshape(shape)}
        if self.bias:
            arrays["b"] = self.init_with.bias(rng, self.out_channels)
        return arrays

    def __call__(self, params: Any, x: Any) -> Any:
        """Map x (N, C, H, W) to (N, F, OH, OW)."""
        one_array(self, params, x, "of images (N, C, H, W)")
        W = params["W"]
        fault = conv2d_fault(x.shape, W.shape, pair(self.stride), pair(self.padding))
        if fault:
            raise ValueError(f"{named(self, params)}: {fault}")
        if widens(x, W):
            raise ValueError(
                f"{named(self, params)}: x is {x.dtype}, W is {W.dtype}; convert the data with "
                f"x.astype(np.{W.dtype}), or make the parameters with net.init(dtype=...)"
            )
        return ops.conv2d(x, W, params["b"] if self.bias else None, self.stride, self.padding)


@dataclass(frozen=True)
class MaxPool2d(Layer):
    """The largest pixel of each window, channel by channel; among equals the first.

    Parameters
    ----------
    kernel_size : int or pair of int
    stride : int or pair of int, optional
        Without it the windows lie side by side; below the kernel's size they overlap.

    Raises
    ------
    ValueError
        When made with a size below 1, or called with images smaller than the kernel.
    """

    kernel_size: Any
    stride: Any = None

    def __post_init__(self) -> None:
        _must_be_pairs(self, kernel_size=self.kernel_size, stride=self._stride)

    @property
    def _stride(self) -> Any:
        return self.kernel_size if self.stride is None else self.stride

    def __call__(self, params: Any, x: Any) -> Any:
        """Map x (N, C, H, W) to (N, C, OH, OW); what is left over at the far edges is dropped."""
        one_array(self, params, x, "of images (N, C, H, W)")
        fault = pool2d_fault(x.shape, pair(self.kernel_size), pair(self._stride))
        if fault:
            raise ValueError(f"{named(self, params)}: {fault}")
        return self._pool(x)

    def _pool(self, x: Any) -> Any:
        return ops.max_pool2d(x, self.kernel_size, self.stride)


@dataclass(frozen=True)
class AvgPool2d(MaxPool2d):
    """The mean of each window, channel by channel. Parameters as in `MaxPool2d`."""

    def _pool(self, x: Any) -> Any:
        return ops.avg_pool2d(x, self.kernel_size, self.stride)


@dataclass(frozen=True)
class GlobalAvgPool2d(Layer):
    """The mean of each channel over all pixels."""

    def __call__(self, params: Any, x: Any) -> Any:
        """Map x (N, C, H, W) to (N, C)."""
        one_array(self, params, x, "of images (N, C, H, W)")
        if len(x.shape) != 4:
            raise ValueError(
                f"{named(self, params)}: x has shape {tuple(x.shape)}, expected images "
                f"(N, C, H, W)"
            )
        return ops.global_avg_pool2d(x)


def _must_be_pairs(layer: Layer, at_least: int = 1, **sizes: Any) -> None:
    """Refuse what is neither an int nor a pair of ints, or too small."""
    for name, value in sizes.items():
        both = (value, value) if isinstance(value, int) else value
        whole = isinstance(both, tuple) and all(type(k) is int for k in both)
        if not whole or len(both) != 2 or min(both) < at_least:
            raise ValueError(
                f"{type(layer).__name__}: {name} must be {at_least} or more, one int or a pair, "
                f"got {value!r}"
            )
