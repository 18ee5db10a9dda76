"""Is minihf well installed? Versions, backend, BLAS, GPU, and the ladder of every built-in op.

Called by ``minihf check`` without a target.
"""

from __future__ import annotations

import os
import platform
import warnings
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, version

import minihf
from minihf import backend
from minihf.experiments.machine import blas, threads

__all__ = ["facts", "gpu"]


def facts() -> Iterator[tuple[str, str]]:
    """Yield what there is to say about the installation, as pairs of a word and a line."""
    yield "minihf", f"{minihf.__version__}, {os.path.dirname(minihf.__file__)}"
    yield "Python", f"{platform.python_version()} on {platform.system()} {platform.machine()}"
    yield "packages", ", ".join(f"{name} {_version(name)}" for name in ("numpy", "scipy"))
    yield "testing", ", ".join(f"{name} {_version(name)}" for name in ("pytest", "hypothesis"))
    yield "backend", str(backend.device())
    yield "GPU", gpu()
    yield "BLAS", f"{blas()}, {threads()}"


def gpu() -> str:
    """Say whether the GPU computes, whatever backend is in use; which is as it was, afterwards."""
    before = backend.device()
    try:
        with warnings.catch_warnings(action="ignore"):    # the reason is what is returned
            found = backend.use("auto")
    finally:
        backend.use(before.backend)
    return found.reason if found.backend == "cupy" else f"none: {found.reason}"


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "not installed (pip install 'minihf[testing]')"
