"""The engine: record a forward pass once, then push tangents and pull cotangents through it.

Running a network on traced values writes a list of nodes (`minihf.recording`), each an op with the
residuals that its linear rules need (`minihf.op`). That list is a `Linearization`, and every
product with a derivative is a walk along it:

    jvp   walks forward with `rop`:      R{output} = J v
    vjp   walks backward with `vjp`:     J' u
    hvp   walks forward with `rop`, then backward with `rvjp`: Pearlmutter's R applied to
          back-propagation, R{J' u} = J' R{u} + R{J'} u

Nothing of the forward pass is ever computed again. A zero tangent is None and costs nothing. A
product that is restricted to a block of parameters walks only along the nodes that can be reached
from those parameters.

B. A. Pearlmutter, "Fast exact multiplication by the Hessian", Neural Computation 6 (1994).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from minihf.backend import Array, array_module, described, read_only
from minihf.graph import Graph
from minihf.params import Params, Scope
from minihf.partition import Block
from minihf.recording import Node, Tape, Traced
from minihf.walk import Stretch

__all__ = ["Factors", "Linearization", "linearize"]


@dataclass(frozen=True)
class Factors:
    """One use of an op's weights: a case's gradient in them is the sum over p of a[n, p] s[n, p]'.

    Attributes
    ----------
    weights : tuple of str
        The parameters that, stacked, have this gradient of shape (D, M).
    bias : str or None
        The parameter whose gradient is the sum of s.
    a, s : array, shape (N, P, D) and (N, P, M)
        For P positions: time steps, pixels, or 1.
    split, join : callable
        Cut a matrix (D, M) into arrays in the weights' own shapes, and stack such arrays to it.
    """

    weights: tuple[str, ...]
    bias: str | None
    a: Array
    s: Array
    split: Callable[[Array], tuple[Array, ...]]
    join: Callable[[Sequence[Array]], Array]


class Linearization:
    """A network at one point, ready to be multiplied with: what `linearize` returns.

    Attributes
    ----------
    output : array, shape (N, ...)
        The network's value. It is the engine's own, and on NumPy refuses to be written into.
    taps : dict of str to array
        The hidden values that the network marked with `tap`; likewise.
    params : Params
        A copy of the parameters it was made at, not to be written into either.
    graph : Graph
        What depends on what.
    """

    def __init__(
        self, params: Params, tape: Tape, leaves: Mapping[str, Traced], output: Any
    ) -> None:
        self.params = params
        self.taps = {name: read_only(traced.value) for name, traced in tape.taps.items()}
        self._leaves = {name: traced.index for name, traced in leaves.items()}
        self._tapped = {name: traced.index for name, traced in tape.taps.items()}
        end = output.index if isinstance(output, Traced) else -1
        self.graph = Graph(tape.nodes, self._leaves, end, self._tapped.values())
        self.output = read_only(output.value if isinstance(output, Traced) else output)
        self._xp = array_module(params.vector)
        self._whole = Block.whole(params)

    # Public products

    def jvp(self, v: Array, block: Block | None = None, taps: bool = False) -> Any:
        """Push a tangent forward: R{output} = J v.

        Parameters
        ----------
        v : array, shape (n,), or (block.size,) with a block
            The tangent of the parameters; with a block, all others have none.
        block : Block, optional
            ``partition[name]``; only nodes that depend on it are touched.
        taps : bool
            Also return the R-values of the taps, by name.

        Returns
        -------
        array, shape of the output; with `taps`, a pair of it and a dict
        """
        block = self._own(block)
        self._must_fit("jvp", v, (block.size,), _per_parameter(block))
        R = self.graph.stretch(block.names).push(self._spread(block, v))
        dtype = self._xp.result_type(v.dtype, self.output.dtype)

        def at(index: int, like: Array) -> Array:
            return _fresh(R[index]) if index in R else self._xp.zeros(like.shape, dtype=dtype)

        Routput = at(self.graph.end, self.output)
        if not taps:
            return Routput
        own = {name: at(i, self.taps[name]).copy() for name, i in self._tapped.items()}
        return Routput, own  # copies, as two taps, or a tap and the output, may be one value

    def vjp(
        self,
        u: Array | None,
        block: Block | None = None,
        taps: Mapping[str, Array] | None = None,
    ) -> Array:
        """Pull a cotangent back: J' u, flat.

        Parameters
        ----------
        u : array, shape of the output, or None for zero
            The cotangent of the output.
        block : Block, optional
            Only this block's part is computed and returned.
        taps : dict of str to array, optional
            Further cotangents, for the values marked with `tap`.

        Returns
        -------
        array, shape (n,), or (block.size,) with a block
        """
        block = self._own(block)
        dtype = self.params.dtype if u is None else u.dtype
        way = self.graph.stretch(block.names)
        return self._pulled(way, self._seed("vjp", u, taps or {}), block, dtype)

    def jvp_to(self, boundary: Node, v: Array, block: Block) -> Array:
        """Push a block's tangent forward as far as the output of a node, and no farther."""
        R = self.graph.stretch(block.names, boundary.output).push(self._spread(block, v))
        return R[boundary.output]

    def vjp_from(self, boundary: Node, u: Array, block: Block) -> Array:
        """Pull a cotangent back from the output of a node to a block: what `jvp_to` undoes."""
        way = self.graph.stretch(block.names, boundary.output)
        return self._pulled(way, {boundary.output: u}, block, u.dtype)

    def hvp(self, v: Array, loss: Any, y: Any, block: Block | None = None) -> Array:
        """Multiply with the exact Hessian of ``loss.value(output, y)`` in the parameters.

        Every call makes the primal backward pass anew; `minihf.Hessian` keeps it.

        Returns
        -------
        array, shape (n,), or (block.size,) with a block
        """
        cotangents = self.backward(loss.grad(self.output, y))
        return self.rvjp(v, cotangents, loss.hessian(self.output, y), block)

    def rvjp(
        self,
        v: Array,
        cotangents: Mapping[int, Array],
        H_L: Callable[[Array], Array],
        block: Block | None = None,
    ) -> Array:
        """Apply R to back-propagation: R{J' u} = J' R{u} + R{J'} u, along the tangent `v`.

        Forward with the R-operator, through the loss, R{u} = H_L R{output}, and backward.

        Parameters
        ----------
        v : array, shape (n,), or (block.size,) with a block
        cotangents : dict
            u of every value on the tape: what `backward` gave for the loss's gradient.
        H_L : callable
            The loss's Hessian in the output: ``loss.hessian(output, y)``.
        block : Block, optional

        Returns
        -------
        array, shape (n,), or (block.size,) with a block
        """
        block = self._own(block)
        self._must_fit("hvp", v, (block.size,), _per_parameter(block))
        stretch = self.graph.stretch(block.names)
        R = stretch.push(self._spread(block, v), keep=True)
        RU = {self.graph.end: H_L(R[self.graph.end])} if self.graph.end in R else {}
        RU = stretch.rpull(RU, R, cotangents)
        return self._gather(block, RU, self._empty(block, v.dtype))

    def backward(
        self,
        u: Array,
        taps: Mapping[str, Array] | None = None,
        names: Iterable[str] | None = None,
    ) -> dict[int, Array]:
        """Back-propagate and keep the cotangent of every op's output, by its index.

        Those of the parameters are not computed: half the products of a `vjp`. With `names` the
        walk ends at the ops that take these parameters.
        """
        kept: dict[int, Array] = {}
        way = self.graph.stretch(self.params.names if names is None else names)
        way.pull(self._seed("backward", u, taps or {}), kept)
        return kept

    def factors(self, u: Array) -> list[Factors]:
        """Return the rows (a, s) of each weight-bearing op, for the output cotangent `u`.

        Only uses in which every weight is a parameter itself, not a value computed from some.
        """
        kept, found = self.backward(u), []
        for node, weights, bias in self.graph.uses():
            if node.output in kept:
                a, s = node.op.factors(node.residuals, kept[node.output])
                split, join = (partial(f, node.residuals) for f in (node.op.split, node.op.join))
                found.append(Factors(weights, bias, a, s, split, join))
        return found

    # From blocks to values, and back

    def _spread(self, block: Block, v: Array) -> dict[int, Array]:
        return {self._leaves[piece.name]: piece.spread(v) for piece in block.pieces}

    def _pulled(self, way: Stretch, U: dict[int, Array], block: Block, dtype: Any) -> Array:
        flat = self._empty(block, dtype)
        into = self._single_uses(block, flat) if flat.dtype == self.params.dtype else {}
        return self._gather(block, way.pull(U, into=into), flat)

    def _empty(self, block: Block, dtype: Any) -> Array:
        return self._xp.empty(block.size, dtype=self._xp.result_type(dtype, self.params.dtype))

    def _single_uses(self, block: Block, flat: Array) -> dict[int, Array]:
        """Return, for parameters with one use, where in `flat` their cotangent belongs.

        An op that writes it there saves the copy of `_gather`: 2 % of a product on the deep
        autoencoder.
        """
        return {
            self._leaves[piece.name]: piece.spread(flat)
            for piece in block.pieces
            if piece.entries is None and self.graph.count_uses(piece.name) == 1
        }

    def _gather(self, block: Block, U: Mapping[int, Array], flat: Array) -> Array:
        """Write the cotangents of the leaves into one flat vector, zero where there is none."""
        for piece in block.pieces:
            cotangent = U.get(self._leaves[piece.name])
            if cotangent is None:
                flat[piece.within] = 0
            elif cotangent.base is not flat:
                flat[piece.within] = piece.gather(cotangent)
        return flat

    # Finding the way

    def _own(self, block: Block | None) -> Block:
        """Return the block, or the whole vector for None; refuse one of other parameters."""
        if block is None:
            return self._whole
        if not isinstance(block, Block):
            raise TypeError(f"block is {block!r}, expected one of a partition: partition[name]")
        for piece in block.pieces:
            slot = self.params.layout.get(piece.name)
            if slot is None or slot.shape != piece.shape:
                raise ValueError(
                    f"{block!r} has a parameter {piece.name!r} of shape {piece.shape}, "
                    f"this network has not; make the partition of its own parameters"
                )
        return block

    # Checks

    def _seed(self, product: str, u: Array | None, taps: Mapping[str, Array]) -> dict[int, Array]:
        U: dict[int, Array] = {}
        if u is not None:
            self._must_fit(product, u, self.output.shape, "the shape of the output")
            U[self.graph.end] = u
        for name, cotangent in taps.items():
            if name not in self._tapped:
                raise KeyError(f"no tap {name!r}; there are: {', '.join(self._tapped) or 'none'}")
            shape = self.taps[name].shape
            self._must_fit(f"{product}, tap {name!r}", cotangent, shape, "its shape")
            index = self._tapped[name]
            U[index] = U[index] + cotangent if index in U else cotangent
        return U

    def _must_fit(self, product: str, x: Array, shape: tuple[int, ...], meaning: str) -> None:
        if array_module(x) is not self._xp or not hasattr(x, "shape"):
            raise TypeError(
                f"{product}: got {type(x).__name__}, the parameters are "
                f"{type(self.params.vector).__name__}; bring it there with minihf.asarray"
            )
        if tuple(x.shape) != tuple(shape):
            raise ValueError(
                f"{product}: got shape {tuple(x.shape)}, expected {tuple(shape)}, {meaning}"
            )

    def __repr__(self) -> str:
        return f"Linearization({self.params.size} parameters -> {tuple(self.output.shape)})"


