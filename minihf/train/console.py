"""What a run shows and hears while it goes: a progress bar, and the wish that it should end.

Called by `minihf.fit`.
"""

from __future__ import annotations

import math
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from time import monotonic
from typing import Any

__all__ = ["interruptible", "progress_bar"]

DRAWING = 0.2
"""Seconds from one drawing of a bar to the next, at least."""

ENDING = (signal.SIGINT, signal.SIGTERM)
"""Ctrl-C, and what systems send to a process that is to end."""


@contextmanager
def progress_bar(
    name: str, show: bool, begun: float = 0.0
) -> Iterator[Callable[[float, str], None]]:
    """Give a function of (share done, text); it draws a bar of one line, or nothing.

    With the text there is the time left, by the share that was done since `begun`. Where nobody
    reads it any more, as behind a pipe that was closed, it is not drawn, and the run goes on.
    """
    if not show:
        yield lambda spent, text: None
        return
    from tqdm import tqdm

    form = "{desc} {percentage:3.0f}%|{bar:12}|{remaining} left{postfix}"
    drawn = -math.inf
    bar = tqdm(
        total=1.0, initial=min(begun, 1.0), desc=name, bar_format=form, dynamic_ncols=True
    )

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
def interruptible() -> Iterator[Callable[[], bool]]:
    """Let the first Ctrl-C, or SIGTERM, ask the run to end after its update.

    A second one stops it at once. A process that ignores one of them, as a shell may start those in
    the background, goes on ignoring it.
    """
    asked = threading.Event()
    if threading.current_thread() is not threading.main_thread():
        yield asked.is_set
        return
    handlers = {number: signal.getsignal(number) for number in ENDING}
    before = {n: handler for n, handler in handlers.items() if handler not in (signal.SIG_IGN, None)}

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
