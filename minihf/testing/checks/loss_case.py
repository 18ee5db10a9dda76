"""A loss at an output: what the rungs of `check_loss` look at.

The output z, targets y and two tangents R and S of z are drawn from the case's seed. The loss is
called through it, so that an exception knows which of its functions it was.

Called by `check_loss`.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property
from typing import Any

import numpy as np

from minihf.backend import Array, asarray
from minihf.testing.cases import Case, plan
from minihf.testing.checks.op_case import DOMAINS
from minihf.testing.checks.targets import draw_targets
from minihf.testing.derivatives import (
    jacobian,
)
from minihf.testing.ladder import calling
from minihf.testing.measure import ROUNDING, norm
from minihf.testing.shapes import Shape

__all__ = ["LossCase"]

STEPS = 3       # time steps of the output that masks are tried on


class LossCase:
    """A loss at an output z with targets y, and two tangents R and S of z."""

    def __init__(
        self, loss: Any, output: Shape, case: Case, targets: Any = None, domain: str = "real"
    ) -> None:
        self.loss, self.case, self.output = loss, case, output
        self.targets, self.domain = targets, domain
        rng = case.rng()
        at = output.at(case.sizes)
        self.z = asarray(DOMAINS[domain](rng.standard_normal(at)))
        self.R, self.S = (asarray(rng.standard_normal(at)) for _ in range(2))
        with calling("value"):
            self.y = draw_targets(loss, self.z, rng, targets)
        self.axes = tuple(axis.name or "" for axis in output.axes)

    # What a loss can do; what it raises says which of it that was

    def value(self, z: Array, y: Any = None) -> Array:
        """Return the loss's value."""
        with calling("value"):
            return self.loss.value(z, self.y if y is None else y)

    def grad(self, z: Array, y: Any = None) -> Array:
        """Return the loss's gradient."""
        with calling("grad"):
            return self.loss.grad(z, self.y if y is None else y)

    def hessian(self, R: Array, z: Array | None = None, y: Any = None) -> Array:
        """Multiply a tangent by ``hessian(z, y)``."""
        with calling("hessian"):
            product = self.loss.hessian(self.z if z is None else z, self.y if y is None else y)
            if not callable(product):
                kind = type(product).__name__
                raise TypeError(f"hessian must return a function of Rz, and returned {kind}")
        with calling("the map that hessian returns"):
            return product(R)

    def hvp(self, R: Array) -> Array:
        """Multiply a tangent by ``hvp``."""
        with calling("hvp"):
            return self.loss.hvp(self.z, self.y, R)

    def sample(self, z: Array, rng: np.random.Generator, y: Any = None) -> Array:
        """Draw cotangents."""
        with calling("sample"):
            return self.loss.sample(z, rng) if y is None else self.loss.sample(z, rng, y)

    @property
    def products(self) -> tuple[tuple[str, Callable[[Array], Array]], ...]:
        """Both ways to multiply with the Hessian, by name."""
        return ("hessian(z, y)(Rz)", self.hessian), ("hvp(z, y, Rz)", self.hvp)

    @property
    def samples(self) -> bool:
        """Whether the loss can draw cotangents."""
        return hasattr(self.loss, "sample")

    def dense(self, f: Callable[[Array], Array], v: Array) -> np.ndarray:
        """Write down the derivative of f at v, by the complex step, both taken as flat."""
        return jacobian(lambda flat: f(flat.reshape(v.shape)), v.reshape(-1))

    def ordinary(self) -> LossCase:
        """Return a case like this whose sizes are not 1, unless they are given numbers."""
        sizes = plan(self.output.names)[0].sizes
        case = Case(sizes, self.case.seed)
        return LossCase(self.loss, self.output, case, self.targets, self.domain)

    def with_steps(self) -> tuple[Array, Array, Any, np.ndarray]:
        """Return z, Rz, targets and a host mask, for an output that has an axis of steps."""
        rng = np.random.default_rng(self.case.seed)
        shape = self.z.shape if self.z.ndim > 2 else (len(self.z), STEPS, *self.z.shape[1:])
        z, R = asarray(DOMAINS[self.domain](rng.standard_normal(shape))), rng.standard_normal(shape)
        mask = rng.random(shape[:2]) < 0.5
        mask[0, -1] = False
        mask[0, :-1] = True
        return z, asarray(R), draw_targets(self.loss, z, rng, self.targets), mask

    @cached_property
    def rounding(self) -> tuple[float, float, float]:
        """How large rounding errors of value, grad and a product with the Hessian may be.

        Measured in a case of ordinary sizes, where nothing cancels that does not always cancel.
        """
        try:
            at = self.ordinary() if 1 in self.case.sizes.values() else self
            sizes = [norm(x) for x in (at.value(at.z), at.grad(at.z), at.hessian(at.R))]
        except Exception:  # a loss of which these sizes are not asked
            return 0.0, 0.0, 0.0
        return ROUNDING * sizes[0], ROUNDING * sizes[1], ROUNDING * sizes[2]
