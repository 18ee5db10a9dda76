"""Batches (x, y), and the network's mean loss and gradient over one, in chunks of fixed order.

x and y are arrays, or tuples of arrays, with a common first axis. A batch may be the whole training
set: objective and gradient then run through it in chunks, so that memory is bounded by a chunk, and
always in the same order, so that the same call gives the same bits.

Called by every optimizer and by `minihf.train`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, TypeAlias

from minihf.backend import Array, array_module
from minihf.params import Params
from minihf.tape import linearize

__all__ = ["Batch", "chunks", "gradient", "n_cases", "objective", "rows"]

Batch: TypeAlias = tuple[Any, Any]
"""(x, y): inputs and targets with a common first axis."""

CHUNK = 1000
"""Cases whose activations are held at once."""


def n_cases(batch: Any) -> int:
    """Return the number of cases N.

    Raises
    ------
    ValueError
        If the batch is no pair, is empty, or its arrays disagree about N.
    """
    if not (isinstance(batch, tuple) and len(batch) == 2):
        found = f"a tuple of {len(batch)}" if isinstance(batch, tuple) else type(batch).__name__
        raise ValueError(f"a batch is a tuple (x, y), got {found}")
    for array in _leaves(batch):
        if not hasattr(array, "shape"):
            raise ValueError(f"a batch holds arrays, got {type(array).__name__}")
    sizes = {len(array) for array in _leaves(batch)}
    if len(sizes) != 1:
        raise ValueError(f"the arrays of a batch have different numbers of cases: {sorted(sizes)}")
    (N,) = sizes
    if N == 0:
        raise ValueError("the batch is empty: it needs at least one case")
    return N


def rows(batch: Batch, index: Any) -> Batch:
    """Take cases by a slice or an integer array of the batch's own kind."""
    x, y = batch
    return _map(lambda array: array[index], x), _map(lambda array: array[index], y)


def chunks(batch: Batch, size: int = CHUNK) -> Iterator[tuple[Batch, float]]:
    """Cut a batch into consecutive pieces; with each, its share of the cases."""
    N = n_cases(batch)
    for start in range(0, N, size):
        stop = min(start + size, N)
        yield rows(batch, slice(start, stop)), (stop - start) / N


def objective(
    net: Callable[..., Any], loss: Any, params: Params, batch: Batch, l2: float = 0.0
) -> Array:
    """Return the mean loss plus l2/2 |theta|^2, an array without axes. One forward pass."""
    total = 0.5 * l2 * (params.vector * params.vector).sum() if l2 else 0.0
    for (x, y), share in chunks(batch):
        total = total + share * loss.value(net(params, x), y)
    return total


def gradient(
    net: Callable[..., Any], loss: Any, params: Params, batch: Batch, l2: float = 0.0
) -> tuple[Array, Array]:
    """Return the objective and its gradient, flat. One forward and one backward pass."""
    xp = array_module(params.vector)
    value = 0.5 * l2 * (params.vector * params.vector).sum() if l2 else 0.0
    g = l2 * params.vector if l2 else xp.zeros_like(params.vector)
    for (x, y), share in chunks(batch):
        lin = linearize(net, params, x)
        value = value + share * loss.value(lin.output, y)
        g += lin.vjp(share * loss.grad(lin.output, y))
    return value, g


def _leaves(batch: Batch) -> list[Any]:
    return [array for part in batch for array in (part if isinstance(part, tuple) else (part,))]


def _map(function: Callable[[Any], Any], part: Any) -> Any:
    return tuple(map(function, part)) if isinstance(part, tuple) else function(part)
