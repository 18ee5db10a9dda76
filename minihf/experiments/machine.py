"""What matrix products run on: facts that a timing depends on.

Called by the race, which writes them down, and by ``minihf check``.
"""

from __future__ import annotations

import os
from typing import Any

import numpy as np

from minihf.parallel import workers

__all__ = ["THREADS", "blas", "blas_threads", "threads"]

THREADS = ("OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "BLIS_NUM_THREADS", "OMP_NUM_THREADS")
OF = {"openblas": THREADS[0], "mkl": THREADS[1], "blis": THREADS[2], "accelerate": ""}


def blas() -> str:
    """Say which library makes NumPy's matrix products."""
    built: Any = np.show_config(mode="dicts")
    found = (built or {}).get("Build Dependencies", {}).get("blas", {})
    return f"{found.get('name', 'unknown')} {found.get('version', '')}".strip()


def threads() -> str:
    """Say how many threads the BLAS has been told to use, and how many workers there are."""
    n = workers()
    return blas_threads() if n == 1 else f"{blas_threads()}, shared by {n} workers"


def blas_threads() -> str:
    """Say what the environment tells the BLAS about threads; it is not asked itself."""
    library = blas()
    mine = next((name for word, name in OF.items() if word in library), "")
    for name in dict.fromkeys((mine, "OMP_NUM_THREADS")):
        if os.environ.get(name):
            return f"{os.environ[name]} threads by {name}"
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    hint = f" ({mine} sets it)" if mine else ""
    return f"its own number of threads, on {cores} cores{hint}"
