"""Preconditioners for CG: cheap stand-ins for the inverse of the damped curvature.

A preconditioner sees the linearization on the curvature batch and gives an operator ``M @ r`` for
each block. Called by `minihf.HessianFree`.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from minihf.backend import Array, add_into, array_module, gemm
from minihf.optim.settings import settle
from minihf.params import Params
from minihf.partition import Partition
from minihf.tape import Linearization

__all__ = ["Diagonal", "Preconditioner", "SquaredGradients", "mean_squared_gradients"]


class Preconditioner(Protocol):
    """What the optimizer asks of a preconditioner."""

    def __call__(
        self, lin: Linearization, loss: Any, y: Any, partition: Partition, shift: float
    ) -> Mapping[str, Any]:
        """Return an operator for each block; `shift` is what is added to the curvature."""


class Diagonal:
    """The inverse of a diagonal matrix."""

    def __init__(self, diagonal: Array) -> None:
        self._inverse = 1 / diagonal

    def __matmul__(self, r: Array) -> Array:
        return self._inverse * r


@dataclass(frozen=True)
class SquaredGradients:
    """M^-1 = (mean squared gradient of the cases + shift)^exponent, entry by entry.

    Martens 2010, section 4.7, exponent 0.75; shift is lam plus the L2 coefficient. Differs from it
    in: 1. the mean runs over the curvature batch, whose linearization is there already.
    """

    exponent: float = 0.75

    def __post_init__(self) -> None:
        settle(self, exponent="positive")

    def __call__(
        self, lin: Linearization, loss: Any, y: Any, partition: Partition, shift: float
    ) -> Mapping[str, Diagonal]:
        """Return a diagonal operator for each block."""
        squares = mean_squared_gradients(lin, loss, y)
        xp = array_module(squares.vector)
        # A parameter that no case touches has shift 0 + square 0 and must not divide by zero.
        floor = float(xp.finfo(squares.dtype).tiny) ** (1 / 2)
        diagonal = xp.maximum(squares.vector + shift, floor) ** self.exponent
        return {name: Diagonal(diagonal[block.index]) for name, block in partition.items()}


def mean_squared_gradients(lin: Linearization, loss: Any, y: Any) -> Params:
    """Return, entry by entry, the mean over cases of the squared gradient of a case's loss.

    A case's gradient is summed over positions and uses of the weight before it is squared. For one
    use and one position this is one matrix product per weight: sum over n of (a_n s_n')^2 =
    (a^2)' (s^2). Parameters with a use in an op without `factors`, or where the
    cases are no longer the first axis, get 1, with a warning.
    """
    N = len(lin.output)
    xp = array_module(lin.params.vector)
    squares = lin.params.with_vector(xp.ones_like(lin.params.vector))
    uses = lin.factors(N * loss.grad(lin.output, y))
    seen = [name for name in lin.params.names if not lin.count_uses(name)]
    for name in seen:
        squares[name] = 0
    for weights in dict.fromkeys(use.weights for use in uses):
        group = [use for use in uses if use.weights == weights]
        by_case = all(len(use.a) == N for use in group)
        if by_case and all(lin.count_uses(name) == len(group) for name in weights):
            a = xp.concatenate([use.a for use in group], axis=1)               # (N, P, D)
            s = xp.concatenate([use.s for use in group], axis=1)               # (N, P, M)
            for name, part in zip(weights, group[0].split(_squared_products(a, s)), strict=True):
                squares[name] = part / N
            seen += weights
    for bias in dict.fromkeys(use.bias for use in uses if use.bias is not None):
        group = [use for use in uses if use.bias == bias]
        if lin.count_uses(bias) == len(group) and all(len(use.s) == N for use in group):
            per_case = sum(use.s.sum(axis=1) for use in group)                 # (N, M)
            squares[bias] = (per_case * per_case).sum(axis=0) / N
            seen.append(bias)
    unseen = [name for name in lin.params.names if name not in seen]
    if unseen:
        warnings.warn(
            f"no per-case gradients for {', '.join(unseen)}: preconditioned by the identity there",
            RuntimeWarning,
            stacklevel=3,
        )
    return squares


def _squared_products(a: Array, s: Array, cases: int = 32) -> Array:
    """Sum over n of (sum over p of a[n, p] s[n, p]')^2, entry by entry: (D, M)."""
    if a.shape[1] == 1:
        a, s = a[:, 0], s[:, 0]
        return gemm((a * a).T, s * s)
    total = None
    for start in range(0, len(a), cases):
        some = slice(start, start + cases)
        per_case = gemm(a[some].swapaxes(1, 2), s[some])                       # (cases, D, M)
        total = add_into(total, (per_case * per_case).sum(axis=0))
    return total
