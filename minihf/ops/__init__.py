"""The primitives that networks are built from, each with its four rules.

`elementwise`, `shape` and `linalg` hold the small ones; `dense`, `conv`, `lstm` and `rnn` are the
fused ones that the layers call, and `pool` makes images smaller. All take arrays or traced values
and return the same.
"""

import sys

from minihf.ops.conv import conv2d
from minihf.ops.dense import dense
from minihf.ops.elementwise import (
    add,
    div,
    exp,
    log,
    mul,
    neg,
    relu,
    sigmoid,
    softplus,
    square,
    sub,
    tanh,
)
from minihf.ops.linalg import matmul
from minihf.ops.lstm import lstm
from minihf.ops.pool import avg_pool2d, global_avg_pool2d, max_pool2d
from minihf.ops.rnn import rnn
from minihf.ops.shape import concatenate, getitem, mean, reshape, sum, transpose
from minihf.recording import Traced

__all__ = [
    "add",
    "avg_pool2d",
    "concatenate",
    "conv2d",
    "dense",
    "div",
    "exp",
    "getitem",
    "global_avg_pool2d",
    "log",
    "lstm",
    "matmul",
    "max_pool2d",
    "mean",
    "mul",
    "neg",
    "relu",
    "reshape",
    "rnn",
    "sigmoid",
    "softplus",
    "square",
    "sub",
    "sum",
    "tanh",
    "transpose",
]

Traced.ops = sys.modules[__name__]  # what +, @ and [] on a traced value call
