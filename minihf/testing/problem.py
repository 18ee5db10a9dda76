"""A problem: a network, a loss, blocks, and a seed that gives all the numbers.

What a property of derivatives or curvature is asked about. A problem holds no arrays until somebody
looks at them, and everything follows from what its ``repr`` shows, so that a line of text is the
whole example: `minihf.testing.replay` makes the same bits of it again.

Called by the strategies, by tests, and by users.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, fields
from functools import cached_property
from typing import Any

import numpy as np

from minihf.backend import Array, asarray
from minihf.layers import Conv2d, Dense, MaxPool2d, Residual, Sequential
from minihf.layers.recurrent import Recurrent
from minihf.ops.windows import pair
from minihf.params import Params
from minihf.partition import Partition
from minihf.tape import Linearization, linearize
from minihf.testing.checks.targets import draw_targets
from minihf.testing.replay import written
from minihf.testing.shapes import shape

__all__ = ["Batch", "Problem", "input_of"]


@dataclass(frozen=True, eq=False, repr=False)
class Batch:
    """A batch for a network and a loss: ``x, y = batch``.

    Parameters
    ----------
    net : Layer
    shape : str
        Of x, as `minihf.testing.shapes` reads it.
    loss : Loss
    sizes : mapping of str to int
        One for each name in the shape.
    seed : int

    Attributes
    ----------
    x : float64 array
    y : array
        Targets that the loss takes for the network's output.
    params : Params
        The network's initial ones in float64, each moved a little, so that no bias is zero.
    noise : dict of str to array, or None
        What the network's noise layers draw.
    z : float64 array, shape (N, ...)
        The network's output.

    Examples
    --------
    >>> import minihf as hf
    >>> from minihf.testing import Batch
    >>> batch = Batch(hf.Dense(2, 3), "N 2", hf.SoftmaxCrossEntropy(), sizes={"N": 4}, seed=0)
    >>> x, y = batch
    >>> x.shape, y.shape
    ((4, 2), (4,))
    """

    net: Any
    shape: str
    loss: Any
    sizes: Mapping[str, int] = field(kw_only=True, default_factory=dict)
    seed: int = field(kw_only=True, default=0)

    def __post_init__(self) -> None:
        missing = [name for name in shape(self.shape).names if name not in self.sizes]
        if missing:
            raise ValueError(
                f"{type(self).__name__}: x has shape {self.shape!r}; sizes lacks "
                f"{', '.join(missing)}"
            )

    def rng(self, stream: int) -> np.random.Generator:
        """Return one of the problem's generators: the same numbers in whatever order they come."""
        return np.random.default_rng([self.seed, stream])

    @cached_property
    def x(self) -> Array:
        """The input, normal numbers."""
        return asarray(self.rng(0).standard_normal(shape(self.shape).at(self.sizes)))

    @cached_property
    def params(self) -> Params:
        """Initial parameters, each moved a little."""
        params = self.net.init(self.seed, dtype=np.float64)
        moves = 0.1 * self.rng(1).standard_normal(params.size)
        return params.with_vector(params.vector + asarray(moves))

    @cached_property
    def noise(self) -> dict[str, Array] | None:
        """The noise of the layers that have some."""
        return self.net.draw(self.rng(2), len(self.x), np.float64) or None

    @cached_property
    def z(self) -> Array:
        """The output."""
        return self.net(self.params.with_noise(self.noise), self.x)

    @cached_property
    def y(self) -> Any:
        """Targets that the loss takes."""
        return draw_targets(self.loss, self.z, self.rng(3))

    def __iter__(self) -> Iterator[Any]:
        return iter((self.x, self.y))

    @property
    def replay_line(self) -> str:
        """The text that `replay` makes this of again; empty if it cannot be written down."""
        return written(self) or ""

    def __repr__(self) -> str:
        if self.replay_line:
            return self.replay_line
        words = [f"{place.name}={getattr(self, place.name)!r}" for place in fields(self)]
        return f"{type(self).__name__}({', '.join(words)})"


@dataclass(frozen=True, eq=False, repr=False)
class Problem(Batch):
    """A network at a point with a loss, a batch and blocks: what curvature is made of.

    Parameters
    ----------
    net, shape, loss, sizes, seed
        As of `Batch`.
    partition : what `Partition.of` takes

    Attributes
    ----------
    x, y, params, noise, z
        As of `Batch`.
    lin : Linearization
    blocks : Partition
    v : float64 array, shape (n,)
        A tangent of the parameters.
    u : float64 array, shape (N, ...)
        A cotangent of the output.

    Examples
    --------
    >>> import minihf as hf
    >>> from minihf.testing import Problem
    >>> net = hf.Sequential(hf.Dense(2, 3), hf.Tanh(), hf.Dense(3, 1))
    >>> problem = Problem(net, "N 2", hf.SquaredError(), partition="layer", sizes={"N": 4})
    >>> G = hf.GGN(problem.lin, problem.loss, problem.y, problem.blocks)
    >>> G.partition.names, G.shape
    (('0', '2'), (13, 13))
    """

    partition: Any = field(kw_only=True, default="network")

    @cached_property
    def lin(self) -> Linearization:
        """The network, linearized at `params` and `x`."""
        return linearize(self.net, self.params, self.x, self.noise)

    @cached_property
    def blocks(self) -> Partition:
        """The blocks of the parameters."""
        return Partition.of(self.params, self.partition)

    @cached_property
    def v(self) -> Array:
        """A tangent."""
        return asarray(self.rng(4).standard_normal(self.params.size))

    @cached_property
    def u(self) -> Array:
        """A cotangent."""
        return asarray(self.rng(5).standard_normal(self.z.shape))


def input_of(net: Any) -> str:
    """Return a shape that the input of a network of the library's layers may have.

    A layer of your own says it by an attribute ``example = "N T width"``; a name that is an
    attribute of the layer, such as `width`, stands for its value.

    Examples
    --------
    >>> import minihf as hf
    >>> from minihf.testing.problem import input_of
    >>> input_of(hf.Sequential(hf.Tanh(), hf.Dense(3, 2)))
    'N 3'
    >>> input_of(hf.Sequential(hf.Conv2d(2, 4, 3), hf.MaxPool2d(2)))
    'N 2 H+3 W+3'
    """
    height, width, channels, text = 1, 1, "C", "N D"
    for layer in reversed(list(_parts(net))):
        if isinstance(layer, Conv2d | MaxPool2d):         # AvgPool2d is one, too
            kernel, stride = layer.kernel_size, layer.stride or layer.kernel_size
            windows = zip(pair(kernel), pair(stride), pair(getattr(layer, "padding", 0)),
                          strict=True)  # fmt: skip
            height, width = (
                max(1, (n - 1) * s + k - 2 * p)
                for n, (k, s, p) in zip((height, width), windows, strict=True)
            )
            channels = str(layer.in_channels) if isinstance(layer, Conv2d) else channels
            text = f"N {channels} H+{height - 1} W+{width - 1}"
        elif isinstance(layer, Dense):
            text = f"N {layer.in_features}"
        elif isinstance(layer, Recurrent):
            text = f"N T {layer.input_size}"
        elif isinstance(getattr(layer, "example", None), str):
            words = (str(getattr(layer, word, word)) for word in layer.example.split())
            text = " ".join(words)
    return text.replace("+0", "")


def _parts(net: Any) -> Iterator[Any]:
    """Yield the layers inside the containers, in order."""
    if isinstance(net, Sequential):
        for layer in net.layers.values():
            yield from _parts(layer)
    elif isinstance(net, Residual):
        yield from _parts(net.body)
    else:
        yield net
