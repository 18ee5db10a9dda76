"""Which way to take through each block, for as many products as are planned.

Thirty products with every block of a network are a lot of walking over the same ground. For each
block the plan compares the walk to the output and back with the short ways, and takes what costs
least:

    cost of a way = once (its factors are formed) + products * each
    cost          = flops + FLOPS_PER_NUMBER * numbers moved

Walks back that form factors for one block form those of the
blocks after it on the way: so blocks are looked at from the last to the first, and each pays only
for the stretch that nobody has paid for. Factors that would not fit into the memory that is left
are no option. Called by `minihf.curvature.ggn`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

from minihf.backend import Array
from minihf.curvature.by_case import misses
from minihf.curvature.cuts import (
    ByOutputs,
    ByUnits,
    Cut,
    Rows,
    factors_by_outputs,
    middle_by_units,
)
from minihf.curvature.ways import FLOPS_PER_NUMBER, Choice, Cost, Way, short_ways, walk
from minihf.partition import Block
from minihf.recording import Node
from minihf.tape import Linearization

__all__ = ["MEMORY", "Plan"]

MEMORY = 2**29
"""Bytes that the factors of all blocks may take, with what forming them takes."""


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
        product: Callable[[Array, Block], Array],
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
        product : callable
            (v, block) -> J_b' H_L J_b v, to the output and back.
        blocks : iterable of Block
            In the order of the network.
        products : int
            That will be made with each.
        memory : int
            Bytes that all factors together may take, with what forming them takes.
        """
        blocks = list(blocks)
        walks = {block: walk(lin.graph.to_output(block.names)) for block in blocks}
        choices = _chosen(lin, walks, products, memory // lin.params.dtype.itemsize)
        ways = _formed(lin, H_L, choices)
        for block in misses(ways, product, lin):
            del ways[block]
            choices[block] = walks[block]._replace(why="cases mix")
        whole = walk(lin.graph.to_output(lin.params.names))
        return cls(products, choices, walks, ways, whole.each, lin.params.dtype.itemsize)

    @property
    def held(self) -> int:
        """Bytes of the factors."""
        return self.itemsize * sum(choice.held for choice in self.choices.values())

    def __str__(self) -> str:
        """Return the choices and their arithmetic as a table."""
        head = (
            f"{self.products} products with each block; costs in 10^6 flops, where a number moved "
            f"counts for {FLOPS_PER_NUMBER}\n"
            f"{'block':{self._width}}{'parameters':>11}{'walk':>10}{'chosen':>10}{'once':>10}{'MB':>7}{'ratio':>7}"
        )
        return "\n".join([head, *map(self._row, self.choices), self._sum()])

    @property
    def _width(self) -> int:
        return max(13, *(len(block.name) for block in self.choices))

    def _row(self, block: Block) -> str:
        walk, choice = self.walks[block], self.choices[block]
        return (
            f"{block.name:{self._width}}{block.size:11,}{walk.each.total / 1e6:10.4g}"
            f"{choice.each.total / 1e6:10.4g}{choice.once.total / 1e6:10.4g}"
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


def _chosen(
    lin: Linearization, walks: Mapping[Block, Choice], products: int, room: int
) -> dict[Block, Choice]:
    """Choose from the last block to the first, so that each pays for what is not yet paid for."""
    choices: dict[Block, Choice] = {}
    pulled, pushed = set[int](), set[int]()
    for block in reversed(list(walks)):
        options = [walks[block], *short_ways(lin, block, walks[block].each, pulled, pushed)]
        fitting = [option for option in options if option.room <= room]
        choices[block] = best = min(fitting, key=lambda option: option.over(products))
        room -= best.room
        if best.way in (Way.OUTPUTS, Way.ROWS):
            way = lin.graph.to_output(block.names)
            pulled |= {step.node.output for step in way.steps if way.goes_past(step)}
        if best.way is Way.UNITS and best.boundary is not None:
            pushed.add(best.boundary.output)
    return {block: choices[block] for block in walks}


# The factors --------------------------------------------------------------------------------


def _formed(
    lin: Linearization, H_L: Callable[[Array], Array], choices: Mapping[Block, Choice]
) -> dict[Block, Callable[[Array], Array]]:
    """Form the factors of all blocks."""
    ways: dict[Block, Callable[[Array], Array]] = {}
    units, outputs = _boundaries(choices, Way.UNITS), _boundaries(choices, Way.OUTPUTS)
    rows = [block for block, choice in choices.items() if choice.way is Way.ROWS]
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


def _boundaries(choices: Mapping[Block, Choice], way: Way) -> dict[Block, Node]:
    """Return the boundaries at which the blocks that take this way are cut."""
    return {
        block: choice.boundary
        for block, choice in choices.items()
        if choice.way is way and choice.boundary is not None
    }
