"""How the flat vector falls into blocks.

A `Partition` names disjoint sets of coordinates that cover the vector; one such set is a `Block`.
The whole vector is a block like any other, which is why the library has no code for "the full
matrix" besides the code for one block. A `Piece` is what a block holds of one named array: the
tape spreads a block's vector into the arrays, and gathers it from them.

Called by the tape (tangents and cotangents of a block), curvature and the optimizers.
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

from minihf.backend import Array, array_module, asarray, to_host
from minihf.params import Params, Slot

__all__ = ["Block", "Partition", "Piece"]



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

    @property
    def names(self) -> tuple[str, ...]:
        """The parameters that the block has a part of, in the order of the vector."""
        return tuple(piece.name for piece in self.pieces)

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
