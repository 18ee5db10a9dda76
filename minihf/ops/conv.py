"""Convolution's mathematics: y = x ⋆ W + b over images, fused into one op.

x is (N, C, H, W), W is (F, C, KH, KW). With padding p and stride s along each image axis, zero
outside of the image, and ⋆ cross-correlation as everywhere in this field,

    y[n,f,i,j] = b[f] + sum over c,k,l of W[f,c,k,l] x[n,c, s i + k - p, s j + l - p]         (1)

This is linear in x and linear in W. Three maps come from that, and the four rules are sums of them:

    x ⋆ W       (1) without b
    u ⋆' W      its transpose in x:  [n,c,h,w] = sum of u[n,f,i,j] W[f,c,k,l] over f and all
                i, j, k, l with h = s i + k - p and w = s j + l - p                           (2)
    x ⋆'' u      its transpose in W:  [f,c,k,l] = sum of u[n,f,i,j] x[n,c, s i + k - p, ...]
                over n, i, j                                                                  (3)

    R{y}  = R{x} ⋆ W + x ⋆ R{W} + R{b}                                                        (4)
    x: u ⋆' W,   W: x ⋆'' u,   b: sum of u over n, i, j                                        (5)
    R{x:} = R{u} ⋆' W + u ⋆' R{W},   R{W:} = x ⋆'' R{u} + R{x} ⋆'' u,   R{b:} = sum of R{u}     (6)

**As matrix products.** Let a row of cols(x) hold the window of x that one output pixel looks at:
(N OH OW, KH KW C). With W as a matrix (KH KW C, F) and u with a row for each pixel, (N OH OW, F),
(1) is cols(x) W and (3) is cols(x)' u. For (2), take s = 1 first. A pixel h gets something from the
outputs i = h + p - k: it looks at a window of u, so (2) is cols(u) with a flipped kernel. For s > 1
write h = s q + a: the pixels of one phase a see the outputs i = q + d through the taps
k = a + p - s d. All phases together are one convolution of u with stride 1 and s s C filters (0
where there is no such tap), whose outputs are then interleaved. Nothing is ever scattered.

**What makes it fast.** cols(x) is KH KW / s^2 times the size of x. It is never there as a whole:
`minihf.ops.windows` makes it a chunk at a time. Images lie in memory with their channels last,
whatever their shape says, so that a row of a window is one contiguous piece, and results need no
rearrangement; functions of one variable keep that order. The two terms of (4), and those of R{x:}
in (6), are one product: [cols(R{x}) cols(x)] [W; R{W}].

Called by `minihf.layers.Conv2d`.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import product
from math import prod
from typing import Any, TypeAlias

from minihf.backend import Array, add_gemm, add_into, array_module, gemm
from minihf.op import Op
from minihf.ops.windows import Pair, Windows, channels_last, pair

__all__ = ["conv2d", "conv2d_fault"]

Term: TypeAlias = tuple[Any, Any]
Chunks: TypeAlias = Iterator[tuple[slice, Array]]


@dataclass(frozen=True)
class Conv2dOp(Op):
    """y = x ⋆ W + b."""

    stride: Pair = (1, 1)
    padding: Pair = (0, 0)

    def forward(self, x: Array, W: Array, b: Array | None = None) -> tuple[Array, Any]:
        fault = conv2d_fault(x.shape, W.shape, self.stride, self.padding)
        if fault:
            raise ValueError(f"conv2d: {fault}")
        if b is not None and b.shape != (len(W),):
            raise ValueError(f"conv2d: b has shape {b.shape}, expected ({len(W)},), one per filter")
        framed = self._windows(x.shape, W).framed(x)
        few_channels = W[0].size <= 2 * len(W)          # so that y is larger than half of cols(x)
        cols = framed.columns() if few_channels else None
        return self._correlate([(framed, W)], b, cols), (framed, W, cols)       # (N, F, OH, OW)

    def rop(self, residuals: Any, *Rinputs: Any) -> Array:
        """R{y} = R{x} ⋆ W + x ⋆ R{W} + R{b}."""
        x, W, cols = residuals
        Rx, RW, Rb = Rinputs
        terms = _there((Rx, W), (x, RW))
        if not terms:
            shape = (x.shape[0], len(W), *self._windows(x.shape, W).count)
            return array_module(Rb).broadcast_to(Rb[:, None, None], shape)
        return self._correlate(terms, Rb, cols if Rx is None else None)

    def vjp(self, residuals: Any, u: Array, needs: Sequence[bool]) -> tuple[Array | None, ...]:
        """x: u ⋆' W,  W: x ⋆'' u,  b: sum of u."""
        x, W, cols = residuals
        for_x, for_W, for_b = needs
        return (
            self._transpose_in_x([(u, W)], x.shape) if for_x else None,
            self._transpose_in_W(None, x, u, W, cols) if for_W else None,
            u.sum(axis=0).sum(axis=(1, 2)) if for_b else None,
        )

    def rvjp(
        self,
        residuals: Any,
        Rinputs: Sequence[Array | None],
        u: Array,
        Ru: Array | None,
        needs: Sequence[bool],
    ) -> tuple[Array | None, ...]:
        """R{x:} = R{u} ⋆' W + u ⋆' R{W},  R{W:} = x ⋆'' R{u} + R{x} ⋆'' u,  R{b:} = sum of R{u}."""
        x, W, cols = residuals
        Rx, RW, _ = Rinputs
        for_x, for_W, for_b = needs
        Rux = RuW = Rub = None
        terms = _there((Ru, W), (u, RW))
        if for_x and terms:
            Rux = self._transpose_in_x(terms, x.shape)
        if for_W and Ru is not None:
            RuW = self._transpose_in_W(None, x, Ru, W, cols)
        if for_W and Rx is not None:
            RuW = self._transpose_in_W(RuW, Rx, u, W)
        if for_b and Ru is not None:
            Rub = Ru.sum(axis=0).sum(axis=(1, 2))
        return Rux, RuW, Rub

    def work(self, residuals: Any, taken: Sequence[bool]) -> tuple[int, int]:
        """One matrix product for x, one for W, and the columns: filled, and read again."""
        x, W, _ = residuals
        columns = len(x) * prod(self._windows(x.shape, W).count) * W[0].size
        return 2 * sum(taken[:2]) * columns * len(W), 4 * sum(taken[:2]) * columns

    weight_inputs, bias_input = (1,), 2

    def activations(self, residuals: Any) -> Array:
        """a = cols(x) (N, OH OW, KH KW C). Here cols(x) is whole.

        That is N OH OW KH KW C numbers at once, KH KW / stride^2 times the images.
        """
        x, W, cols = residuals
        a = x.columns() if cols is None else cols
        return a.reshape(len(x), -1, W[0].size)

    def sensitivities(self, residuals: Any, u: Array) -> Array:
        """s = u (N, OH OW, F)."""
        return channels_last(u).reshape(len(u), -1, u.shape[1])

    def split(self, residuals: Any, matrix: Array) -> tuple[Array, ...]:
        """The matrix has a row for each row, column and channel of the filters."""
        return (_filters(matrix, residuals[1]),)

    def join(self, residuals: Any, weights: Sequence[Array]) -> Array:
        """The matrix has a row for each row, column and channel of the filters."""
        (W,) = weights
        return _matrix(W)

    # The three maps

    def _correlate(self, terms: Sequence[Term], b: Any = None, cols: Any = None) -> Array:
        """Sum x ⋆ W over the terms, and add b: [cols(x1) cols(x2)] [W1; W2] + b, eq. (1)."""
        images, weights = [x for x, _ in terms], [W for _, W in terms]
        N, F = len(images[0]), len(weights[0])
        windows = self._windows(images[0].shape, weights[0])
        matrix = _stacked([_matrix(W) for W in weights])
        xp, arrays = array_module(matrix), [*images, *weights, *([] if b is None else [b])]
        y = xp.empty((N, *windows.count, F), dtype=xp.result_type(*(x.dtype for x in arrays)))
        # b for a whole image: adding F numbers pixel by pixel would take several times longer.
        b_image = None if b is None else xp.tile(b, y[0].size // F)

        def fill(chunks: Chunks) -> None:
            for some, chunk in chunks:
                gemm(chunk, matrix, out=y[some].reshape(-1, F))
                if b_image is not None:
                    add_into(y[some].reshape(-1, b_image.size), b_image)

        windows.by_worker(fill, images, cols)
        return _channels_second(y)

    def _transpose_in_x(self, terms: Sequence[Term], x_shape: tuple[int, ...]) -> Array:
        """Sum u ⋆' W over the terms: a convolution of u that gives all phases, eq. (2)."""
        cotangents, weights = [u for u, _ in terms], [W for _, W in terms]
        (N, C, H, width), (sh, sw) = x_shape, self.stride
        (KH, KW), (ph, pw) = weights[0].shape[2:], self.padding
        (top, rows), (left, columns) = _slots(KH, sh, ph), _slots(KW, sw, pw)
        qh, qw = -(-H // sh), -(-width // sw)
        windows = Windows((rows, columns), (1, 1), (top, left), (qh, qw))
        matrix = _stacked([self._phases(W, windows) for W in weights])
        xp = array_module(matrix)
        dtype = xp.result_type(*(array.dtype for array in [*cotangents, *weights]))
        c = xp.empty((N, qh, sh, qw, sw * C), dtype=dtype)

        def fill(chunks: Chunks) -> None:
            for some, chunk in chunks:
                if self.stride == (1, 1):
                    gemm(chunk, matrix, out=c[some].reshape(-1, C))
                else:
                    phases = gemm(chunk, matrix).reshape(-1, qh, qw, sh, sw * C)
                    c[some] = phases.swapaxes(2, 3)

        windows.by_worker(fill, cotangents, results=sh * sw * C)
        return _channels_second(c.reshape(N, qh * sh, qw * sw, C)[:, :H, :width])

    def _phases(self, W: Array, windows: Windows) -> Array:
        """Place the taps k = a + p - s d of each phase a at the slots d of a window of u."""
        F, C, KH, KW = W.shape
        (sh, sw), (ph, pw) = self.stride, self.padding
        (rows, columns), (top, left) = windows.size, windows.first
        taps = array_module(W).zeros((rows, columns, F, sh, sw, C), dtype=W.dtype)
        for i, j, a, e in product(range(rows), range(columns), range(sh), range(sw)):
            k, m = a + ph - sh * (top + i), e + pw - sw * (left + j)
            if 0 <= k < KH and 0 <= m < KW:
                taps[i, j, :, a, e] = W[:, :, k, m]
        return taps.reshape(rows * columns * F, sh * sw * C)

    def _transpose_in_W(
        self, total: Array | None, x: Any, u: Array, W: Array, cols: Any = None
    ) -> Array:
        """Add x ⋆'' u to `total`: cols(x)' u, chunk by chunk, eq. (3)."""
        F, windows = len(W), self._windows(x.shape, W)
        u = channels_last(u)

        def summed(chunks: Chunks) -> Array:
            matrix: Any = None
            for some, chunk in chunks:
                matrix = add_gemm(matrix, chunk.T, u[some].reshape(-1, F))
            return matrix

        matrix: Any = None if total is None else _matrix(total)
        for part in windows.by_worker(summed, [x], cols):
            matrix = add_into(matrix, part)
        return _filters(matrix, W)

    def _windows(self, x_shape: Sequence[int], W: Array) -> Windows:
        """Where the windows of x lie that the output's pixels look at."""
        (KH, KW), (sh, sw), (ph, pw) = W.shape[2:], self.stride, self.padding
        count = (x_shape[2] + 2 * ph - KH) // sh + 1, (x_shape[3] + 2 * pw - KW) // sw + 1
        return Windows((KH, KW), self.stride, (-ph, -pw), count)


def conv2d_fault(
    x_shape: Sequence[int], W_shape: Sequence[int], stride: Pair, padding: Pair
) -> str | None:
    """Say what does not fit in a convolution of these shapes, or None."""
    x_shape, W_shape = tuple(x_shape), tuple(W_shape)
    if len(x_shape) != 4 or len(W_shape) != 4:
        return (
            f"x has shape {x_shape}, W has shape {W_shape}; expected images (N, C, H, W) and "
            f"filters (F, C, KH, KW)"
        )
    if not x_shape[0]:
        return f"x has shape {x_shape}, expected at least one case"
    if min(stride) < 1 or min(padding) < 0:
        return f"stride {stride} must be 1 or more, padding {padding} must be 0 or more"
    if x_shape[1] != W_shape[1]:
        return (
            f"x has {x_shape[1]} channels, W expects {W_shape[1]}: x has shape {x_shape}, "
            f"W has shape {W_shape}, and axis 1 of both is the channels"
        )
    image = tuple(length + 2 * p for length, p in zip(x_shape[2:], padding, strict=True))
    if any(k > length for k, length in zip(W_shape[2:], image, strict=True)):
        return (
            f"the kernel {W_shape[2:]} is larger than the padded image {image}: x has shape "
            f"{x_shape}, W has shape {W_shape}, padding is {padding}"
        )
    return None


def _there(*terms: Term) -> list[Term]:
    """Keep the terms in which nothing is None."""
    return [(a, b) for a, b in terms if a is not None and b is not None]


def _matrix(W: Array) -> Array:
    """Filters (F, C, KH, KW) as a matrix (KH KW C, F)."""
    return W.transpose(2, 3, 1, 0).reshape(-1, len(W))


def _filters(matrix: Array, like: Array) -> Array:
    """Undo `_matrix`."""
    F, C, KH, KW = like.shape
    return matrix.reshape(KH, KW, C, F).transpose(3, 2, 0, 1)


def _stacked(matrices: Sequence[Array]) -> Array:
    return matrices[0] if len(matrices) == 1 else array_module(*matrices).concatenate(matrices)


def _slots(K: int, s: int, p: int) -> Pair:
    """Return the first d, and how many, for which a phase a < s has a tap 0 <= a + p - s d < K."""
    first, last = -((K - 1 - p) // s), (s - 1 + p) // s
    return first, last - first + 1


def _channels_second(x: Array) -> Array:
    return x.transpose(0, 3, 1, 2)


def conv2d(x: Any, W: Any, b: Any = None, stride: Any = 1, padding: Any = 0) -> Any:
    """Cross-correlate images with filters, and add b, as one op.

    Parameters
    ----------
    x : array, shape (N, C, H, W)
    W : array, shape (F, C, KH, KW)
    b : array, shape (F,), optional
    stride, padding : int or pair of int
        Along the image's rows and columns. The image is padded by zeros on both sides.

    Returns
    -------
    array, shape (N, F, OH, OW)
        OH = (H + 2 padding - KH) // stride + 1, OW likewise; channels last in memory.

    Raises
    ------
    ValueError
        If the channels differ, the kernel is larger than the padded image, there is no case, or
        stride is below 1.

    Notes
    -----
    Cost: of the size of one forward pass, one product forward, at most two in each of `rop` and
    `vjp`, four in `rvjp`. For a stride s that does not divide the kernel, the cotangent of x costs
    s^2 ceil(K / s)^2 / K^2 as much. Memory beyond the results, for each worker: `CHUNK` bytes of
    columns (one case at least), for a stride's phases as much again at most, and the chunk's padded
    images. The linearization keeps x, padded, and where C KH KW <= 2 F all columns: at most twice
    the size of the output. Per-case factors (`Op.factors`, for preconditioners) are the exception:
    all the columns, N OH OW C KH KW numbers.

    Examples
    --------
    >>> import numpy as np
    >>> x, W = np.ones((1, 1, 4, 4)), np.ones((1, 1, 3, 3))
    >>> conv2d(x, W, padding=1, stride=2)[0, 0]
    array([[4., 6.],
           [6., 9.]])
    """
    return Conv2dOp(pair(stride), pair(padding))(x, W, b)
