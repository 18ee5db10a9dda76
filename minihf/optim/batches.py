"""Batches (x, y), and the network's mean loss and gradient over one, in chunks of fixed order.

x and y are arrays, or tuples of arrays, with a common first axis. A batch may be the whole training
set: objective and gradient then run through it in chunks, so that memory is bounded by a chunk, and
always in the same order, so that the same call gives the same bits. A curvature batch is never cut:
products want the activations of all its cases, and what bounds memory there is its size.

For a network with noise layers a batch becomes (x, y, noise) at the start of an update, and from
then on the noise goes wherever its cases go.

Called by every optimizer and by `minihf.train`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from itertools import islice
from typing import Any, TypeAlias

import numpy as np

from minihf.backend import Array, array_module
from minihf.parallel import each, workers
from minihf.params import Params
from minihf.tape import linearize

__all__ = [
    "Batch",
    "by_worker",
    "chunks",
    "generator",
    "gradient",
    "leaves_of",
    "n_cases",
    "objective",
    "resume",
    "rows",
    "with_noise",
]

Batch: TypeAlias = tuple[Any, ...]
"""(x, y): inputs and targets with a common first axis; from `with_noise` on, (x, y, noise)."""

CHUNK = 500
"""Cases whose activations are held at once."""


def n_cases(batch: Any) -> int:
    """Return the number of cases N.

    Raises
    ------
    ValueError
        If the batch is no pair, is empty, or its arrays disagree about N.
    """
    if not (isinstance(batch, tuple) and (len(batch) == 2 or _is_noisy(batch))):
        found = f"a tuple of {len(batch)}" if isinstance(batch, tuple) else type(batch).__name__
        raise ValueError(f"a batch is a tuple (x, y), got {found}")
    for array in leaves_of(batch):
        if not hasattr(array, "shape"):
            raise ValueError(f"a batch holds arrays, got {type(array).__name__}")
    sizes = {len(array) for array in leaves_of(batch)}
    if len(sizes) != 1:
        raise ValueError(f"the arrays of a batch have different numbers of cases: {sorted(sizes)}")
    (N,) = sizes
    if N == 0:
        raise ValueError("the batch is empty: it needs at least one case")
    return N


def rows(batch: Batch, index: Any) -> Batch:
    """Take cases by a slice or an integer array of the batch's own kind."""
    return tuple(_map(lambda array: array[index], part) for part in batch)


def chunks(batch: Batch, size: int = CHUNK) -> Iterator[tuple[Batch, float]]:
    """Cut a batch into consecutive pieces; with each, its share of the cases.

    A small one is its own only piece, and a loss that has looked at its targets knows them again.
    """
    N = n_cases(batch)
    if size >= N:
        yield batch, 1.0
        return
    for start in range(0, N, size):
        stop = min(start + size, N)
        yield rows(batch, slice(start, stop)), (stop - start) / N


def generator(seed: int) -> Mapping[str, Any]:
    """Return the state of an optimizer's generator: not that of ``net.init(seed)``, but its own."""
    return np.random.default_rng([seed, 1]).bit_generator.state


def resume(state: Mapping[str, Any]) -> np.random.Generator:
    """Return a generator that goes on from such a state."""
    rng = np.random.default_rng(0)
    rng.bit_generator.state = state
    return rng


def with_noise(net: Any, params: Params, batch: Batch, state: Any) -> tuple[Batch, Any]:
    """Draw an update's noise from the generator in an optimizer's `state`, and move that on.

    A batch that has its noise already keeps it. A network without noise layers, or a function
    without a method ``draw(rng, n, dtype)``, gets back batch and state as they are.
    """
    N = n_cases(batch)
    if _is_noisy(batch) or not hasattr(net, "draw"):
        return batch, state
    rng = resume(state.rng)
    noise = net.draw(rng, N, params.dtype)
    if not noise:
        return batch, state
    return (*batch, noise), replace(state, rng=rng.bit_generator.state)


def objective(
    net: Callable[..., Any], loss: Any, params: Params, batch: Batch, l2: float = 0.0
) -> Array:
    """Return the mean loss plus l2/2 |theta|^2, an array without axes. One forward pass."""
    total = 0.5 * l2 * (params.vector * params.vector).sum() if l2 else 0.0

    def of_chunk(piece: tuple[Batch, float]) -> Array:
        (x, y, *noise), share = piece
        here = params.with_noise(*noise) if noise else params
        return share * loss.value(net(here, x), y)

    for some in by_worker(batch):
        for value in each(of_chunk, some):
            total = total + value
    return total


def gradient(
    net: Callable[..., Any], loss: Any, params: Params, batch: Batch, l2: float = 0.0
) -> tuple[Array, Array]:
    """Return the objective and its gradient, flat. One forward and one backward pass."""
    xp = array_module(params.vector)
    value = 0.5 * l2 * (params.vector * params.vector).sum() if l2 else 0.0
    g = l2 * params.vector if l2 else xp.zeros_like(params.vector)

    def of_chunk(piece: tuple[Batch, float]) -> tuple[Array, Array]:
        (x, y, *noise), share = piece
        lin = linearize(net, params, x, *noise)
        return share * loss.value(lin.output, y), lin.vjp(share * loss.grad(lin.output, y))

    for some in by_worker(batch):
        for of_value, of_g in each(of_chunk, some):
            value = value + of_value
            g += of_g
    return value, g


def by_worker(batch: Batch, size: int = CHUNK) -> Iterator[tuple[tuple[Batch, float], ...]]:
    """Cut a batch into chunks, one for each worker at a time."""
    n = workers()
    pieces = chunks(batch, min(size, -(-n_cases(batch) // n)))
    while some := tuple(islice(pieces, n)):
        yield some


def _is_noisy(batch: Batch) -> bool:
    return len(batch) == 3 and isinstance(batch[2], Mapping)


def leaves_of(batch: Batch) -> list[Any]:
    """Return all arrays of a batch."""
    leaves: list[Any] = []
    for part in batch:
        _map(leaves.append, part)
    return leaves


def _map(function: Callable[[Any], Any], part: Any) -> Any:
    if isinstance(part, Mapping):
        return {name: function(array) for name, array in part.items()}
    return tuple(map(function, part)) if isinstance(part, tuple) else function(part)
