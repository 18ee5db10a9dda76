"""A fully connected network, read back from its tape in the notation of papers about it.

    z_t = h_{t-1} W_t + b_t,     h_t = phi_t(z_t),     t = 1, ..., L

Layer by layer there are the matrices of all cases: the inputs h_{t-1} (N, D), the slopes phi' and
the bends phi'' at z_t (N, M), and the weights. What is written in the code of a network (layers, a
function, a reshape in between) makes no difference; a network of another kind is refused, and the
op that is to blame is named. Called by `minihf.curvature.pch`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from minihf.backend import Array, add_gemm, add_into, array_module, gemm
from minihf.ops.dense import DenseOp
from minihf.ops.elementwise import Unary
from minihf.ops.shape import Reshape
from minihf.partition import Piece
from minihf.recording import Node
from minihf.tape import Linearization

__all__ = ["DenseLayer", "layers_of"]


@dataclass(frozen=True)
class DenseLayer:
    """One z = h W + b and the activation after it, on all cases.

    Attributes
    ----------
    weight, bias : str
        Names of the parameters; the bias may be None.
    h : array, shape (N, D)
    W : array, shape (D, M)
    slope, bend : array, shape (N, M)
        phi' and phi'' at z: ones and zeros where no activation follows.
    """

    weight: str
    bias: str | None
    h: Array
    W: Array
    slope: Array
    bend: Array

    def tangent(
        self, pieces: Mapping[str, Piece], v: Array, Rh: Array | None = None
    ) -> Array | None:
        """Return R{z} = R{h} W + h R{W} + R{b} for the pieces of a block's vector v; None is 0."""
        weight, bias = pieces.get(self.weight), pieces.get(self.bias or "")
        Rz = None if Rh is None else gemm(Rh, self.W)
        if weight is not None:
            Rz = add_gemm(Rz, self.h, weight.spread(v))
        if bias is not None:
            shape = (len(self.h), self.W.shape[1])
            Rz = add_into(Rz, array_module(v).broadcast_to(bias.spread(v), shape))
        return Rz

    def gradient(self, pieces: Mapping[str, Piece], s: Array, out: Array) -> None:
        """Write h's and the sum of s, for s (N, M) a cotangent of z, to their places in `out`."""
        weight, bias = pieces.get(self.weight), pieces.get(self.bias or "")
        if weight is not None:
            out[weight.within] = weight.gather(gemm(self.h.T, s))
        if bias is not None:
            out[bias.within] = bias.gather(s.sum(axis=0))

    def then(self, slope: Array, bend: Any) -> DenseLayer:
        """Put another function after the activation: (f o phi)'' = f'' phi'^2 + f' phi''."""
        bend = bend * self.slope * self.slope + slope * self.bend
        return replace(self, slope=slope * self.slope, bend=bend)


def layers_of(lin: Linearization) -> list[DenseLayer]:
    """Return the layers from input to output.

    Raises
    ------
    ValueError
        If the network is no chain of dense ops, functions of one variable and reshapes, each
        parameter used once.

    Examples
    --------
    >>> import numpy as np, minihf as hf
    >>> net = hf.Sequential(hf.Dense(4, 3), hf.Tanh(), hf.Dense(3, 2))
    >>> layers = layers_of(hf.linearize(net, net.init(0), np.ones((5, 4), np.float32)))
    >>> [(layer.weight, layer.slope.shape) for layer in layers]
    [('0.W', (5, 3)), ('2.W', (5, 2))]
    """
    layers: list[DenseLayer] = []
    for node, names in lin.graph.nodes():
        problem = _problem(lin, node, names)
        if problem:
            raise ValueError(
                f"a fully connected network was expected (hf.Dense and activations, one after "
                f"another), but its op {_described(node, names, layers)} {problem}; for other "
                "networks take curvature=hf.GGN, or hf.papers.zhang2017"
            )
        if isinstance(node.op, DenseOp):
            _, weight, bias = names
            h, W = node.residuals
            ones = array_module(W).ones((len(h), W.shape[1]), dtype=lin.output.dtype)
            layers.append(DenseLayer(str(weight), bias, h, W, ones, 0 * ones))
        elif isinstance(node.op, Unary):
            layers[-1] = layers[-1].then(*_slope_and_bend(node, layers[-1].slope))
    if not layers:
        raise ValueError("a fully connected network was expected, and this one has no dense op")
    return layers


def _slope_and_bend(node: Node, like: Array) -> tuple[Array, Any]:
    slope, bend = node.residuals[0], node.op.bend(node.residuals)
    if hasattr(bend, "shape"):                                         # else a number, or None
        bend = bend.reshape(like.shape)
    return slope.reshape(like.shape), 0 if bend is None else bend


def _problem(lin: Linearization, node: Node, names: Sequence[str | None]) -> str:
    """Say what keeps a node from being a link of the chain; nothing does: an empty string.

    Links have one input that is computed, so nodes that all are links cannot branch and meet.
    """
    if not isinstance(node.op, DenseOp | Unary | Reshape):
        return "is none of these"
    if names[0] is not None:
        return "takes a parameter as its input"
    if isinstance(node.op, Unary):
        return ""
    if isinstance(node.op, Reshape):
        before, after = node.residuals
        return "" if before[0] == after[0] == len(lin.output) else "moves entries between cases"
    if names[1] is None or (node.inputs[2] is not None and names[2] is None):
        return "has weights that are no parameters themselves"
    if node.residuals[0].ndim != 2:
        return "uses its weights at several positions of a case"
    shared = [name for name in names if name is not None and lin.graph.count_uses(name) > 1]
    return f"shares {shared[0]!r} with another use" if shared else ""


def _described(node: Node, names: Sequence[str | None], layers: Sequence[DenseLayer]) -> str:
    own = " and ".join(repr(name) for name in names if name is not None)
    where = f" of {own}" if own else f" after that of {layers[-1].weight!r}" if layers else ""
    return f"{type(node.op).__name__}{where}"
