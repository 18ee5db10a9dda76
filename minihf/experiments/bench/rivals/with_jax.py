"""JAX: what `jax.linearize` and `jax.linear_transpose` keep, compiled; and what people write."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from minihf.backend import to_host
from minihf.experiments.bench.problems import Case
from minihf.experiments.bench.systems import DAMPING, ITERATIONS, Operator, System, theirs

__all__ = ["cached", "naive"]


def cached(case: Case) -> System:
    """Linearize once; a product is J', H_L and J of the kept linearization, compiled."""
    x, at, forward = _arrays(case)

    def operator(block: list[int]) -> Operator:
        part = [at[i] for i in block]
        z, jvp = jax.linearize(lambda part: forward(x, at, block, part), part)
        transpose, H_L = jax.linear_transpose(jvp, part), _hessian(case, z)
        return _compiled((), lambda _, v: transpose(H_L(jvp(v)))[0])

    return _system(case, operator)


def naive(case: Case) -> System:
    """Go forward and backward anew in every product, compiled."""
    x, at, forward = _arrays(case)

    def operator(block: list[int]) -> Operator:
        def product(data: Any, v: Any) -> Any:
            x, at = data
            part = [at[i] for i in block]
            z, Rz = jax.jvp(lambda part: forward(x, at, block, part), (part,), (v,))
            _, vjp = jax.vjp(lambda part: forward(x, at, block, part), part)
            return vjp(_hessian(case, z)(Rz))[0]

        return _compiled((x, at), product)

    return _system(case, operator)


def _arrays(case: Case) -> tuple[Any, list[Any], Callable[..., Any]]:
    """Return data, parameters in order, and the network with some of them replaced."""
    names, network = case.params.names, NETWORKS[case.problem.name]

    def forward(x: Any, at: Sequence[Any], block: list[int], part: Sequence[Any]) -> Any:
        arrays = dict(zip(names, at, strict=True))
        arrays |= {names[i]: array for i, array in zip(block, part, strict=True)}
        return network(arrays, x)

    at = [jnp.asarray(to_host(case.params[name])) for name in names]
    return jnp.asarray(to_host(case.x)), at, forward


def _system(case: Case, operator: Callable[[list[int]], Operator]) -> System:
    tangent = case.params.with_vector(case.v)
    return theirs(
        case,
        [jnp.asarray(to_host(tangent[name])) for name in tangent.names],
        operator,
        flat=lambda parts: np.concatenate([np.asarray(part).reshape(-1) for part in parts]),
        wait=jax.block_until_ready,
    )


def _hessian(case: Case, z: Any) -> Callable[[Any], Any]:
    if not case.problem.classifies:
        return lambda Rz: Rz / len(z)
    p = jax.nn.softmax(z)
    return lambda Rz: p * (Rz - (p * Rz).sum(axis=-1, keepdims=True)) / len(z)


def _compiled(data: Any, product: Callable[[Any, Any], Any]) -> Operator:
    apply = partial(jax.jit(product), data)
    return apply, partial(_solve, apply)


def _solve(product: Callable[[Any], Any], b: Sequence[Any]) -> Any:
    """Make all of the iterations of CG on (G + damping I) x = b.

    The loop is Python's: within a loop of its own, XLA convolves several times more slowly.
    """
    state = ([jnp.zeros_like(b_i) for b_i in b], b, b, _dot(b, b))
    for _ in range(ITERATIONS):
        state = _iteration(*state, product(state[2]))
    return state[0]


@jax.jit
def _iteration(x: Any, r: Any, p: Any, rr: Any, Gp: Any) -> Any:
    Ap = _axpy(DAMPING, p, Gp)
    alpha = rr / _dot(p, Ap)
    x, r = _axpy(alpha, p, x), _axpy(-alpha, Ap, r)
    rr, before = _dot(r, r), rr
    return x, r, _axpy(rr / before, p, r), rr


def _dot(x: Any, y: Any) -> Any:
    return sum(jnp.vdot(a, b) for a, b in zip(x, y, strict=True))


def _axpy(alpha: Any, x: Any, y: Any) -> Any:
    return [alpha * a + b for a, b in zip(x, y, strict=True)]


# The networks -------------------------------------------------------------------------------


def tanh_autoencoder(at: Mapping[str, Any], x: Any) -> Any:
    """`minihf.experiments.networks.autoencoder` with four layers in each half."""
    for half in ("encoder", "decoder"):
        for i in (0, 2, 4, 6):
            x = x @ at[f"{half}.{i}.W"] + at[f"{half}.{i}.b"]
            x = x if i == 6 else jnp.tanh(x)                   # linear: the code, and the output
    return x


def cnn(at: Mapping[str, Any], x: Any) -> Any:
    """Four 3x3 convolutions with ReLU, the second and the fourth of stride 2; pool; dense."""
    for layer, stride in (("0", 1), ("2", 2), ("4", 1), ("6", 2)):
        x = jax.lax.conv_general_dilated(
            x, at[f"{layer}.W"], (stride, stride), ((1, 1), (1, 1)),
            dimension_numbers=("NCHW", "OIHW", "NCHW"),
        )  # fmt: skip
        x = jax.nn.relu(x + at[f"{layer}.b"][None, :, None, None])
    return x.mean(axis=(2, 3)) @ at["9.W"] + at["9.b"]


def lstm3(at: Mapping[str, Any], x: Any) -> Any:
    """Three LSTM layers by `jax.lax.scan`, and a dense layer on the last state."""
    h = jnp.swapaxes(x, 0, 1)                                              # (T, N, D)
    for layer in ("lstm0", "lstm1", "lstm2"):
        Wh = at[f"{layer}.Wh"]

        def cell(state: Any, from_x: Any, Wh: Any = Wh) -> Any:
            h, c = state
            i, f, g, o = jnp.split(from_x + h @ Wh, 4, axis=-1)
            c = jax.nn.sigmoid(f) * c + jax.nn.sigmoid(i) * jnp.tanh(g)
            h = jax.nn.sigmoid(o) * jnp.tanh(c)
            return (h, c), h

        zero = jnp.zeros((h.shape[1], Wh.shape[0]), h.dtype)
        _, h = jax.lax.scan(cell, (zero, zero), h @ at[f"{layer}.Wx"] + at[f"{layer}.b"])
    return h[-1] @ at["dense.W"] + at["dense.b"]


NETWORKS = {"autoencoder": tanh_autoencoder, "cnn": cnn, "lstm": lstm3}
