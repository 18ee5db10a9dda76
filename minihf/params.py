"""Parameters as one flat vector with named views, and the ways that vector falls into blocks.

Second-order methods think in vectors: a gradient, a CG direction, a block of the curvature matrix.
Networks think in named arrays. `Params` is both at once: ``params.vector`` is the flat vector and
``params["encoder.0.W"]`` a view of it, so that nothing is ever packed or unpacked.

A `Partition` names disjoint sets of coordinates that cover the vector; one such set is a `Block`.
The whole vector is a block like any other, which is why the library has no code for "the full
matrix" besides the code for one block.

Called by the tape (views of a tangent), curvature (blocks) and the optimizers.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from itertools import pairwise
from math import prod
from typing import Any

import numpy as np

from minihf.backend import Array, array_module, asarray, shape_of, to_host

__all__ = ["Block", "Params", "Partition", "Piece", "Scope"]


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


# Blocks -------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Piece:
    """The part of one named array that belongs to a block.

    `within` is its place in the block's own vector; `entries` are the flat positions inside the
    array, or None for all of it, which then is a plain view and costs nothing.
    """

    name: str
    shape: tuple[int, ...]
    within: slice
    entries: Array | None

    def spread(self, v: Array) -> Array:
        """Cut this piece out of the block's vector, in the array's shape, zeros elsewhere."""
        mine = v[self.within]
        if self.entries is None:
            return mine.reshape(self.shape)
        full = array_module(v).zeros(prod(self.shape), dtype=v.dtype)
        full[self.entries] = mine
        return full.reshape(self.shape)

    def gather(self, array: Array) -> Array:
        """Return the entries that belong to the block, flat: the transpose of `spread`."""
        flat = array.reshape(-1)
        return flat if self.entries is None else flat[self.entries]


@dataclass(frozen=True, eq=False)
class Block:
    """A named, sorted set of coordinates of the flat vector: ``vector[block.index]``.

    `index` is a slice where the block is contiguous, else an integer array.
    """

    name: str
    index: Any
    size: int
    pieces: tuple[Piece, ...]

    @classmethod
    def of_names(cls, name: str, layout: Mapping[str, Slot], parameters: Sequence[str]) -> Block:
        """Describe whole parameters, given in the order of the vector."""
        pieces, positions, start = [], [], 0
        for parameter in parameters:
            slot = layout[parameter]
            size = slot.where.stop - slot.where.start
            pieces.append(Piece(parameter, slot.shape, slice(start, start + size), None))
            positions.append(slot.where)
            start += size
        return cls(name, _join_slices(positions), start, tuple(pieces))

    @classmethod
    def of_indices(cls, name: str, layout: Mapping[str, Slot], indices: np.ndarray) -> Block:
        """Describe the sorted host array `indices` of flat positions, parameter by parameter."""
        pieces, start = [], 0
        for parameter, slot in layout.items():
            first, last = np.searchsorted(indices, [slot.where.start, slot.where.stop])
            count = int(last - first)
            if count:
                whole = count == prod(slot.shape)
                entries = None if whole else asarray(indices[first:last] - slot.where.start)
                pieces.append(Piece(parameter, slot.shape, slice(start, start + count), entries))
                start += count
        low, high = int(indices[0]), int(indices[-1]) + 1
        index = slice(low, high) if high - low == indices.size else asarray(indices)
        return cls(name, index, int(indices.size), tuple(pieces))

    @classmethod
    def whole(cls, params: Params) -> Block:
        """Return the one block that is all of `params`."""
        return cls.of_names("network", params.layout, params.names)

    def __repr__(self) -> str:
        return f"Block({self.name!r}, {self.size} parameters)"


class Partition(Mapping[str, Block]):
    """Disjoint blocks that cover every parameter exactly once.

    Make one by `Partition.of` or `Partition.from_indices`.

    Examples
    --------
    >>> import numpy as np, minihf as hf
    >>> net = hf.Sequential(hf.Dense(4, 3), hf.Tanh(), hf.Dense(3, 2))
    >>> params = net.init(0)
    >>> hf.Partition.of(params, "layer").names
    ('0', '2')
    >>> hf.Partition.of(params, {"weights": "*.W", "biases": "*.b"})["biases"].size
    5
    """

    def __init__(self, layout: Mapping[str, Slot], blocks: Sequence[Block]) -> None:
        self._layout = layout
        self._blocks = {block.name: block for block in blocks}

    @classmethod
    def of(cls, params: Params, spec: Any = "network") -> Partition:
        """Divide `params` by ``"network"``, ``"layer"``, ``"param"``, or by name to glob(s).

        ``"layer"`` puts the parameters of one layer together: those whose names agree up to the
        last dot. A mapping such as ``{"encoder": "encoder.*", "decoder": "decoder.*"}`` takes a
        glob or a list of globs per block. A `Partition` is returned as it is, and a function of
        the parameters, such as those of `minihf.curvature.partitions`, is asked for one.

        Raises
        ------
        ValueError
            For an unknown spec, a glob that matches nothing, or parameters missing or doubled.
        """
        if callable(spec):
            spec = spec(params)
        if isinstance(spec, Partition):
            return spec._checked(params)
        if isinstance(spec, str):
            key_of = {
                "network": lambda name: "network",
                "layer": lambda name: name.rpartition(".")[0] or "network",
                "param": lambda name: name,
            }
            if spec not in key_of:
                raise ValueError(
                    f"unknown partition {spec!r}; choose 'network', 'layer', 'param', "
                    "or a mapping of block name to glob(s)"
                )
            owners: dict[str, list[str]] = {}
            for name in params.names:
                owners.setdefault(key_of[spec](name), []).append(name)
        elif isinstance(spec, Mapping):
            owners = {block: _matching(params, block, globs) for block, globs in spec.items()}
        else:
            raise ValueError(
                f"a partition is a name or a mapping of block name to glob(s), "
                f"got {type(spec).__name__}"
            )
        taken = Counter(name for names in owners.values() for name in names)
        _must_take_once({name: (taken[name], taken[name]) for name in params.names})
        order = {name: i for i, name in enumerate(params.names)}
        blocks = sorted(owners.items(), key=lambda owner: min(order[name] for name in owner[1]))
        return cls(
            params.layout,
            [
                Block.of_names(block, params.layout, sorted(names, key=order.__getitem__))
                for block, names in blocks
            ],
        )

    @classmethod
    def from_indices(cls, params: Params, indices: Mapping[str, Any]) -> Partition:
        """Divide `params` by block name to integer positions in the flat vector.

        The order of the positions does not matter: a block is a set, kept sorted.

        Raises
        ------
        ValueError
            If a block is empty or out of range, or coordinates are missing or doubled.
        """
        times = np.zeros(params.size, dtype=np.int64)
        blocks = []
        for name, positions in indices.items():
            index = np.sort(np.asarray(to_host(positions)).reshape(-1))
            if index.size == 0 or index.dtype.kind not in "iu":
                raise ValueError(
                    f"block {name!r} needs a non-empty array of integer positions, got "
                    f"{index.size} of {index.dtype}; for a boolean mask use np.flatnonzero(mask)"
                )
            if index[0] < 0 or index[-1] >= params.size:
                raise ValueError(
                    f"block {name!r}: positions run from {index[0]} to {index[-1]}, "
                    f"the vector has 0 to {params.size - 1}"
                )
            np.add.at(times, index, 1)
            blocks.append((int(index[0]), name, index))
        parts = {name: times[slot.where] for name, slot in params.layout.items()}
        _must_take_once({name: (t.min(initial=1), t.max(initial=1)) for name, t in parts.items()})
        blocks.sort(key=lambda block: block[0])
        layout = params.layout
        return cls(layout, [Block.of_indices(name, layout, index) for _, name, index in blocks])

    @property
    def names(self) -> tuple[str, ...]:
        """Block names in the order of the parameters."""
        return tuple(self._blocks)

    def __getitem__(self, name: str) -> Block:
        try:
            return self._blocks[name]
        except KeyError:
            raise KeyError(f"no block {name!r}; there are: {', '.join(self.names)}") from None

    def __iter__(self) -> Iterator[str]:
        return iter(self._blocks)

    def __len__(self) -> int:
        return len(self._blocks)

    def _checked(self, params: Params) -> Partition:
        if self._layout != params.layout:
            raise ValueError(
                f"the partition was made for other parameters: {', '.join(self._layout)}, "
                f"not {', '.join(params.names)}; make one by Partition.of(params, ...)"
            )
        return self

    def __repr__(self) -> str:
        return f"Partition({', '.join(f'{b.name}: {b.size}' for b in self.values())})"


def _join_slices(slices: Sequence[slice]) -> Any:
    """Return one slice where the slices follow on each other, else an integer array."""
    if all(left.stop == right.start for left, right in pairwise(slices)):
        return slice(slices[0].start, slices[-1].stop)
    return asarray(np.concatenate([np.arange(part.start, part.stop) for part in slices]))


def _matching(params: Params, block: str, globs: str | Sequence[str]) -> list[str]:
    patterns = [globs] if isinstance(globs, str) else list(globs)
    if not patterns:
        raise ValueError(f"block {block!r} needs at least one glob")
    names: list[str] = []
    for pattern in patterns:
        found = [name for name in params.names if fnmatchcase(name, pattern)]
        if not found:
            raise ValueError(
                f"block {block!r}: {pattern!r} matches no parameter of {', '.join(params.names)}"
            )
        names += [name for name in found if name not in names]
    return names


def _must_take_once(times: Mapping[str, tuple[int, int]]) -> None:
    """Refuse a partition; `times` is how often it takes a parameter's entries, least and most."""
    missing = [name for name, (least, _) in times.items() if least < 1]
    doubled = [name for name, (_, most) in times.items() if most > 1]
    for fault, names in (("missing", missing), ("doubled", doubled)):
        if names:
            raise ValueError(
                f"a partition covers every parameter exactly once; {fault}: {', '.join(names)}"
            )
