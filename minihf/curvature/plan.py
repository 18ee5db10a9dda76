"""Which way to take through each block: a cost model, what it chose, and its arithmetic.

Thirty products with every block of a network are a lot of walking over the same ground. For each
block the plan compares the walk to the output and back with the short ways of
`minihf.curvature.cuts`, for as many products as are planned:

    cost of a way = once (its factors are formed) + products * each
    cost          = flops + FLOPS_PER_NUMBER * numbers moved

Ops state their own work (`Op.work`). Walks back that form factors for one block form those of the
blocks after it on the way: so blocks are looked at from the last to the first, and each pays only
for the stretch that nobody has paid for. Factors that would not fit into the memory that is left
are no option. Called by `minihf.curvature.ggn`.
"""

from __future__ import annotations

from collections.abc import Callable, Container, Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import reduce
from itertools import accumulate
from math import prod
from typing import NamedTuple

from minihf.backend import Array
from minihf.curvature.by_case import uses_of
from minihf.curvature.cuts import (
    ByOutputs,
    ByUnits,
    Cut,
    Rows,
    factors_by_outputs,
    middle_by_units,
    misses,
)
from minihf.partition import Block
from minihf.recording import Node
from minihf.tape import Linearization, Use
from minihf.walk import Step, Stretch

__all__ = ["MEMORY", "Choice", "Cost", "Plan"]

FLOPS_PER_NUMBER = 40
"""What moving a number costs: a core makes about ten flops while it moves a byte."""

MEMORY = 2**29
"""Bytes that the factors of all blocks may take, with what forming them takes."""


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
    """A way through a block: what it is, where it ends, what it costs, what it holds.

    `each` is of a product, `once` of forming the factors and seeing that they are right, `held` the
    numbers of these, and `forming` those that are needed beside them meanwhile.
    """

    way: str
    boundary: Node | None
    each: Cost
    once: Cost = Cost()
    held: int = 0
    forming: int = 0

    @property
    def room(self) -> int:
        """The numbers that it wants room for."""
        return self.held + self.forming

    def over(self, products: int) -> float:
        """Return what so many products cost."""
        return self.once.plus(self.each, products).total

    def __str__(self) -> str:
        if self.boundary is None:
            return self.way
        op = type(self.boundary.op).__name__.removesuffix("Op").lower()
        return f"{self.way} of {op} {self.boundary.shape[1:]}"


