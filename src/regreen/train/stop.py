"""Ctrl-C as a question that is answered between two steps, when weights and optimiser agree."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

__all__ = ["Asked", "asked_to_stop"]


class Asked:
    """Whether somebody has asked this process to stop."""

    def __init__(self) -> None:
        self.stop = False

    def __call__(self, number: int, frame: FrameType | None) -> None:
        """Take a signal; a second Ctrl-C stops at once.

        ``torchrun`` sends SIGTERM to whom the terminal has sent SIGINT, so that is no second one.
        """
        if self.stop and number == signal.SIGINT:
            raise KeyboardInterrupt
        self.stop = True


@contextmanager
def asked_to_stop() -> Iterator[Asked]:
    """Listen to SIGINT and SIGTERM until the block ends; outside the main thread, to nothing."""
    asked, before = Asked(), dict[signal.Signals, Any]()
    if threading.current_thread() is threading.main_thread():
        for number in (signal.SIGINT, signal.SIGTERM):
            before[number] = signal.signal(number, asked)
    try:
        yield asked
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
