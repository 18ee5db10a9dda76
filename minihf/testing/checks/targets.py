"""Targets for a loss that nobody has described: of the first kind that its value accepts.

Called by `check_loss`, and by whatever else needs a loss with something to aim at.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from minihf.backend import Array, asarray, to_host

__all__ = ["KINDS", "draw_targets", "must_be_targets"]

KINDS: Mapping[str, Callable[[np.random.Generator, Array], np.ndarray]] = {
    "like z": lambda rng, z: rng.standard_normal(z.shape),
    "unit": lambda rng, z: rng.random(z.shape),
    "labels": lambda rng, z: rng.integers(z.shape[-1], size=z.shape[:-1]),
}
"""Normal numbers, numbers in [0, 1) in the output's shape, classes along the output's last axis."""


def draw_targets(
    loss: Any,
    z: Array,
    rng: np.random.Generator,
    targets: str | Callable[[np.random.Generator, Array], Any] | None = None,
) -> Any:
    """Draw targets y for an output z.

    Parameters
    ----------
    loss : Loss
    z : array, shape (N, ...)
    rng : numpy.random.Generator
    targets : str or callable, optional
        One of `KINDS`, or a function (rng, z) -> y. Without it, the first kind for which
        ``loss.value(z, y)`` is a finite number; a kind that it refuses raises an error there.

    Returns
    -------
    array or tuple of array
        Floating targets have z's dtype.

    Raises
    ------
    ValueError
        If there is no such kind, or the loss accepts none.

    Examples
    --------
    >>> import numpy as np, minihf as hf
    >>> z, rng = np.zeros((2, 3)), np.random.default_rng(0)
    >>> draw_targets(hf.SoftmaxCrossEntropy(), z, rng).dtype
    dtype('int64')
    >>> draw_targets(hf.SquaredError(), z, rng).shape
    (2, 3)
    """
    must_be_targets(targets)
    if callable(targets):
        drawn = targets(rng, z)
        return tuple(map(asarray, drawn)) if isinstance(drawn, tuple) else asarray(drawn)
    if targets is not None:
        return _draw(targets, rng, z)
    refusal = ""
    for kind in KINDS:
        try:
            y = _draw(kind, rng, z)
            with np.errstate(all="ignore"):
                value = to_host(loss.value(z, y))
        except Exception as error:  # whatever a loss says to targets that are not for it
            refusal = f"{type(error).__name__}: {error}".splitlines()[0]
        else:
            if np.isfinite(value).all():
                return y
            refusal = f"its value is {value}"
    raise ValueError(
        f"{type(loss).__name__}.value accepts none of the targets {', '.join(KINDS)} "
        f"for an output {tuple(z.shape)} ({refusal}); give targets, a function (rng, z) -> y"
    )


def must_be_targets(targets: Any) -> None:
    """Refuse what is neither a kind of targets, nor a function, nor None."""
    if not (targets is None or callable(targets) or targets in KINDS):
        raise ValueError(
            f"unknown targets {targets!r}; choose one of: {', '.join(KINDS)}, "
            "or give a function (rng, z) -> y"
        )


def _draw(kind: str, rng: np.random.Generator, z: Array) -> Array:
    drawn = KINDS[kind](rng, z)
    return asarray(drawn, dtype=z.dtype if drawn.dtype.kind == "f" else None)
