"""Whether a loss's samples are what Kronecker factors take them for: its Hessian, in the mean.

Of a case's samples s the mean is 0 and the second moment N times the case's block of the Hessian,
within what chance allows so many draws. A rung of `check_loss`.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from minihf.backend import asarray, to_host
from minihf.testing.checks.loss_case import LossCase
from minihf.testing.failure import Finding
from minihf.testing.measure import ROUNDING

__all__ = ["SIGMAS", "sampling"]

SIGMAS = 7.0    # standard errors; by chance it is more once in 10^11 numbers, and seeds are fixed
DRAWS = 20_000  # second moments are then good to about 1 %


def sampling(at: LossCase) -> Iterator[Finding]:
    """Compare moments of many samples, along some directions, with 0 and with the Hessian."""
    N, P = len(at.z), at.z.size // len(at.z)
    rng = np.random.default_rng(at.case.seed)
    V = np.eye(P) if P <= 8 else rng.standard_normal((8, P)) / P**0.5
    draws = max(1000, min(DRAWS, 4_000_000 // at.z.size))
    copies = asarray(np.repeat(to_host(at.z)[None], draws, axis=0).reshape(-1, *at.z.shape[1:]))
    s = to_host(at.sample(copies, rng)).reshape(draws, N, P) @ V.T           # (draws, N, r)
    along = [np.broadcast_to(v.reshape(at.z.shape[1:]), at.z.shape).copy() for v in V]
    H = np.stack([N * to_host(at.hessian(asarray(v))).reshape(N, P) @ V.T for v in along], axis=2)
    scale = float(np.abs(H).max())
    worst = _standard_errors(s, np.zeros_like(s[0]), ROUNDING * scale**0.5)
    yield Finding(
        "the mean of the samples, in standard errors", worst, SIGMAS,
        "the samples of a case do not have mean 0: targets must be drawn from the model's own "
        "predictions, for every case anew",
    )  # fmt: skip
    moments = s[..., :, None] * s[..., None, :]                              # (draws, N, r, r)
    worst = _standard_errors(moments, H, ROUNDING * scale)
    found, square = moments.mean(axis=0), float((H * H).sum())
    ratio = float((found * H).sum()) / square if square else 0.0
    yield Finding(
        "the second moments of the samples, in standard errors", worst, SIGMAS,
        _moments_are_off(ratio, len(copies)),
    )  # fmt: skip


def _standard_errors(draws: np.ndarray, expected: np.ndarray, rounding: float) -> float:
    """Return how many standard errors the means of draws are away from what is expected."""
    gap = np.abs(draws.mean(axis=0) - expected)
    error = draws.std(axis=0) / len(draws) ** 0.5
    gap = np.where(gap <= rounding, 0.0, gap)
    with np.errstate(divide="ignore", invalid="ignore"):
        return float(np.where(gap == 0, 0.0, gap / error).max(initial=0.0))


def _moments_are_off(ratio: float, cases: int) -> str:
    said = f"E[s_n s_n'] is {ratio:.3g} times N times the Hessian's block of case n"
    if abs(ratio * cases**2 - 1) < 0.1:
        return f"{said}: the samples carry the 1/N, and must be unscaled"
    if abs(ratio - 1) < 0.1:
        return "E[s_n s_n'] is not N times the Hessian's block of case n"
    return said
