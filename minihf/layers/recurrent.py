"""Recurrent layers: parameters Wx, Wh, b around `minihf.ops.rnn` and `minihf.ops.lstm`.

Sequences of different lengths are padded to one array, and x = (sequence (N, T, D), lengths (N,)).
`RNN` and `LSTM` take such a pair and give one, (hidden (N, T, H), lengths), so that a `Sequential`
passes the lengths along by itself; `LastStep` ends it: it takes each case's own last step. The
padding may be any finite numbers. A step never sees a later one, and the hidden sequence is set to
0 beyond the end, so whatever follows is as if the sequence had been cut there.

A network with an output at every step needs no lengths: give it the sequence alone, and let the
targets carry the mask, y = (targets, mask (N, T)); see `minihf.losses`.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, ClassVar, NoReturn

import numpy as np

from minihf import ops
from minihf.backend import Array, array_module, described, floats, shape_of, widens
from minihf.layers.base import Layer, must_be_sizes, named, one_array
from minihf.layers.initialisers import Glorot, Initialiser
from minihf.recording import tap

__all__ = ["LSTM", "RNN", "LastStep"]


class Padded(tuple[Any, Array]):
    """A hidden sequence (N, T, H) with its lengths (N,), on its way to `LastStep`.

    It is a tuple that knows the layer it came from: whoever wanted an array can say so.
    """

    source: str

    def __new__(cls, sequence: Any, lengths: Array, source: str) -> Padded:
        """Make the pair; `source` is the layer's kind and path."""
        pair = super().__new__(cls, (sequence, lengths))
        pair.source = source
        return pair

    def __getattr__(self, name: str) -> NoReturn:
        raise AttributeError(
            f"no {name!r} in {described(self)}: a sequence with its lengths is no array; put "
            "LastStep() before what takes one, or give the sequence alone"
        )


@dataclass(frozen=True)
class Recurrent(Layer):
    """What `RNN` and `LSTM` share; they say which op, and how many gates."""

    input_size: int
    hidden_size: int
    init_with: Initialiser = field(default_factory=Glorot)

    op: ClassVar[Any]
    gates: ClassVar[int]

    def __post_init__(self) -> None:
        must_be_sizes(self, input_size=self.input_size, hidden_size=self.hidden_size)

    def parameters(self, rng: np.random.Generator) -> dict[str, np.ndarray]:
        """Draw Wx (D, G H), Wh (H, G H) and b (G H,), each of the G gates by itself."""
        H, each = self.hidden_size, range(self.gates)
        return {
            "Wx": np.hstack([self.init_with.weight(rng, self.input_size, H) for _ in each]),
            "Wh": np.hstack([self.init_with.weight(rng, H, H) for _ in each]),
            "b": np.hstack([self.init_with.bias(rng, H) for _ in each]),
        }

    def __call__(self, params: Any, x: Any) -> Any:
        """Map x (N, T, D) to h (N, T, H), or (x, lengths) to (h, lengths)."""
        x, lengths = _sequence(self, params, x, self.input_size)
        Wx, Wh, b = params["Wx"], params["Wh"], params["b"]
        if x.shape[2] != self.input_size:
            raise ValueError(
                f"{named(self, params)}: x has {x.shape[2]} features, Wx expects "
                f"{self.input_size}: x has shape {x.shape}, Wx has shape {tuple(Wx.shape)}"
            )
        if widens(x, Wx):
            raise ValueError(
                f"{named(self, params)}: x is {x.dtype}, Wx is {Wx.dtype}; convert the data with "
                f"x.astype(np.{Wx.dtype}), or make the parameters with net.init(dtype=...)"
            )
        h = self.op(x, Wx, Wh, b)
        if lengths is not None:
            h = h * _mask(lengths, h)
        h = tap(f"{params.path}.hidden" if params.path else "hidden", h)
        return h if lengths is None else Padded(h, lengths, named(self, params))


class RNN(Recurrent):
    """h_t = tanh(x_t Wx + h_{t-1} Wh + b), h_0 = 0: the hidden sequence, tapped as ``"hidden"``.

    Parameters
    ----------
    input_size, hidden_size : int
        D and H, both at least 1.
    init_with : Initialiser
        Draws Wx and Wh: `Glorot` (the default), `Sparse`, or your own.

    Raises
    ------
    ValueError
        When made with a size below 1, or called with an x, or lengths, that do not fit.

    Examples
    --------
    >>> import numpy as np, minihf as hf
    >>> layer = hf.RNN(3, 2)
    >>> params = layer.init(0)
    >>> params.names, layer(params, np.ones((5, 7, 3), np.float32)).shape
    (('Wx', 'Wh', 'b'), (5, 7, 2))
    """

    op, gates = staticmethod(ops.rnn), 1