@dataclass(frozen=True)
class Plan:
    """The ways through the blocks of one linearization.

    Attributes
    ----------
    products : int
        Planned for each block.
    choices, walks : dict of Block to Choice
        What was chosen, and the walk to the output and back.
    ways : dict of Block to callable
        v -> J_b' H_L J_b v, for the blocks that have a short way.
    whole : Cost
        Of one product with all parameters in one block.
    itemsize : int
        Bytes of a number.
    """

    products: int
    choices: dict[Block, Choice]
    walks: dict[Block, Choice]
    ways: dict[Block, Callable[[Array], Array]]
    whole: Cost
    itemsize: int

    @classmethod
    def of(
        cls,
        lin: Linearization,
        H_L: Callable[[Array], Array],
        walk: Callable[[Array, Block], Array],
        blocks: Iterable[Block],
        products: int,
        memory: int = MEMORY,
    ) -> Plan:
        """Choose a way for each block, and form its factors.

        Parameters
        ----------
        lin : Linearization
        H_L : callable
            The loss's Hessian in the output.
        walk : callable
            (v, block) -> J_b' H_L J_b v, to the output and back.
        blocks : iterable of Block
            In the order of the network.
        products : int
            That will be made with each.
        memory : int
            Bytes that all factors together may take, with what forming them takes.
        """
        blocks = list(blocks)
        walks = {
            block: Choice("walk", None, _there_and_back(lin.stretch(block.names, lin.end)))
            for block in blocks
        }
        choices = _chosen(lin, walks, products, memory // lin.params.dtype.itemsize)
        ways = _formed(lin, H_L, choices)
        for block in misses(ways, walk, lin):
            del ways[block]
            choices[block] = walks[block]._replace(way="walk: cases mix")
        whole = _there_and_back(lin.stretch(lin.params.names, lin.end))
        return cls(products, choices, walks, ways, whole, lin.params.dtype.itemsize)

    @property
    def held(self) -> int:
        """Bytes of the factors."""
        return self.itemsize * sum(choice.held for choice in self.choices.values())

    def __str__(self) -> str:
        """Return the choices and their arithmetic as a table."""
        head = (
            f"{self.products} products with each block; costs in 10^6 flops, where a number moved "
            f"counts for {FLOPS_PER_NUMBER}\n"
            f"{'block':{self._width}}{'parameters':>11}{'walk':>9}{'chosen':>9}{'once':>9}{'MB':>7}{'ratio':>7}"
        )
        return "\n".join([head, *map(self._row, self.choices), self._sum()])

    @property
    def _width(self) -> int:
        return max(16, *(len(block.name) for block in self.choices))

    def _row(self, block: Block) -> str:
        walk, choice = self.walks[block], self.choices[block]
        return (
            f"{block.name:{self._width}}{block.size:11,}{walk.each.total / 1e6:9.4g}"
            f"{choice.each.total / 1e6:9.4g}{choice.once.total / 1e6:9.4g}"
            f"{self.itemsize * choice.held / 1e6:7.4g}"
            f"{_ratio(choice.over(self.products), walk.over(self.products)):>7}  {choice}"
        )

    def _sum(self) -> str:
        walked = sum(walk.over(self.products) for walk in self.walks.values())
        chosen = sum(choice.over(self.products) for choice in self.choices.values())
        flops = sum(choice.each.flops for choice in self.choices.values())
        whole = self.products * self.whole.total
        return (
            f"all blocks: {_ratio(chosen, walked)} of walking; {_ratio(chosen, whole)} of as many "
            f"products with all parameters\n"
            f"(by walking {_ratio(walked, whole)}; flops alone, when all is formed, "
            f"{_ratio(flops, self.whole.flops)})"
        )


def _ratio(cost: float, other: float) -> str:
    return f"{cost / other:.2f}" if other else "-"


# The model ----------------------------------------------------------------------------------


def _past(step: Step) -> Cost:
    """Return what a walk past one op costs, in one direction."""
    flops, numbers = step.node.op.work(step.node.residuals, step.needs)
    return Cost(flops, numbers + 3 * prod(step.node.shape))


def _sum(costs: Iterable[Cost], times: float = 1) -> Cost:
    return reduce(lambda total, cost: total.plus(cost, times), costs, Cost())


def _there_and_back(way: Stretch) -> Cost:
    return _sum(map(_past, way.steps), times=2)


def _chosen(
    lin: Linearization, walks: Mapping[Block, Choice], products: int, room: int
) -> dict[Block, Choice]:
    """Choose from the last block to the first, so that each pays for what is not yet paid for."""
    choices: dict[Block, Choice] = {}
    pulled, pushed = set[int](), set[int]()
    for block in reversed(list(walks)):
        options = [walks[block], *_short_ways(lin, block, walks[block].each, pulled, pushed)]
        fitting = [option for option in options if option.room <= room]
        choices[block] = best = min(fitting, key=lambda option: option.over(products))
        room -= best.room
        if best.way in ("outputs", "rows"):
            way = lin.stretch(block.names, lin.end)
            pulled |= {step.node.output for step in way.steps if way.goes_past(step)}
        if best.way == "units" and best.boundary is not None:
            pushed.add(best.boundary.output)
    return {block: choices[block] for block in walks}


def _short_ways(
    lin: Linearization,
    block: Block,
    walk: Cost,
    pulled: Container[int],
    pushed: Container[int],
) -> Iterator[Choice]:
    """Yield the short ways through a block, each with what it adds to the factors there are.

    Each is checked against one walk. Everything before a boundary, on the way to the output, leads
    to the boundary: so the costs before and after it are sums along that way.
    """
    way, N, K = lin.stretch(block.names, lin.end), len(lin.output), prod(lin.output.shape[1:])
    past = [_past(step) for step in way.steps]
    unpaid = [
        cost if way.goes_past(step) and step.node.output not in pulled else Cost()
        for step, cost in zip(way.steps, past, strict=True)
    ]
    before = list(accumulate(past, Cost.plus))
    unpaid_before, all_unpaid = list(accumulate(unpaid, Cost.plus)), _sum(unpaid)
    position = {step.node.output: i for i, step in enumerate(way.steps)}
    for boundary in way.boundaries():
        if boundary.output == lin.end or boundary.shape[:1] != (N,):
            continue
        i, w = position[boundary.output], prod(boundary.shape[1:])
        F, Q, formed = N * K * w, N * w * w, boundary.output in pushed
        to = _sum([before[i]], times=2)
        beyond = before[-1].plus(before[i], -1)
        unpaid_beyond = all_unpaid.plus(unpaid_before[i], -1)
        each = to.plus(Cost(4 * F, 2 * F))
        once = _sum([unpaid_beyond], times=K).plus(Cost(0, F))
        yield Choice("outputs", boundary, each, once.plus(walk).plus(each), F)
        each = to.plus(Cost(2 * Q, Q))
        once = Cost() if formed else _sum([beyond], times=w).plus(Cost(2 * Q * K, 2 * F + Q))
        held, forming = (0, 0) if formed else (Q, 2 * F)
        yield Choice("units", boundary, each, once.plus(walk).plus(each), held, forming)
    uses = uses_of(lin, block)
    if uses:
        J, each = N * K * block.size, Cost(4 * N * K * block.size, 2 * N * K * block.size)
        own = [cost for step, cost in zip(way.steps, past, strict=True)
               if not way.sources.isdisjoint(step.node.inputs)]  # fmt: skip
        gradients = N * _sizes(lin, uses)
        a_output = Cost(0, 4 * gradients).plus(all_unpaid).plus(_sum(own))
        once = _sum([a_output], times=K).plus(Cost(0, J))
        forming = gradients + int(_sum(own).numbers) // 4
        yield Choice("rows", None, each, once.plus(walk).plus(each), J, forming)


def _sizes(lin: Linearization, uses: Iterable[Use]) -> int:
    """Return how many numbers the gradients of all weights of these uses are, in one case."""
    return sum(prod(lin.params.layout[name].shape) for use in uses for name in use.weights)


# The factors --------------------------------------------------------------------------------


def _formed(
    lin: Linearization, H_L: Callable[[Array], Array], choices: Mapping[Block, Choice]
) -> dict[Block, Callable[[Array], Array]]:
    """Form the factors of all blocks."""
    ways: dict[Block, Callable[[Array], Array]] = {}
    units = {b: c.boundary for b, c in choices.items() if c.way == "units" and c.boundary}
    outputs = {b: c.boundary for b, c in choices.items() if c.way == "outputs" and c.boundary}
    rows = [block for block, choice in choices.items() if choice.way == "rows"]
    middles = {at.output: at for at in units.values()}
    Q = {output: middle_by_units(lin, H_L, at) for output, at in middles.items()}
    F, J = factors_by_outputs(lin, outputs, rows) if outputs or rows else ({}, {})
    for block, at in units.items():
        ways[block] = Cut(lin, block, at, ByUnits(Q[at.output]))
    for block, at in outputs.items():
        ways[block] = Cut(lin, block, at, ByOutputs(lin, H_L, F[at.output]))
    for block in J:
        ways[block] = Rows(lin, H_L, J[block])
    return ways
