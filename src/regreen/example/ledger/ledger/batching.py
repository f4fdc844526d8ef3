"""Asynchronous look-ups, for example of exchange rates: in batches, bounded, tried again."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from functools import wraps
from typing import Generic, ParamSpec, TypeVar

from ledger.errors import LedgerError

K = TypeVar("K")
V = TypeVar("V")
P = ParamSpec("P")


class Batcher(Generic[K, V]):
    """Gathers single look-ups of one turn of the event loop into calls for many keys.

    Args:
        load: looks up a list of distinct keys; a key it does not return is missing.
        size: most keys of one call.
    """

    def __init__(
        self, load: Callable[[Sequence[K]], Awaitable[Mapping[K, V]]], size: int = 50
    ) -> None:
        self._load = load
        self._size = size
        self._waiting: dict[K, asyncio.Future[V]] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    async def get(self, key: K) -> V:
        """The value of one key.

        Raises:
            KeyError: it is missing.
        """
        if key not in self._waiting:
            if not self._waiting:
                self._start()
            self._waiting[key] = asyncio.get_running_loop().create_future()
        # one caller's cancellation must not cancel what others wait for
        return await asyncio.shield(self._waiting[key])

    async def get_all(self, keys: Iterable[K]) -> list[V]:
        """The values of several keys, in their order."""
        return list(await asyncio.gather(*(self.get(key) for key in keys)))

    def _start(self) -> None:
        task = asyncio.get_running_loop().create_task(self._run())
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _run(self) -> None:
        waiting, self._waiting = self._waiting, {}
        keys = list(waiting)
        for start in range(0, len(keys), self._size):
            chunk = keys[start : start + self._size]
            try:
                values = await self._load(chunk)
            except Exception as error:
                for key in chunk:
                    waiting[key].set_exception(error)
                continue
            for key in chunk:
                if key in values:
                    waiting[key].set_result(values[key])
                else:
                    waiting[key].set_exception(KeyError(key))


async def map_limited(
    function: Callable[[K], Awaitable[V]], items: Iterable[K], limit: int = 4
) -> list[V]:
    """Results in the order of the items, at most ``limit`` of them in the making at once.

    Raises:
        LedgerError: the limit lets nothing through.
    """
    if limit < 1:
        raise LedgerError(f"limit must be positive: {limit}")
    gate = asyncio.Semaphore(limit)

    async def one(item: K) -> V:
        async with gate:
            return await function(item)

    return list(await asyncio.gather(*map(one, items)))


async def first_of(*calls: Callable[[], Awaitable[V]]) -> V:
    """The first result that is no failure, asked for one after the other.

    Raises:
        ExceptionGroup: all failed.
    """
    failures: list[Exception] = []
    for call in calls:
        try:
            return await call()
        except Exception as error:
            failures.append(error)
    raise ExceptionGroup("every source failed", failures)


def retry(
    attempts: int = 3,
    pause: float = 0.1,
    on: type[Exception] = OSError,
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
) -> Callable[[Callable[P, Awaitable[V]]], Callable[P, Awaitable[V]]]:
    """Decorate an asynchronous function so that it is tried again, each pause twice the last.

    Args:
        attempts: calls in all.
        pause: seconds before the second call.
        on: the failures that are worth another call.
        sleep: waits.
    """

    def decorate(function: Callable[P, Awaitable[V]]) -> Callable[P, Awaitable[V]]:
        @wraps(function)
        async def wrapper(*args: P.args, **kwargs: P.kwargs) -> V:
            for attempt in range(attempts - 1):
                try:
                    return await function(*args, **kwargs)
                except on:
                    await sleep(pause * 2**attempt)
            return await function(*args, **kwargs)

        return wrapper

    return decorate
