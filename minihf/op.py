"""What an operation is: four rules that stand side by side and share their local names.

    forward(*inputs)                        -> output, residuals
    rop(residuals, *Rinputs)                -> R{output}
    vjp(residuals, u, needs)                -> cotangents of the inputs
    rvjp(residuals, Rinputs, u, Ru, needs)  -> R{cotangents of the inputs}

An op with weights may add what Kronecker factors and per-case gradients are made of:

    activations(residuals)                  -> a (N, P, D)
    sensitivities(residuals, u)             -> s (N, P, M)
    split(residuals, matrix)                -> weights, from a matrix (D, M)
    join(residuals, weights)                -> the matrix, from the weights

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
        raise self._lacks("forward")

    def rop(self, residuals: Any, *Rinputs: Array | None) -> Array:
        """Return R{output}. At least one tangent is not None."""
        raise self._lacks("rop")

    def vjp(self, residuals: Any, u: Array, needs: Sequence[bool]) -> tuple[Array | None, ...]:
        """Return the cotangents of the inputs."""
        raise self._lacks("vjp")

    def rvjp(
        self,
        residuals: Any,
        Rinputs: Sequence[Array | None],
        u: Array,
        Ru: Array | None,
        needs: Sequence[bool],
    ) -> tuple[Array | None, ...]:
        """Return R{cotangents of the inputs}: `vjp`'s result, differentiated along the tangents."""
        raise self._lacks("rvjp")

    writes_into: bool = False
    """Whether `vjp` takes a fourth argument ``out``: per input, an array to write its cotangent
    into and return, or None."""
    weight_inputs: tuple[int, ...] = ()
    """Which inputs are weights, in an op that gives `factors`, `split` and `join`."""
    bias_input: int | None = None
    """Which input is the bias: its gradient is the sum of s."""

    def factors(self, residuals: Any, u: Array) -> tuple[Array, Array]:
        """Return a (N, P, D) and s (N, P, M), for P positions: time steps, pixels, or 1.

        The gradient of case n in the weights, stacked to a matrix (D, M), is the sum over p of
        a[n, p] s[n, p]'. Both are there as a whole: for a convolution, a is many times the image.
        """
        return self.activations(residuals), self.sensitivities(residuals, u)

    def activations(self, residuals: Any) -> Array:
        """Return the rows a of `factors`, which are the same for every u."""
        raise self._lacks("activations")

    def sensitivities(self, residuals: Any, u: Array) -> Array:
        """Return the rows s of `factors`, which are linear in u."""
        raise self._lacks("sensitivities")

    def split(self, residuals: Any, matrix: Array) -> tuple[Array, ...]:
        """Cut a matrix (D, M), a row for each entry of `a`, into the weights in their shapes."""
        raise self._lacks("split")

    def join(self, residuals: Any, weights: Sequence[Array]) -> Array:
        """Stack the weights to a matrix (D, M): what `split` undoes."""
        raise self._lacks("join")

    def work(self, residuals: Any, taken: Sequence[bool]) -> tuple[int, int]:
        """Return what `rop` does with the tangents `taken`, and `vjp` with these needs.

        The multiplications and additions in its matrix products, and the numbers that it moves for
        them, beside three for each of the output's. A cost model asks (`minihf.curvature.plan`).
        """
        return 0, 0

    def _lacks(self, rule: str) -> NotImplementedError:
        return NotImplementedError(f"op {type(self).__name__} lacks its rule {rule!r}")

    def __repr__(self) -> str:
        return f"{type(self).__name__}()"

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
