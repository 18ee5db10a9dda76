"""Layers made of layers: one after another, or around a shortcut. They give the dotted names."""

from __future__ import annotations

from typing import Any

import numpy as np

from minihf.layers.base import Layer, must_be_layer, named, one_array, prefixed

__all__ = ["Residual", "Sequential"]


class Sequential(Layer):
    """Layers one after another.

    Positional layers are named by number, keyword layers by keyword; the names join to dotted
    paths such as ``"0.W"`` or ``"encoder.2.b"``. Positional ones come first.

    Examples
    --------
    >>> import minihf as hf
    >>> net = hf.Sequential(
    ...     encoder=hf.Sequential(hf.Dense(8, 2), hf.Tanh()), decoder=hf.Dense(2, 8)
    ... )
    >>> net.init(0).names
    ('encoder.0.W', 'encoder.0.b', 'decoder.W', 'decoder.b')
    """

    def __init__(self, *layers: Layer, **named_layers: Layer) -> None:
        self.layers = {str(i): layer for i, layer in enumerate(layers)} | named_layers
        if not self.layers:
            raise ValueError("Sequential: needs at least one layer")
        for name in named_layers:
            if not name or "." in name or name.isdecimal():
                raise ValueError(f"Sequential: a layer cannot be called {name!r}; use a plain name")
        for name, layer in self.layers.items():
            must_be_layer("Sequential", name, layer)

    def parameters(self, rng: np.random.Generator) -> dict[str, np.ndarray]:
        """Draw the layers' parameters in order, from one generator."""
        arrays: dict[str, np.ndarray] = {}
        for name, layer in self.layers.items():
            arrays |= prefixed(name, layer.parameters(rng))
        return arrays

    def noise(self, rng: np.random.Generator, n: int) -> dict[str, np.ndarray]:
        """Draw the layers' noise in order, from one generator."""
        arrays: dict[str, np.ndarray] = {}
        for name, layer in self.layers.items():
            arrays |= prefixed(name, layer.noise(rng, n))
        return arrays

    def __call__(self, params: Any, x: Any) -> Any:
        """Pass x through the layers."""
        for name, layer in self.layers.items():
            x = layer(params.scope(name), x)
        return x

    def __repr__(self) -> str:
        words = [
            f"{layer!r}" if name.isdecimal() else f"{name}={layer!r}"
            for name, layer in self.layers.items()
        ]
        return f"Sequential({', '.join(words)})"


class Residual(Layer):
    """y = body(x) + shortcut(x); without a shortcut, y = body(x) + x.

    The parameters are named ``"body..."`` and ``"shortcut..."``, the body's first.

    Examples
    --------
    >>> import minihf as hf
    >>> hf.Residual(hf.Sequential(hf.Dense(4, 4), hf.Tanh())).init(0).names
    ('body.0.W', 'body.0.b')
    """

    def __init__(self, body: Layer, shortcut: Layer | None = None) -> None:
        must_be_layer("Residual", "body", body)
        if shortcut is not None:
            must_be_layer("Residual", "shortcut", shortcut)
        self.body, self.shortcut = body, shortcut

    def parameters(self, rng: np.random.Generator) -> dict[str, np.ndarray]:
        """Draw the body's parameters, then the shortcut's."""
        arrays = prefixed("body", self.body.parameters(rng))
        if self.shortcut is not None:
            arrays |= prefixed("shortcut", self.shortcut.parameters(rng))
        return arrays

    def noise(self, rng: np.random.Generator, n: int) -> dict[str, np.ndarray]:
        """Draw the body's noise, then the shortcut's."""
        arrays = prefixed("body", self.body.noise(rng, n))
        if self.shortcut is not None:
            arrays |= prefixed("shortcut", self.shortcut.noise(rng, n))
        return arrays

    def __call__(self, params: Any, x: Any) -> Any:
        """Add the two paths."""
        y = self.body(params.scope("body"), x)
        short = x if self.shortcut is None else self.shortcut(params.scope("shortcut"), x)
        for path, value in (("body", y), ("shortcut", short)):
            one_array(self, params, value, what=f"what the {path} gives")
        if tuple(y.shape) != tuple(short.shape):
            raise ValueError(
                f"{named(self, params)}: the body gives shape {tuple(y.shape)}, the shortcut "
                f"{tuple(short.shape)}; give a shortcut layer that maps one to the other"
            )
        return y + short

    def __repr__(self) -> str:
        return f"Residual({self.body!r}, shortcut={self.shortcut!r})"
