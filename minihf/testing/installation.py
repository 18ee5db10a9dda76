"""Is minihf well installed? Versions, backend, BLAS, GPU, and the ladder of every built-in op.

Called by ``minihf check`` without a target.
"""

from __future__ import annotations

import os
import platform
import warnings
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, version
from typing import Any

import numpy as np

import minihf
from minihf import backend

__all__ = ["blas", "facts", "gpu", "threads"]

THREADS = ("OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "BLIS_NUM_THREADS", "OMP_NUM_THREADS")
OF = {"openblas": THREADS[0], "mkl": THREADS[1], "blis": THREADS[2], "accelerate": ""}


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


def blas() -> str:
    """Say which library makes NumPy's matrix products."""
    built: Any = np.show_config(mode="dicts")
    found = (built or {}).get("Build Dependencies", {}).get("blas", {})
    return f"{found.get('name', 'unknown')} {found.get('version', '')}".strip()


def threads() -> str:
    """Say what the environment tells the BLAS about threads; it is not asked itself."""
    library = blas()
    mine = next((name for word, name in OF.items() if word in library), "")
    for name in dict.fromkeys((mine, "OMP_NUM_THREADS")):
        if os.environ.get(name):
            return f"{os.environ[name]} threads by {name}"
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    hint = f" ({mine} sets it)" if mine else ""
    return f"its own number of threads, on {cores} cores{hint}"


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "not installed (pip install 'minihf[testing]')"