def linearize(
    net: Callable[..., Any], params: Params, x: Any, noise: Mapping[str, Array] | None = None
) -> Linearization:
    """Run ``net(params, x)`` once and keep what every derivative product needs.

    Parameters
    ----------
    net : callable of (params, x)
        A layer, or any function built from `minihf.ops` and the operators ``+ - * / @ []``.
    params : Params
        Where to linearize. The vector is copied: writing into `params` later changes nothing.
    x : array of shape (N, ...), or a tuple of arrays
        The batch; a constant. It is kept, not copied: do not write into it meanwhile.
    noise : dict of str to array, shape (N, ...), optional
        From ``net.draw(rng, N)``, a constant likewise; without it, noise layers do nothing.

    Returns
    -------
    Linearization
        With ``.output``, ``.jvp``, ``.vjp`` and ``.hvp``.

    Notes
    -----
    It holds the activations and the derivative factors once; products add nothing that stays.

    Examples
    --------
    >>> import numpy as np, minihf as hf
    >>> params = hf.Params.from_dict({"w": np.array([3.0])})
    >>> lin = hf.linearize(lambda params, x: params["w"] ** 2 * x, params, np.array([10.0]))
    >>> lin.output, lin.jvp(np.array([1.0])), lin.vjp(np.array([1.0]))
    (array([90.]), array([60.]), array([60.]))
    """
    params = params.with_vector(read_only(params.vector.copy()))
    tape = Tape()
    leaves = {name: tape.value(params[name]) for name in params.names}
    output = net(Scope(leaves, noise=noise), x)
    if not hasattr(output, "shape"):
        fault = f"the network gave {described(output)}, expected one array (N, ...)"
        if isinstance(output, tuple):
            fault += "; a sequence with its lengths ends with LastStep()"
        raise TypeError(fault)
    return Linearization(params, tape, leaves, output)


def _per_parameter(block: Block) -> str:
    return f"one number per parameter of block {block.name!r}"


def _fresh(x: Array) -> Array:
    """Return `x`, or a copy of it if it is a view of something else."""
    return x if x.base is None else x.copy()
