"""What a checkpoint is of, in words: network, layers, method, loss, and how they are used.

A run goes on from a checkpoint of its own only. Called by `minihf.fit` and
`minihf.train.checkpoint`.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from itertools import zip_longest
from pathlib import Path
from typing import Any

from minihf.params import Params

__all__ = ["identity", "must_be_equal", "network_of"]


def identity(
    net: Any, params: Params, opt: Any, loss: Any, **others: Any
) -> dict[str, list[str]]:
    """Return what must be the same for a run to go on, each in pieces that can be compared.

    Examples
    --------
    >>> import minihf as hf
    >>> net = hf.Sequential(hf.Dense(2, 1, bias=False), hf.Tanh())
    >>> of = identity(net, net.init(0), hf.SGD(lr=0.1), hf.SquaredError(), seed=3)
    >>> of["network"], of["method"][:2], of["seed"]
    (['0.W (2, 1) float32'], ['SGD(lr=0.1', 'momentum=0.0'], ['3'])
    """
    return {
        "network": network_of(params),
        "layers": _words(net),
        "method": _words(opt),
        "loss": _words(loss),
        **{name: [str(value)] for name, value in others.items()},
    }


def network_of(params: Params) -> list[str]:
    """Return a network's parameters: name, shape and dtype of each."""
    return [f"{name} {slot.shape} {params.dtype}" for name, slot in params.layout.items()]


def _words(thing: Any) -> list[str]:
    """Return how a thing describes itself, in pieces, but for where in memory it lies."""
    return re.sub(r" at 0x[0-9a-f]+", "", " ".join(repr(thing).split())).split(", ")


def must_be_equal(path: Path, name: str, there: Sequence[str], here: Sequence[str]) -> None:
    """Refuse the checkpoint `path` if it is of something else.

    Raises
    ------
    ValueError
        One line, with the first piece that differs.
    """
    for one, other in zip_longest(there, here, fillvalue="nothing"):
        if one != other:
            raise ValueError(
                f"{str(path)!r} is of another run, {name}: {one} there and {other} here; make them "
                "equal, or take another folder"
            )
