"""Kronecker factors: each layer's Fisher block as A (x) S, whose inverse two small matrices give.

A case's gradient in a weight matrix is the sum over positions p of a_p s_p', with a the layer's
input (and a 1 for the bias) and s the cotangent of what it computes. With s drawn from the model's
own predictions, the mean of vec(a s') vec(a s')' is the layer's Fisher block, which for our losses
is its Gauss-Newton block. If a and s were independent, and positions of each other, it would be

    A (x) S,     A = mean over cases of the sum over positions of a a',
                 S = mean over cases and positions of s s'                                      (1)

    (A + pi sqrt(lam) I) (x) (S + sqrt(lam) / pi I),    pi^2 = (tr A / dim A) / (tr S / dim S)  (2)

    R  ->  (A + ...)^-1 R (S + ...)^-1      its inverse, on a matrix (D + 1, M) of parameters   (3)

For one case, one position and one layer (1) is exact. (2) is damping that keeps the product a
product: it adds lam I and two cross terms.

J. Martens & R. Grosse, "Optimizing neural networks with Kronecker-factored approximate curvature",
ICML 2015: sections 3, 5 (averages) and 6.3 (damping). For convolutions, where positions are pixels,
R. Grosse & J. Martens, ICML 2016. Called by `minihf.optim.preconditioners`.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from minihf.backend import Array, array_module, floats, gemm
from minihf.parallel import each
from minihf.partition import Block, Piece
from minihf.tape import Factors, Linearization

__all__ = ["KroneckerBlock", "KroneckerFactors", "Stack", "uses_of_weights"]


@dataclass(frozen=True)
class Stack:
    """Parameters that lie above each other in one matrix: weights (D, M) and, last, a bias (M,).

    A case uses them at so many `positions`: time steps, pixels, or 1.
    """

    weights: tuple[str, ...]
    bias: str | None
    split: Callable[[Array], tuple[Array, ...]]
    join: Callable[[Sequence[Array]], Array]
    positions: int = 1

    @property
    def names(self) -> tuple[str, ...]:
        """The parameters in the order of the rows."""
        return self.weights if self.bias is None else (*self.weights, self.bias)

    def matrix(self, arrays: Mapping[str, Array]) -> Array:
        """Stack the parameters, by name."""
        W = self.join([arrays[name] for name in self.weights])
        if self.bias is None:
            return W
        return array_module(W).concatenate([W, arrays[self.bias][None]])

    def arrays(self, matrix: Array) -> dict[str, Array]:
        """Undo `matrix`."""
        W = matrix if self.bias is None else matrix[:-1]
        arrays = dict(zip(self.weights, self.split(W), strict=True))
        return arrays if self.bias is None else {**arrays, self.bias: matrix[-1]}


@dataclass(frozen=True)
class KroneckerFactors:
    """A matrix that is A (x) S on each stack of parameters, and the identity on all others.

    It stands for curvature, or, made by `inverse`, for the inverse of damped curvature.

    Attributes
    ----------
    stacks : dict of str to Stack
        By the name of the first weight.
    A : dict of str to array, shape (D + 1, D + 1), or (D, D) without a bias
    S : dict of str to array, shape (M, M)

    Examples
    --------
    >>> import numpy as np, minihf as hf
    >>> net, loss, rng = hf.Dense(3, 2), hf.SquaredError(), np.random.default_rng(0)
    >>> params = net.init(0, dtype=np.float64)
    >>> lin = hf.linearize(net, params, rng.standard_normal((50, 3)))
    >>> factors = KroneckerFactors.sampled(lin, loss, None, rng)
    >>> factors.A["W"].shape, factors.S["W"].shape
    ((4, 4), (2, 2))
    >>> block = hf.Partition.of(params, "network")["network"]
    >>> (factors.inverse(0.1).block(block) @ np.ones(8)).shape
    (8,)
    """

    stacks: Mapping[str, Stack]
    A: Mapping[str, Array]
    S: Mapping[str, Array]

    @classmethod
    def sampled(
        cls, lin: Linearization, loss: Any, y: Any, rng: np.random.Generator
    ) -> KroneckerFactors:
        """Measure (1) on a batch, with one draw of output cotangents by `rng`.

        A weight that is used several times sums over its uses as over positions. A bias that other
        ops share, and parameters of ops without `factors`, get the identity, with a warning.

        Notes
        -----
        Cost: a backward pass without the parameters' cotangents, a'a and s's for every weight. `y`
        is looked at for its mask alone.
        """
        N = len(lin.output)
        stacks: dict[str, Stack] = {}
        A: dict[str, Array] = {}
        S: dict[str, Array] = {}
        seen = {name for name in lin.params.names if not lin.graph.count_uses(name)}
        for weights, uses in uses_of_weights(lin, loss.sample(lin.output, rng, y)).items():
            bias = uses[0].bias
            shared = any(use.bias != bias for use in uses)
            if bias is not None and (shared or lin.graph.count_uses(bias) != len(uses)):
                bias = None
            n_rows = sum(use.s.shape[0] * use.s.shape[1] for use in uses)
            split, join = uses[0].split, uses[0].join
            stacks[weights[0]] = stack = Stack(weights, bias, split, join, n_rows // N)
            A[weights[0]] = sum(_gram(use.a, bias is not None) for use in uses) / N
            S[weights[0]] = sum(_gram(use.s) for use in uses) / n_rows
            seen.update(stack.names)
        unseen = [name for name in lin.params.names if name not in seen]
        if unseen:
            warnings.warn(
                f"no Kronecker factors for {', '.join(unseen)}: the identity stands there",
                RuntimeWarning,
                stacklevel=2,
            )
        return cls(stacks, A, S)

    def averaged(self, older: KroneckerFactors, rho: float) -> KroneckerFactors:
        """Return rho times the older factors plus 1 - rho times these."""

        def mean(new: Mapping[str, Array], old: Mapping[str, Array]) -> dict[str, Array]:
            return {name: rho * old[name] + (1 - rho) * new[name] for name in new}

        return replace(self, A=mean(self.A, older.A), S=mean(self.S, older.S))

    @property
    def finite(self) -> bool:
        """Whether all entries are: the diagonals tell, by Cauchy and Schwarz."""
        return all(map(math.isfinite, self._traces().values()))

    def inverse(self, lam: float | Mapping[str, float]) -> KroneckerFactors:
        """Invert (2).

        Parameters
        ----------
        lam : float, or dict of str to float
            What is added to the curvature, in all or for each stack.

        Notes
        -----
        With L L' the damped factor, its inverse is computed as L^-T L^-1: symmetric and positive
        definite in floating point, too, as CG needs it. Where `lam` is zero, or too small for the
        dtype, the factors are damped by as much as rounding may have taken from their eigenvalues.
        """
        traces = self._traces()

        def inverses(name: str) -> tuple[Array, Array]:
            root = math.sqrt(lam if isinstance(lam, int | float) else lam[name])
            of_A, of_S = traces["A", name], traces["S", name]
            pi = _balance(of_A / len(self.A[name]), of_S / len(self.S[name]))
            A = _inverse(self.A[name], of_A, pi * root)
            return A, _inverse(self.S[name], of_S, root / pi)

        both = dict(zip(self.stacks, each(inverses, self.stacks), strict=True))
        return replace(
            self,
            A={name: A for name, (A, _) in both.items()},
            S={name: S for name, (_, S) in both.items()},
        )

    def _traces(self) -> dict[tuple[str, str], float]:
        """Bring down the trace of every factor, in one transfer."""
        factors = {
            (kind, name): factor
            for kind, of_stacks in (("A", self.A), ("S", self.S))
            for name, factor in of_stacks.items()
        }
        if not factors:
            return {}
        return dict(zip(factors, floats(*(f.trace() for f in factors.values())), strict=True))

    def block(self, block: Block, scale: float = 1.0) -> KroneckerBlock:
        """Return the part that belongs to a block, ``partition[name]``, times a number."""
        return KroneckerBlock(self, block, scale)


class KroneckerBlock:
    """scale P (A (x) S) P' for the coordinates P of a block: ``M @ r`` on the block's own vector.

    A block may hold several layers: A (x) S is block-diagonal in them. Of a layer that a block
    holds in part, the rest is taken as zero, and the operator is a principal submatrix, which is
    symmetric and positive definite as the whole is.
    """

    def __init__(self, factors: KroneckerFactors, block: Block, scale: float = 1.0) -> None:
        self.factors, self.of, self.shape = factors, block, (block.size, block.size)
        self.scale = scale
        pieces = {piece.name: piece for piece in block.pieces}
        self._parts: list[tuple[str, Stack, dict[str, Piece]]] = []
        for key, stack in factors.stacks.items():
            mine = {name: pieces[name] for name in stack.names if name in pieces}
            if mine:
                self._parts.append((key, stack, mine))

    def __matmul__(self, r: Array) -> Array:
        out = self.scale * r
        for key, stack, pieces in self._parts:
            A, S = self.factors.A[key], self.factors.S[key]
            arrays = {name: piece.spread(r) for name, piece in pieces.items()}
            if len(arrays) < len(stack.names):
                zeros = stack.arrays(array_module(r).zeros((len(A), len(S)), dtype=r.dtype))
                arrays = {**zeros, **arrays}
            product = gemm(gemm(A, stack.matrix(arrays)), S)                       # (3)
            for name, array in stack.arrays(product).items():
                if name in pieces:
                    out[pieces[name].within] = self.scale * pieces[name].gather(array)
        return out


def uses_of_weights(lin: Linearization, u: Array) -> dict[tuple[str, ...], list[Factors]]:
    """Group `lin.factors(u)` by weights; only weights all of whose uses give factors."""
    groups: dict[tuple[str, ...], list[Factors]] = {}
    for use in lin.factors(u):
        groups.setdefault(use.weights, []).append(use)
    return {
        weights: uses
        for weights, uses in groups.items()
        if all(lin.graph.count_uses(name) == len(uses) for name in weights)
    }


def _gram(x: Array, with_one: bool = False) -> Array:
    """Sum xx' over cases and positions, x (N, P, D); on request, of x with a 1 below: (D+1, D+1).

    BLAS forms X'X of one and the same X at half the cost of another product.
    """
    D = x.shape[-1]
    X = x.reshape(-1, D)
    if not with_one:
        return gemm(X.T, X)
    gram = array_module(x).empty((D + 1, D + 1), dtype=x.dtype)
    gram[:D, :D] = gemm(X.T, X)
    gram[D, :D] = gram[:D, D] = X.sum(axis=0)
    gram[D, D] = len(X)
    return gram


def _balance(of_A: float, of_S: float) -> float:
    """Return pi of (2), of the mean eigenvalues; 1 where a factor is zero and has no scale."""
    ratio = of_A / of_S if of_A > 0 and of_S > 0 else 1.0
    return math.sqrt(ratio) if 0 < ratio < math.inf else 1.0


def _inverse(factor: Array, trace: float, damping: float) -> Array:
    xp = array_module(factor)
    lost = 10 * float(xp.finfo(factor.dtype).eps) * trace
    ridge = max(damping, lost) or 1.0
    L = xp.linalg.cholesky(factor + ridge * xp.eye(len(factor), dtype=factor.dtype))
    L_inverse = _triangular_inverse(L)
    return gemm(L_inverse.T, L_inverse)


def _triangular_inverse(L: Array, base: int = 64) -> Array:
    """Invert a lower triangle by halves: [[P, 0], [Q, R]] to [[P^-1, 0], [-R^-1 Q P^-1, R^-1]].

    Nearly all of it is matrix products: six times as fast as a solve at 1000, and no array
    library's own routine is needed.
    """
    xp, n = array_module(L), len(L)
    if n <= base:
        return xp.tril(xp.linalg.inv(L))
    half = n // 2
    P, R = _triangular_inverse(L[:half, :half], base), _triangular_inverse(L[half:, half:], base)
    inverse = xp.zeros_like(L)
    inverse[:half, :half], inverse[half:, half:] = P, R
    inverse[half:, :half] = -gemm(gemm(R, L[half:, :half]), P)
    return inverse
