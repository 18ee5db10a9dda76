"""Losses: a value, its gradient and its Hessian in the network's output.

All are means over cases and sums over everything else, and so both derivatives carry the 1/N. The
Hessian H_L of each is known in closed form and positive semi-definite, which is what makes the
Gauss-Newton matrix J' H_L J so. For these three it is the Fisher information of a predictive
distribution, from which `sample` draws.

=====================  ====================  =========================  ================
loss                   predictive            gradient in z (times N)    Hessian (times N)
=====================  ====================  =========================  ================
SquaredError           Normal(z, I)          z - y                      I
SoftmaxCrossEntropy    Categorical(p)        p - onehot(y)              diag(p) - p p'
SigmoidCrossEntropy    Bernoulli(p)          p - y                      diag(p (1 - p))
=====================  ====================  =========================  ================

Sequences of different lengths are padded to (N, T, ...), and y = (targets, mask) with a mask (N, T)
of True or 1 where a step counts. Masked steps, whatever stands there, give exactly 0 in `value`,
`grad`, `hvp` and `sample`; N stays the number of cases, never of steps.

Targets that do not fit are refused. On a device, where a look at their values waits, each array is
looked at once: do not write into it later.

N. N. Schraudolph, "Fast curvature matrix-vector products for second-order gradient descent",
Neural Computation 14 (2002). Called by curvature and the optimizers.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol
from weakref import ref

import numpy as np

from minihf.backend import Array, array_module, asarray, described, shape_of, to_host, widens
from minihf.fused import fused
from minihf.ops import sigmoid, softplus

__all__ = ["Loss", "SigmoidCrossEntropy", "SoftmaxCrossEntropy", "SquaredError"]


class Loss(Protocol):
    """What the curvature and the optimizers ask of a loss."""

    def value(self, z: Array, y: Any) -> Array:
        """Return the mean over cases, an array without axes."""

    def grad(self, z: Array, y: Any) -> Array:
        """Return the gradient in z, of z's shape, with the 1/N."""

    def hessian(self, z: Array, y: Any) -> Callable[[Array], Array]:
        """Return the map Rz -> H_L Rz, with all that depends on z computed once."""

    def hvp(self, z: Array, y: Any, Rz: Array) -> Array:
        """Multiply once with the Hessian in z: ``hessian(z, y)(Rz)``."""

    def sample(self, z: Array, rng: np.random.Generator, y: Any = None) -> Array:
        """Draw each case's output cotangent under the model's own predictions, without the 1/N.

        Of y only the mask is looked at.
        """

    def root(self, z: Array, v: Array, y: Any = None) -> Array:
        """Multiply with a square root R of each case's Hessian, R R' = N H_L, for v of z's shape.

        With random signs v, R v has the same second moment as a `sample`. Of y only the mask is
        looked at.
        """


@dataclass(frozen=True)
class SquaredError:
    """Half the squared distance, summed over outputs: 1/2 |z - y|^2 per case.

    Examples
    --------
    >>> import numpy as np, minihf as hf
    >>> loss = hf.SquaredError()
    >>> float(loss.value(np.array([[1.0, 2.0]]), np.array([[0.0, 0.0]])))
    2.5
    """

    def value(self, z: Array, y: Any) -> Array:
        """Return 1/2 |z - y|^2, mean over cases. z and y have the same shape (N, ...)."""
        e = self._error(z, y)
        return 0.5 * (e * e).sum() / len(z)

    def grad(self, z: Array, y: Any) -> Array:
        """Return (z - y) / N."""
        return self._error(z, y) / len(z)

    def hessian(self, z: Array, y: Any) -> Callable[[Array], Array]:
        """Return the map Rz -> Rz / N."""
        _, mask = _unmask("SquaredError", y, z)
        return lambda Rz: _where(mask, Rz / len(z))

    def hvp(self, z: Array, y: Any, Rz: Array) -> Array:
        """Return Rz / N."""
        return self.hessian(z, y)(Rz)

    def sample(self, z: Array, rng: np.random.Generator, y: Any = None) -> Array:
        """Draw z - y for y ~ Normal(z, I): standard normal entries."""
        _, mask = _unmask("SquaredError", y, z)
        return _where(mask, asarray(rng.standard_normal(z.shape), dtype=z.dtype))

    def root(self, z: Array, v: Array, y: Any = None) -> Array:
        """Return v: R is the identity."""
        _, mask = _unmask("SquaredError", y, z)
        return _where(mask, v)

    def _error(self, z: Array, y: Any) -> Array:
        y, mask = _unmask("SquaredError", y, z)
        _must_match("SquaredError", z, y)
        return _where(mask, z - y)


