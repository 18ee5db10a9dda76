"""What a layer is: names and initial values for its parameters, and a call into `minihf.ops`.

A layer holds no arrays. ``layer.init(seed)`` makes `Params`, and ``layer(params, x)`` runs it on
whatever `params` is in scope: plain arrays, or traced values inside a linearization.

Called by every layer file.
"""

from __future__ import annotations

from collections.abc import Mapping
from numbers import Integral
from typing import Any

import numpy as np

from minihf.backend import Array, asarray, described
from minihf.params import Params

__all__ = ["Layer", "named", "one_array"]


class Layer:
    """A callable of (params, x) with parameters to initialise. Subclass it, or copy its shape."""

    def parameters(self, rng: np.random.Generator) -> dict[str, np.ndarray]:
        """Return initial values by (dotted) name, float64 on the host. Default: none."""
        return {}

    def noise(self, rng: np.random.Generator, n: int) -> dict[str, np.ndarray]:
        """Return noise for n cases by (dotted) name, float64 on the host. Default: none.

        A container joins its layers' own; without that they are never noisy.
        """
        return {}

    def __call__(self, params: Any, x: Any) -> Any:
        """Return the output for `x`, with this layer's parameters as ``params["W"]`` and so on."""
        raise NotImplementedError(f"layer {type(self).__name__} lacks __call__(params, x)")

    def init(self, seed: int = 0, dtype: Any = np.float32) -> Params:
        """Draw initial parameters: the same seed, the same numbers, on every backend.

        Parameters
        ----------
        seed : int
            Of a `numpy.random.Generator` of its own.
        dtype : dtype
            float32 for training, float64 for checks.
        """
        return Params.from_dict(self.parameters(np.random.default_rng(seed)), dtype)

    def draw(self, rng: np.random.Generator, n: int, dtype: Any = np.float32) -> dict[str, Array]:
        """Draw the noise of all layers for `n` cases: what `linearize` takes, empty without any.

        Parameters
        ----------
        rng : numpy.random.Generator
            It moves on; the same state gives the same numbers on every backend.
        n : int
            Number of cases N.
        dtype : dtype
            The parameters' own.

        Returns
        -------
        dict of str to array, shape (N, ...)
            On the backend in use.
        """
        return {name: asarray(a.astype(dtype)) for name, a in self.noise(rng, n).items()}


def named(layer: Layer, params: Any) -> str:
    """Return the layer's kind and dotted path, for messages: ``Dense 'encoder.0'``."""
    kind, path = type(layer).__name__, getattr(params, "path", "")
    return f"{kind} {path!r}" if path else kind


def one_array(
    layer: Layer, params: Any, x: Any, expected: str = "(N, ...)", what: str = "x"
) -> Any:
    """Return `x`, or refuse what is no array: a pair (sequence, lengths) above all."""
    if hasattr(x, "shape"):
        return x
    fault = f"{named(layer, params)}: {what} is {described(x)}, expected one array {expected}"
    if isinstance(x, tuple):
        fault += (
            "; only RNN, LSTM and LastStep take lengths: put LastStep() before it, or give the "
            "network the sequence alone, and the targets a mask"
        )
    raise TypeError(fault)


def must_be_sizes(layer: Layer, **sizes: Any) -> None:
    """Refuse what is no whole number from 1."""
    for name, size in sizes.items():
        if isinstance(size, bool) or not isinstance(size, Integral) or size < 1:
            kind = type(layer).__name__
            raise ValueError(f"{kind}: {name} must be a whole number from 1, got {size!r}")


def must_be_layer(container: str, name: str, layer: Any) -> None:
    """Refuse, in a container's name, what is no layer: a class, or a function."""
    if isinstance(layer, type) or not isinstance(layer, Layer):
        raise TypeError(
            f"{container}: {name!r} is {layer!r}, expected a layer such as hf.Tanh()"
        )


def prefixed(prefix: str, arrays: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Put a container's name for a layer before the names of the layer's parameters."""
    return {f"{prefix}.{name}": array for name, array in arrays.items()}
