"""Parameters as one flat vector with named views.

Second-order methods think in vectors: a gradient, a CG direction, a block of the curvature matrix.
Networks think in named arrays. `Params` is both at once: ``params.vector`` is the flat vector and
``params["encoder.0.W"]`` a view of it, so that nothing is ever packed or unpacked. A `Scope` is
what a layer sees of it: the names below its own path.

Called by the partition, the layers, the tape and the optimizers.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from math import prod
from typing import Any

from minihf.backend import Array, array_module, asarray, shape_of

__all__ = ["Params", "Scope", "Slot"]


@dataclass(frozen=True)
class Slot:
    """Where one named array lies in the flat vector."""

    where: slice
    shape: tuple[int, ...]


class Params:
    """A flat vector of parameters with named, writable views.

    Make one by ``net.init(seed)`` or, for a function of your own, by `Params.from_dict`.

    Parameters
    ----------
    vector : array, shape (n,)
        All parameters, contiguous.
    layout : mapping of str to Slot
        Which part of the vector each name stands for, in order.

    Examples
    --------
    >>> import numpy as np, minihf as hf
    >>> params = hf.Params.from_dict({"W": np.ones((2, 3)), "b": np.zeros(3)})
    >>> params.names, params.size, params["W"].shape
    (('W', 'b'), 9, (2, 3))
    >>> params["b"][:] = 5.0
    >>> float(params.vector[-1])
    5.0
    """

    path = ""

    def __init__(self, vector: Array, layout: Mapping[str, Slot]) -> None:
        self.vector = vector
        self._layout = layout

    @classmethod
    def from_dict(cls, arrays: Mapping[str, Any], dtype: Any = None) -> Params:
        """Copy named arrays into one flat vector, in the order given.

        Raises
        ------
        ValueError
            If there is no array, or one holds anything but real or complex floating numbers
            while no `dtype` is given.
        """
        if not arrays:
            raise ValueError("Params.from_dict: got no arrays; a network needs parameters")
        layout, start = {}, 0
        for name, array in arrays.items():
            shape = shape_of(array)
            layout[name] = Slot(slice(start, start + prod(shape)), shape)
            start += prod(shape)
        parts = [asarray(array).reshape(-1) for array in arrays.values()]
        xp = array_module(*parts)
        vector = xp.concatenate(parts)
        if dtype is not None:
            vector = vector.astype(dtype)
        if vector.dtype.kind not in "fc":
            raise ValueError(
                f"Params.from_dict: parameters must be floating numbers, got {vector.dtype}; "
                "pass dtype=np.float32 or np.float64"
            )
        return cls(vector, layout)

    @property
    def names(self) -> tuple[str, ...]:
        """Dotted names in the order of the flat vector."""
        return tuple(self._layout)

    @property
    def layout(self) -> Mapping[str, Slot]:
        """Where each name lies: name to slot, which has `where` (a slice) and `shape`."""
        return self._layout

    @property
    def size(self) -> int:
        """Number of parameters n."""
        return int(self.vector.size)

    @property
    def dtype(self) -> Any:
        """The vector's dtype."""
        return self.vector.dtype

    def __getitem__(self, name: str) -> Array:
        slot = self._slot(name)
        return self.vector[slot.where].reshape(slot.shape)

    def __setitem__(self, name: str, value: Any) -> None:
        self[name][...] = value

    def __contains__(self, name: str) -> bool:
        return name in self._layout

    def __iter__(self) -> Iterator[str]:
        return iter(self._layout)

    def __len__(self) -> int:
        return len(self._layout)

    def with_vector(self, vector: Array) -> Params:
        """Return parameters of the same layout over another vector (kept as it is, not copied)."""
        if vector.shape != self.vector.shape:
            raise ValueError(
                f"Params.with_vector: vector has shape {vector.shape}, expected ({self.size},)"
            )
        return Params(vector, self._layout)

    def with_noise(self, noise: Mapping[str, Array] | None) -> Scope:
        """Return a view in which noise layers find their `noise`, from ``net.draw(rng, n)``."""
        return Scope(self, noise=noise)

    def noise(self, name: str) -> None:
        """Return None: parameters alone mean evaluation."""

    def scope(self, prefix: str) -> Scope:
        """Return a view in which ``"W"`` means ``prefix + ".W"``: what a container hands on."""
        return Scope(self, prefix)

    def _slot(self, name: str) -> Slot:
        try:
            return self._layout[name]
        except KeyError:
            raise KeyError(f"no parameter {name!r}; there are: {', '.join(self.names)}") from None

    def __repr__(self) -> str:
        rows = "".join(f"\n  {name} {slot.shape}" for name, slot in self._layout.items())
        return f"Params({self.size} x {self.dtype}{rows})"


class Scope:
    """Named arrays seen from inside a container: `path` is where we are, for names and messages.

    `noise` goes along, under the same names; None is evaluation.
    """

    def __init__(
        self, arrays: Any, path: str = "", noise: Mapping[str, Array] | None = None
    ) -> None:
        self._arrays = arrays
        self._noise = noise
        self.path = path

    def __getitem__(self, name: str) -> Any:
        full = self._full(name)
        if full not in self._arrays:
            raise KeyError(f"no parameter {full!r}; there are: {', '.join(self._arrays)}")
        return self._arrays[full]

    def noise(self, name: str) -> Array | None:
        """Return the noise of that name, None in evaluation."""
        if self._noise is None:
            return None
        full = self._full(name)
        if full not in self._noise:
            raise KeyError(
                f"no noise {full!r}; there is: {', '.join(self._noise) or 'none'}; "
                "draw it by net.draw(rng, n) of this network"
            )
        return self._noise[full]

    @property
    def names(self) -> tuple[str, ...]:
        """Names in this scope, without its path."""
        start = f"{self.path}." if self.path else ""
        return tuple(name.removeprefix(start) for name in self._arrays if name.startswith(start))

    def __contains__(self, name: str) -> bool:
        return name in self.names

    def __iter__(self) -> Iterator[str]:
        return iter(self.names)

    def scope(self, prefix: str) -> Scope:
        """Go one container further in."""
        return Scope(self._arrays, self._full(prefix), self._noise)

    def _full(self, name: str) -> str:
        return f"{self.path}.{name}" if self.path else name