@dataclass(frozen=True)
class SigmoidCrossEntropy:
    """Binary cross-entropy of logits z with targets in [0, 1], summed over outputs.

    log(1 + exp z) - y z per output: finite for every finite logit.

    Examples
    --------
    >>> import numpy as np, minihf as hf
    >>> loss = hf.SigmoidCrossEntropy()
    >>> float(loss.value(np.array([[-1e4, 1e4]]), np.array([[0.0, 1.0]])))
    0.0
    """

    def value(self, z: Array, y: Any) -> Array:
        """Return the mean over cases. z and y have the same shape (N, ...)."""
        y, mask = self._check(z, y)
        return _where(mask, softplus(z) - y * z).sum() / len(z)

    def grad(self, z: Array, y: Any) -> Array:
        """Return (p - y) / N with p = sigmoid(z)."""
        y, mask = self._check(z, y)
        return _where(mask, sigmoid(z) - y) / len(z)

    def hessian(self, z: Array, y: Any) -> Callable[[Array], Array]:
        """Return the map Rz -> p (1 - p) Rz / N."""
        _, mask = _unmask("SigmoidCrossEntropy", y, z)
        p = sigmoid(z)
        weight = _where(mask, p * (1 - p) / len(z))
        return lambda Rz: weight * _where(mask, Rz)

    def hvp(self, z: Array, y: Any, Rz: Array) -> Array:
        """Return p (1 - p) Rz / N."""
        return self.hessian(z, y)(Rz)

    def sample(self, z: Array, rng: np.random.Generator, y: Any = None) -> Array:
        """Draw p - y for y ~ Bernoulli(p)."""
        _, mask = _unmask("SigmoidCrossEntropy", y, z)
        p = sigmoid(z)
        draw = asarray(rng.random(z.shape), dtype=p.dtype) < p
        return _where(mask, p - draw)

    def root(self, z: Array, v: Array, y: Any = None) -> Array:
        """Return sqrt(p (1 - p)) v."""
        _, mask = _unmask("SigmoidCrossEntropy", y, z)
        p = sigmoid(z)
        return _where(mask, (p * (1 - p)) ** 0.5 * v)

    def _check(self, z: Array, y: Any) -> tuple[Array, Array | None]:
        given, (y, mask) = y, _unmask("SigmoidCrossEntropy", y, z)
        _must_match("SigmoidCrossEntropy", z, y)
        if not _passes("in [0, 1]", given, lambda: ((y >= 0) & (y <= 1)).all()):
            raise ValueError("SigmoidCrossEntropy: targets must be in [0, 1] and not NaN")
        return y, mask


@dataclass(frozen=True)
class SoftmaxCrossEntropy:
    """Cross-entropy of logits z (N, ..., M) with integer labels y (N, ...) in 0 .. M - 1.

    Examples
    --------
    >>> import numpy as np, minihf as hf
    >>> loss = hf.SoftmaxCrossEntropy()
    >>> round(float(loss.value(np.zeros((1, 10)), np.array([3]))), 4)  # log 10
    2.3026
    """

    def value(self, z: Array, y: Any) -> Array:
        """Return the mean over cases of log sum exp z - z_y."""
        z2, labels, mask = self._check(z, y)
        xp = array_module(z)
        top = z2.real.max(axis=1, keepdims=True)
        log_sum = top[:, 0] + xp.log(xp.exp(z2 - top).sum(axis=1))
        each = log_sum - z2[xp.arange(len(z2)), labels]
        return _where(mask, each.reshape(*z.shape[:-1], 1)).sum() / len(z)

    def grad(self, z: Array, y: Any) -> Array:
        """Return (p - onehot(y)) / N with p = softmax(z)."""
        z2, labels, mask = self._check(z, y)
        error = _softmax(z2)
        error[array_module(z).arange(len(z2)), labels] -= 1
        return _where(mask, error.reshape(z.shape)) / len(z)

    def hessian(self, z: Array, y: Any) -> Callable[[Array], Array]:
        """Return the map Rz -> p (Rz - p' Rz) / N."""
        _, mask = _unmask("SoftmaxCrossEntropy", y, z, features=1)
        p = _where(mask, _softmax(z))
        scaled = p / len(z)

        def product(Rz: Array) -> Array:
            Rz = _where(mask, Rz)
            return _away_from_mean(scaled, Rz, (p * Rz).sum(axis=-1, keepdims=True))

        return product

    def hvp(self, z: Array, y: Any, Rz: Array) -> Array:
        """Return p (Rz - p' Rz) / N."""
        return self.hessian(z, y)(Rz)

    def sample(self, z: Array, rng: np.random.Generator, y: Any = None) -> Array:
        """Draw p - onehot(y) for y ~ Categorical(p)."""
        _, mask = _unmask("SoftmaxCrossEntropy", y, z, features=1)
        p = _softmax(z)
        xp = array_module(z)
        classes = xp.arange(z.shape[-1])
        draw = asarray(rng.random((*z.shape[:-1], 1)), dtype=p.dtype)
        label = (p.cumsum(axis=-1) < draw).sum(axis=-1, keepdims=True)
        return _where(mask, p - (classes == xp.minimum(label, z.shape[-1] - 1)))

    def root(self, z: Array, v: Array, y: Any = None) -> Array:
        """Return (diag(q) - p q') v with q = sqrt(p)."""
        _, mask = _unmask("SoftmaxCrossEntropy", y, z, features=1)
        p = _softmax(z)
        qv = p**0.5 * v
        return _where(mask, qv - p * qv.sum(axis=-1, keepdims=True))

    def _check(self, z: Array, y: Any) -> tuple[Array, Array, Array | None]:
        """Refuse labels that do not fit; return logits (N P, M) and labels (N P,), and the mask."""
        given, (y, mask) = y, _unmask("SoftmaxCrossEntropy", y, z, features=1)
        M = z.shape[-1]
        if tuple(getattr(y, "shape", ())) != tuple(z.shape[:-1]) or y.dtype.kind not in "iu":
            kind = getattr(getattr(y, "dtype", None), "name", type(y).__name__)
            raise ValueError(
                f"SoftmaxCrossEntropy: labels are {kind} of shape {shape_of(y)}, expected "
                f"integers of shape {tuple(z.shape[:-1])} for logits {tuple(z.shape)}; "
                "convert them with y.astype(int), one-hot rows with y.argmax(-1)"
            )
        if not _passes(f"labels below {M}", given, lambda: ((y >= 0) & (y < M)).all()):
            low, high = int(to_host(y.min())), int(to_host(y.max()))
            raise ValueError(
                f"SoftmaxCrossEntropy: labels run from {low} to {high}, expected 0 to {M - 1}"
            )
        return z.reshape(-1, M), y.reshape(-1), mask


