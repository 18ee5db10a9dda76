"""What a tape tells of itself: which values lead to the output, by which ways, through which ops.

A `Graph` answers for one linearization: the way from some parameters to the output, and who uses
which weights. It finds each way once. Products are walks along them (`minihf.tape`).

Called by `minihf.tape`, and by `minihf.curvature`, which plans and takes parts of the way.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import NamedTuple

from minihf.recording import Node
from minihf.walk import Stretch, leading_to

__all__ = ["Graph", "Use"]


class Use(NamedTuple):
    """An op that states its factors, and the parameters that are its weights and its bias."""

    node: Node
    weights: tuple[str, ...]
    bias: str | None


class Graph:
    """The nodes of a tape, and the ways along them.

    Attributes
    ----------
    end : int
        The output's index among the values on the tape; -1 if it depends on no parameter.
    """

    def __init__(
        self,
        nodes: Sequence[Node],
        leaves: Mapping[str, int],
        end: int,
        tapped: Collection[int] = (),
    ) -> None:
        self.end = end
        self._nodes, self._leaves = nodes, leaves
        self._ends = {end, *tapped}
        self._stretches: dict[tuple[tuple[str, ...], int | None], Stretch] = {}
        useful = leading_to(nodes, self._ends)
        inputs = Counter(i for node in nodes if node.output in useful for i in node.inputs)
        self._uses = {name: inputs[leaf] for name, leaf in leaves.items()}

    def stretch(self, names: Iterable[str], to: int | None = None) -> Stretch:
        """Find the way from parameters to the output and the taps, or to one value, once."""
        key = tuple(names), to
        if key not in self._stretches:
            leaves = [self._leaves[name] for name in key[0]]
            ends = self._ends if to is None else {to}
            self._stretches[key] = Stretch(self._nodes, leaves, ends)
        return self._stretches[key]

    def to_output(self, names: Iterable[str]) -> Stretch:
        """Find the way from parameters to the output alone."""
        return self.stretch(names, self.end)

    def after(self, boundary: Node) -> Stretch:
        """Find the way from the output of a node to the output."""
        return Stretch(self._nodes, {boundary.output}, {self.end})

    def nodes(self) -> list[tuple[Node, tuple[str | None, ...]]]:
        """Return the nodes that lead to the output, in order, each with the names of its inputs.

        An input that is no parameter itself has None for a name.
        """
        name_of = {index: name for name, index in self._leaves.items()}
        useful = leading_to(self._nodes, {self.end})
        return [
            (node, tuple(None if i is None else name_of.get(i) for i in node.inputs))
            for node in self._nodes
            if node.output in useful
        ]

    def uses(self) -> list[Use]:
        """Return the uses of weights by ops that state their factors, on the way to the output.

        Only those in which every weight is a parameter itself, not a value computed from some.
        """
        found = []
        for node, names in self.nodes():
            weights = tuple(names[i] for i in node.op.weight_inputs)
            if weights and None not in weights:
                bias = None if node.op.bias_input is None else names[node.op.bias_input]
                found.append(Use(node, weights, bias))
        return found

    def count_uses(self, name: str) -> int:
        """Return how many ops on the way to the output take the parameter `name` itself."""
        return self._uses[name]
