"""The ways through a block, and what each costs: a model in flops and numbers moved.

    walk       to the output and back
    outputs    to a boundary, there through F, K factors for each case, and back
    units      to a boundary of w units, there through Q, w x w for each case, and back
    rows       the block's own Jacobian, K rows for each case

Forming factors costs once, and each product costs the less for it. Ops state their own work
(`Op.work`); `minihf.curvature.cuts` takes the short ways. Called by `minihf.curvature.plan`.
"""

from __future__ import annotations

from collections.abc import Container, Iterable, Iterator
from enum import Enum
from functools import reduce
from itertools import accumulate
from math import prod
from typing import NamedTuple

from minihf.curvature.by_case import uses_of
from minihf.graph import Use
from minihf.partition import Block
from minihf.recording import Node
from minihf.tape import Linearization
from minihf.walk import Step, Stretch

__all__ = ["FLOPS_PER_NUMBER", "Choice", "Cost", "Way", "short_ways", "walk"]

FLOPS_PER_NUMBER = 40
"""What moving a number costs: a core makes about ten flops while it moves a byte."""


class Way(Enum):
    """A way through a block."""

    WALK = "walk"
    OUTPUTS = "outputs"
    UNITS = "units"
    ROWS = "rows"


class Cost(NamedTuple):
    """Flops of matrix products, and numbers moved."""

    flops: float = 0
    numbers: float = 0

    @property
    def total(self) -> float:
        """Both, in flops."""
        return self.flops + FLOPS_PER_NUMBER * self.numbers

    def plus(self, other: Cost, times: float = 1) -> Cost:
        """Return the sum of this and `times` the other."""
        return Cost(self.flops + times * other.flops, self.numbers + times * other.numbers)


class Choice(NamedTuple):
    """A way through a block, where it ends, what it costs, what it holds.

    `each` is of a product, `once` of forming the factors and seeing that they are right, `held` the
    numbers of these, and `forming` those that are needed beside them meanwhile. `why` says what a
    reader of the table should know.
    """

    way: Way
    boundary: Node | None
    each: Cost
    once: Cost = Cost()
    held: int = 0
    forming: int = 0
    why: str = ""

    @property
    def room(self) -> int:
        """The numbers that it wants room for."""
        return self.held + self.forming

    def over(self, products: int) -> float:
        """Return what so many products cost."""
        return self.once.plus(self.each, products).total

    def __str__(self) -> str:
        at = ""
        if self.boundary is not None:
            op = type(self.boundary.op).__name__.removesuffix("Op").lower()
            at = f" of {op} {self.boundary.shape[1:]}"
        return self.way.value + at + (f": {self.why}" if self.why else "")


def walk(way: Stretch) -> Choice:
    """Return the walk along a way and back."""
    return Choice(Way.WALK, None, _sum(map(_past, way.steps), times=2))


def short_ways(
    lin: Linearization,
    block: Block,
    walk: Cost,
    pulled: Container[int],
    pushed: Container[int],
) -> Iterator[Choice]:
    """Yield the short ways through a block, each with what it adds to the factors there are.

    Each is checked against one product by the walk.

    Parameters
    ----------
    lin : Linearization
    block : Block
    walk : Cost
        Of a product by the walk.
    pulled, pushed : container of int
        The nodes that walks back with each output have gone past for other blocks, and the
        boundaries at which others have the factors of all units.

    Notes
    -----
    Everything before a boundary, on the way to the output, leads to the boundary: so the costs
    before and after it are sums along that way.
    """
    way, N, K = lin.graph.to_output(block.names), len(lin.output), prod(lin.output.shape[1:])
    past = [_past(step) for step in way.steps]
    unpaid = [
        cost if way.goes_past(step) and step.node.output not in pulled else Cost()
        for step, cost in zip(way.steps, past, strict=True)
    ]
    before = list(accumulate(past, Cost.plus))
    unpaid_before, all_unpaid = list(accumulate(unpaid, Cost.plus)), _sum(unpaid)
    position = {step.node.output: i for i, step in enumerate(way.steps)}
    for boundary in way.boundaries():
        if boundary.output == lin.graph.end or boundary.shape[:1] != (N,):
            continue
        i, w = position[boundary.output], prod(boundary.shape[1:])
        F, Q, formed = N * K * w, N * w * w, boundary.output in pushed
        to = _sum([before[i]], times=2)
        beyond = before[-1].plus(before[i], -1)
        unpaid_beyond = all_unpaid.plus(unpaid_before[i], -1)
        each = to.plus(Cost(4 * F, 2 * F))
        once = _sum([unpaid_beyond], times=K).plus(Cost(0, F))
        yield Choice(Way.OUTPUTS, boundary, each, once.plus(walk).plus(each), F)
        each = to.plus(Cost(2 * Q, Q))
        once = Cost() if formed else _sum([beyond], times=w).plus(Cost(2 * Q * K, 2 * F + Q))
        held, forming = (0, 0) if formed else (Q, 2 * F)
        yield Choice(Way.UNITS, boundary, each, once.plus(walk).plus(each), held, forming)
    uses = uses_of(lin, block)
    if uses:
        J, each = N * K * block.size, Cost(4 * N * K * block.size, 2 * N * K * block.size)
        own = [cost for step, cost in zip(way.steps, past, strict=True)
               if not way.sources.isdisjoint(step.node.inputs)]  # fmt: skip
        gradients = N * _sizes(lin, uses)
        a_output = Cost(0, 4 * gradients).plus(all_unpaid).plus(_sum(own))
        once = _sum([a_output], times=K).plus(Cost(0, J))
        forming = gradients + int(_sum(own).numbers) // 4
        yield Choice(Way.ROWS, None, each, once.plus(walk).plus(each), J, forming)


def _sizes(lin: Linearization, uses: Iterable[Use]) -> int:
    """Return how many numbers the gradients of all weights of these uses are, in one case."""
    return sum(prod(lin.params.layout[name].shape) for use in uses for name in use.weights)


def _past(step: Step) -> Cost:
    """Return what a walk past one op costs, in one direction."""
    flops, numbers = step.node.op.work(step.node.residuals, step.needs)
    return Cost(flops, numbers + 3 * prod(step.node.shape))


def _sum(costs: Iterable[Cost], times: float = 1) -> Cost:
    return reduce(lambda total, cost: total.plus(cost, times), costs, Cost())
