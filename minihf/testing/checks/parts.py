"""Single demands, for who has a function and no op: it is the transpose, it is the derivative.

Called by users, in the middle of something, and by the book.
"""

from __future__ import annotations

from collections.abc import Callable

from minihf.backend import Array, array_module, to_host
from minihf.testing.cases import Case
from minihf.testing.derivatives import taylor_remainders
from minihf.testing.failure import Finding, Verdict
from minihf.testing.ladder import Rung, climb
from minihf.testing.measure import ADJOINT, RATE, norm

__all__ = ["check_adjoint", "check_taylor"]



def check_adjoint(
    jvp: Callable[[Array], Array], vjp: Callable[[Array], Array], v: Array, u: Array
) -> Verdict:
    """Check that two linear functions are each other's transpose: <u, J v> = <J' u, v>.

    Parameters
    ----------
    jvp, vjp : callable of an array
    v, u : float64 array
        What they are applied to: better random numbers than ones, which a permutation or a mean in
        the wrong place would leave as they are.

    Raises
    ------
    CheckFailure
        If the two numbers differ by more than 1e-12 (|u| |J v| + |J' u| |v|).

    Examples
    --------
    >>> import numpy as np
    >>> A, rng = np.arange(6.0).reshape(2, 3), np.random.default_rng(0)
    >>> v, u = rng.standard_normal(3), rng.standard_normal(2)
    >>> check_adjoint(lambda v: A @ v, lambda u: A.T @ u, v, u).worst["adjoint"] < 1e-15
    True
    """
    __tracebackhide__ = True
    Jv, Ju = jvp(v), vjp(u)
    for name, array, like in (("jvp(v)", Jv, u), ("vjp(u)", Ju, v)):
        if tuple(array.shape) != tuple(like.shape):
            other = "u" if like is u else "v"
            raise ValueError(
                f"check_adjoint: {name} has shape {tuple(array.shape)}, {other} has "
                f"{tuple(like.shape)}; they must be the same"
            )
    xp = array_module(v)
    left, right = xp.vdot(u, Jv), xp.vdot(Ju, v)
    scale = norm(u) * norm(Jv) + norm(Ju) * norm(v)
    gap = abs(float(to_host(left - right)))
    finding = Finding(
        "<u, J v> against <J' u, v>", gap / scale if scale else 0.0, ADJOINT,
        f"they are {float(to_host(left)):.6g} and {float(to_host(right)):.6g}: one of the two is "
        "not the transpose of the other",
    )  # fmt: skip
    return _one("jvp and vjp", Rung("adjoint", "vjp is the transpose of jvp", lambda _: [finding]))


def check_taylor(f: Callable[[Array], Array], x: Array, v: Array, Jv: Array) -> Verdict:
    """Check that J v is the derivative of f at x along v, by the order of Taylor's remainder.

    |f(x + h v) - f(x) - h J v| must fall by four when h is halved. It needs neither complex numbers
    nor a second rule, and sees errors of about 1e-4 and more. A kink beside x does no harm.

    Raises
    ------
    CheckFailure
        If the order is below 1.8.

    Examples
    --------
    >>> import numpy as np
    >>> x, v = np.array([0.3, 1.0]), np.array([1.0, -2.0])
    >>> check_taylor(np.exp, x, v, np.exp(x) * v).worst["taylor"] < 0.2
    True
    """
    __tracebackhide__ = True
    rate = taylor_remainders(f, x, v, Jv).rate
    finding = Finding(
        "2 minus the order of the remainder", max(0.0, 2 - rate), RATE,
        f"the remainder is of order {rate:.2f} in h, not 2: J v is not the derivative of f",
    )  # fmt: skip
    return _one("J v", Rung("taylor", "f leaves its tangent at second order", lambda _: [finding]))


def _one(what: str, rung: Rung) -> Verdict:
    return climb(what, [rung], lambda case: None, [Case({}, 0)], lambda case: "")

