"""What ops say of their work is what they do: the flops of the matrix products they make."""

from itertools import product

import numpy as np
import pytest

import minihf as hf
from minihf import ops
from minihf.ops.conv import Conv2dOp
from minihf.ops.dense import DenseOp
from minihf.ops.linalg import MatMul
from minihf.ops.lstm import LSTMOp
from minihf.ops.rnn import RNNOp

OPS = {
    "dense": (DenseOp(), [(6, 3), (3, 4), (4,)]),
    "dense, positions": (DenseOp(), [(6, 5, 3), (3, 4), (4,)]),
    "conv": (Conv2dOp((1, 1), (1, 1)), [(4, 2, 5, 6), (3, 2, 3, 3), (3,)]),
    "rnn": (RNNOp(), [(6, 5, 3), (3, 4), (4, 4), (4,), (6, 4)]),
    "lstm": (LSTMOp(), [(6, 5, 3), (3, 8), (2, 8), (8,), (6, 2), (6, 2)]),
    "matmul": (MatMul(), [(6, 3), (3, 4)]),
    "matmul, a stack": (MatMul(), [(7, 6, 3), (3, 4)]),
    "tanh": (ops.elementwise.Tanh(), [(6, 3)]),
}


def flops_of(call):
    made = []
    with hf.backend.observe_gemms(lambda a, b: made.append(2 * int(np.prod(a)) * b[-1])):
        call()
    return sum(made)


@pytest.mark.parametrize(("op", "shapes"), OPS.values(), ids=OPS)
def test_flops_are_those_of_rop_and_of_vjp(op, shapes):
    rng = np.random.default_rng(0)
    inputs = [rng.standard_normal(shape) for shape in shapes]
    y, residuals = op.forward(*inputs)
    for taken in product([False, True], repeat=len(inputs)):
        weights_without_bias = len(taken) > 3 and taken[1:4] == (True, True, False)
        if not any(taken) or any(taken[4:]) or weights_without_bias:
            continue                        # no layer asks for these
        flops, _ = op.work(residuals, taken)
        tangents = [x if take else None for x, take in zip(inputs, taken, strict=True)]
        assert flops == flops_of(lambda tangents=tangents: op.rop(residuals, *tangents))
        assert flops == flops_of(lambda taken=taken: op.vjp(residuals, y, taken))
