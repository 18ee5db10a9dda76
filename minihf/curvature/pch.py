"""The positive-curvature Hessian (PCH) of fully connected networks, layer by layer.

Of one case's loss, the exact Hessian in one layer's parameters follows a recursion over the
pre-activations z_t = h_{t-1} W_t + b_t, h_t = phi(z_t), with u_t the gradient in h_t:

    H_z(t) = diag(phi') W_{t+1} H_z(t+1) W_{t+1}' diag(phi') + diag(mod(phi'' u_t))      (1)
    Hessian in W_t = (h_{t-1} h_{t-1}') (x) H_z(t)  in C order,     in b_t = H_z(t)      (2)

and at the top the loss's Hessian in the output stands for W H W'. Only two things can make it
indefinite: the numbers phi'' u and, where the loss is not convex, that beginning. `mod` says what
becomes of the numbers, and of the beginning's eigenvalues:

    identity    nothing: the diagonal blocks of the exact Hessian
    abs         absolute values: PCH-Abs
    clip        max(., 0): PCH-Clip
    zero        the numbers are left out, the beginning is not: the blocks of Gauss-Newton

In the order of quadratic forms abs >= clip >= identity and, for a convex loss, clip >= zero. Where
phi is piecewise linear, as a ReLU is, all modes are one.

`PCH` is the mean of (2) over cases and writes no matrix down. `AveragedPCH` writes one down for
each layer, an average, and from then on its products do not touch the cases at all.

S.-W. Chen, C.-N. Chou & E. Y. Chang, "EA-CG: an approximate second-order method for training
fully-connected neural networks", AAAI 2019 (arXiv 1802.06502). Called by `minihf.HessianFree`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from minihf.backend import Array, array_module, gemm
from minihf.curvature.fully_connected import DenseLayer, layers_of
from minihf.curvature.operator import CurvatureOperator
from minihf.partition import Block
from minihf.tape import Linearization

__all__ = ["MODES", "PCH", "AveragedPCH"]

MODES: Mapping[str, Callable[[Array], Array]] = {
    "identity": lambda numbers: numbers,
    "abs": abs,
    "clip": lambda numbers: array_module(numbers).maximum(numbers, 0),
    "zero": lambda numbers: array_module(numbers).zeros_like(numbers),
}
"""mod, by its name."""


class PCH(CurvatureOperator):
    """The mean over cases of each layer's positive-curvature Hessian.

    Parameters
    ----------
    lin : Linearization
        Of a fully connected network: dense layers and activations, one after another.
    loss, y, partition
        As for `GGN`.
    mode : "abs", "clip", "identity" or "zero"

    Raises
    ------
    ValueError
        If the network is of another kind, with the op that is to blame; for an unknown mode.

    Notes
    -----
    A product costs what one with `GGN` costs. A block that holds several layers has (2) on its
    diagonal; off it are Gauss-Newton and what the numbers phi'' u add to it, so that in the modes
    abs and clip all of it stays positive semi-definite.

    A loss with a `root` is convex. The Hessian of any other in the output, (N, M, M), is written
    down in the modes abs and clip, for its eigenvalues.

    Examples
    --------
    >>> import numpy as np, minihf as hf
    >>> net = hf.Sequential(hf.Dense(4, 3), hf.Tanh(), hf.Dense(3, 2))
    >>> params, x, y = net.init(0, dtype=np.float64), np.eye(4), np.ones((4, 2))
    >>> lin = hf.linearize(net, params, x)
    >>> C = hf.PCH(lin, hf.SquaredError(), y, partition="param", mode="clip")
    >>> C.block("0.W").shape, bool(np.linalg.eigvalsh(C.to_dense())[0] > -1e-12)
    ((12, 12), True)
    """

    needs = ("hessian",)

    def __init__(
        self, lin: Linearization, loss: Any, y: Any, partition: Any = None, mode: str = "abs"
    ) -> None:
        super().__init__(lin, loss, y, partition)
        mod = _modifier(mode)
        self.layers = layers_of(lin)
        self._top = _top(loss, lin.output, y, mode)
        self._curvatures = [mod(numbers) for numbers in _curvatures(self.layers, loss, lin, y)]

    def product(self, v: Array, block: Block) -> Array:
        """Push R{z} up to the output, and pull H_z R{z}, made of it by (1), down again."""
        pieces = {piece.name: piece for piece in block.pieces}
        walked: list[tuple[DenseLayer, Array, Array]] = []
        Rh = None
        for layer, curvature in zip(self.layers, self._curvatures, strict=True):
            Rz = layer.tangent(pieces, v, Rh)
            if Rz is not None:
                walked.append((layer, curvature, Rz))
                Rh = layer.slope * Rz
        xp = array_module(v)
        out = xp.zeros(v.shape, dtype=xp.result_type(v.dtype, self.dtype))
        s = None if Rh is None else self._top(Rh)
        for layer, curvature, Rz in reversed(walked):
            s = layer.slope * s + curvature * Rz                                   # (1)
            layer.gradient(pieces, s, out)                                         # (2)
            if layer is not walked[0][0]:
                s = gemm(s, layer.W.T)
        return out


class AveragedPCH(CurvatureOperator):
    """The positive-curvature Hessian by expectations: one matrix a layer, whatever the batch.

    Averages over cases are passed down, and mod comes after averaging:

        H_z(t) = E[p p'] o (W_{t+1} H_z(t+1) W_{t+1}') + diag(mod(E[phi'' u_t]))      (3)
        Hessian in W_t = (E[h] E[h]') (x) H_z(t),     in b_t = H_z(t)                 (4)

    with p = phi'(z_t), and o the product entry by entry. For a single case it is `PCH`.

    Parameters
    ----------
    lin, loss, y, partition, mode
        As for `PCH`.

    Raises
    ------
    ValueError
        As for `PCH`.

    Notes
    -----
    Making it takes one backward pass, M products with the loss's Hessian for M outputs, and three
    matrix products for each layer. From then on a product with the block of a weight (D, M) takes
    2 D M + M^2 multiplications. W and b of one layer in one block are one matrix with the inputs
    [E[h], 1]; between layers there is nothing.

    Examples
    --------
    >>> import numpy as np, minihf as hf
    >>> from minihf.curvature import AveragedPCH
    >>> net = hf.Sequential(hf.Dense(4, 3), hf.Tanh(), hf.Dense(3, 2))
    >>> params, x, y = net.init(0, dtype=np.float64), np.eye(4)[:1], np.ones((1, 2))
    >>> lin = hf.linearize(net, params, x)
    >>> one, other = (C(lin, hf.SquaredError(), y, "param") for C in (hf.PCH, AveragedPCH))
    >>> bool(np.allclose(one.to_dense(), other.to_dense()))
    True
    """

    needs = ("hessian",)

    def __init__(
        self, lin: Linearization, loss: Any, y: Any, partition: Any = None, mode: str = "abs"
    ) -> None:
        super().__init__(lin, loss, y, partition)
        mod, xp = _modifier(mode), array_module(lin.output)
        layers = layers_of(lin)
        curvatures = _curvatures(layers, loss, lin, y)
        H = _averaged_top(loss, lin.output, y, mode)
        self.layers: list[tuple[DenseLayer, Array]] = []
        for layer, numbers in zip(reversed(layers), reversed(curvatures), strict=True):
            p, mean = layer.slope, layer.h.mean(axis=0, keepdims=True)
            H = gemm(p.T, p) / len(p) * H + xp.diag(mod(numbers.sum(axis=0)))      # (3)
            self.layers.append((replace(layer, h=mean), H))
            if layer is not layers[0]:
                H = gemm(gemm(layer.W, H), layer.W.T)

    def product(self, v: Array, block: Block) -> Array:
        """Return (4) on the layers of the block: h (h' V) H for a weight, v H for a bias."""
        pieces = {piece.name: piece for piece in block.pieces}
        xp = array_module(v)
        out = xp.zeros(v.shape, dtype=xp.result_type(v.dtype, self.dtype))
        for layer, H in self.layers:
            Rz = layer.tangent(pieces, v)                                          # (1, M)
            if Rz is not None:
                layer.gradient(pieces, gemm(Rz, H), out)
        return out


# What both begin with -----------------------------------------------------------------------


def _modifier(mode: str) -> Callable[[Array], Array]:
    if mode not in MODES:
        raise ValueError(f"PCH: unknown mode {mode!r}; choose one of {', '.join(MODES)}")
    return MODES[mode]


def _curvatures(
    layers: Sequence[DenseLayer], loss: Any, lin: Linearization, y: Any
) -> list[Array]:
    """Back-propagate u; return phi'' u (N, M) of each layer, with the 1/N of u."""
    found, u = [], loss.grad(lin.output, y).reshape(layers[-1].slope.shape)
    for layer in reversed(layers):
        found.append(layer.bend * u)
        if layer is not layers[0]:
            u = gemm(layer.slope * u, layer.W.T)
    return found[::-1]


def _top(loss: Any, z: Array, y: Any, mode: str) -> Callable[[Array], Array]:
    """Return the map R{h} -> H_L R{h}, each case's matrix made positive where it may not be."""
    H_L, flat = loss.hessian(z, y), (len(z), -1)
    if _stays(loss, mode):
        return lambda Rh: H_L(Rh.reshape(z.shape)).reshape(flat)
    H = _positive(array_module(z).stack(_columns(H_L, z), axis=2), mode)           # (N, M, M)
    return lambda Rh: gemm(H, Rh[..., None])[..., 0]


def _averaged_top(loss: Any, z: Array, y: Any, mode: str) -> Array:
    """Return the mean over cases of the output's Hessian (M, M), made positive likewise."""
    columns = [column.sum(axis=0) for column in _columns(loss.hessian(z, y), z)]
    H = array_module(z).stack(columns, axis=1)
    return H if _stays(loss, mode) else _positive(H, mode)


def _stays(loss: Any, mode: str) -> bool:
    """Tell whether the loss's Hessian stays: it has a root, or the mode does not care."""
    return mode in ("identity", "zero") or hasattr(loss, "root")


def _columns(H_L: Callable[[Array], Array], z: Array) -> list[Array]:
    """Return the columns of every case's Hessian, M arrays (N, M), with the 1/N."""
    xp, N = array_module(z), len(z)
    columns = []
    for j in range(z.size // N):
        e = xp.zeros((N, z.size // N), dtype=z.dtype)
        e[:, j] = 1
        columns.append(H_L(e.reshape(z.shape)).reshape(N, -1))
    return columns


def _positive(H: Array, mode: str) -> Array:
    """Apply the mode to the eigenvalues of H, or of each of a stack of matrices."""
    values, V = array_module(H).linalg.eigh(H)
    return gemm(V * MODES[mode](values)[..., None, :], V.swapaxes(-1, -2))
