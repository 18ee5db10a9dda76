"""Memory of freed arrays, kept for the next ones.

Every NumPy array comes from the C library's `malloc`, and glibc's gives an array of megabytes back
to the operating system as soon as it is freed. The next one of that size has to be mapped and
zeroed again, page by page. An update frees and makes the same large arrays as the one before it, so
that up to a third of its time goes there: a process that only trains does better to keep them.

Called by the command line, for its own process.
"""

from __future__ import annotations

import ctypes

__all__ = ["keep_freed_memory"]

M_TRIM_THRESHOLD, M_MMAP_MAX = -1, -4
"""Numbers from glibc's malloc.h."""


def keep_freed_memory() -> bool:
    """Let this process keep what it frees, and tell whether its C library can be told so.

    Only glibc can, which most Linux systems have. It concerns the whole process: call it in a
    program, not in a library. The process stays as large as it has once been.

    Examples
    --------
    >>> from minihf.memory import keep_freed_memory
    >>> keep_freed_memory() in (True, False)
    True
    """
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (AttributeError, OSError, TypeError):  # musl, macOS, Windows
        return False
    never = 2**31 - 1
    return bool(mallopt(M_MMAP_MAX, 0) and mallopt(M_TRIM_THRESHOLD, never))
