"""A network at a point: what the rungs of `check_layer` and `check_network` look at.

Its parameters and its inputs are one vector theta, so that derivatives in the input are looked at
like all others. The rest is drawn from the case's seed: noise, targets, tangents v and w,
cotangents u and s.

Called by the checks of layers and networks, and by ``minihf check`` to try shapes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import Any

import numpy as np

from minihf.backend import Array, array_module, asarray, to_host
from minihf.params import Params, Scope
from minihf.partition import Partition
from minihf.recording import Node, Tape, Traced
from minihf.tape import Linearization, linearize
from minihf.testing.cases import Case
from minihf.testing.checks.targets import draw_targets
from minihf.testing.derivatives import complex_step_jvp
from minihf.testing.ladder import calling
from minihf.testing.shapes import Shape

__all__ = ["NetworkCase", "is_layer"]


class NetworkCase:
    """A network at a point: its parameters and its input as one vector theta, a loss, targets."""

    def __init__(
        self, net: Any, x: Any, loss: Any, partition: Any, targets: Any,
        shapes: Mapping[str, Shape], case: Case,
    ) -> None:  # fmt: skip
        self.net, self.loss, self.partition, self.case = net, loss, partition, case
        rng = case.rng()
        given = x(rng, case.sizes) if callable(x) else rng.standard_normal(x.at(case.sizes))
        self.x = tuple(map(asarray, given)) if isinstance(given, tuple) else asarray(given)
        with calling("init"):
            self.params = self._initial(shapes, rng)
        first = self.x[0] if isinstance(self.x, tuple) else self.x
        self.n_cases = len(first)
        self.noise = None
        if hasattr(net, "draw"):
            with calling("draw"):
                self.noise = net.draw(rng, self.n_cases, np.float64) or None
        self.inputs = self._live_inputs()
        arrays = self.inputs | {name: self.params[name] for name in self.params.names}
        self.theta = Params.from_dict(arrays)
        self.lin = self.linearized(self.theta)
        self.z = self.lin.output
        self.blocks = Partition.of(self.theta, "param")
        self.v, self.w = (asarray(rng.standard_normal(self.theta.size)) for _ in range(2))
        self.u, self.s = (asarray(rng.standard_normal(self.z.shape)) for _ in range(2))
        self._targets, self._rng = targets, rng.spawn(1)[0]
        self.some = rng.permutation(self.n_cases)[: max(1, self.n_cases - 1)]

    def _initial(self, shapes: Mapping[str, Shape], rng: np.random.Generator) -> Params:
        if shapes:
            drawn = {
                name: 0.5 * rng.standard_normal(shape.at(self.case.sizes))
                for name, shape in shapes.items()
            }
            return Params.from_dict(drawn)
        try:
            params = self.net.init(self.case.seed, dtype=np.float64)
        except ValueError as error:
            if "no arrays" not in str(error):
                raise
            return Params(asarray(np.zeros(0)), {})          # a layer without parameters
        noise = asarray(0.1 * rng.standard_normal(params.size))
        return params.with_vector(params.vector + noise)     # biases off zero

    def _live_inputs(self) -> dict[str, Array]:
        """Return the inputs that have a derivative, by names that no parameter has."""
        arrays = self.x if isinstance(self.x, tuple) else (self.x,)
        labels = [f"x[{i}]" for i in range(len(arrays))] if isinstance(self.x, tuple) else ["x"]
        taken = set(self.params.names)
        return {
            f"input {label}" if label in taken else label: array
            for label, array in zip(labels, arrays, strict=True)
            if array.dtype.kind == "f"
        }

    @cached_property
    def y(self) -> Any:
        """Targets for the loss; drawn when the output is known to be a batch."""
        return draw_targets(self.loss, self.z, self._rng, self._targets)

    # The network, as a function of theta

    def run(self, scope: Any) -> Any:
        """Run the network on parameters and inputs out of one scope."""
        live = iter([scope[name] for name in self.inputs])
        if isinstance(self.x, tuple):
            x: Any = tuple(next(live) if a.dtype.kind == "f" else a for a in self.x)
        else:
            x = next(live) if self.inputs else self.x
        with calling("the network"):
            return self.net(scope, x)

    def output(self, vector: Array) -> Array:
        """Return the output at another theta, without a tape."""
        return self.run(self.theta.with_vector(vector).with_noise(self.noise))

    def linearized(self, theta: Params) -> Linearization:
        """Record the network at theta."""
        with calling("the network, recorded"):
            return linearize(lambda scope, _: self.run(scope), theta, None, self.noise)

    def calls(self) -> list[tuple[Any, Sequence[Any]]]:
        """Run the network once more, and return each op with what it was given."""
        tape = Recorder()
        leaves: dict[str, Traced] = {name: tape.value(self.theta[name]) for name in self.theta}
        self.run(Scope(leaves, noise=self.noise))
        return tape.calls

    def gradient(self, vector: Array) -> Array:
        """Return the gradient of the loss at another theta."""
        lin = self.linearized(self.theta.with_vector(vector))
        return lin.vjp(self.loss.grad(lin.output, self.y))

    def part(self, name: str, v: Array | None = None) -> Array:
        """Return the vector v, or the case's own, with zeros everywhere but in one parameter."""
        alone = array_module(self.theta.vector).zeros_like(self.theta.vector)
        index = self.blocks[name].index
        alone[index] = (self.v if v is None else v)[index]
        return alone

    def Jv(self, v: Array) -> np.ndarray:
        """Return J v by the complex step."""
        return to_host(complex_step_jvp(self.output, [self.theta.vector], [v]))


class Recorder(Tape):
    """A tape that keeps what each op was given."""

    def __init__(self) -> None:
        super().__init__()
        self.calls: list[tuple[Any, Sequence[Any]]] = []

    def write(self, node: Node, inputs: Sequence[Any]) -> None:
        """Write the line down, and keep the inputs."""
        super().write(node, inputs)
        self.calls.append((node.op, inputs))


def is_layer(thing: Any) -> bool:
    """Tell whether a thing can be called and has initial parameters."""
    return callable(thing) and hasattr(thing, "init")
