"""The fully connected layer: parameters W (D, M) and b (M,) around `minihf.ops.dense`."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from minihf.backend import widens
from minihf.layers.base import Layer, must_be_sizes, named, one_array
from minihf.layers.initialisers import Glorot, Initialiser
from minihf.ops.dense import dense

__all__ = ["Dense"]


@dataclass(frozen=True)
class Dense(Layer):
    """y = x W + b.

    Parameters
    ----------
    in_features, out_features : int
        D and M, both at least 1.
    bias : bool
        Whether there is a b.
    init_with : Initialiser
        `Glorot` (the default), `He`, `Sparse`, or your own.

    Raises
    ------
    ValueError
        When made with a size below 1, or called with x of another width.

    Examples
    --------
    >>> import numpy as np, minihf as hf
    >>> layer = hf.Dense(3, 2)
    >>> params = layer.init(0)
    >>> params.names, layer(params, np.ones((5, 3), np.float32)).shape
    (('W', 'b'), (5, 2))
    """

    in_features: int
    out_features: int
    bias: bool = True
    init_with: Initialiser = field(default_factory=Glorot)

    def __post_init__(self) -> None:
        must_be_sizes(self, in_features=self.in_features, out_features=self.out_features)

    def parameters(self, rng: np.random.Generator) -> dict[str, np.ndarray]:
        """Draw W (D, M) and b (M,)."""
        arrays = {"W": self.init_with.weight(rng, self.in_features, self.out_features)}
        if self.bias:
            arrays["b"] = self.init_with.bias(rng, self.out_features)
        return arrays

    def __call__(self, params: Any, x: Any) -> Any:
        """Map x (N, D) or (N, P, D) to (N, M) or (N, P, M)."""
        one_array(self, params, x, f"(N, {self.in_features})")
        if len(x.shape) < 2:
            raise ValueError(
                f"{named(self, params)}: x has shape {tuple(x.shape)}, expected a batch "
                f"(N, {self.in_features}); for one case use x[None]"
            )
        W = params["W"]
        if x.shape[-1] != self.in_features:
            raise ValueError(
                f"{named(self, params)}: x has {x.shape[-1]} features, W expects "
                f"{self.in_features}: x has shape {tuple(x.shape)}, W has shape {tuple(W.shape)}"
            )
        if widens(x, W):
            raise ValueError(
                f"{named(self, params)}: x is {x.dtype}, W is {W.dtype}; convert the data with "
                f"x.astype(np.{W.dtype}), or make the parameters with net.init(dtype=...)"
            )
        return dense(x, W, params["b"] if self.bias else None)