_away_from_mean = fused(lambda p, R, mean: p * (R - mean), "pR = p * (R - mean)")


def _softmax(z: Array) -> Array:
    xp = array_module(z)
    e = xp.exp(z - z.real.max(axis=-1, keepdims=True))
    return e / e.sum(axis=-1, keepdims=True)


def _must_have_cases(loss: str, z: Any, ndim: int) -> None:
    if not hasattr(z, "shape"):
        fault = f"{loss}: the output is {described(z)}, expected one array (N, ...)"
        if isinstance(z, tuple):
            fault += (
                "; end the network with LastStep(), or give it the sequence alone, and the "
                "targets a mask"
            )
        raise TypeError(fault)
    if z.ndim < ndim:
        raise ValueError(
            f"{loss}: the output has shape {tuple(z.shape)}, expected a batch (N, ...); "
            "for one case use z[None]"
        )


def _unmask(
    loss: str, y: Any, z: Array, features: int = 0
) -> tuple[Any, Array | None]:
    """Return targets, 0 where masked, and the mask with axes like the output's; None: no mask.

    Of the output's axes the last `features` are not the targets' own.
    """
    _must_have_cases(loss, z, 1 + features)
    positions = z.shape[: z.ndim - features]
    if not isinstance(y, tuple):
        return y, None
    targets, mask = y
    steps = tuple(positions[:2])
    kind = getattr(getattr(mask, "dtype", None), "name", type(mask).__name__)
    if len(steps) < 2 or shape_of(mask) != steps or not hasattr(mask, "dtype"):
        wanted = f"{steps}, one entry per case and step" if len(steps) == 2 else "no mask"
        raise ValueError(
            f"{loss}: the mask is {kind} of shape {shape_of(mask)}, expected {wanted}"
        )
    if not _passes("mask", mask, lambda: ((mask == 0) | (mask == 1)).all()):
        raise ValueError(f"{loss}: the mask is {kind} and must be True (1) or False (0) everywhere")
    mask = (mask != 0).reshape(*steps, *(1,) * (len(positions) - 2))
    if tuple(getattr(targets, "shape", ())) == tuple(positions):
        targets = _where(mask, targets)
    return targets, mask.reshape(*mask.shape, *(1,) * features)


_passed: dict[tuple[Any, ...], tuple[ref[Any], ...]] = {}
"""What has passed on a device: by the demand and the arrays' ids, for as long as they live."""


def _passes(demand: str, y: Any, look: Callable[[], Array]) -> bool:
    """Tell whether targets are as demanded; on a device, where a look waits, look at them once."""
    arrays = y if isinstance(y, tuple) else (y,)
    if isinstance(arrays[0], np.ndarray):
        return bool(look())
    key = (demand, *map(id, arrays))
    passed = _passed.get(key)
    if passed is None or any(it() is not array for it, array in zip(passed, arrays, strict=True)):
        if not bool(look()):
            return False
        _passed[key] = tuple(ref(array, lambda _: _passed.pop(key, None)) for array in arrays)
    return True


def _where(mask: Array | None, x: Array) -> Array:
    """Return x, exactly 0 where the mask says so."""
    return x if mask is None else array_module(x).where(mask, x, 0)


def _must_match(loss: str, z: Array, y: Array) -> None:
    if tuple(getattr(y, "shape", ())) != tuple(z.shape):
        raise ValueError(
            f"{loss}: targets have shape {shape_of(y)}, "
            f"the network's output {tuple(z.shape)}"
        )
    if widens(y, z):
        raise ValueError(
            f"{loss}: targets are {y.dtype}, the network's output is {z.dtype}; "
            f"convert the targets with y.astype(np.{z.dtype})"
        )
