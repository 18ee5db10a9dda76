"""Whether a network's second derivatives are right: exact Hessian products, and Gauss-Newton's.

Two rungs of `check_layer` and `check_network`.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from minihf.backend import Array, array_module, asarray, to_host
from minihf.curvature import GGN
from minihf.tape import linearize
from minihf.testing.checks.network_case import NetworkCase
from minihf.testing.derivatives import complex_step_jvp
from minihf.testing.failure import Evidence, Finding
from minihf.testing.measure import ADJOINT, EXACT, error_of, norm

__all__ = ["ROUNDING", "gauss_newton", "hessian"]

ROUNDING = 1e-6     # times EXACT: what is that small beside the whole is rounding of its terms


def hessian(at: NetworkCase) -> Iterator[Finding]:
    """Compare H v with the derivative of the gradient, block by block, and H with its transpose."""
    def right(v: Array) -> np.ndarray:
        return to_host(complex_step_jvp(at.gradient, [at.theta.vector], [v]))

    rounding = ROUNDING * max(norm(right(at.v)), norm(right(at.w)))
    for name in at.blocks:
        v = at.part(name)
        expected, found = right(v), to_host(at.lin.hvp(v, at.loss, at.y))
        also = right(at.part(name, at.w))
        for other, block in at.blocks.items():
            found_b, expected_b = found[block.index], expected[block.index]
            scale = max(norm(expected_b), norm(also[block.index]), rounding)

            def evidence(
                name: str = name, other: str = other, found: np.ndarray = found_b,
                right: np.ndarray = expected_b,
            ) -> Evidence:  # fmt: skip
                shape = at.theta[other].shape
                return Evidence(
                    at.case, found.reshape(shape), right.reshape(shape),
                    f"the `{name}` term of H v in `{other}`",
                    f"in H v, the tangent of `{name}` is ignored in `{other}`",
                )  # fmt: skip

            where = f"H v in {other} along the tangent of {name}"
            yield Finding(where, error_of(found_b, expected_b, scale), EXACT, evidence=evidence)
    Hv, Hw = (to_host(at.lin.hvp(v, at.loss, at.y)) for v in (at.v, at.w))
    v, w = to_host(at.v), to_host(at.w)
    norms = norm(w) * norm(Hv) + norm(v) * norm(Hw)
    error = abs(float(w @ Hv - v @ Hw)) / norms if norms else 0.0
    yield Finding("w' H v against v' H w", error, ADJOINT, "the Hessian is not symmetric")


def gauss_newton(at: NetworkCase) -> Iterator[Finding]:
    """Compare w' G v with (J w)' H_L (J v), for the whole matrix and for every block."""
    H_L = at.loss.hessian(at.z, at.y)
    operators = [GGN(at.lin, at.loss, at.y), GGN(at.lin, at.loss, at.y, at.blocks)]
    if at.params.size:
        lin = linearize(at.net, at.params, at.x, at.noise)
        operators.append(GGN(lin, at.loss, at.y, at.partition))
    for G, name in [(operator, name) for operator in operators for name in operator.partition]:
        index = G.partition[name].index
        of_G = slice(at.theta.size - G.shape[0], None)     # the parameters come after the inputs
        v, w = at.v[of_G][index], at.w[of_G][index]
        wide_v, wide_w = (array_module(at.v).zeros_like(at.v) for _ in range(2))
        wide_v[of_G][index], wide_w[of_G][index] = v, w
        Jv, Jw = at.Jv(wide_v), at.Jv(wide_w)
        HJv, Gv = to_host(H_L(asarray(Jv))), to_host(G.block(name) @ v)
        found = float(np.vdot(to_host(w), Gv))
        scale = norm(Jw) * norm(HJv) + norm(w) * norm(Gv)
        where = f"w' G v of block {name}" if len(G.partition) > 1 else "w' G v of the whole matrix"
        yield Finding(
            where, abs(found - float(np.vdot(Jw, HJv))) / scale if scale else 0.0, EXACT,
            "the Gauss-Newton product is not J' H_L J v there, though J v and J' u are right: "
            "look at the loss's hessian, and at the partition",
        )  # fmt: skip
