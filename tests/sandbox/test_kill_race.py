"""Killing a command at every moment of its beginning."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import Any

from regreen.sandbox.processes import descendants, table


def test_a_command_killed_while_it_begins_leaves_nothing(in_box: Callable[..., Any]) -> None:
    async def story(box: Any) -> None:
        for moment in range(60):
            job = await box.start(["sleep", "1000"])
            await asyncio.sleep(0.0005 * (moment % 12))
            other = asyncio.create_task(box.exec(["echo", "here"]))
            await job.kill()
            assert (await job.wait()).exit_code == 137
            assert (await other).stdout == b"here\n"
        deadline = time.monotonic() + 10
        while descendants(box.pid, table()) and time.monotonic() < deadline:
            await asyncio.sleep(0.01)
        assert descendants(box.pid, table()) == []

    in_box(story)