class LSTM(Recurrent):
    """A long short-term memory, zero initial state: the hidden sequence, tapped as ``"hidden"``.

    The equations are those of `minihf.ops.lstm`; gates in the order i, f, g, o. The forget gate's
    bias starts at 1, so that the memory lasts from the start.

    Parameters
    ----------
    input_size, hidden_size : int
        D and H, both at least 1.
    init_with : Initialiser
        Draws Wx and Wh, gate by gate: `Glorot` (the default), `Sparse`, or your own.

    Raises
    ------
    ValueError
        When made with a size below 1, or called with an x, or lengths, that do not fit.

    Examples
    --------
    >>> import numpy as np, minihf as hf
    >>> net = hf.Sequential(hf.LSTM(3, 2), hf.LastStep())
    >>> x, lengths = np.ones((5, 7, 3), np.float32), np.array([7, 3, 1, 2, 7])
    >>> net(net.init(0), (x, lengths)).shape
    (5, 2)
    """

    op, gates = staticmethod(ops.lstm), 4

    def parameters(self, rng: np.random.Generator) -> dict[str, np.ndarray]:
        """Draw Wx (D, 4H), Wh (H, 4H) and b (4H,)."""
        arrays = super().parameters(rng)
        arrays["b"][self.hidden_size : 2 * self.hidden_size] = 1
        return arrays


@dataclass(frozen=True)
class LastStep(Layer):
    """Each case's last step: x (N, T, H), or (x, lengths), to (N, H).

    Raises
    ------
    ValueError
        When called with an x, or lengths, that do not fit.

    Examples
    --------
    >>> import numpy as np, minihf as hf
    >>> x = np.arange(6.0).reshape(2, 3, 1)
    >>> hf.LastStep()(None, (x, np.array([3, 1]))).ravel()
    array([2., 3.])
    """

    def __call__(self, params: Any, x: Any) -> Any:
        """Take the step that the lengths say, or the last one."""
        x, lengths = _sequence(self, params, x)
        if lengths is None:
            return x[:, -1]
        return x[array_module(lengths).arange(len(lengths)), lengths - 1]


def _sequence(layer: Layer, params: Any, x: Any, features: int | str = "H") -> tuple[Any, Any]:
    """Return the sequence and the lengths (None if there are none), after a look at both."""
    lengths = None
    if isinstance(x, tuple):
        if len(x) != 2:
            raise ValueError(
                f"{named(layer, params)}: x is a tuple of {len(x)}, expected (sequence, lengths)"
            )
        x, lengths = x
    wanted = f"(N, T, {features}) with N >= 1 and T >= 1"
    shape = shape_of(one_array(layer, params, x, wanted, "the sequence"))
    if len(shape) != 3 or min(shape[:2]) < 1:
        raise ValueError(
            f"{named(layer, params)}: x has shape {shape}, expected a batch of sequences {wanted}"
        )
    if lengths is not None:
        _check_lengths(layer, params, lengths, shape)
    return x, lengths


def _check_lengths(layer: Layer, params: Any, lengths: Any, shape: tuple[int, ...]) -> None:
    N, T = shape[:2]
    dtype = getattr(lengths, "dtype", None)
    if dtype is None or dtype.kind not in "iu" or shape_of(lengths) != (N,):
        raise ValueError(
            f"{named(layer, params)}: lengths are {dtype or type(lengths).__name__} of shape "
            f"{shape_of(lengths)}, expected integers of shape ({N},) for x of shape {shape}"
        )
    low, high = map(int, floats(lengths.min(), lengths.max()))
    if low < 1 or high > T:
        raise ValueError(
            f"{named(layer, params)}: lengths run from {low} to {high}, expected 1 to T = {T} "
            f"for x of shape {shape}"
        )


def _mask(lengths: Array, like: Any) -> Array:
    """1 up to a case's length and 0 beyond: (N, T, 1)."""
    steps = array_module(lengths).arange(like.shape[1])
    return (steps < lengths[:, None])[:, :, None].astype(like.dtype)
