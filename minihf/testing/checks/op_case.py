"""An op at a point: what the rungs of `check_op` look at.

Everything is drawn from the case's seed: the inputs, two tangents R and S of each, a cotangent u
and its tangent Ru. The rules are called through it, so that an exception knows which rule it was.

Called by `check_op`, by `check_layer` for a layer's own ops, and by the kill matrix.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from functools import cached_property
from typing import Any

import numpy as np

from minihf.backend import Array, asarray, to_host
from minihf.op import Op
from minihf.testing.cases import Case
from minihf.testing.ladder import calling
from minihf.testing.makers import made
from minihf.testing.measure import ROUNDING, error_of, norm
from minihf.testing.shapes import Shape

__all__ = ["DOMAINS", "OpCase", "an_op", "is_live", "is_op"]

SMALL = 1e-3  # drawn numbers are seldom smaller; given ones are taken for this large

DOMAINS: Mapping[str, Callable[[np.ndarray], np.ndarray]] = {
    "real": lambda x: x,
    "positive": lambda x: 0.3 + np.abs(x),
    "off zero": lambda x: x + np.copysign(0.3, x),
    "wide": lambda x: 8 * x,
}
"""Where inputs are drawn: normal numbers, moved off poles and kinks, or spread, if need be."""


class OpCase:
    """An op at a point, with tangents R, a cotangent u and its tangent Ru."""

    def __init__(
        self, op: Op, inputs: Sequence[Any], case: Case, domain: str = "real"
    ) -> None:
        self.op, self.case = op, case
        rng = case.rng()

        def draw(given: Any) -> Any:
            if isinstance(given, Shape):
                return asarray(DOMAINS[domain](rng.standard_normal(given.at(case.sizes))))
            return asarray(to_host(given), dtype=np.float64) if is_live(given) else given

        self.axes = [
            tuple(axis.name or "" for axis in given.axes) if isinstance(given, Shape) else ()
            for given in inputs
        ]
        self.x = [draw(given) for given in inputs]
        self.all = tuple(x is not None and x.dtype.kind == "f" for x in self.x)
        self.R, self.S = ([self._tangent(i, rng) for i in range(len(inputs))] for _ in range(2))
        self.before = [None if x is None else to_host(x).copy() for x in self.x]
        with calling("forward"):
            pair = op.forward(*self.x)
            if not (isinstance(pair, tuple) and len(pair) == 2):
                raise TypeError("forward must return (output, residuals)")
            self.y, self.residuals = pair
            shape_of_y = self.y.shape
        self.u = asarray(rng.standard_normal(shape_of_y))
        self.Ru = asarray(rng.standard_normal(shape_of_y))

    def _tangent(self, i: int, rng: np.random.Generator) -> Array | None:
        return asarray(rng.standard_normal(self.x[i].shape)) if self.all[i] else None

    @cached_property
    def inputs(self) -> list[tuple[int, str]]:
        """Place and name of each of forward's inputs that has a derivative."""
        parameters = list(inspect.signature(self.op.forward).parameters.values())
        names = [p.name for p in parameters]
        if any(p.kind is p.VAR_POSITIONAL for p in parameters):
            names = [f"input {i}" for i in range(len(self.x))]
        return [(i, names[i]) for i, live in enumerate(self.all) if live]

    @cached_property
    def rounding(self) -> dict[str, float]:
        """Return how large rounding may be in what rop, vjp and rvjp give.

        Where terms cancel to zero, as in x / |x| for a single number, nothing else is left. The
        output is good to its last digits, a derivative of it to those of output / x.
        """
        per_x = max(self._per_x(i) for i, _ in self.inputs)
        of_rop = ROUNDING * norm(self.y) * per_x
        of_vjp = max(norm(self.u), norm(self.Ru)) * of_rop
        return {"rop": of_rop, "vjp": of_vjp, "rvjp": of_vjp * per_x}

    def _per_x(self, i: int) -> float:
        """Return the largest tangent over x of input i, where x is no unusually small number."""
        x, R = (np.abs(np.ravel(to_host(array))) for array in (self.x[i], self.R[i]))
        return float(((1 + R) / np.maximum(x, SMALL)).max(initial=1.0))

    def error(
        self, rule: str, found: np.ndarray, right: np.ndarray, scale: float, limit: float
    ) -> float:
        """Return the relative error: within the limit if it is no more than rounding may be."""
        return error_of(found, right, max(scale, self.rounding[rule] / limit))

    def alone(self, i: int, R: Sequence[Array] | None = None) -> list[Array | None]:
        """Return the tangent of input i, and None for the others."""
        R = self.R if R is None else R
        return [R[i] if i == j else None for j in range(len(R))]

    def only(self, i: int) -> tuple[bool, ...]:
        """Return `needs` for input i."""
        return tuple(i == j for j in range(len(self.x)))

    # The rules; what they raise says which of them it was

    def output(self, *x: Array) -> Array:
        """Run forward, for its output."""
        with calling("forward"):
            return self.op.forward(*x)[0]

    def rop(self, R: Sequence[Array | None], residuals: Any = None) -> Array:
        """Apply rop."""
        with calling("rop"):
            return self.op.rop(self.residuals if residuals is None else residuals, *R)

    def vjp(
        self, u: Array, needs: Sequence[bool] | None = None, *out: Any
    ) -> tuple[Array | None, ...]:
        """Apply vjp."""
        with calling("vjp"):
            return self.op.vjp(self.residuals, u, self.all if needs is None else needs, *out)

    def rvjp(
        self, R: Sequence[Array | None], Ru: Array | None, needs: Sequence[bool] | None = None
    ) -> tuple[Array | None, ...]:
        """Apply rvjp at the cotangent u."""
        with calling("rvjp"):
            return self.op.rvjp(self.residuals, R, self.u, Ru, self.all if needs is None else needs)


def an_op(op: Any, sizes: Mapping[str, int]) -> Any:
    """Return the op itself, or what a maker makes of the sizes."""
    return made(op, sizes, is_op, "check_op")


def is_op(thing: Any) -> bool:
    """Tell whether a thing has the rules of an op."""
    return hasattr(thing, "forward") and hasattr(thing, "rop")


def is_live(given: Any) -> bool:
    """Tell whether an input that is given has a derivative."""
    return given is not None and given.dtype.kind in "fc"
