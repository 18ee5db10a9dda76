"""What matrix products run on: facts that a timing depends on.

Called by the race and the benchmark, which write them down, and by ``minihf check``.
"""

from __future__ import annotations

import os
import platform
import re
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np

from minihf.parallel import workers

__all__ = [
    "THREADS",
    "blas",
    "blas_threads",
    "cores",
    "processor",
    "thread_settings",
    "threads",
]

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
    hint = f" ({mine} sets it)" if mine else ""
    return f"its own number of threads, on {cores()} cores{hint}"


def cores() -> int:
    """Return how many cores this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def processor() -> str:
    """Name the processor, as far as the system does, and how many of its cores are ours."""
    name = platform.processor() or platform.machine()
    with suppress(OSError):
        models = re.findall(r"^model name\s*: (.+)$", Path("/proc/cpuinfo").read_text(), re.M)
        name = models[0] if models else name
    return f"{name} ({platform.machine()}), {cores()} core{'s' * (cores() > 1)}"


def thread_settings(n: int) -> dict[str, str]:
    """Return the environment in which NumPy, PyTorch and XLA all start with n threads.

    They look at it once, when they are loaded.
    """
    return dict.fromkeys((*THREADS, "NPROC"), str(n))
