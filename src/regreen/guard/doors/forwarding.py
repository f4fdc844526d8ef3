"""Keeps a box's forwarders running while an agent works in it.

Agents end processes by name ("pkill python"), and a door that is gone for the rest of a rollout
would be a fault nobody meant; so a forwarder that ended is started again.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress

from regreen.core.errors import InfrastructureError
from regreen.guard.doors.door import Grant
from regreen.sandbox.base import Job, Sandbox

__all__ = ["forwarding"]

_STARTS = 100
_SECONDS = 20.0


@asynccontextmanager
async def forwarding(box: Sandbox, *grants: Grant, python: str = "") -> AsyncIterator[None]:
    """Run the forwarders of a box's doors for the length of the block.

    Args:
        box: made with the grants' ``binds`` and ``env`` (see ``walls.spec_for``).
        grants: its doors; None at all is fine.
        python: an interpreter of the box, see ``Door.forwarder``.

    Raises:
        InfrastructureError: a forwarder does not start.
    """
    tasks = []
    try:
        for grant in grants:
            argv = grant.forwarder(python)
            job = await _start(box, argv)
            tasks.append(asyncio.create_task(_keep(box, argv, job)))
        yield
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def _start(box: Sandbox, argv: Sequence[str]) -> Job:
    job = await box.start(list(argv), cwd="/", output_limit=4096, channel=True)
    line = b""
    with suppress(TimeoutError):
        async with asyncio.timeout(_SECONDS):
            line = await anext(job.messages(), b"")
    if line != b"ready\n":
        await job.kill()
        what = "the forwarder of a box's door does not start"
        where = job.output()[1].decode(errors="replace").strip()[-300:]
        raise InfrastructureError(what, where=where or argv[0])
    return job


async def _keep(box: Sandbox, argv: Sequence[str], job: Job) -> None:
    """Start it again as often as it ends; a box that is gone ends this too."""
    try:
        with suppress(InfrastructureError):
            for _ in range(_STARTS):
                await job.wait()
                job = await _start(box, argv)
    except asyncio.CancelledError:
        with suppress(InfrastructureError):
            await job.kill()
        raise
