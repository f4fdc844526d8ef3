"""A process in a box as the event loop sees it: its pipes, its end, its time limit.

Both providers share this class and differ only in how a process is started, killed and reported;
no base class stands between them.
"""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass

from regreen.core.errors import InfrastructureError
from regreen.sandbox.base import ExecResult
from regreen.sandbox.capture import Capture, LineQueue, Pump

__all__ = ["BoxJob", "Pipes"]

_KILL_SECONDS = 5.0


@dataclass(frozen=True, slots=True)
class Pipes:
    """The host's ends of a process' pipes, all non-blocking; the job owns them."""

    stdout: int
    stderr: int
    stdin: int | None = None
    channel: int | None = None


class BoxJob:
    """One process of a box; see the ``Job`` protocol.

    Args:
        pipes: the host's ends.
        output_limit: bytes kept of each stream.
        kill_tree: kills the process and all it started, and returns when they are dead.
        at_silence: called when both output streams have ended before the status came.
    """

    def __init__(
        self,
        pipes: Pipes,
        *,
        output_limit: int,
        kill_tree: Callable[[], Awaitable[None]],
        at_silence: Callable[[BoxJob], None],
    ) -> None:
        loop = asyncio.get_running_loop()
        self._loop = loop
        self._kill_tree = kill_tree
        self._at_silence = at_silence
        self._out = Capture(output_limit)
        self._err = Capture(output_limit)
        self._pumps = (
            Pump(loop, pipes.stdout, self._out.feed, self._silence),
            Pump(loop, pipes.stderr, self._err.feed, self._silence),
        )
        self._stdin = pipes.stdin
        self._queue = None if pipes.channel is None else LineQueue(loop, pipes.channel)
        self._sending = asyncio.Lock()
        self._ended: asyncio.Future[int] = loop.create_future()
        self._started = time.monotonic()
        self._seconds = 0.0
        self._timed_out = False
        self._out_of_memory = False
        self._lost: InfrastructureError | None = None

    @property
    def running(self) -> bool:
        """True until its status came."""
        return not self._ended.done()

    @property
    def quiet(self) -> bool:
        """True when nobody holds its output any more."""
        return not any(pump.open for pump in self._pumps)

    def _silence(self, _: Pump) -> None:
        if self.running and self.quiet:
            self._at_silence(self)

    def finish(
        self,
        code: int,
        *,
        out_of_memory: bool = False,
        lost: InfrastructureError | None = None,
    ) -> None:
        """Record the end; what is in the pipes by now belongs to the result, later bytes do not."""
        if self._ended.done():
            return
        for pump in self._pumps:
            pump.drain()
            pump.discard()
        self._release_stdin()
        self._seconds = time.monotonic() - self._started
        self._out_of_memory = out_of_memory
        self._lost = lost
        self._ended.set_result(code)

    def complain(self, message: bytes) -> None:
        """Add a line of ours to standard error."""
        self._err.feed(message)

    def close(self) -> None:
        """Close the pipes that processes left behind may still hold."""
        for pump in self._pumps:
            pump.close()
        if self._queue is not None:
            self._queue.pump.drain()
            self._queue.end()
        self._release_stdin()

    def _release_stdin(self) -> None:
        if self._stdin is not None:
            self._loop.remove_writer(self._stdin)
            os.close(self._stdin)
            self._stdin = None

    async def wait(self, timeout: float | None = None) -> ExecResult:
        """Wait for the end; on time-out kill the job's whole tree and say so in the result.

        Raises:
            InfrastructureError: the box was lost while the process ran.
        """
        if self.running:
            done, _ = await asyncio.wait([self._ended], timeout=timeout)
            if not done:
                self._timed_out = True
                await self.kill()
        code = self._ended.result()
        if self._lost is not None:
            raise self._lost
        stdout, stderr = self.output()
        return ExecResult(
            exit_code=124 if self._timed_out else code,
            stdout=stdout,
            stderr=stderr,
            dropped=self._out.dropped + self._err.dropped,
            timed_out=self._timed_out,
            out_of_memory=self._out_of_memory,
            seconds=self._seconds,
        )

    async def kill(self) -> None:
        """Kill the job's whole tree."""
        if not self.running:
            return
        await self._kill_tree()
        await asyncio.wait([self._ended], timeout=_KILL_SECONDS)
        self.finish(137)

    async def ends_within(self, seconds: float) -> bool:
        """Wait a little for the end; whether it came."""
        done, _ = await asyncio.wait([self._ended], timeout=seconds)
        return bool(done)

    def output(self, *, clear: bool = False) -> tuple[bytes, bytes]:
        """What it has printed so far (stdout, stderr), capped; ``clear`` forgets it then."""
        if self.running:
            for pump in self._pumps:
                pump.drain()
        value = self._out.value(), self._err.value()
        if clear:
            self._out.clear()
            self._err.clear()
        return value

    async def send(self, data: bytes) -> None:
        """Write to the process' standard input, waiting while its pipe is full."""
        async with self._sending:
            rest = memoryview(data)
            while rest:
                if self._stdin is None:
                    what = "the process has ended or its standard input is closed"
                    raise InfrastructureError(what, mend="start it with interactive=True")
                try:
                    rest = rest[os.write(self._stdin, rest) :]
                except BlockingIOError:
                    await self._writable(self._stdin)
                except BrokenPipeError:
                    self._release_stdin()

    async def _writable(self, fd: int) -> None:
        ready: asyncio.Future[None] = self._loop.create_future()
        self._loop.add_writer(fd, self._mark, ready)
        self._ended.add_done_callback(lambda _: self._mark(ready))
        try:
            await ready
        finally:
            if self._stdin == fd:
                self._loop.remove_writer(fd)

    @staticmethod
    def _mark(ready: asyncio.Future[None]) -> None:
        if not ready.done():
            ready.set_result(None)

    async def close_stdin(self) -> None:
        """End the process' standard input."""
        async with self._sending:
            self._release_stdin()

    def messages(self) -> AsyncIterator[bytes]:
        """Lines the process wrote to its channel, as they come."""
        if self._queue is None:
            what = "this process has no channel"
            raise InfrastructureError(what, mend="start it with channel=True")
        return self._queue
