"""What a run shows and hears while it goes: a progress bar, and the wish that it should end.

Called by `minihf.fit`, the command line and `minihf watch`.
"""

from __future__ import annotations

import math
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from time import monotonic
from typing import Any

__all__ = ["interruptible", "progress_bar", "terminable"]

DRAWING = 0.2
"""Seconds from one drawing of a bar to the next, at least."""


@contextmanager
def progress_bar(
    name: str, show: bool, begun: float = 0.0
) -> Iterator[Callable[[float, str], None]]:
    """Give a function of (share done, text); it draws a bar of one line, or nothing.

    With the text there is the time left, by the share that was done since `begun`. Where nobody
    reads it any more, as behind a pipe that was closed, it is not drawn, and the run goes on.
    """
    if not show or sys.stderr is None:                       # as in a process without a terminal
        yield lambda spent, text: None
        return
    from tqdm import tqdm

    form = "{desc} {percentage:3.0f}%|{bar:6}|{remaining} left{postfix}"
    drawn = -math.inf
    try:
        bar = tqdm(
            total=1.0, initial=min(begun, 1.0), desc=name, bar_format=form, dynamic_ncols=True
        )
    except OSError:
        yield lambda spent, text: None
        return

    def draw(spent: float, text: str) -> None:
        nonlocal drawn
        bar.n = spent
        bar.set_postfix_str(text, refresh=False)
        if monotonic() - drawn >= DRAWING or spent >= 1:
            with suppress(OSError), bar.get_lock():
                bar.display()
            drawn = monotonic()

    try:
        yield draw
    finally:
        with suppress(OSError):
            bar.close()


@contextmanager
def terminable() -> Iterator[None]:
    """Let SIGTERM do what Ctrl-C does. A program wants this, and not all of those that train."""
    if signal.getsignal(signal.SIGTERM) is not signal.SIG_DFL or not _is_main_thread():
        yield
        return
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)


@contextmanager
def interruptible() -> Iterator[Callable[[], bool]]:
    """Let the first Ctrl-C ask the run to end after its update; a second one stops it at once.

    So does SIGTERM where it would stop the run like Ctrl-C (`terminable`); a handler of the
    program's own stays. A process that ignores Ctrl-C, as a shell may start those in the
    background, goes on ignoring it.
    """
    asked = threading.Event()
    if not _is_main_thread():
        yield asked.is_set
        return
    before = {}
    if callable(handler := signal.getsignal(signal.SIGINT)):
        before[signal.SIGINT] = handler
    if signal.getsignal(signal.SIGTERM) is signal.default_int_handler:
        before[signal.SIGTERM] = signal.default_int_handler

    def put_back() -> None:
        for number, handler in before.items():
            signal.signal(number, handler)

    def ask(signum: int, frame: Any) -> None:
        asked.set()
        put_back()

    for number in before:
        signal.signal(number, ask)
    try:
        yield asked.is_set
    finally:
        put_back()


def _is_main_thread() -> bool:
    """Tell whether signals come here."""
    return threading.current_thread() is threading.main_thread()
