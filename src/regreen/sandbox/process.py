"""The provider that isolates nothing: commands run as you, on this machine, in a scratch directory.

For machines where nothing else works, for code that is trusted, and made only on explicit demand
(``provider("process", unsafe=True)``). A box's paths are mapped below its directory: the working
directory, and every argument or variable that begins with the path of a mount, a bind, ``/tmp`` or
``/home/agent``. Limits of memory and processes are not enforced.
"""

from __future__ import annotations

import asyncio
import os
import secrets
import subprocess
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path

from regreen.core.errors import InfrastructureError
from regreen.sandbox.base import BoxSpec, Check, ExecResult
from regreen.sandbox.doctor import process_checks
from regreen.sandbox.files import read_file, write_file
from regreen.sandbox.jobs import BoxJob, Pipes
from regreen.sandbox.layers import Layer, LayerStore
from regreen.sandbox.lifeline import remove_tree
from regreen.sandbox.overlay import copy_difference, copy_merged
from regreen.sandbox.processes import Process, descendants, kill_until_none, marker, table
from regreen.sandbox.rootfs import BASE_ENV
from regreen.sandbox.server import MARKER

__all__ = ["ProcessProvider", "ProcessSandbox"]

_SCRATCH = ("/tmp", "/home/agent")


class ProcessSandbox:
    """A directory and the processes started for it; see the ``Sandbox`` protocol."""

    def __init__(
        self, spec: BoxSpec, root: Path, at_close: Callable[[ProcessSandbox], None]
    ) -> None:
        self.spec = spec
        self.root = root
        self._at_close = at_close
        self._name = secrets.token_hex(8)
        self._count = 0
        self._closed = False
        self._jobs: set[BoxJob] = set()
        targets = [mount.target for mount in spec.mounts]
        targets += [target for _, target in (*spec.binds, *spec.writable_binds)]
        # The longest first, so that a mount below another is found.
        self._targets = sorted({*targets, *_SCRATCH}, key=len, reverse=True)

    def fill(self) -> None:
        """Make the box's directories."""
        for target in _SCRATCH:
            self._place(target).mkdir(parents=True)
        for mount in self.spec.mounts:
            copy_merged(mount.lowers, self._place(mount.target))
        for source, target in (*self.spec.binds, *self.spec.writable_binds):
            place = self._place(target)
            place.parent.mkdir(parents=True, exist_ok=True)
            place.symlink_to(source)

    def _place(self, path: str) -> Path:
        return self.root / path.lstrip("/")

    def _translate(self, text: str) -> str:
        """``text`` with the box's paths, also those of a colon-separated list, made real."""
        parts = text.split(":")
        for index, part in enumerate(parts):
            inside = any(part == name or part.startswith(f"{name}/") for name in self._targets)
            if inside and not self._is_ours(part):
                parts[index] = str(self._place(part))
        return ":".join(parts)

    def _is_ours(self, path: str) -> bool:
        """Whether a path below /tmp is this machine's own: a checkout, an interpreter, a cache."""
        scratch = any(path.startswith(f"{name}/") for name in _SCRATCH)
        return scratch and not self._place(path).exists() and Path(path).exists()

    async def exec(
        self,
        argv: list[str],
        *,
        cwd: str | None = None,
        env: Mapping[str, str] | None = None,
        stdin: bytes = b"",
        timeout: float | None = 60.0,
        output_limit: int = 1 << 20,
    ) -> ExecResult:
        """Run a command to its end; see the protocol."""
        job = await self.start(argv, cwd=cwd, env=env, stdin=stdin, output_limit=output_limit)
        try:
            return await job.wait(timeout)
        except asyncio.CancelledError:
            await asyncio.shield(job.kill())
            raise

    async def start(
        self,
        argv: list[str],
        *,
        cwd: str | None = None,
        env: Mapping[str, str] | None = None,
        stdin: bytes = b"",
        output_limit: int = 1 << 20,
        interactive: bool = False,
        channel: bool = False,
    ) -> BoxJob:
        """Start a command in the background; see the protocol."""
        if self._closed:
            what = "the box is gone"
            raise InfrastructureError(what, where=str(self.root))
        self._count += 1
        worn = f"{self._name}-{self._count}"
        variables = {**BASE_ENV, **self.spec.env, **(env or {})}
        variables = {key: self._translate(value) for key, value in variables.items()}
        variables[MARKER] = worn
        pipes, theirs = _pipes(interactive=interactive, channel=channel)
        if channel:
            variables["REGREEN_CHANNEL_FD"] = str(theirs["channel"])
        process: subprocess.Popen[bytes] | None = None
        failure = ""
        code = 127
        with tempfile.TemporaryFile() as source:
            source.write(b"" if interactive else stdin)
            source.seek(0)
            try:
                process = subprocess.Popen(
                    [self._translate(word) for word in argv],
                    stdin=theirs.get("stdin", source),
                    stdout=theirs["stdout"],
                    stderr=theirs["stderr"],
                    pass_fds=[theirs["channel"]] if channel else [],
                    cwd=self._translate(cwd or self.spec.workdir),
                    env=variables,
                    start_new_session=True,
                )
            except OSError as exc:
                failure, code = str(exc), 126 if isinstance(exc, PermissionError) else 127
            finally:
                for fd in theirs.values():
                    os.close(fd)
        job = BoxJob(
            pipes,
            output_limit=output_limit,
            kill_tree=lambda: self._kill(process.pid if process else 0, worn),
            at_silence=lambda _: None,
        )
        self._jobs.add(job)
        if process is None:
            job.complain(f"regreen: {failure}\n".encode())
            job.finish(code)
        else:
            self._watch(process, job)
            if interactive and stdin:
                await job.send(stdin)
        return job

    def _watch(self, process: subprocess.Popen[bytes], job: BoxJob) -> None:
        """Report the end of a process when the kernel does."""
        loop = asyncio.get_running_loop()
        handle = os.pidfd_open(process.pid)

        def ended() -> None:
            loop.remove_reader(handle)
            os.close(handle)
            code = process.wait()
            job.finish(code if code >= 0 else 128 - code)
            if job.quiet:
                self._jobs.discard(job)
                job.close()

        loop.add_reader(handle, ended)

    async def _kill(self, pid: int, worn: str) -> None:
        def find() -> list[Process]:
            rows = table()
            found = {row.pid: row for row in descendants(pid, rows)} if pid else {}
            found.update({row.pid: row for row in rows.values() if self._wears(row.pid, worn)})
            return list(found.values())

        await asyncio.to_thread(kill_until_none, find)

    @staticmethod
    def _wears(pid: int, prefix: str) -> bool:
        worn = marker(pid, MARKER)
        return worn is not None and (worn == prefix or worn.startswith(f"{prefix}-"))

    async def read(self, path: str, *, limit: int = 1 << 24) -> bytes:
        """Content of a file in the box; see the protocol."""
        return await read_file(self, path, limit)

    async def write(self, path: str, data: bytes, *, mode: int = 0o644) -> None:
        """Create or replace a file in the box; see the protocol."""
        await write_file(self, path, data, mode)

    async def snapshot(self, target: str, store: LayerStore) -> Layer:
        """Freeze what differs from the lowers of the mount at ``target`` as a layer."""
        for mount in self.spec.mounts:
            if mount.target == target and mount.writable:
                place = self._place(target)
                return await asyncio.to_thread(copy_difference, mount.lowers, place, store)
        what = "the box has no writable mount there"
        raise InfrastructureError(what, where=target)

    async def close(self) -> None:
        """End the box and everything in it that still wears its marker."""
        if self._closed:
            return
        self._closed = True
        await self._kill(0, self._name)
        for job in list(self._jobs):
            if job.running:
                await job.wait()
            job.close()
        self._jobs.clear()
        await asyncio.to_thread(remove_tree, self.root)
        self._at_close(self)


