"""Pooling: one number for each window of each channel. Nothing here has weights, or any curvature.

x is (N, C, H, W). Windows of KH x KW pixels begin every s pixels; those that would stick out are
left away (no padding, floor), so that OH = (H - KH) // s + 1. Windows may overlap.

    maximum   y[n,c,i,j] = x at the window's largest pixel m                               (1)
              R{y} = R{x} at m,  x: u goes to m,  R{x:}: R{u} goes to m                    (2)
    average   y[n,c,i,j] = mean of x over the window                                       (3)
              R{y} = mean of R{x},  x: u / (KH KW) to each pixel,  R{x:}: R{u} likewise    (4)

The maximum is piecewise linear. On a kink, where several pixels are the largest, the first of them
in reading order is m: a subgradient. NaN counts as the largest, wherever it is in the window, so
that it shows in the output.

The k-th pixel of all windows at once is a strided slice of x. So every rule is a loop over the
KH KW pixels of a window, with whole arrays inside. Called by `minihf.layers.MaxPool2d` and friends.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from minihf.backend import Array, add_into, array_module
from minihf.op import LinearOp, Op
from minihf.ops.windows import Pair, pair

__all__ = ["avg_pool2d", "global_avg_pool2d", "max_pool2d", "pool2d_fault"]


@dataclass(frozen=True)
class Pool:
    """Which windows: what the two pooling ops share."""

    kernel: Pair = (2, 2)
    stride: Pair = (2, 2)

    def check(self, name: str, shape: Sequence[int]) -> None:
        """Refuse an x that has no such window."""
        fault = pool2d_fault(shape, self.kernel, self.stride)
        if fault:
            raise ValueError(f"{name}: {fault}")

    def pixels(self, x: Array) -> Iterator[Array]:
        """Yield, for each pixel of a window, that pixel of all windows: a view (N, C, OH, OW)."""
        (KH, KW), (sh, sw) = self.kernel, self.stride
        OH, OW = (x.shape[2] - KH) // sh + 1, (x.shape[3] - KW) // sw + 1
        for k in range(KH):
            for m in range(KW):
                yield x[:, :, k : k + sh * OH : sh, m : m + sw * OW : sw]


class MaxPool2dOp(Pool, Op):
    """y = x at the largest pixel m of the window."""

    def forward(self, x: Array) -> tuple[Array, Any]:
        self.check("max_pool2d", x.shape)
        first, *others = self.pixels(x)
        y = first.copy(order="K")
        for pixel in others:
            larger = ~(pixel.real <= y.real) & (y.real == y.real)         # NaN is the largest
            y = array_module(x).where(larger, pixel, y)
        m, taken = [], array_module(x).zeros_like(y, dtype=bool)
        for pixel in self.pixels(x):
            largest = (pixel.real == y.real) | (pixel.real != pixel.real)
            here = largest & ~taken                                         # the first of equals
            m.append(here)
            taken |= here
        return y, (m, x.shape)

    def rop(self, residuals: Any, *Rinputs: Any) -> Array:
        """R{y} = R{x} at m."""
        m, _ = residuals
        (Rx,) = Rinputs
        Ry: Any = None
        for here, pixel in zip(m, self.pixels(Rx), strict=True):
            Ry = add_into(Ry, here * pixel)
        return Ry

    def vjp(self, residuals: Any, u: Array, needs: Sequence[bool]) -> tuple[Array | None, ...]:
        """x: u goes to m."""
        m, shape = residuals
        c = _zeros(shape, u)
        for here, pixel in zip(m, self.pixels(c), strict=True):
            pixel += here * u
        return (c,)

    def rvjp(
        self,
        residuals: Any,
        Rinputs: Sequence[Array | None],
        u: Array,
        Ru: Array | None,
        needs: Sequence[bool],
    ) -> tuple[Array | None, ...]:
        """R{x:} = R{u} goes to m, which does not move."""
        return (None,) if Ru is None else self.vjp(residuals, Ru, needs)


class AvgPool2dOp(Pool, LinearOp):
    """y = mean of x over the window."""

    def forward(self, x: Array) -> tuple[Array, Any]:
        self.check("avg_pool2d", x.shape)
        return self.rop(None, x), x.shape

    def rop(self, residuals: Any, *Rinputs: Any) -> Array:
        """R{y} = mean of R{x}."""
        (Rx,) = Rinputs
        first, *others = self.pixels(Rx)
        Ry = first.copy(order="K")
        for pixel in others:
            Ry += pixel
        return Ry * (1 / (self.kernel[0] * self.kernel[1]))

    def vjp(self, residuals: Any, u: Array, needs: Sequence[bool]) -> tuple[Array | None, ...]:
        """x: u / (KH KW) to each pixel of the window."""
        c = _zeros(residuals, u)
        share = u * (1 / (self.kernel[0] * self.kernel[1]))
        for pixel in self.pixels(c):
            pixel += share
        return (c,)


class GlobalAvgPool2dOp(LinearOp):
    """y = mean of x over all pixels: (N, C)."""

    def forward(self, x: Array) -> tuple[Array, Any]:
        if len(x.shape) != 4:
            raise ValueError(f"global_avg_pool2d: {_not_images(x.shape)}")
        return self.rop(None, x), x.shape

    def rop(self, residuals: Any, *Rinputs: Any) -> Array:
        (Rx,) = Rinputs
        return Rx.sum(axis=(2, 3)) * (1 / (Rx.shape[2] * Rx.shape[3]))

    def vjp(self, residuals: Any, u: Array, needs: Sequence[bool]) -> tuple[Array | None, ...]:
        """x: u / (H W) to each pixel."""
        share = u * (1 / (residuals[2] * residuals[3]))
        return (array_module(u).broadcast_to(share[:, :, None, None], residuals),)


def pool2d_fault(x_shape: Sequence[int], kernel: Pair, stride: Pair) -> str | None:
    """Say what does not fit in a pooling of these shapes, or None."""
    x_shape = tuple(x_shape)
    if len(x_shape) != 4:
        return _not_images(x_shape)
    if min(kernel) < 1 or min(stride) < 1:
        return f"kernel {kernel} and stride {stride} must be 1 or more"
    if any(k > length for k, length in zip(kernel, x_shape[2:], strict=True)):
        return (
            f"the kernel {kernel} is larger than the image {x_shape[2:]}: x has shape {x_shape}, "
            f"and pooling does not pad"
        )
    return None


def _not_images(shape: Sequence[int]) -> str:
    return f"x has shape {tuple(shape)}, expected images (N, C, H, W)"


def _zeros(shape: Sequence[int], like: Array) -> Array:
    """Return zeros (N, C, H, W) with channels last in memory, as convolution wants its images."""
    N, C, H, W = shape
    return array_module(like).zeros((N, H, W, C), dtype=like.dtype).transpose(0, 3, 1, 2)


# Public names -------------------------------------------------------------------------------


def max_pool2d(x: Any, kernel_size: Any, stride: Any = None) -> Any:
    """Take the largest pixel of each window; among equals the first, in reading order.

    Parameters
    ----------
    x : array, shape (N, C, H, W)
    kernel_size, stride : int or pair of int
        Without `stride`, the windows lie side by side.

    Returns
    -------
    array, shape (N, C, (H - KH) // stride + 1, (W - KW) // stride + 1)

    Examples
    --------
    >>> import numpy as np
    >>> max_pool2d(np.arange(16.0).reshape(1, 1, 4, 4), 2)[0, 0]
    array([[ 5.,  7.],
           [13., 15.]])
    """
    return MaxPool2dOp(pair(kernel_size), pair(kernel_size if stride is None else stride))(x)


def avg_pool2d(x: Any, kernel_size: Any, stride: Any = None) -> Any:
    """Average each window; parameters and shape as in `max_pool2d`.

    Examples
    --------
    >>> import numpy as np
    >>> avg_pool2d(np.arange(16.0).reshape(1, 1, 4, 4), 2)[0, 0]
    array([[ 2.5,  4.5],
           [10.5, 12.5]])
    """
    return AvgPool2dOp(pair(kernel_size), pair(kernel_size if stride is None else stride))(x)


_global_avg_pool2d = GlobalAvgPool2dOp()


def global_avg_pool2d(x: Any) -> Any:
    """Average each channel over all its pixels: (N, C, H, W) to (N, C)."""
    return _global_avg_pool2d(x)
