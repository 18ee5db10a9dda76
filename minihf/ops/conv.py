"""Convolution's mathematics: y = x * W + b over images, fused into one op.

x is (N, C, H, W), W is (F, C, KH, KW). With padding p and stride s along each image axis, zero
outside of the image, and * cross-correlation as everywhere in this field,

    y[n,f,i,j] = b[f] + sum over c,k,l of W[f,c,k,l] x[n,c, s i + k - p, s j + l - p]         (1)

This is linear in x and linear in W. Three maps come from that, and the four rules are sums of them:

    x * W       (1) without b
    u *' W      its transpose in x:  [n,c,h,w] = sum of u[n,f,i,j] W[f,c,k,l] over f and all
                i, j, k, l with h = s i + k - p and w = s j + l - p                           (2)
    x *" u      its transpose in W:  [f,c,k,l] = sum of u[n,f,i,j] x[n,c, s i + k - p, ...]
                over n, i, j                                                                  (3)

    R{y}  = R{x} * W + x * R{W} + R{b}                                                        (4)
    x: u *' W,   W: x *" u,   b: sum of u over n, i, j                                        (5)
    R{x:} = R{u} *' W + u *' R{W},   R{W:} = x *" R{u} + R{x} *" u,   R{b:} = sum of R{u}     (6)

**As matrix products.** Let a row of cols(x) hold the window of x that one output pixel looks at:
(N OH OW, KH KW C). With W as a matrix (KH KW C, F) and u with a row for each pixel, (N OH OW, F),
(1) is cols(x) W and (3) is cols(x)' u. For (2), take s = 1 first. A pixel h gets something from the
outputs i = h + p - k: it looks at a window of u, so (2) is cols(u) with a flipped kernel. For s > 1
write h = s q + a: the pixels of one phase a see the outputs i = q + d through the taps
k = a + p - s d. All phases together are one convolution of u with stride 1 and s s C filters (0
where there is no such tap), whose outputs are then interleaved. Nothing is ever scattered.

**What makes it fast.** cols(x) is KH KW / s^2 times the size of x. It is never there as a whole:
`Windows.columns` fills a buffer of `CHUNK` bytes with the windows of a few cases, which the product
then finds in the cache. Images lie in memory with their channels last, whatever their shape says,
so that a row of a window is one contiguous piece, and results need no rearrangement; functions of
one variable keep that order. The two terms of (4), and those of R{x:} in (6), are one product:
[cols(R{x}) cols(x)] [W; R{W}].

Called by `minihf.layers.Conv2d`.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

from minihf.backend import Array, add_gemm, add_into, array_module, gemm
from minihf.op import Op

__all__ = ["CHUNK", "Windows", "conv2d", "conv2d_fault", "pair"]

Pair: TypeAlias = tuple[int, int]

CHUNK = 2**20
"""Bytes of columns that are filled at a time on a CPU: what its caches hold. One case at least."""

CHUNK_ELSEWHERE = 2**28
"""The same on a device, which wants few large products."""


@dataclass(frozen=True)
class Conv2dOp(Op):
    """y = x * W + b."""

    stride: Pair = (1, 1)
    padding: Pair = (0, 0)

    def forward(self, x: Array, W: Array, b: Array | None = None) -> tuple[Array, Any]:
        fault = conv2d_fault(x.shape, W.shape, self.stride, self.padding)
        if fault:
            raise ValueError(f"conv2d: {fault}")
        F = W.shape[0]
        small = W[0].size <= 2 * F                      # few channels in: cols(x) is kept whole
        cols = self._windows(x, W).all_columns(x) if small else None
        return self._correlate([(x, W)], b, cols), (x, W, cols)                 # (N, F, OH, OW)

    def rop(self, residuals: Any, *Rinputs: Any) -> Array:
        """R{y} = R{x} * W + x * R{W} + R{b}."""
        x, W, cols = residuals
        Rx, RW, Rb = Rinputs
        terms = _there((Rx, W), (x, RW))
        if not terms:
            OH, OW = self._windows(x, W).count
            return array_module(Rb).broadcast_to(Rb[:, None, None], (len(x), len(W), OH, OW))
        return self._correlate(terms, Rb, cols if Rx is None else None)

    def vjp(self, residuals: Any, u: Array, needs: Sequence[bool]) -> tuple[Array | None, ...]:
        """x: u *' W,  W: x *" u,  b: sum of u."""
        x, W, cols = residuals
        for_x, for_W, for_b = needs
        return (
            self._transpose_in_x([(u, W)], x) if for_x else None,
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
        """R{x:} = R{u} *' W + u *' R{W},  R{W:} = x *" R{u} + R{x} *" u,  R{b:} = sum of R{u}."""
        x, W, cols = residuals
        Rx, RW, _ = Rinputs
        for_x, for_W, for_b = needs
        Rux = RuW = Rub = None
        terms = _there((Ru, W), (u, RW))
        if for_x and terms:
            Rux = self._transpose_in_x(terms, x)
        if for_W and Ru is not None:
            RuW = self._transpose_in_W(None, x, Ru, W, cols)
        if for_W and Rx is not None:
            RuW = self._transpose_in_W(RuW, Rx, u, W)
        if for_b and Ru is not None:
            Rub = Ru.sum(axis=0).sum(axis=(1, 2))
        return Rux, RuW, Rub

    weight_inputs, bias_input = (1,), 2

    def factors(self, residuals: Any, u: Array) -> tuple[Array, Array]:
        """a = cols(x) (N, OH OW, C KH KW),  s = u (N, OH OW, F). Here cols(x) is whole."""
        x, W, _ = residuals
        N, (F, C, KH, KW) = len(x), W.shape
        cols = self._windows(x, W).all_columns(x).reshape(N, -1, KH, KW, C)
        a = cols.transpose(0, 1, 4, 2, 3).reshape(N, -1, C * KH * KW)
        return a, _channels_last(u).reshape(N, -1, F)

    def split(self, residuals: Any, matrix: Array) -> tuple[Array, ...]:
        """W' is the matrix, once it has only two axes."""
        return (matrix.T.reshape(residuals[1].shape),)

    # The three maps

    def _correlate(
        self, terms: Sequence[tuple[Array, Array]], b: Any = None, cols: Any = None
    ) -> Array:
        """Sum x * W over the terms, and add b: [cols(x1) cols(x2)] [W1; W2] + b, eq. (1)."""
        images, weights = [x for x, _ in terms], [W for _, W in terms]
        xp, windows, F = array_module(*images), self._windows(images[0], weights[0]), len(weights[0])
        matrix = _stacked([W.transpose(2, 3, 1, 0).reshape(-1, F) for W in weights])
        bias = [] if b is None else [b]
        y = xp.empty(
            (len(images[0]), *windows.count, F), dtype=xp.result_type(*images, *weights, *bias)
        )
        for some, chunk in windows.columns(images, cols):
            gemm(chunk, matrix, out=y[some].reshape(-1, F))
            if b is not None:
                # An image at a time: adding F numbers pixel by pixel would take several times longer.
                whole_images = y[some].reshape(-1, y[0].size)
                whole_images += xp.tile(b, y[0].size // F)
        return _channels_second(y)

    def _transpose_in_x(self, terms: Sequence[tuple[Array, Array]], x: Array) -> Array:
        """Sum u *' W over the terms: a convolution of u that gives all phases, eq. (2)."""
        cotangents, weights = [u for u, _ in terms], [W for _, W in terms]
        xp, (N, C, H, width) = array_module(*cotangents), x.shape
        (sh, sw), (KH, KW) = self.stride, weights[0].shape[2:]
        (first_h, size_h), (first_w, size_w) = (
            _slots(KH, sh, self.padding[0]),
            _slots(KW, sw, self.padding[1]),
        )
        qh, qw = -(-H // sh), -(-width // sw)
        windows = Windows((size_h, size_w), (1, 1), (first_h, first_w), (qh, qw))
        matrix = _stacked([self._phases(W, windows) for W in weights])
        dtype = xp.result_type(*cotangents, *weights)
        c = xp.empty((N, H, width, C), dtype=dtype)
        for some, chunk in windows.columns(cotangents):
            if self.stride == (1, 1):
                gemm(chunk, matrix, out=c[some].reshape(-1, C))
                continue
            phases = gemm(chunk, matrix).reshape(-1, qh, qw, sh, sw * C)
            image = phases.transpose(0, 1, 3, 2, 4).reshape(-1, qh * sh, qw * sw, C)
            c[some] = image[:, :H, :width]
        return _channels_second(c)

    def _phases(self, W: Array, windows: Windows) -> Array:
        """Place the taps k = a + p - s d of each phase a at the slots d of a window of u."""
        F, C, KH, KW = W.shape
        (sh, sw), (ph, pw) = self.stride, self.padding
        (Dh, Dw), (first_h, first_w) = windows.size, windows.first
        taps = array_module(W).zeros((Dh, Dw, F, sh, sw, C), dtype=W.dtype)
        for dh in range(Dh):
            for dw in range(Dw):
                for ah in range(sh):
                    for aw in range(sw):
                        k, m = ah + ph - sh * (first_h + dh), aw + pw - sw * (first_w + dw)
                        if 0 <= k < KH and 0 <= m < KW:
                            taps[dh, dw, :, ah, aw] = W[:, :, k, m]
        return taps.reshape(Dh * Dw * F, sh * sw * C)

    def _transpose_in_W(
        self, total: Array | None, x: Array, u: Array, W: Array, cols: Any = None
    ) -> Array:
        """Add x *" u to `total`: cols(x)' u, chunk by chunk, eq. (3)."""
        F, C, KH, KW = W.shape
        u = _channels_last(u)
        matrix = None if total is None else total.transpose(2, 3, 1, 0).reshape(-1, F)
        for some, chunk in self._windows(x, W).columns([x], cols):
            matrix = add_gemm(matrix, chunk.T, u[some].reshape(-1, F))
        return matrix.reshape(KH, KW, C, F).transpose(3, 2, 0, 1)

    def _windows(self, x: Array, W: Array) -> Windows:
        """Where the windows of x lie that the output's pixels look at."""
        kernel, (ph, pw) = W.shape[2:], self.padding
        count = [
            (length + 2 * p - k) // s + 1
            for length, p, k, s in zip(x.shape[2:], self.padding, kernel, self.stride, strict=True)
        ]
        return Windows(kernel, self.stride, (-ph, -pw), (count[0], count[1]))


@dataclass(frozen=True)
class Windows:
    """Windows on an image, in rows and columns: how large, how far apart, from where, how many.

    Along each axis, window i begins at pixel ``first + step i``; what lies outside is zero.
    """

    size: Pair
    step: Pair
    first: Pair
    count: Pair

    def columns(
        self, images: Sequence[Array], known: Array | None = None
    ) -> Iterator[tuple[slice, Array]]:
        """Yield ``(cases, columns)``, chunk by chunk: a row for each window, the images abreast.

        The array is a buffer: good until the next. Its columns are sorted by image, row of the
        window, column of the window and channel. `known` columns of all cases are not made again.
        """
        if known is not None:
            yield slice(None), known
            return
        xp, N = array_module(*images), len(images[0])
        last = [_channels_last(x) for x in images]
        dtype, C = xp.result_type(*images), last[0].shape[3]
        row = len(images) * self.size[0] * self.size[1] * C
        bytes_per_case = self.count[0] * self.count[1] * row * dtype.itemsize
        limit = CHUNK if xp.__name__ == "numpy" else CHUNK_ELSEWHERE
        cases = max(1, min(N, limit // bytes_per_case))
        padded = self._frame(cases, C, xp, dtype)
        seen = self._look(padded)
        buffer = xp.empty((cases, *self.count, len(images), *seen.shape[3:]), dtype=dtype)
        for start in range(0, N, cases):
            n = min(cases, N - start)
            for i, x in enumerate(last):
                self._put(padded, x[start : start + n])
                buffer[:n, :, :, i] = seen[:n]
            yield slice(start, start + n), buffer[:n].reshape(-1, row)

    def all_columns(self, x: Array) -> Array:
        """Return the columns of all cases at once."""
        xp, x = array_module(x), _channels_last(x)
        padded = self._frame(len(x), x.shape[3], xp, x.dtype)
        self._put(padded, x)
        return self._look(padded).reshape(-1, self.size[0] * self.size[1] * x.shape[3])

    def _frame(self, cases: int, C: int, xp: Any, dtype: Any) -> Array:
        """Return zeros for the part of the plane that the windows cover."""
        height, width = (
            step * (count - 1) + size
            for size, step, count in zip(self.size, self.step, self.count, strict=True)
        )
        return xp.zeros((cases, height, width, C), dtype=dtype)

    def _put(self, padded: Array, x: Array) -> None:
        """Write the part of the image that the windows cover into its place."""
        (top, rows), (left, columns) = (
            _overlap(first, length, whole)
            for first, length, whole in zip(
                self.first, padded.shape[1:3], x.shape[1:3], strict=True
            )
        )
        padded[: len(x), top, left] = x[:, rows, columns]

    def _look(self, padded: Array) -> Array:
        """Return all windows as a view: (cases, *count, rows, columns C)."""
        C = padded.shape[3]
        case, row, column, item = padded.strides
        return array_module(padded).lib.stride_tricks.as_strided(
            padded,
            shape=(len(padded), *self.count, self.size[0], self.size[1] * C),
            strides=(case, self.step[0] * row, self.step[1] * column, row, item),
        )


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


def pair(value: Any) -> Any:
    """Let one number stand for both image axes."""
    return (value, value) if isinstance(value, int) else tuple(value)


def _there(*terms: tuple[Any, Any]) -> list[tuple[Array, Array]]:
    """Keep the terms in which nothing is None."""
    return [(a, b) for a, b in terms if a is not None and b is not None]


def _stacked(matrices: Sequence[Array]) -> Array:
    return matrices[0] if len(matrices) == 1 else array_module(*matrices).concatenate(matrices)


def _slots(K: int, s: int, p: int) -> Pair:
    """Return the first d, and how many, for which a phase a < s has a tap 0 <= a + p - s d < K."""
    first, last = -((K - 1 - p) // s), (s - 1 + p) // s
    return first, last - first + 1


def _overlap(first: int, length: int, whole: int) -> tuple[slice, slice]:
    """Return the pixels that [first, first + length) shares with an image, in either's count."""
    start = min(max(first, 0), whole)
    stop = max(start, min(first + length, whole))
    return slice(start - first, stop - first), slice(start, stop)


def _channels_last(x: Array) -> Array:
    return x.transpose(0, 2, 3, 1)


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
        If the channels differ, the kernel is larger than the padded image, or stride is below 1.

    Notes
    -----
    Cost: of the size of one forward pass, one product forward, at most two in each of `rop` and
    `vjp`, four in `rvjp`. For a stride s that does not divide the kernel, the cotangent of x costs
    s^2 ceil(K / s)^2 / K^2 as much. Memory beyond the results: `CHUNK` bytes of columns (one case
    at least) and less than that of padded images. The linearization keeps x, and where
    C KH KW <= 2 F all columns, at most twice the size of the output.

    Examples
    --------
    >>> import numpy as np
    >>> x, W = np.ones((1, 1, 4, 4)), np.ones((1, 1, 3, 3))
    >>> conv2d(x, W, padding=1, stride=2)[0, 0]
    array([[4., 6.],
           [6., 9.]])
    """
    return Conv2dOp(pair(stride), pair(padding))(x, W, b)
