"""Whether the factors of an op with weights are its gradient, case by case.

    the gradient of case n in the weights  =  sum over p of a[n, p] s[n, p]'
    in the bias                            =  sum over p of s[n, p]

Kronecker factors, squared gradients and explicit Jacobians are made of them. Called by `check_op`.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from minihf.backend import asarray, to_host
from minihf.testing.checks.op_case import OpCase
from minihf.testing.failure import Finding, holds
from minihf.testing.ladder import Rung, calling
from minihf.testing.measure import ADJOINT, norm

__all__ = ["FACTORS"]


def _factors(at: OpCase) -> Iterator[Finding]:
    N = len(at.y)
    with calling("factors"):
        a, s = at.op.factors(at.residuals, at.u)
    shapes = tuple(a.shape), tuple(s.shape)
    fit = len(shapes[0]) == len(shapes[1]) == 3 and shapes[0][:2] == shapes[1][:2]
    yield holds(
        "a and s", fit and len(a) == N,
        f"factors returned shapes {shapes[0]} and {shapes[1]}, expected ({N}, P, D) and "
        f"({N}, P, M): a row for each case and position",
    )  # fmt: skip
    rows, columns = to_host(a), to_host(s)
    for n in range(N):
        u = np.zeros(at.y.shape)
        u[n] = to_host(at.u)[n]
        cotangents = at.vjp(asarray(u))
        gradient = asarray(rows[n].T @ columns[n])                                      # (D, M)
        with calling("split"):
            weights = at.op.split(at.residuals, gradient)
        with calling("join"):
            joined = at.op.join(at.residuals, weights)
        yield holds(
            "join of split", np.array_equal(to_host(joined), to_host(gradient)),
            "join does not undo split",
        )  # fmt: skip
        found = dict(zip(at.op.weight_inputs, map(to_host, weights), strict=True))
        if at.op.bias_input is not None and at.x[at.op.bias_input] is not None:
            found[at.op.bias_input] = columns[n].sum(axis=0)
        for i, name in at.inputs:
            if i in found:
                right = to_host(cotangents[i])
                same_shape = found[i].shape == right.shape
                yield holds(
                    f"the gradient of {name} by factors", same_shape,
                    f"it has shape {found[i].shape}, `{name}` has {right.shape}",
                )  # fmt: skip
                yield Finding(
                    f"the gradient of {name} in case {n}",
                    at.error("vjp", found[i], right, norm(right), ADJOINT), ADJOINT,
                    f"what factors give for `{name}` is not the gradient of a case",
                )  # fmt: skip


FACTORS = Rung("factors", "activations and sensitivities make each case's gradient", _factors)
"""For an op with weights, beside the rungs of every op."""
