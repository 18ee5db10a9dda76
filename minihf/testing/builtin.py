"""The library's own ops, and how each is checked: an op, the shapes it takes, where they lie.

    BUILTIN["dense"].check()        is        check_op(DenseOp(), "N D", "D M", "M")

A new op adds a row here, and a test sees to it that none is forgotten. The rows serve as examples
of how `check_op` is called, too. Called by tests, by ``minihf check``, and by the planted bugs.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

import numpy as np

from minihf.backend import asarray
from minihf.ops.conv import Conv2dOp
from minihf.ops.dense import DenseOp
from minihf.ops.elementwise import (
    Add,
    Div,
    Exp,
    Log,
    Mul,
    Neg,
    ReLU,
    Sigmoid,
    Softplus,
    Square,
    Sub,
    Tanh,
)
from minihf.ops.linalg import MatMul
from minihf.ops.lstm import LSTMOp
from minihf.ops.pool import AvgPool2dOp, GlobalAvgPool2dOp, MaxPool2dOp
from minihf.ops.rnn import RNNOp
from minihf.ops.shape import Concatenate, GetItem, Reshape, Sum, Transpose
from minihf.testing.checks.op import check_op
from minihf.testing.checks.op_case import an_op
from minihf.testing.failure import Verdict
from minihf.testing.shapes import names_of, shape

__all__ = ["BUILTIN", "Row"]


@dataclass(frozen=True)
class Row:
    """How one op is checked: the arguments of `check_op`."""

    op: Any
    shapes: tuple[str, ...]
    domain: str = "real"

    def check(self, **options: Any) -> Verdict:
        """Call `check_op`; `options` are its ``sizes``, ``seed`` and ``cases``."""
        __tracebackhide__ = True
        return check_op(self.op, *self.shapes, domain=self.domain, **options)

    def an_op(self, sizes: Mapping[str, int] | None = None) -> Any:
        """Return the op itself, made for given sizes (or for 1) if it is made for sizes."""
        return an_op(self.op, sizes or dict.fromkeys(names_of(map(shape, self.shapes)), 1))


def row(op: Any, *shapes: str, domain: str = "real") -> Row:
    """Write a row as the call of `check_op` is written."""
    return Row(op, shapes, domain)


def rows_of_one(name: str, op: Any, domain: str = "real") -> dict[str, Row]:
    """Rows for a function of one variable: a matrix, a number, many axes."""
    shapes = {name: "N D", f"{name}, a number": "", f"{name}, three axes": "N T D"}
    return {words: row(op, text, domain=domain) for words, text in shapes.items()}


def rows_of_two(name: str, op: Any, domain: str = "real") -> dict[str, Row]:
    """Rows for a function of two variables, which may be broadcast along any axis."""
    return {
        name: row(op, "N D", "N D", domain=domain),
        f"{name}, a row": row(op, "N D", "D", domain=domain),
        f"{name}, crosswise": row(op, "N 1", "1 D", domain=domain),
        f"{name}, a column first": row(op, "T 1", "N T D", domain=domain),
        f"{name}, a number": row(op, "", "N D", domain=domain),
    }


def taken_again() -> GetItem:
    """Make an op that takes the first row twice."""
    return GetItem(asarray(np.array([0, -1, 0])))


def every_other(N: int) -> GetItem:
    """Make an op that takes every other row of N by a mask."""
    return GetItem(asarray(np.arange(N) % 2 == 0))


IMAGES, FILTERS = "N C H+2 W+2", "F C 3 3"
RECURRENT = "N T D", "D H", "H H", "H", "N H"                          # x, Wx, Wh, b, h0
LSTM = "N T D", "D 4H", "H 4H", "4H", "N H", "N H"                     # and c0

BUILTIN: Mapping[str, Row] = MappingProxyType({
    **rows_of_one("tanh", Tanh()),
    **rows_of_one("sigmoid", Sigmoid()),
    **rows_of_one("relu", ReLU(), "off zero"),
    **rows_of_one("softplus", Softplus()),
    **rows_of_one("exp", Exp()),
    **rows_of_one("log", Log(), "positive"),
    **rows_of_one("square", Square()),
    **rows_of_one("neg", Neg()),
    **rows_of_two("add", Add()),
    **rows_of_two("sub", Sub()),
    **rows_of_two("mul", Mul()),
    **rows_of_two("div", Div(), "off zero"),
    "matmul": row(MatMul(), "N D", "D M"),
    "matmul, stacked": row(MatMul(), "1 P N D", "P 1 D M"),
    "matmul, one for all": row(MatMul(), "P N D", "D M"),
    "dense": row(DenseOp(), "N D", "D M", "M"),
    "dense, positions": row(DenseOp(), "N P D", "D M", "M"),
    "conv2d": row(Conv2dOp(), IMAGES, "F C 2 3", "F"),
    "conv2d, one pixel": row(Conv2dOp(), "N C H W", "F C 1 1", "F"),
    "conv2d, padding": row(Conv2dOp(padding=(1, 2)), IMAGES, FILTERS, "F"),
    "conv2d, stride": row(Conv2dOp((2, 2), (1, 1)), IMAGES, FILTERS, "F"),
    "conv2d, long strides": row(Conv2dOp((2, 3), (0, 2)), IMAGES, "F C 1 2", "F"),
    "max_pool2d": row(MaxPool2dOp(), IMAGES),
    "max_pool2d, overlapping": row(MaxPool2dOp((2, 3), (1, 2)), IMAGES),
    "avg_pool2d": row(AvgPool2dOp(), IMAGES),
    "avg_pool2d, overlapping": row(AvgPool2dOp((3, 2), (2, 1)), IMAGES),
    "global_avg_pool2d": row(GlobalAvgPool2dOp(), IMAGES),
    "rnn": row(RNNOp(), *RECURRENT),
    "lstm": row(LSTMOp(), *LSTM),
    **rows_of_one("sum", Sum()),
    "sum, last axis": row(Sum(-1, keepdims=True), "N D"),
    "sum, two axes": row(Sum((0, -1)), "N T D"),
    **rows_of_one("reshape", Reshape((1, -1))),
    **rows_of_one("transpose", Transpose()),
    "transpose, axes": row(Transpose((1, -1, 0)), "N T D"),
    "getitem": row(GetItem((slice(None, None, 2), None, -1)), "N D"),
    "getitem, one entry": row(GetItem((0, 0)), "N D"),
    "getitem, repeated": row(taken_again, "N D"),
    "getitem, mask": row(every_other, "N D"),
    "concatenate": row(Concatenate(-1), "N D", "N M", "N P"),
})  # fmt: skip
"""By name: what is applied, and to what."""
