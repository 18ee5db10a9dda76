"""Threads for independent pieces of work: chunks of a batch, blocks, layers, tangents.

NumPy lets go of Python while it computes, so that threads of one process can share the cores. A
matrix product already does so by itself; but the passes over memory beside it, in a convolution two
thirds of the time, run on one core however many there are. `each` maps a function over independent
pieces with several workers, and gives each its share of the BLAS's threads meanwhile. What comes
back is in the order of the pieces, so sums over it are the same bits at every run: those that one
worker makes with as many BLAS threads as each of several has.

On a device there is one worker, since its arrays are worked on by thousands of threads already.

Called by whoever has independent pieces: gradients, solvers of blocks, factors of layers.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextvars import ContextVar, copy_context
from functools import cache
from typing import Any, TypeVar

from threadpoolctl import ThreadpoolController

from minihf.backend import device

__all__ = ["each", "use_workers", "workers"]

Piece = TypeVar("Piece")
Result = TypeVar("Result")

_workers: int | None = None
_inside = ContextVar("inside a worker", default=False)


def use_workers(n: int) -> None:
    """Choose how many threads independent pieces of work are spread over, from now on.

    Without a call, the environment variable ``MINIHF_WORKERS`` decides, else one.

    Raises
    ------
    ValueError
        If n is no whole number of at least 1.

    Examples
    --------
    >>> import minihf as hf
    >>> hf.use_workers(2)
    >>> hf.workers()
    2
    >>> hf.use_workers(1)
    """
    global _workers
    _workers = _number("use_workers", n)


def workers() -> int:
    """Return how many threads there are now: one inside a worker, and on a device."""
    if _inside.get() or device().backend == "cupy":
        return 1
    if _workers is None:
        return _number("MINIHF_WORKERS", os.environ.get("MINIHF_WORKERS", 1))
    return _workers


def each(function: Callable[[Piece], Result], pieces: Iterable[Piece]) -> list[Result]:
    """Return what the function makes of each piece, in order, by as many threads as there are.

    An exception in one of them is raised here, when no other is at work any more: those that have
    not begun do not begin.
    """
    pieces = list(pieces)
    n = min(workers(), len(pieces))
    if n < 2:
        return [function(piece) for piece in pieces]
    with _blas().limit(limits=max(1, _blas_threads() // n), user_api="blas"):
        started: list[Future[Result]] = []
        try:
            for piece in pieces:
                started.append(_pool(n).submit(copy_context().run, _work, function, piece))
            return [future.result() for future in started]
        except BaseException:
            _call_off(started)
            raise


def _work(function: Callable[[Piece], Result], piece: Piece) -> Result:
    _inside.set(True)
    return function(piece)


def _call_off(started: list[Future[Any]]) -> None:
    """Cancel what has not begun, and wait for the rest."""
    wait([future for future in started if not future.cancel()])


@cache
def _pool(n: int) -> ThreadPoolExecutor:
    return ThreadPoolExecutor(n, thread_name_prefix="minihf")


if hasattr(os, "register_at_fork"):                    # the threads stay behind with the parent
    os.register_at_fork(after_in_child=_pool.cache_clear)


@cache
def _blas() -> ThreadpoolController:
    return ThreadpoolController()


def _blas_threads() -> int:
    libraries = _blas().select(user_api="blas").lib_controllers
    return max((library.num_threads for library in libraries), default=1)


def _number(asked_by: str, value: object) -> int:
    digits = str(value)
    if not (digits.isascii() and digits.isdecimal() and int(digits) > 0):
        raise ValueError(
            f"{asked_by}: the number of workers is {value!r}, expected a whole number of 1 or more"
        )
    return int(digits)
