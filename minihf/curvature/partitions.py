"""Partitions that look at what a weight does, or at how weights interact.

    k_units       the weights that enter k consecutive units
    correlated    weights that interact strongly, |H_ij| / sqrt(H_ii H_jj) being large
    arbitrary     random groups of equal size: what the others are to be measured against

with ``Partition.of(params, "layer")`` these are the groupings of block-diagonal Levenberg-Marquardt
(Chan & Szeto, IJCNN 1999; how they group in detail is our reading). `HessianFree` takes them as
functions of the parameters, ``blocks=functools.partial(k_units, k=4)``, or as a `Partition`.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from minihf.backend import shape_of, to_host
from minihf.params import Params, Slot
from minihf.partition import Partition

__all__ = ["arbitrary", "correlated", "correlations", "k_units"]


def k_units(params: Params, k: int) -> Partition:
    """Group the weights that enter k consecutive units of a layer, biases included.

    A unit is a column of a dense or recurrent weight matrix, a filter of a convolution. In an LSTM
    the four gates of a unit go together: what enters unit j are the columns j, H + j, 2H + j and
    3H + j of Wx and Wh. The last block of a layer has fewer units if k does not divide them.

    Parameters
    ----------
    params : Params
        Of layers, named ``layer.W`` and so on: parameters whose names agree up to the last dot.
    k : int
        1 or more; as many as the widest layer has gives ``"layer"``.

    Returns
    -------
    Partition
        Its blocks are named ``layer[first:last]``.

    Raises
    ------
    ValueError
        If k is below 1, or a parameter has neither one, two nor four axes.

    Examples
    --------
    >>> import minihf as hf
    >>> net = hf.Sequential(rnn=hf.RNN(2, 3), last=hf.LastStep(), dense=hf.Dense(3, 2))
    >>> k_units(net.init(0), 2)
    Partition(rnn[0:2]: 12, rnn[2:3]: 6, dense[0:2]: 8)
    """
    if not isinstance(k, int | np.integer) or k < 1:
        raise ValueError(f"k_units: k is {k!r}, expected a whole number of 1 or more")
    blocks: dict[str, list[np.ndarray]] = {}
    for layer, slots in _layers(params).items():
        units = {name: _unit_of_each_entry(name, slot) for name, slot in slots.items()}
        for name, slot in slots.items():
            if name.rpartition(".")[2] == "Wh":                     # (H, G H): G gates side by side
                units = {other: unit % slot.shape[0] for other, unit in units.items()}
        width = 1 + max(int(unit.max()) for unit in units.values())
        for first in range(0, width, k):
            name = f"{layer or 'network'}[{first}:{min(first + k, width)}]"
            for parameter, unit in units.items():
                mine = np.flatnonzero((unit >= first) & (unit < first + k))
                blocks.setdefault(name, []).append(slots[parameter].where.start + mine)
    return Partition.from_indices(
        params, {name: np.concatenate(parts) for name, parts in blocks.items()}
    )


def arbitrary(params: Params, count: int, seed: int = 0) -> Partition:
    """Deal the parameters into `count` random groups of equal size, or nearly so.

    Raises
    ------
    ValueError
        If `count` is not between 1 and the number of parameters.

    Examples
    --------
    >>> import minihf as hf
    >>> sorted(block.size for block in arbitrary(hf.Dense(3, 2).init(0), 3).values())
    [2, 3, 3]
    """
    _must_be_a_count("arbitrary", count, params.size)
    groups = np.array_split(np.random.default_rng(seed).permutation(params.size), count)
    return _numbered(params, groups)


def correlated(matrix: Any, params: Params, count: int) -> Partition:
    """Group parameters that interact strongly into `count` groups of equal size, or nearly so.

    The correlation of two parameters is |H_ij| / sqrt(H_ii H_jj). A group begins with the parameter
    that is most correlated with all that are left, and takes, one by one, the one that is most
    correlated with the group so far.

    Parameters
    ----------
    matrix : CurvatureOperator or array, shape (n, n)
        The full matrix: a `GGN` or `Hessian` of one block, or one written down.
    params : Params
        The n parameters.
    count : int

    Raises
    ------
    ValueError
        If the matrix does not fit, or `count` is not between 1 and n.

    Notes
    -----
    The greedy rule is our choice. Cost: about n^2 / 2 comparisons, and the matrix.

    Examples
    --------
    >>> import numpy as np, minihf as hf
    >>> params = hf.Params.from_dict({"w": np.zeros(4)})
    >>> H = np.array([[2, 0, 1, 0], [0, 2, 0, -1], [1, 0, 2, 0], [0, -1, 0, 2]])
    >>> [hf.to_host(block.index).tolist() for block in correlated(H, params, 2).values()]
    [[0, 2], [1, 3]]
    """
    _must_be_a_count("correlated", count, params.size)
    if shape_of(matrix) != (params.size, params.size):
        raise ValueError(
            f"correlated: the matrix is {shape_of(matrix)}, expected {(params.size,) * 2}"
        )
    pull = correlations(matrix)
    left, groups = np.ones(params.size, dtype=bool), []
    for size in [len(part) for part in np.array_split(np.arange(params.size), count)]:
        to_group = pull[:, left].sum(axis=1)
        group: list[int] = []
        for _ in range(size):
            chosen = int(np.where(left, to_group, -1.0).argmax())
            to_group = pull[chosen].copy() if not group else to_group + pull[chosen]
            left[chosen] = False
            group.append(chosen)
        groups.append(np.array(group))
    return _numbered(params, groups)


def correlations(matrix: Any) -> np.ndarray:
    """Return |H_ij| / sqrt(H_ii H_jj), on the host: (n, n).

    0 in the rows and columns of a diagonal entry that is not positive.
    """
    H = np.asarray(to_host(matrix.to_dense() if hasattr(matrix, "to_dense") else matrix))
    diagonal = np.diag(H)
    alive = diagonal > 0
    scale = np.where(alive, 1 / np.sqrt(np.where(alive, diagonal, 1)), 0)
    return np.abs(scale[:, None] * H * scale)


def _layers(params: Params) -> dict[str, dict[str, Slot]]:
    layers: dict[str, dict[str, Slot]] = {}
    for name, slot in params.layout.items():
        layers.setdefault(name.rpartition(".")[0], {})[name] = slot
    return layers


def _unit_of_each_entry(name: str, slot: Slot) -> np.ndarray:
    """Return the unit that each entry of a parameter enters, flat."""
    axes = {1: 0, 2: 1, 4: 0}                                      # b; W (D, M); W (F, C, KH, KW)
    if len(slot.shape) not in axes:
        raise ValueError(
            f"k_units: parameter {name!r} has shape {slot.shape}; units are known for a bias, a "
            "matrix (D, M) and filters (F, C, KH, KW). Use Partition.from_indices"
        )
    return np.indices(slot.shape)[axes[len(slot.shape)]].reshape(-1)


def _must_be_a_count(function: str, count: int, n: int) -> None:
    if not isinstance(count, int | np.integer) or not 1 <= count <= n:
        raise ValueError(f"{function}: count is {count!r}, expected a whole number from 1 to {n}")


def _numbered(params: Params, groups: list[np.ndarray]) -> Partition:
    groups = sorted(groups, key=min)
    return Partition.from_indices(params, {str(i): group for i, group in enumerate(groups)})
