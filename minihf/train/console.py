"""What a run shows and hears while it goes: a progress bar, and Ctrl-C.

Called by `minihf.fit`.
"""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

__all__ = ["interruptible", "progress_bar"]


@contextmanager
def progress_bar(name: str, show: bool) -> Iterator[Callable[[float, str], None]]:
    """Give a function of (share done, text); it draws a bar, or nothing."""
    if not show:
        yield lambda spent, text: None
        return
    from tqdm import tqdm

    form = "{desc} {percentage:3.0f}%|{bar:20}|{postfix}"
    with tqdm(total=1.0, desc=name, bar_format=form, mininterval=0.2) as bar:

        def draw(spent: float, text: str) -> None:
            bar.set_postfix_str(text, refresh=False)
            bar.update(spent - bar.n)

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
