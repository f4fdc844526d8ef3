"""A bounded cache: the least recently used entry goes first, and every entry expires."""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Callable, Hashable
from functools import wraps
from typing import Generic, ParamSpec, TypeVar

from ledger.errors import LedgerError

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")
P = ParamSpec("P")


class ExpiringCache(Generic[K, V]):
    """Values by key, at most ``capacity`` of them, each for ``lifetime`` seconds.

    Args:
        capacity: entries kept.
        lifetime: seconds until an entry is forgotten, counted from when it was put in.
        clock: tells the seconds.
    """

    def __init__(
        self,
        capacity: int = 128,
        lifetime: float = 60.0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        if capacity < 1:
            raise LedgerError(f"capacity must be positive: {capacity}")
        self.capacity = capacity
        self.lifetime = lifetime
        self.hits = 0
        self.misses = 0
        self._clock = clock
        self._entries: OrderedDict[K, tuple[float, V]] = OrderedDict()

    def get(self, key: K, default: V | None = None) -> V | None:
        """The value of a key, which thereby becomes the most recently used."""
        if key not in self:
            self.misses += 1
            return default
        self.hits += 1
        self._entries.move_to_end(key)
        return self._entries[key][1]

    def put(self, key: K, value: V) -> None:
        """Keep a value; its lifetime begins anew."""
        self._entries[key] = (self._clock() + self.lifetime, value)
        self._entries.move_to_end(key)
        if len(self._entries) > self.capacity:
            self.prune()
        if len(self._entries) > self.capacity:
            self._entries.popitem(last=False)

    def prune(self) -> int:
        """Forget what has expired; returns how many entries that were."""
        now = self._clock()
        expired = [key for key, (until, _) in self._entries.items() if until <= now]
        for key in expired:
            del self._entries[key]
        return len(expired)

    def clear(self) -> None:
        """Forget everything, the counts of hits and misses too."""
        self._entries.clear()
        self.hits = self.misses = 0

    def __contains__(self, key: K) -> bool:
        entry = self._entries.get(key)
        return entry is not None and self._clock() < entry[0]

    def __len__(self) -> int:
        now = self._clock()
        return sum(now < until for until, _ in self._entries.values())


def memoize(
    capacity: int = 128, lifetime: float = 60.0, clock: Callable[[], float] = time.monotonic
) -> Callable[[Callable[P, V]], Callable[P, V]]:
    """Decorate a function of hashable arguments so that its results are kept for a while."""

    def decorate(function: Callable[P, V]) -> Callable[P, V]:
        cache: ExpiringCache[Hashable, tuple[V]] = ExpiringCache(capacity, lifetime, clock)

        @wraps(function)
        def wrapper(*args: P.args, **kwargs: P.kwargs) -> V:
            key = (args, tuple(sorted(kwargs.items())))
            known = cache.get(key)
            if known is None:
                known = (function(*args, **kwargs),)  # a tuple, so that None is a result too
                cache.put(key, known)
            return known[0]

        return wrapper

    return decorate
