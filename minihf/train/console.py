"""What a run shows and hears while it goes: a progress bar, and Ctrl-C.

Called by `minihf.fit`.
"""

from __future__ import annotations

import math
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from time import monotonic
from typing import Any

__all__ = ["interruptible", "progress_bar"]

DRAWING = 0.2
"""Seconds from one drawing of a bar to the next, at least."""


@contextmanager
def progress_bar(
    name: str, show: bool, begun: float = 0.0
) -> Iterator[Callable[[float, str], None]]:
    """Give a function of (share done, text); it draws a bar of one line, or nothing.

    With the text there is the time left, by the share that was done since `begun`.
    """
    if not show:
        yield lambda spent, text: None
        return
    from tqdm import tqdm

    form = "{desc} {percentage:3.0f}%|{bar:12}|{remaining} left{postfix}"
    drawn = -math.inf
    with tqdm(
        total=1.0, initial=min(begun, 1.0), desc=name, bar_format=form, dynamic_ncols=True
    ) as bar:

        def draw(spent: float, text: str) -> None:
            nonlocal drawn
            bar.n = spent
            bar.set_postfix_str(text, refresh=False)
            if monotonic() - drawn >= DRAWING or spent >= 1:
                bar.refresh()
                drawn = monotonic()

        yield draw


@contextmanager
def interruptible() -> Iterator[Callable[[], bool]]:
    """Let the first Ctrl-C ask the run to end after its update; a second one stops it at once."""
    asked = threading.Event()
    if threading.current_thread() is not threading.main_thread():
        yield asked.is_set
        return
    before = signal.getsignal(signal.SIGINT)

    def ask(signum: int, frame: Any) -> None:
        asked.set()
        signal.signal(signal.SIGINT, before)

    signal.signal(signal.SIGINT, ask)
    try:
        yield asked.is_set
    finally:
        signal.signal(signal.SIGINT, before)