def _pipes(*, interactive: bool, channel: bool) -> tuple[Pipes, dict[str, int]]:
    """The host's ends, and the process' ends by name."""
    ours: dict[str, int] = {}
    theirs: dict[str, int] = {}
    names = [
        "stdout",
        "stderr",
        *(["stdin"] if interactive else []),
        *(["channel"] if channel else []),
    ]
    for name in names:
        read, write = os.pipe2(os.O_CLOEXEC)
        ours[name], theirs[name] = (write, read) if name == "stdin" else (read, write)
        os.set_blocking(ours[name], False)
    return Pipes(ours["stdout"], ours["stderr"], ours.get("stdin"), ours.get("channel")), theirs


class ProcessProvider:
    """Makes boxes that isolate nothing; see the ``SandboxProvider`` protocol."""

    name = "process"

    def __init__(self) -> None:
        self._boxes: set[ProcessSandbox] = set()

    async def create(self, spec: BoxSpec) -> ProcessSandbox:
        """Make a box.

        Raises:
            InfrastructureError: its directory could not be filled.
        """
        try:
            root = Path(tempfile.mkdtemp(prefix="regreen-unsafe-"))
            box = ProcessSandbox(spec, root, self._boxes.discard)
            await asyncio.to_thread(box.fill)
        except OSError as exc:
            what = f"cannot prepare a box: {exc.strerror}"
            mend = "free space there, or point TMPDIR elsewhere"
            raise InfrastructureError(what, where=str(exc.filename or ""), mend=mend) from exc
        self._boxes.add(box)
        return box

    def check(self) -> tuple[Check, ...]:
        """Whether boxes can be made here, by making one."""
        return process_checks(ProcessProvider)

    async def close(self) -> None:
        """End every box of this provider."""
        for box in list(self._boxes):
            await box.close()
