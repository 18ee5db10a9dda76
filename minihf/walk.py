"""Walking along the tape: tangents forward, cotangents backward, between some values and others.

A `Stretch` is the part of a tape that lies between two sets of values: the nodes that depend on the
ones and lead to the others. Every derivative product is a walk along one.

    push     forward with `rop`:    R of the ends from R of the sources
    pull     backward with `vjp`:   cotangents of the sources from those of the ends
    rpull    backward with `rvjp`:  R of the cotangents, with what a push kept

Called by `minihf.tape`, and by `minihf.curvature`, which walks a part of the way.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from minihf.backend import Array
from minihf.recording import Node

__all__ = ["Step", "Stretch"]

Values = dict[int, Array]
"""Arrays by the index of the value on the tape that they belong to."""


@dataclass(frozen=True, slots=True)
class Step:
    """A node on the way.

    Attributes
    ----------
    node : Node
    needs : tuple of bool
        Which of its inputs depend on the sources.
    done : tuple of int
        The values that no later step takes, and that are no ends.
    """

    node: Node
    needs: tuple[bool, ...]
    done: tuple[int, ...]


class Stretch:
    """The nodes that depend on the sources and lead to the ends, in order."""

    def __init__(self, tape: Sequence[Node], sources: Iterable[int], ends: Iterable[int]) -> None:
        self.sources, self.ends = frozenset(sources), frozenset(ends)
        useful, live = leading_to(tape, self.ends), set(self.sources)
        found: list[tuple[Node, tuple[bool, ...]]] = []
        for node in tape:
            needs = tuple(i in live for i in node.inputs)
            if any(needs) and node.output in useful:
                live.add(node.output)
                found.append((node, needs))
        last = {i: node for node, _ in found for i in node.inputs if i in live}
        self.steps = [
            Step(node, needs, tuple({
                i for i in node.inputs
                if i is not None and last.get(i) is node and i not in self.ends
            }))
            for node, needs in found
        ]  # fmt: skip

    def boundaries(self) -> list[Node]:
        """Return the nodes through whose output everything goes, in order.

        What the sources do to the ends, they do by way of each of these values.
        """
        found: list[Node] = []
        open_ = set(self.sources)
        for step in self.steps:
            open_.add(step.node.output)
            open_ -= set(step.done)
            if open_ == {step.node.output}:
                found.append(step.node)
        return found

    def goes_past(self, step: Step) -> bool:
        """Tell whether a walk back goes on beyond this node, and does not end at the sources."""
        return any(self._beyond(step))

    def _beyond(self, step: Step) -> tuple[bool, ...]:
        """Tell which inputs depend on the sources, and are none themselves."""
        return tuple(
            needed and i not in self.sources
            for needed, i in zip(step.needs, step.node.inputs, strict=True)
        )

    def push(self, R: Values, keep: bool = False) -> Values:
        """Walk forward from the sources' tangents: those of the ends are added, with `keep` all."""
        for step in self.steps:
            node = step.node
            Rinputs = [None if i is None else R.get(i) for i in node.inputs]
            R[node.output] = node.op.rop(node.residuals, *Rinputs)
            if not keep:
                for i in step.done:
                    R.pop(i, None)
        return R

    def pull(
        self, U: Values, kept: Values | None = None, into: Mapping[int, Array] | None = None
    ) -> Values:
        """Walk backward from the ends' cotangents: what is left are those of the sources.

        With `kept`, the cotangents of all other values go there, and the sources get none: half the
        matrix products. `into` has places for the sources' cotangents, where an op can write them.
        """
        for step in reversed(self.steps):
            node, needs = step.node, step.needs
            u = U.pop(node.output, None)
            if u is None:
                continue
            if kept is not None:
                kept[node.output] = u
                needs = self._beyond(step)
                if not any(needs):
                    continue
            if into and node.op.writes_into:
                out = [into.get(-1 if i is None else i) for i in node.inputs]
                _collect(U, node, needs, node.op.vjp(node.residuals, u, needs, out))
            else:
                _collect(U, node, needs, node.op.vjp(node.residuals, u, needs))
        return U

    def rpull(self, RU: Values, R: Values, cotangents: Mapping[int, Array]) -> Values:
        """Walk backward from R{cotangents} of the ends, with all tangents and all cotangents."""
        for step in reversed(self.steps):
            node = step.node
            u, Ru = cotangents.get(node.output), RU.pop(node.output, None)
            if u is None:
                continue
            Rinputs = [None if i is None else R.get(i) for i in node.inputs]
            rvjp = node.op.rvjp(node.residuals, Rinputs, u, Ru, step.needs)
            _collect(RU, node, step.needs, rvjp)
        return RU


def leading_to(tape: Sequence[Node], ends: Iterable[int]) -> set[int]:
    """Return the values that the ends are computed from, and the ends."""
    useful = set(ends)
    for node in reversed(tape):
        if node.output in useful:
            useful.update(i for i in node.inputs if i is not None)
    return useful


def _collect(
    U: Values, node: Node, needs: Sequence[bool], cotangents: Sequence[Array | None]
) -> None:
    """Add the cotangents of a node's inputs to what other uses of the same values gave."""
    if not isinstance(cotangents, tuple) or len(cotangents) != len(node.inputs):
        raise TypeError(
            f"op {type(node.op).__name__}: vjp and rvjp must return a tuple of "
            f"{len(node.inputs)} cotangents, one per input"
        )
    for i, needed, cotangent in zip(node.inputs, needs, cotangents, strict=True):
        if needed and i is not None and cotangent is not None:
            U[i] = U[i] + cotangent if i in U else cotangent
