"""Preconditioners for CG: cheap stand-ins for the inverse of the damped curvature.

A preconditioner sees the curvature on the curvature batch and gives an operator ``M @ r`` for each
block. What it wants to remember it returns, and is given again at the next update: it has no state
of its own, so that the optimizer's state is all there is to a run. Called by `minihf.HessianFree`.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol, TypeAlias

import numpy as np

from minihf.backend import Array, add_into, array_module, asarray, floats, gemm
from minihf.curvature import CurvatureOperator, KroneckerFactors
from minihf.optim.settings import settle
from minihf.params import Params
from minihf.partition import Partition
from minihf.tape import Linearization

__all__ = [
    "Diagonal",
    "Jacobi",
    "Kronecker",
    "Memory",
    "Preconditioner",
    "SquaredGradients",
    "mean_squared_gradients",
    "mean_squares",
]

Memory: TypeAlias = Any
"""None, or nested dicts of arrays and numbers: a part of the optimizer's state."""


class Preconditioner(Protocol):
    """What the optimizer asks of a preconditioner.

    One that needs more of a loss than its value and gradient names the methods in an attribute
    `needs`, such as ``("sample",)``.
    """

    def __call__(
        self,
        C: CurvatureOperator,
        g: Array,
        shift: Mapping[str, float],
        memory: Memory,
        rng: np.random.Generator,
    ) -> tuple[Mapping[str, Any], Memory]:
        """Return an operator for each block, and what to remember.

        `g` (n,) is the gradient; `shift` is what is added to each block of the curvature. `memory`
        is what the last update's call returned, None at first; it is not to be written into. A
        block without an operator is not preconditioned.
        """


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
        self,
        C: CurvatureOperator,
        g: Array,
        shift: Mapping[str, float],
        memory: Memory,
        rng: np.random.Generator,
    ) -> tuple[Mapping[str, Diagonal], Memory]:
        """Return a diagonal operator for each block; nothing is remembered."""
        squares = mean_squared_gradients(C.lin, C.loss, C.y)
        return _diagonals(squares.vector, C.partition, shift, self.exponent), memory


@dataclass(frozen=True)
class Jacobi:
    """M^-1 = (diagonal of the Gauss-Newton matrix + shift)^exponent, estimated by random signs.

    With H_L = R R' in the output and random signs v, the squares of J_n' R v_n, a case's cotangent,
    have the mean J_n' H_L J_n on the diagonal. One backward pass and one product of squares per
    draw; with one output one draw is exact.

    O. Chapelle & D. Erhan, "Improved preconditioner for Hessian free optimization", NIPS workshop
    on deep learning, 2011. The exponent is ours to choose; 1 is the Jacobi preconditioner.
    """

    draws: int = 1
    exponent: float = 1.0
    needs = ("root",)

    def __post_init__(self) -> None:
        settle(self, draws="1 or more", exponent="positive")

    def __call__(
        self,
        C: CurvatureOperator,
        g: Array,
        shift: Mapping[str, float],
        memory: Memory,
        rng: np.random.Generator,
    ) -> tuple[Mapping[str, Diagonal], Memory]:
        """Return a diagonal operator for each block; nothing is remembered."""
        diagonal = self.diagonal(C.lin, C.loss, C.y, rng)
        return _diagonals(diagonal, C.partition, shift, self.exponent), memory

    def diagonal(
        self, lin: Linearization, loss: Any, y: Any, rng: np.random.Generator
    ) -> Array:
        """Return an unbiased estimate of the Gauss-Newton matrix's diagonal (n,)."""
        total: Any = None
        for _ in range(self.draws):
            signs = asarray(2 * rng.integers(2, size=lin.output.shape) - 1, dtype=lin.output.dtype)
            total = add_into(total, mean_squares(lin, loss.root(lin.output, signs, y)).vector)
        return total / self.draws


