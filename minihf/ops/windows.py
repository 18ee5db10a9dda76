"""Windows on images as rows of a matrix, a chunk of cases at a time: what convolution multiplies.

A row of cols(x) holds the window of x that one output pixel looks at. All rows together are many
times the size of x. So they are never there as a whole: `Windows.columns` fills a buffer of `CHUNK`
bytes with the windows of a few cases, which the product then finds in the processor's cache. Most
of the time goes into filling it, so cases are shared out among workers, where there are several.

Called by `minihf.ops.conv`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, TypeAlias

from minihf.backend import Array, array_module
from minihf.parallel import each, workers

__all__ = ["CHUNK", "Framed", "Pair", "Windows", "channels_last", "pair"]

Pair: TypeAlias = tuple[int, int]

CHUNK = 2**21
"""Bytes of columns that are filled at a time on a CPU: what its caches hold. One case at least."""

CHUNK_ELSEWHERE = 2**28
"""The same on a device, which wants few large products."""


@dataclass(frozen=True)
class Windows:
    """Windows on an image, in rows and columns: how large, how far apart, from where, how many.

    Along each axis, window i begins at pixel ``first + step i``; what lies outside is zero.
    """

    size: Pair
    step: Pair
    first: Pair
    count: Pair

    def framed(self, x: Array) -> Framed:
        """Copy all images (N, C, H, W) into frames of zeros."""
        C, H, width = x.shape[1:]
        frame = self._frame(len(x), C, array_module(x), x.dtype)
        inside, part = self._overlap(H, width)
        frame[:, *inside] = channels_last(x)[:, *part]
        return Framed(tuple(x.shape), self._seen(frame))

    def by_worker(
        self,
        work: Callable[[Iterator[tuple[slice, Array]]], Any],
        images: Sequence[Any],
        known: Array | None = None,
        results: int = 0,
    ) -> list[Any]:
        """Return what `work` makes of `columns`, for each worker's share of the cases, in order."""
        N, n = len(images[0]), min(workers(), len(images[0]))
        edges = [N * i // n for i in range(n + 1)]
        shares = [slice(*share) for share in pairwise(edges)]
        return each(lambda share: work(self.columns(images, known, results, share)), shares)

    def columns(
        self,
        images: Sequence[Any],
        known: Array | None = None,
        results: int = 0,
        share: slice = slice(0, None),
    ) -> Iterator[tuple[slice, Array]]:
        """Yield ``(cases, columns)``, chunk by chunk: a row for each window, the images abreast.

        The array is a buffer: good until the next. Its columns are sorted by image, row of the
        window, column of the window and channel. `known` columns of all cases are not made again.
        `results` is how many numbers the caller makes of each row, to be held beside it. Of all
        cases only a `share` may be asked for.
        """
        first, last, _ = share.indices(len(images[0]))
        if known is not None:
            rows = self.count[0] * self.count[1]
            yield slice(first, last), known[first * rows : last * rows]
            return
        xp = array_module(*(x.seen if isinstance(x, Framed) else x for x in images))
        dtype = xp.result_type(*(x.dtype for x in images))
        _, C, H, width = images[0].shape
        row = len(images) * self.size[0] * self.size[1] * C
        bytes_per_case = self.count[0] * self.count[1] * max(row, results) * dtype.itemsize
        limit = CHUNK if xp.__name__ == "numpy" else CHUNK_ELSEWHERE
        cases = max(1, min(last - first, limit // bytes_per_case))
        frame = self._frame(cases, C, xp, dtype)
        seen = self._seen(frame)
        inside, part = self._overlap(H, width)
        buffer = xp.empty((cases, *self.count, len(images), *seen.shape[3:]), dtype=dtype)
        for start in range(first, last, cases):
            n = min(cases, last - start)
            some = slice(start, start + n)
            for i, x in enumerate(images):
                if isinstance(x, Framed):
                    _copy_rows(buffer[:n, :, :, i], x.seen[some])
                else:
                    frame[:n, *inside] = channels_last(x)[some, *part]
                    _copy_rows(buffer[:n, :, :, i], seen[:n])
            yield some, buffer[:n].reshape(-1, row)

    def _frame(self, cases: int, C: int, xp: Any, dtype: Any) -> Array:
        """Return zeros for the part of the plane that the windows cover."""
        height = self.step[0] * (self.count[0] - 1) + self.size[0]
        width = self.step[1] * (self.count[1] - 1) + self.size[1]
        return xp.zeros((cases, height, width, C), dtype=dtype)

    def _overlap(self, H: int, width: int) -> tuple[tuple[slice, slice], tuple[slice, slice]]:
        """Return what the frame and an image share: its place in the one, and in the other."""
        inside, part = [], []
        for axis, length in enumerate((H, width)):
            first, covered = self.first[axis], self.step[axis] * (self.count[axis] - 1)
            start = min(max(first, 0), length)
            stop = max(start, min(first + covered + self.size[axis], length))
            inside.append(slice(start - first, stop - first))
            part.append(slice(start, stop))
        return (inside[0], inside[1]), (part[0], part[1])

    def _seen(self, frame: Array) -> Array:
        """Return what the windows see of a frame, as a view: (cases, *count, rows, columns C)."""
        case, row, column, item = frame.strides
        return array_module(frame).lib.stride_tricks.as_strided(
            frame,
            shape=(len(frame), *self.count, self.size[0], self.size[1] * frame.shape[3]),
            strides=(case, self.step[0] * row, self.step[1] * column, row, item),
        )


@dataclass(frozen=True)
class Framed:
    """Images with the zeros around them in place, and what windows see of them, as a view."""

    shape: tuple[int, ...]
    seen: Array

    @property
    def dtype(self) -> Any:
        """The images' dtype."""
        return self.seen.dtype

    def __len__(self) -> int:
        return self.shape[0]

    def columns(self) -> Array:
        """Return the columns of all cases: (N OH OW, KH KW C)."""
        return self.seen.reshape(-1, self.seen.shape[3] * self.seen.shape[4])


def _copy_rows(columns: Array, seen: Array) -> None:
    """Write the rows of windows into columns.

    NumPy copies each as one item: in three quarters of the time of its numbers one by one.
    """
    if array_module(seen).__name__ == "numpy" and columns.dtype == seen.dtype:
        item = f"V{seen.shape[-1] * seen.itemsize}"
        columns, seen = columns.view(item), seen.view(item)
    columns[...] = seen


def pair(value: Any) -> Any:
    """Let one number stand for both image axes."""
    both = tuple(value) if isinstance(value, Sequence) else (value, value)
    if len(both) != 2:
        raise ValueError(f"expected one number for both image axes, or a pair; got {value!r}")
    return both


def channels_last(x: Array) -> Array:
    """Return images (N, C, H, W) as (N, H, W, C): a view."""
    return x.transpose(0, 2, 3, 1)
