"""What an operation is: four rules that stand side by side and share their local names.

    forward(*inputs)                        -> output, residuals
    rop(residuals, *Rinputs)                -> R{output}
    vjp(residuals, u, needs)                -> cotangents of the inputs
    rvjp(residuals, Rinputs, u, Ru, needs)  -> R{cotangents of the inputs}

`minihf.tape` walks along ops without knowing any; `minihf.ops` holds them.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from minihf.backend import Array
from minihf.recording import apply

__all__ = ["LinearOp", "Op"]


class Op:
    """One differentiable operation: four rules that share their local names.

    Write ``forward``, ``rop``, ``vjp`` and ``rvjp`` next to each other. `residuals` is whatever
    `forward` computed once for the other three. Tangents carry ``R`` (Rx, RW) and may be None for
    zero; `u` is the cotangent of the output. `vjp` and `rvjp` return one cotangent per input and
    may return None wherever ``needs`` is False.
    """

    def forward(self, *inputs: Any) -> tuple[Array, Any]:
        """Return the output and the residuals."""
        raise NotImplementedError

    def rop(self, residuals: Any, *Rinputs: Array | None) -> Array:
        """Return R{output}. At least one tangent is not None."""
        raise NotImplementedError

    def vjp(self, residuals: Any, u: Array, needs: Sequence[bool]) -> tuple[Array | None, ...]:
        """Return the cotangents of the inputs."""
        raise NotImplementedError

    def rvjp(
        self,
        residuals: Any,
        Rinputs: Sequence[Array | None],
        u: Array,
        Ru: Array | None,
        needs: Sequence[bool],
    ) -> tuple[Array | None, ...]:
        """Return R{cotangents of the inputs}: `vjp`'s result, differentiated along the tangents."""
        raise NotImplementedError

    def __call__(self, *inputs: Any) -> Any:
        """Apply the op: to arrays it gives an array, to traced values a traced value."""
        return apply(self, *inputs)


class LinearOp(Op):
    """An op whose output is linear in its inputs together, so that R{J' u} = J' R{u}."""

    def rvjp(
        self,
        residuals: Any,
        Rinputs: Sequence[Array | None],
        u: Array,
        Ru: Array | None,
        needs: Sequence[bool],
    ) -> tuple[Array | None, ...]:
        """Apply the transpose to R{u}: there is no second derivative."""
        return (None,) * len(Rinputs) if Ru is None else self.vjp(residuals, Ru, needs)
