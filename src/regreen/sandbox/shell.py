"""A shell session in a box whose state persists: directory, variables, functions.

The shell is an interactive one that never sees a terminal: only an interactive shell drops the rest
of a command when it is interrupted and lives on. The end of a command is a line on the session's
private channel that carries a nonce, never a prompt or a pause.
"""

from __future__ import annotations

import asyncio
import secrets
import shlex
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import suppress

from regreen.core.errors import InfrastructureError
from regreen.sandbox.base import ExecResult, Job, Sandbox

__all__ = ["ShellSession"]

_START = """
[ "$REGREEN_CHANNEL_FD" = 7 ] || exec 7>"/proc/self/fd/$REGREEN_CHANNEL_FD"
set -- /bin/sh -i
[ ! -x /bin/bash ] || set -- /bin/bash --noprofile --norc --noediting -i
read -r pid _ _ _ group _ </proc/self/stat
[ "$pid" = "$group" ] && exec "$@"
exec setsid "$@"
"""
# Prompts and history belong to people; "!" in a command is a character like any other.
_PREPARE = 'PS1= PS2=; unset HISTFILE; [ -z "$BASH_VERSION" ] || set +H; '
_START_SECONDS = 30.0
_GRACE_SECONDS = 2.0
_LOST = b"regreen: the shell ended; the next command gets a new one, its state is lost\n"


class ShellSession:
    """A shell that keeps its state from one command to the next.

    Args:
        box: where it runs.
        cwd: where it begins; the spec's working directory when None.
        env: variables on top of the spec's.
        output_limit: bytes kept of each stream of each command.
    """

    def __init__(
        self,
        box: Sandbox,
        *,
        cwd: str | None = None,
        env: Mapping[str, str] | None = None,
        output_limit: int = 1 << 20,
    ) -> None:
        self._box = box
        self._cwd = cwd
        self._env = dict(env or {})
        self._output_limit = output_limit
        self._job: Job | None = None
        self._messages: AsyncIterator[bytes] | None = None
        self._pid = 0

    async def run(self, command: str, *, timeout: float | None = 60.0) -> ExecResult:
        """Run a command in the session; one at a time.

        When the time limit ends it, it is interrupted as by Ctrl-C and the session goes on; a
        shell that does not react to that is killed, and the result says that its state is lost.

        Raises:
            InfrastructureError: the box is gone, or its shell does not start.
        """
        job = self._job or await self._open()
        job.output(clear=True)
        nonce = secrets.token_hex(8)
        # Channel and command input stay out of the command's reach.
        line = f"command eval {shlex.quote(command)} </dev/null 7>&-\n"
        started = time.monotonic()
        await job.send(f"{line}echo {nonce} $? >&7\n".encode("utf-8", "surrogateescape"))
        code = await self._status(nonce, timeout)
        timed_out = code is None
        if code is None:
            await self._signal("INT")
            # Some shells drop the input they had read ahead, and with it the line that reports.
            with suppress(InfrastructureError):
                await job.send(f"echo {nonce} 130 >&7\n".encode())
            code = await self._status(nonce, _GRACE_SECONDS)
        lost = code is None or code < 0
        if lost:
            await job.kill()
            ended = await job.wait()
            code = ended.exit_code if code is not None else 137
            self._job = None
        stdout, stderr = job.output(clear=True)
        return ExecResult(
            exit_code=124 if timed_out else code or 0,
            stdout=stdout,
            stderr=stderr + (_LOST if lost else b""),
            timed_out=timed_out,
            seconds=time.monotonic() - started,
        )

    async def close(self) -> None:
        """End the shell and what it left running."""
        if self._job is not None:
            job, self._job = self._job, None
            await job.kill()

    async def _open(self) -> Job:
        job = await self._box.start(
            ["/bin/sh", "-c", _START],
            cwd=self._cwd,
            env=self._env,
            output_limit=self._output_limit,
            interactive=True,
            channel=True,
        )
        self._messages = job.messages()
        nonce = secrets.token_hex(8)
        await job.send(f"{_PREPARE}echo {nonce} $$ >&7\n".encode())
        pid = await self._status(nonce, _START_SECONDS)
        if pid is None or pid < 0:
            await job.kill()
            _, stderr = job.output()
            what = "the box's shell does not start"
            raise InfrastructureError(what, where=stderr.decode("utf-8", "replace").strip())
        self._pid = pid
        self._job = job
        return job

    async def _status(self, nonce: str, timeout: float | None) -> int | None:
        """The number that follows ``nonce`` on the channel; -1 at its end, None on time-out."""
        assert self._messages is not None
        try:
            async with asyncio.timeout(timeout):
                async for message in self._messages:
                    words = message.split()
                    if len(words) == 2 and words[0] == nonce.encode():
                        return int(words[1])
        except TimeoutError:
            return None
        return -1

    async def _signal(self, name: str) -> None:
        """Signal the session's process group, which has the foreground command in it."""
        script = f'kill -s {name} -- "-$1" 2>/dev/null || kill -s {name} "$1"'
        await self._box.exec(["/bin/sh", "-c", script, "sh", str(self._pid)], cwd="/", timeout=10)
