"""One function over many items in several processes, results in the order of the items.

Processes are started fresh, never forked: the vocabulary's library holds threads. Only so many
items are under way that neither side waits, so memory does not grow with the corpus. A process ends
with the one that started it, however that ended.
"""

from __future__ import annotations

import ctypes
import os
import signal
import sys
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from itertools import islice
from multiprocessing import get_context
from typing import Any, TypeVar

__all__ = ["ordered_results"]

Item = TypeVar("Item")
Result = TypeVar("Result")

_PR_SET_PDEATHSIG = 1
_CHUNK = 16
_AHEAD = 4
_function: Callable[[Any], Any]


def ordered_results(
    function: Callable[[Item], Result], items: Iterable[Item], workers: int
) -> Iterator[tuple[Item, Result]]:
    """Each item with its result.

    Args:
        function: called in another process where there are several; it is pickled once for each.
        items: taken as they are needed.
        workers: processes; 1 works in this one.
    """
    if workers <= 1:
        for item in items:
            yield item, function(item)
        return
    source = iter(items)
    waiting: deque[tuple[list[Item], Future[list[Result]]]] = deque()
    pool = ProcessPoolExecutor(workers, get_context("spawn"), _prepare, (function, os.getpid()))
    try:
        while True:
            while len(waiting) < workers * _AHEAD and (chunk := list(islice(source, _CHUNK))):
                waiting.append((chunk, pool.submit(_work, chunk)))
            if not waiting:
                return
            chunk, future = waiting.popleft()
            yield from zip(chunk, future.result(), strict=True)
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


def _prepare(function: Callable[[Any], Any], parent: int) -> None:
    global _function  # noqa: PLW0603 (a process of the pool has no other place for it)
    _end_with(parent)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the first process decides when to stop
    _function = function


def _end_with(parent: int) -> None:
    """Let this process be killed when its parent is, which cannot tell it so itself."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    if os.getppid() != parent:  # it ended before that was asked for
        os._exit(1)


def _work(chunk: list[Any]) -> list[Any]:
    return [_function(item) for item in chunk]
