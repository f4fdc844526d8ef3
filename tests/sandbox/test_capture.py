"""Caps that keep head and tail, and lines from a pipe, whatever the chunks."""

from __future__ import annotations

import asyncio
import os

from hypothesis import given, settings
from hypothesis import strategies as st

from regreen.sandbox.capture import Capture, LineQueue


@given(st.lists(st.binary(max_size=40)), st.integers(2, 60))
def test_head_and_tail_of_any_chunks(chunks: list[bytes], limit: int) -> None:
    capture = Capture(limit)
    for chunk in chunks:
        capture.feed(chunk)
    whole = b"".join(chunks)
    assert capture.dropped == max(0, len(whole) - limit)
    if len(whole) <= limit:
        assert capture.value() == whole
    else:
        head, tail = limit // 2, limit - limit // 2
        notice = b"\n[... %d bytes cut ...]\n" % capture.dropped
        assert capture.value() == whole[:head] + notice + whole[-tail:]


def test_a_long_stream_is_not_held(runner: asyncio.Runner) -> None:
    capture = Capture(10)
    for _ in range(1000):
        capture.feed(b"x" * 65536)
    assert capture.dropped == 65536000 - 10
    capture.clear()
    assert (capture.value(), capture.dropped) == (b"", 0)


@settings(max_examples=50, deadline=None)
@given(st.binary(max_size=200), st.integers(1, 50))
def test_lines_are_whole(data: bytes, size: int) -> None:
    async def main() -> list[bytes]:
        read, write = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        queue = LineQueue(asyncio.get_running_loop(), read)
        for start in range(0, len(data), size):
            os.write(write, data[start : start + size])
            await asyncio.sleep(0)
        os.close(write)
        return [line async for line in queue]

    lines = asyncio.run(main())
    assert b"".join(lines) == data
    assert all(line.endswith(b"\n") and line.count(b"\n") == 1 for line in lines[:-1])
