"""What is timed: the same four tasks, whoever does them.

    one product    G v
    CG             30 iterations on (G + 0.1 I) x = v, all parameters in one block
    a sweep        G_b v_b for every layer's block b, one after the other; and so again, with
                   blocks that were made ready for 30 of them
    three updates  of the house method, one of which renews the inverses of its factors

A `System` is one library on one problem, with its tasks ready to be called. This file has ours;
`minihf.experiments.bench.rivals` has the others.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from minihf.backend import Array, to_host
from minihf.curvature import GGN, Shifted
from minihf.experiments.bench.problems import Case
from minihf.optim import HessianFree
from minihf.optim.state import HessianFreeState
from minihf.params import Params
from minihf.partition import Block
from minihf.solvers import Reason, cg

__all__ = [
    "DAMPING",
    "ITERATIONS",
    "PLANNED",
    "PLANNING",
    "PRODUCT",
    "SOLVE",
    "SWEEP",
    "SWEEPS",
    "UPDATES",
    "Operator",
    "System",
    "ours",
    "theirs",
]

ITERATIONS, DAMPING = 30, 0.1

PRODUCT = "one product"
SOLVE = f"CG, {ITERATIONS} iterations"
SWEEP = "a sweep of the layers"
PLANNED = f"{SWEEP}, planned"
PLANNING = f"planning for {ITERATIONS}, and one"
UPDATES = "three updates"


@dataclass(frozen=True)
class System:
    """One library on one problem.

    Attributes
    ----------
    tasks : mapping of str to callable
        What it can do, by the names above; a sweep gives its parts in the order of the parameters.
    flat : callable
        Brings the result of a product or a sweep into one host vector, laid out as ours.
    wait : callable
        Returns when a result is there.
    """

    tasks: Mapping[str, Callable[[], Any]]
    flat: Callable[[Any], np.ndarray]
    wait: Callable[[Any], object]


Sweep = Iterable[tuple[Any, Block]]
"""Operators, each with the block that it multiplies."""


def block_by_block(G: GGN) -> Sweep:
    """Return each block as an operator of its own."""
    return [(G.block(name), block) for name, block in G.partition.items()]


def planned(G: GGN) -> Sweep:
    """Return blocks that have formed before what as many products with each are shorter by."""
    return block_by_block(G.planned(ITERATIONS))


SWEEPS: Mapping[str, Callable[[GGN], Sweep]] = {SWEEP: block_by_block, PLANNED: planned}
"""The ways to multiply with every block, each a row."""


def ours(case: Case) -> System:
    """Return minihf on a case."""
    v, G = case.v, GGN(case.lin, case.loss, case.y)
    blocks = GGN(case.lin, case.loss, case.y, case.layers)
    return System(
        {
            PRODUCT: lambda: [G @ v],
            SOLVE: lambda: [solve(G, v)],
            **{name: _sweep(ready(blocks), v) for name, ready in SWEEPS.items()},
            PLANNING: lambda: _sweep(planned(blocks), v)(),
            UPDATES: _updates(case),
        },
        flat=lambda parts: np.concatenate([to_host(part) for part in parts]),
        wait=lambda parts: to_host(parts[-1][:1]),
    )


def solve(G: Any, b: Array) -> Array:
    """Make all of the iterations on (G + damping I) x = b."""
    return cg(Shifted(G, DAMPING), b, max_iters=ITERATIONS, stop=_never, record=_nowhere).x


def _never(quadratics: object, residuals: object) -> Reason | None:
    return None


def _nowhere(i: int) -> bool:
    return False


def _sweep(operators: Sweep, v: Array) -> Callable[[], list[Array]]:
    parts = [(operator, v[block.index]) for operator, block in operators]
    return lambda: [operator @ v_b for operator, v_b in parts]


def _updates(case: Case) -> Callable[[], list[Array]]:
    """Return three updates of the house method, from where the first three have led."""
    opt, batch = HessianFree(), (case.x, case.y)

    def updates(params: Params, state: HessianFreeState) -> tuple[Params, HessianFreeState]:
        for _ in range(3):
            params, state, _ = opt.step(case.problem.net, case.loss, params, state, batch)
        return params, state

    start = updates(case.params, opt.init(case.params))
    return lambda: [updates(*start)[0].vector]


Operator = tuple[Callable[[Any], Any], Callable[[Any], Any]]
"""A product and a solver, of a list of arrays, one for each parameter."""


def theirs(
    case: Case,
    v: Sequence[Any],
    operator: Callable[[list[int]], Operator],
    flat: Callable[[Any], np.ndarray],
    wait: Callable[[Any], object],
) -> System:
    """Return a rival on a case.

    Parameters
    ----------
    case : Case
    v : sequence of arrays
        The vector, one array of theirs for each parameter, in order.
    operator : callable
        Makes the block of the parameters with these numbers.
    flat, wait : callable
        As in `System`.
    """
    number = {name: i for i, name in enumerate(case.params.names)}
    layers = [[number[piece.name] for piece in block.pieces] for block in case.layers.values()]
    product, solve = operator(list(number.values()))
    parts = [(operator(layer)[0], [v[i] for i in layer]) for layer in layers]
    return System(
        {
            PRODUCT: lambda: product(v),
            SOLVE: lambda: solve(v),
            SWEEP: lambda: [part for product_b, v_b in parts for part in product_b(v_b)],
        },
        flat,
        wait,
    )
