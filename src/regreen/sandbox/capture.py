"""Reading what a process writes: descriptors pumped by the event loop, head and tail kept.

The middle is what goes when a stream passes its cap: the head says what ran and the tail says how
it ended, while a cap at either end alone loses one of the two.
"""

from __future__ import annotations

import asyncio
import os
from collections import deque
from collections.abc import Callable

__all__ = ["Capture", "LineQueue", "Pump"]

_CHUNK = 1 << 16
_QUEUE_BYTES = 1 << 26


class Capture:
    """The first and last ``limit / 2`` bytes of a stream."""

    def __init__(self, limit: int) -> None:
        self._head_limit = limit // 2
        self._tail_limit = limit - limit // 2
        self._head = bytearray()
        self._tail = bytearray()
        self._total = 0

    def feed(self, data: bytes) -> None:
        """Take the next bytes."""
        self._total += len(data)
        room = self._head_limit - len(self._head)
        if room > 0:
            self._head += data[:room]
            data = data[room:]
        if data:
            self._tail += data
            if len(self._tail) > 2 * self._tail_limit + _CHUNK:
                del self._tail[: len(self._tail) - self._tail_limit]

    def clear(self) -> None:
        """Forget everything."""
        self._head.clear()
        self._tail.clear()
        self._total = 0

    @property
    def dropped(self) -> int:
        """Bytes cut out of the middle."""
        return max(0, self._total - self._head_limit - self._tail_limit)

    def value(self) -> bytes:
        """What was kept; a line in the middle says how much is missing."""
        if not self.dropped:
            return bytes(self._head + self._tail)
        tail = self._tail[len(self._tail) - self._tail_limit :]
        return bytes(self._head) + b"\n[... %d bytes cut ...]\n" % self.dropped + bytes(tail)


class Pump:
    """Hands the bytes of one descriptor to ``sink`` as they come; owns the descriptor."""

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        fd: int,
        sink: Callable[[bytes], None],
        at_end: Callable[[Pump], None],
    ) -> None:
        self._loop = loop
        self._fd = fd
        self._sink = sink
        self._at_end = at_end
        self._paused = False
        loop.add_reader(fd, self._ready)

    @property
    def open(self) -> bool:
        """False once the last writer has closed or ``close`` was called."""
        return self._fd >= 0

    def _ready(self) -> None:
        if self._take() == 0:
            self.close()
            self._at_end(self)

    def _take(self) -> int:
        """Bytes read; 0 at the end, -1 when there is nothing now."""
        try:
            data = os.read(self._fd, _CHUNK)
        except BlockingIOError:
            return -1
        if data:
            self._sink(data)
        return len(data)

    def drain(self) -> None:
        """Take what is in the pipe now, and no more than one pipe holds."""
        taken = 0
        while self.open and taken < 16 * _CHUNK:
            count = self._take()
            if count <= 0:
                return
            taken += count

    def discard(self) -> None:
        """Go on reading, so that writers left behind do not block, and forget the bytes."""
        self._sink = lambda _: None

    def pause(self) -> None:
        """Stop reading until ``resume``; the writer blocks when the pipe is full."""
        if self.open and not self._paused:
            self._paused = True
            self._loop.remove_reader(self._fd)

    def resume(self) -> None:
        """Go on after ``pause``."""
        if self.open and self._paused:
            self._paused = False
            self._loop.add_reader(self._fd, self._ready)

    def close(self) -> None:
        """Stop and close the descriptor; calling it twice is harmless."""
        if self._fd >= 0:
            self._loop.remove_reader(self._fd)
            os.close(self._fd)
            self._fd = -1


class LineQueue:
    """Lines of one descriptor, for one reader; a full queue makes the writer wait."""

    def __init__(self, loop: asyncio.AbstractEventLoop, fd: int) -> None:
        self._lines: deque[bytes] = deque()
        self._rest: list[bytes] = []
        self._held = 0
        self._ended = False
        self._news = asyncio.Event()
        self.pump = Pump(loop, fd, self._feed, lambda _: self.end())

    def _feed(self, data: bytes) -> None:
        self._held += len(data)
        *whole, rest = data.split(b"\n")
        for line in whole:
            self._lines.append(b"".join([*self._rest, line, b"\n"]))
            self._rest.clear()
        if rest:
            self._rest.append(rest)
        if whole:
            self._news.set()
        # A line longer than the queue must still get through, so only whole lines pause it.
        if self._held > _QUEUE_BYTES and self._lines:
            self.pump.pause()

    def end(self) -> None:
        """No more will come: close the descriptor and let the reader finish."""
        if not self._ended:
            self._ended = True
            self.pump.close()
            if self._rest:
                self._lines.append(b"".join(self._rest))
                self._rest.clear()
            self._news.set()

    def __aiter__(self) -> LineQueue:
        return self

    async def __anext__(self) -> bytes:
        """The next whole line; may be cancelled and called again without losing one."""
        while not self._lines:
            if self._ended:
                raise StopAsyncIteration
            self._news.clear()
            await self._news.wait()
        line = self._lines.popleft()
        self._held -= len(line)
        if self._held <= _QUEUE_BYTES:
            self.pump.resume()
        return line