@dataclass(frozen=True)
class Kronecker:
    """M = the inverse of damped Kronecker factors, averaged over updates.

    At update t = 1, 2, ... the factors are rho times the old ones plus 1 - rho times those of the
    curvature batch, rho = min(decay, 1 - 1/t). They are inverted at each of the first `refresh`
    updates, and then at every `refresh`-th. A layer that lies in several blocks is damped by the
    largest of their shifts. A batch whose factors are not finite is passed over. Where blocks move
    one after the other, ``update="sequential"``, every turn is an update t: with B blocks, averages
    forget and inverses are renewed B times an update of the optimizer.

    With `calibrate`, M_b = c K_b for each block b, K_b the inverse of its damped factors, and c,
    measured whenever they are inverted,

        c = g_b' z / z' ([C]_b + shift_b I) z,    z = K_b g_b,

    so that M_b g_b is as long as the exact block wants it: the first iterate of CG. It matters
    where positions are far from independent: in recurrent layers c can be a hundredth. None, the
    default, does so in networks that use a weight at several positions: time steps or pixels.

    J. Martens & R. Grosse, ICML 2015; `minihf.curvature.kronecker` has the equations.

    Notes
    -----
    Remembered: A and S of each layer, and their inverses. A layer of D inputs and M outputs has
    2 (D + 1)^2 + 2 M^2 numbers there. Calibrating a block costs half a product with it.
    """

    decay: float = 0.9
    refresh: int = 3
    calibrate: bool | None = None
    needs = ("sample",)

    def __post_init__(self) -> None:
        settle(self, decay="in [0, 1)", refresh="1 or more")
        if not (self.calibrate is None or isinstance(self.calibrate, bool)):
            raise TypeError(f"Kronecker: calibrate is {self.calibrate!r}, not True, False or None")

    def __call__(
        self,
        C: CurvatureOperator,
        g: Array,
        shift: Mapping[str, float],
        memory: Memory,
        rng: np.random.Generator,
    ) -> tuple[Mapping[str, Any], Memory]:
        """Return M for each block, and the averages, their inverses and the number of updates."""
        new = KroneckerFactors.sampled(C.lin, C.loss, C.y, rng)
        if new.finite:
            t = 1 if memory is None else memory["updates"] + 1
            if memory is not None:
                old = KroneckerFactors(new.stacks, memory["A"], memory["S"])
                new = new.averaged(old, min(self.decay, 1 - 1 / t))
            inverse = None if memory is None else memory["inverse"]
            if t <= self.refresh or t % self.refresh == 0:
                inverse = self._inverse(new, C, g, shift)
            memory = {"updates": t, "A": new.A, "S": new.S, "inverse": inverse}
        if memory is None:
            return {}, None
        inverse = memory["inverse"]
        K = KroneckerFactors(new.stacks, inverse["A"], inverse["S"])
        blocks = C.partition.items()
        return {name: K.block(block, inverse["scale"][name]) for name, block in blocks}, memory

    def _inverse(
        self, factors: KroneckerFactors, C: CurvatureOperator, g: Array, shift: Mapping[str, float]
    ) -> dict[str, Any]:
        """Return the inverses of the damped factors, and c of each block."""
        K = factors.inverse(_shift_of_stacks(factors, C.partition, shift))
        scale = dict.fromkeys(C.partition, 1.0)
        if self._calibrates(factors):
            for name, block in C.partition.items():
                g_b = g[block.index]
                z = K.block(block) @ g_b
                scale[name] = _exact_length(C.block(name), shift[name], g_b, z)
        return {"A": K.A, "S": K.S, "scale": scale}

    def _calibrates(self, factors: KroneckerFactors) -> bool:
        if self.calibrate is not None:
            return self.calibrate
        return any(stack.positions > 1 for stack in factors.stacks.values())


def _exact_length(C_b: Any, shift: float, g_b: Array, z: Array) -> float:
    """Return c that minimises -c g'z + c^2 / 2 z'(C_b + shift I)z; 1 where it has no minimum."""
    xp = array_module(z)
    bend, slope = floats(C_b.quadratic_form(z) + shift * xp.vdot(z, z), xp.vdot(g_b, z))
    c = slope / bend if bend > 0 else 1.0
    return c if 0 < c < math.inf else 1.0


def _shift_of_stacks(
    factors: KroneckerFactors, partition: Partition, shift: Mapping[str, float]
) -> dict[str, float]:
    """Return, for each stack, the largest shift of the blocks that hold any of its parameters."""
    largest: dict[str, float] = {}
    for name, block in partition.items():
        for piece in block.pieces:
            largest[piece.name] = max(shift[name], largest.get(piece.name, 0.0))
    return {
        key: max(largest[name] for name in stack.names) for key, stack in factors.stacks.items()
    }


def _diagonals(
    squares: Array, partition: Partition, shift: Mapping[str, float], exponent: float
) -> dict[str, Diagonal]:
    """Return the inverse of (squares + shift)^exponent for each block."""
    xp = array_module(squares)
    # A parameter that no case touches has shift 0 + square 0 and must not divide by zero.
    floor = float(xp.finfo(squares.dtype).tiny) ** (1 / 2)
    return {
        name: Diagonal(xp.maximum(squares[block.index] + shift[name], floor) ** exponent)
        for name, block in partition.items()
    }


def mean_squared_gradients(lin: Linearization, loss: Any, y: Any) -> Params:
    """Return, entry by entry, the mean over cases of the squared gradient of a case's loss."""
    return mean_squares(lin, len(lin.output) * loss.grad(lin.output, y))


def mean_squares(lin: Linearization, u: Array) -> Params:
    """Return, entry by entry, the mean over cases of (J_n' u_n)^2, for u of the output's shape.

    A case's J_n' u_n is summed over positions and uses of the weight before it is squared. For one
    use and one position this is one matrix product per weight: sum over n of (a_n s_n')^2 =
    (a^2)' (s^2). Parameters with a use in an op without `factors`, or where the
    cases are no longer the first axis, get 1, with a warning.
    """
    N = len(lin.output)
    xp = array_module(lin.params.vector)
    squares = lin.params.with_vector(xp.ones_like(lin.params.vector))
    uses = lin.factors(u)
    seen = [name for name in lin.params.names if not lin.graph.count_uses(name)]
    for name in seen:
        squares[name] = 0
    for weights in dict.fromkeys(use.weights for use in uses):
        group = [use for use in uses if use.weights == weights]
        by_case = all(len(use.a) == N for use in group)
        if by_case and all(lin.graph.count_uses(name) == len(group) for name in weights):
            a = xp.concatenate([use.a for use in group], axis=1)               # (N, P, D)
            s = xp.concatenate([use.s for use in group], axis=1)               # (N, P, M)
            for name, part in zip(weights, group[0].split(_squared_products(a, s)), strict=True):
                squares[name] = part / N
            seen += weights
    for bias in dict.fromkeys(use.bias for use in uses if use.bias is not None):
        group = [use for use in uses if use.bias == bias]
        if lin.graph.count_uses(bias) == len(group) and all(len(use.s) == N for use in group):
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
