"""The fair best of the rivals: JAX, linearized once, its products compiled.

The same networks on the same parameters, by name; what `jax.linearize` and `jax.linear_transpose`
cache is shared by all products, as it is here. JAX is optional: `jax_product` is None without it.
Called by the benchmark.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from minihf.params import Params

__all__ = ["cnn", "jax_product", "lstm3", "tanh_autoencoder"]


def jax_product(
    forward: Callable[[Mapping[str, Any], Any], Any],
    params: Params,
    x: np.ndarray,
    v: np.ndarray,
    softmax: bool,
) -> Callable[[], np.ndarray] | None:
    """Return the compiled product J' H_L J v, or None where JAX is not installed.

    H_L is that of the softmax cross-entropy, or of the squared error.
    """
    try:
        import jax
    except ImportError:
        return None
    at = {name: jax.numpy.asarray(params[name]) for name in params.names}
    tangent = {name: jax.numpy.asarray(params.with_vector(v)[name]) for name in params.names}
    z, jvp = jax.linearize(lambda at: forward(at, jax.numpy.asarray(x)), at)
    transpose = jax.linear_transpose(jvp, at)
    p = jax.nn.softmax(z) if softmax else None

    @jax.jit
    def product(tangent: Any) -> Any:
        Rz = jvp(tangent)
        if p is not None:
            Rz = p * (Rz - (p * Rz).sum(axis=-1, keepdims=True))
        return transpose(Rz / len(x))[0]

    def run() -> np.ndarray:
        out = jax.block_until_ready(product(tangent))
        return np.concatenate([np.asarray(out[name]).reshape(-1) for name in params.names])

    return run


def tanh_autoencoder(at: Mapping[str, Any], x: Any) -> Any:
    """`minihf.experiments.networks.autoencoder` with four layers in each half."""
    import jax.numpy as jnp

    for half in ("encoder", "decoder"):
        for i in (0, 2, 4, 6):
            x = x @ at[f"{half}.{i}.W"] + at[f"{half}.{i}.b"]
            x = x if i == 6 else jnp.tanh(x)                   # linear: the code, and the output
    return x


def cnn(at: Mapping[str, Any], x: Any) -> Any:
    """Four 3x3 convolutions with ReLU, the second and the fourth of stride 2; pool; dense."""
    import jax

    for layer, stride in (("0", 1), ("2", 2), ("4", 1), ("6", 2)):
        x = jax.lax.conv_general_dilated(
            x, at[f"{layer}.W"], (stride, stride), ((1, 1), (1, 1)),
            dimension_numbers=("NCHW", "OIHW", "NCHW"),
        )  # fmt: skip
        x = jax.nn.relu(x + at[f"{layer}.b"][None, :, None, None])
    return x.mean(axis=(2, 3)) @ at["9.W"] + at["9.b"]


def lstm3(at: Mapping[str, Any], x: Any) -> Any:
    """Three LSTM layers by `jax.lax.scan`, and a dense layer on the last state."""
    import jax
    import jax.numpy as jnp

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
