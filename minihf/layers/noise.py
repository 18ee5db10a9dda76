"""Noise as layers: dropout, Gaussian noise and masking noise.

A noise layer holds no generator. ``net.draw(rng, n)`` draws the noise of all layers for n cases, as
arrays by dotted name; `minihf.linearize` and ``params.with_noise`` take it to where the network
runs, and a layer looks its own up. As long as the noise is the same, the network is one fixed
function, which is what products, reduction ratio and line search need. Without noise these layers
do nothing: that is evaluation.

The noise is a constant factor or summand, so every linear rule is that of `minihf.ops`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from minihf import ops
from minihf.backend import shape_of
from minihf.layers.base import Layer, named, one_array

__all__ = ["Dropout", "GaussianNoise", "MaskingNoise"]


@dataclass(frozen=True)
class Dropout(Layer):
    """Drop units with probability p, and divide those kept by 1 - p, so that the mean stays.

    N. Srivastava et al., "Dropout: a simple way to prevent neural networks from overfitting",
    JMLR 15 (2014), section 10, which scales by 1 / (1 - p) while training.

    Parameters
    ----------
    p : float
        Probability of being dropped, in [0, 1).
    features : int or tuple of int
        A case's shape: 500 for x (N, 500), (16, 8, 8) for x (N, 16, 8, 8). Along an axis of 1 all
        entries share one draw: (16, 1, 1) drops channels, (1, 50) a unit at every time step.

    Raises
    ------
    ValueError
        When made with a `p` or `features` out of range, or called with noise for another shape.

    Examples
    --------
    >>> import numpy as np, minihf as hf
    >>> net = hf.Sequential(hf.Dense(3, 4), hf.Dropout(0.5, 4))
    >>> params, x = net.init(0), np.ones((2, 3), np.float32)
    >>> noise = net.draw(np.random.default_rng(0), 2)
    >>> noise["1.mask"]
    array([[2., 0., 0., 0.],
           [2., 2., 2., 2.]], dtype=float32)
    >>> bool((net(params.with_noise(noise), x) == net(params, x) * noise["1.mask"]).all())
    True
    """

    p: float
    features: int | tuple[int, ...]

    def __post_init__(self) -> None:
        _must_be_probability(self, self.p)
        _case_shape(self)

    def noise(self, rng: np.random.Generator, n: int) -> dict[str, np.ndarray]:
        """Draw the mask: 0, or 1 / (1 - p)."""
        return {"mask": (rng.random((n, *_case_shape(self))) >= self.p) / (1 - self.p)}

    def __call__(self, params: Any, x: Any) -> Any:
        """Multiply with the mask."""
        mask = _noise_for(self, params, "mask", x)
        return x if mask is None else ops.mul(x, mask)


@dataclass(frozen=True)
class MaskingNoise(Layer):
    """Set entries to 0 with probability p and leave the others as they are: a corrupted input.

    P. Vincent et al., "Stacked denoising autoencoders", JMLR 11 (2010), section 3.3. Parameters and
    errors are those of `Dropout`.

    Examples
    --------
    >>> import numpy as np, minihf as hf
    >>> hf.MaskingNoise(0.25, 4).draw(np.random.default_rng(0), 1)["mask"]
    array([[1., 1., 0., 0.]], dtype=float32)
    """

    p: float
    features: int | tuple[int, ...]

    def __post_init__(self) -> None:
        _must_be_probability(self, self.p)
        _case_shape(self)

    def noise(self, rng: np.random.Generator, n: int) -> dict[str, np.ndarray]:
        """Draw the mask: 0 or 1."""
        return {"mask": (rng.random((n, *_case_shape(self))) >= self.p).astype(float)}

    def __call__(self, params: Any, x: Any) -> Any:
        """Multiply with the mask."""
        mask = _noise_for(self, params, "mask", x)
        return x if mask is None else ops.mul(x, mask)


@dataclass(frozen=True)
class GaussianNoise(Layer):
    """Add independent normal numbers of standard deviation `scale`.

    Parameters
    ----------
    scale : float
        0 or more.
    features : int or tuple of int
        A case's shape, as for `Dropout`.

    Raises
    ------
    ValueError
        When made with a `scale` or `features` out of range, or called with noise for another shape.

    Examples
    --------
    >>> import numpy as np, minihf as hf
    >>> hf.GaussianNoise(0.1, (2, 3)).draw(np.random.default_rng(0), 5)["noise"].shape
    (5, 2, 3)
    """

    scale: float
    features: int | tuple[int, ...]

    def __post_init__(self) -> None:
        if not 0 <= self.scale < np.inf:
            raise ValueError(f"GaussianNoise: scale must be 0 or more, got {self.scale!r}")
        _case_shape(self)

    def noise(self, rng: np.random.Generator, n: int) -> dict[str, np.ndarray]:
        """Draw the summand."""
        return {"noise": self.scale * rng.standard_normal((n, *_case_shape(self)))}

    def __call__(self, params: Any, x: Any) -> Any:
        """Add it."""
        noise = _noise_for(self, params, "noise", x)
        return x if noise is None else ops.add(x, noise)


def _must_be_probability(layer: Layer, p: Any) -> None:
    if not 0 <= p < 1:
        raise ValueError(f"{type(layer).__name__}: p must be in [0, 1), got {p!r}")


def _case_shape(layer: Any) -> tuple[int, ...]:
    """Return `features` as a tuple of positive numbers."""
    features = layer.features
    shape = features if isinstance(features, tuple) else (features,)
    if not shape or not all(isinstance(size, int) and size >= 1 for size in shape):
        raise ValueError(
            f"{type(layer).__name__}: features must be a positive whole number or a tuple of "
            f"them, a case's shape, got {features!r}"
        )
    return shape


def _noise_for(layer: Layer, params: Any, name: str, x: Any) -> Any:
    """Return this layer's noise for the batch x, or None in evaluation."""
    one_array(layer, params, x)
    array = params.noise(name)
    if array is None:
        return None
    given, shape = shape_of(array), shape_of(x)
    fits = len(given) == len(shape) and given[0] == shape[0]
    if not fits or any(a not in (1, b) for a, b in zip(given[1:], shape[1:], strict=True)):
        raise ValueError(
            f"{named(layer, params)}: x has shape {shape}, its noise {given}; draw it for as many "
            f"cases, net.draw(rng, {shape[0]}), and give the layer features={shape[1:]}"
        )
    return array
