"""One live box of namespaces: starting commands in it, hearing of their end, ending it."""

from __future__ import annotations

import asyncio
import os
import resource
import secrets
import subprocess
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path

from regreen.core.errors import InfrastructureError, PrerequisiteError
from regreen.sandbox.base import BoxSpec, ExecResult
from regreen.sandbox.capture import Pump
from regreen.sandbox.cgroups import BoxGroup
from regreen.sandbox.doctor import start_error
from regreen.sandbox.files import read_file, write_file
from regreen.sandbox.jobs import BoxJob, Pipes
from regreen.sandbox.launch import upper_directory
from regreen.sandbox.layers import Layer, LayerStore
from regreen.sandbox.lifeline import RunDirectory, cloexec_pipe, remove_tree
from regreen.sandbox.overlay import copy_layer
from regreen.sandbox.processes import Process, held_still, kill_until_none
from regreen.sandbox.rootfs import BASE_ENV
from regreen.sandbox.server import exec_script
from regreen.sandbox.trees import box_processes, command_processes

__all__ = ["NamespaceSandbox"]

_START_SECONDS = 30.0
_END_SECONDS = 10.0


class NamespaceSandbox:
    """A box made of namespaces; see the ``Sandbox`` protocol.

    Args:
        spec: what it was made from.
        path: its directory on the host.
        directory: the controller's run directory.
        group: its control groups, None where there are none.
        at_close: called once it is gone.
    """

    def __init__(
        self,
        spec: BoxSpec,
        path: Path,
        directory: RunDirectory,
        group: BoxGroup | None,
        at_close: Callable[[NamespaceSandbox], None],
    ) -> None:
        self.spec = spec
        self._path = path
        self._directory = directory
        self._group = group
        self._at_close = at_close
        self._process: subprocess.Popen[bytes] | None = None
        self._control = -1
        self._status: Pump | None = None
        self._rest = b""
        self._pid = 0
        self._ready = asyncio.get_running_loop().create_future()
        self._gone = asyncio.Event()
        self._closing: asyncio.Task[None] | None = None
        self._jobs: dict[str, BoxJob] = {}
        self._shells: dict[str, int] = {}
        self._begun: dict[str, asyncio.Event] = {}
        self._starting = asyncio.Lock()  # held by a kill too: it must not meet a half-begun command
        self._numbers: dict[str, int] = {}
        self._leftover: set[BoxJob] = set()
        self._silenced: list[str] = []
        self._memory_kills = 0
        self._count = 0

    @property
    def pid(self) -> int:
        """PID 1 of the box as the host sees it."""
        return self._pid

    async def launch(self, arguments: list[str], seccomp: Path) -> None:
        """Start the box and wait until it takes commands.

        Raises:
            PrerequisiteError: the kernel does not let us make namespaces.
            InfrastructureError: anything else went wrong.
        """
        source, self._control = cloexec_pipe()
        status, sink = cloexec_pipe()
        opened = [source, sink]
        try:
            info = os.dup(sink)
            opened.append(info)
            options = ["--info-fd", str(info)]
            passed = [info]
            if not self.spec.nested:
                passed.append(os.open(seccomp, os.O_RDONLY | os.O_CLOEXEC))
                opened.append(passed[-1])
                options += ["--seccomp", str(passed[-1])]
            at = arguments.index("@")
            with (self._path / "stderr").open("wb") as errors:
                self._process = subprocess.Popen(
                    [*arguments[:at], *options, *arguments[at + 1 :]],
                    stdin=source,
                    stdout=sink,
                    stderr=errors,
                    pass_fds=passed,
                    cwd="/",
                    env=BASE_ENV,
                    start_new_session=True,
                )
        except OSError as exc:
            os.close(status)
            what = f"cannot start bwrap: {exc.strerror}"
            raise InfrastructureError(what, where=arguments[0]) from exc
        finally:
            for fd in opened:
                os.close(fd)
        os.set_blocking(self._control, False)
        os.set_blocking(status, False)
        self._directory.hold(self._control)
        loop = asyncio.get_running_loop()
        self._status = Pump(loop, status, self._hear, lambda _: self._ended())
        if self._group is not None:
            # Made while bwrap is at work, and there before the loop hears of the pid to attach.
            self._group.make()
        try:
            async with asyncio.timeout(_START_SECONDS):
                await self._ready
        except TimeoutError:
            what = f"the box did not start within {_START_SECONDS:.0f} s"
            raise InfrastructureError(what, mend="run fewer boxes at once") from None

    def _hear(self, data: bytes) -> None:
        *lines, self._rest = (self._rest + data).split(b"\n")
        for line in lines:
            words = line.decode("ascii", "replace").split()
            match words:
                case ['"child-pid":', pid] if not self._pid:
                    self._take_in(int(pid.rstrip(",")))
                case ["R"] if not self._ready.done():
                    self._ready.set_result(None)
                case ["S", name, pid] if name in self._jobs:
                    self._shells[name] = int(pid)
                    self._begun[name].set()
                case ["O", name]:
                    (self._path / "run" / f"{name}.c").unlink(missing_ok=True)
                case ["P"] if self._silenced:
                    self._finish(self._silenced.pop(0), 137)
                case ["E", name, code] if name in self._jobs:
                    self._finish(name, int(code))

    def _take_in(self, pid: int) -> None:
        """Put PID 1 under the limits, before it has run anything of the agent's."""
        self._pid = pid
        limits = self.spec.limits
        bounds = [(resource.RLIMIT_NOFILE, limits.open_files), (resource.RLIMIT_CORE, 0)]
        if limits.file_bytes is not None:
            bounds.append((resource.RLIMIT_FSIZE, limits.file_bytes))
        if limits.pids is not None:
            bounds.append((resource.RLIMIT_NPROC, limits.pids))
        try:
            for which, bound in bounds:
                hard = resource.prlimit(pid, which)[1]
                value = bound if hard == resource.RLIM_INFINITY else min(bound, hard)
                resource.prlimit(pid, which, (value, value))
            if self._group is not None:
                self._group.attach(pid)
        except ProcessLookupError:
            # It is dead already; the end of its pipe brings the reason.
            return
        except OSError as exc:
            if not self._ready.done():
                what = f"cannot limit a box: {exc.strerror}"
                error = InfrastructureError(what, where=str(exc.filename or "prlimit"))
                self._ready.set_exception(error)

    def _ended(self) -> None:
        """The status pipe ended: PID 1 and bwrap are gone."""
        if self._process is not None:
            self._process.wait()
        self._gone.set()
        if not self._ready.done():
            self._ready.set_exception(self._start_error())
            # Retrieved here too, in case nobody waits any more.
            self._ready.exception()
        for name in list(self._jobs):
            self._finish(name, 137, lost=self._lost_error())

    def _start_error(self) -> InfrastructureError | PrerequisiteError:
        try:
            text = (self._path / "stderr").read_text(errors="replace").strip()
        except OSError:
            text = ""
        return start_error(text)

    def _lost_error(self) -> InfrastructureError:
        if self._closing is not None:
            return InfrastructureError("the box was closed while a command ran")
        if self._group is not None and self._group.memory_kills() > self._memory_kills:
            limit = self.spec.limits.memory_bytes
            return InfrastructureError(
                f"the box ran out of memory as a whole, its limit is {limit} bytes",
                mend="raise Limits.memory_bytes",
            )
        return InfrastructureError("the box is gone", where=str(self._path))

    def _finish(self, name: str, code: int, *, lost: InfrastructureError | None = None) -> None:
        job = self._jobs.pop(name, None)
        if job is None:
            return
        self._shells.pop(name, None)
        self._begun.pop(name).set()
        self._numbers.pop(name, None)
        kills = self._group.memory_kills() if self._group else 0
        job.finish(code, out_of_memory=kills > self._memory_kills, lost=lost)
        self._memory_kills = max(kills, self._memory_kills)
        if job.quiet:
            job.close()
        else:
            self._leftover.add(job)
        for suffix in ("", ".i", ".o", ".e", ".c"):
            with suppress(FileNotFoundError):
                os.unlink(f"{self._path}/run/{name}{suffix}")  # noqa: PTH108 - once per command

    def _silent(self, name: str) -> None:
        """Nobody holds a command's output: its shell has reported, was shot, or the box is lost.

        Only PID 1 can tell the last two apart, so it is asked; the end of its pipe answers too.
        """
        if self._status is not None:
            self._status.drain()
        if name in self._jobs:
            self._silenced.append(name)
            with suppress(OSError):
                os.write(self._control, b"-\n")

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
        if self._gone.is_set() or self._closing is not None:
            msg = "the box is gone"
            raise InfrastructureError(msg, where=str(self._path))
        name = secrets.token_hex(8)
        base = f"{self._path}/run/{name}"
        self._count += 1
        try:
            pipes = self._pipes(base, interactive=interactive, channel=channel)
            if stdin and not interactive:
                Path(f"{base}.i").write_bytes(stdin)
            script = exec_script(
                name,
                argv,
                number=self._count,
                cwd=cwd or self.spec.workdir,
                env={**self.spec.env, **(env or {})},
                stdin=interactive or bool(stdin),
                channel=channel,
            )
            Path(base).write_bytes(script)
        except OSError as exc:
            what = f"cannot start a command: {exc.strerror}"
            mend = "free space there, or raise the limit of open files"
            raise InfrastructureError(what, where=str(exc.filename or ""), mend=mend) from exc
        job = BoxJob(
            pipes,
            output_limit=output_limit,
            kill_tree=lambda: self._kill_command(name),
            at_silence=lambda _: self._silent(name),
        )
        self._jobs[name] = job
        self._begun[name] = asyncio.Event()
        self._numbers[name] = self._count
        if self._group is not None and self._group.full():
            self._refuse(name, job)
            return job
        try:
            async with self._starting:
                os.write(self._control, name.encode() + b"\n")
        except OSError as exc:
            self._finish(name, 137)
            what = f"the box takes no more commands: {exc.strerror}"
            raise InfrastructureError(what, where=str(self._path)) from exc
        if interactive and stdin:
            await job.send(stdin)
        return job

    def _pipes(self, base: str, *, interactive: bool, channel: bool) -> Pipes:
        opened: list[int] = []

        def pipe(suffix: str, flags: int) -> int:
            os.mkfifo(base + suffix, 0o600)
            opened.append(os.open(base + suffix, flags | os.O_NONBLOCK | os.O_CLOEXEC))
            return opened[-1]

        try:
            return Pipes(
                pipe(".o", os.O_RDONLY),
                pipe(".e", os.O_RDONLY),
                # Reading too: opening for writing alone fails until the command has opened it.
                pipe(".i", os.O_RDWR) if interactive else None,
                pipe(".c", os.O_RDONLY) if channel else None,
            )
        except OSError:
            for fd in opened:
                os.close(fd)
            raise

    def _refuse(self, name: str, job: BoxJob) -> None:
        """What a shell says when it cannot fork; PID 1 itself would die of it."""
        limit = self.spec.limits.pids
        message = f"regreen: cannot fork: the box holds its limit of {limit} processes\n"
        job.complain(message.encode())
        self._finish(name, 254)

    async def _kill_command(self, name: str) -> None:
        """Kill what a command started; its shell is spared, because it reports the end."""
        number = self._numbers.get(name)
        if number is None or not self._pid:
            return
        async with self._starting:
            # A command that is still on its way to PID 1 could be missed, or another's shot.
            with suppress(TimeoutError):
                async with asyncio.timeout(_END_SECONDS):
                    for begun in list(self._begun.values()):
                        await begun.wait()
            deadline = time.monotonic() + _END_SECONDS
            shell = self._shells.get(name)
            while (job := self._jobs.get(name)) and time.monotonic() < deadline:
                await asyncio.to_thread(kill_until_none, lambda: self._processes(shell, number))
                # The shell may have been about to start the command: look until it reports.
                if await job.ends_within(0.05):
                    return

    def _processes(self, shell: int | None, number: int) -> list[Process]:
        others = set(self._shells.copy().values()) - {shell}
        return command_processes(self._pid, shell=shell, number=number, others=others)

    async def read(self, path: str, *, limit: int = 1 << 24) -> bytes:
        """Content of a file in the box; see the protocol."""
        return await read_file(self, path, limit)

    async def write(self, path: str, data: bytes, *, mode: int = 0o644) -> None:
        """Create or replace a file in the box; see the protocol."""
        await write_file(self, path, data, mode)

    def upper(self, target: str) -> Path:
        """The host directory that takes what the box writes below the mount ``target``.

        Raises:
            InfrastructureError: the box has no writable mount there.
        """
        for index, mount in enumerate(self.spec.mounts):
            if mount.target == target and mount.writable:
                return upper_directory(self._path, index)
        msg = "the box has no writable mount there"
        raise InfrastructureError(msg, where=target)

    async def snapshot(self, target: str, store: LayerStore) -> Layer:
        """Freeze the upper of the mount at ``target`` as a new read-only layer.

        Everything in the box is stopped meanwhile: what changes while it is read could be made to
        lead out of the tree.
        """
        upper = self.upper(target)
        return await asyncio.to_thread(self._frozen, upper, store)

    def _frozen(self, upper: Path, store: LayerStore) -> Layer:
        with held_still(lambda: box_processes(self._pid, self._group)):
            return copy_layer(upper, store)

    async def close(self) -> None:
        """End the box and everything in it; calling it twice is harmless."""
        if self._closing is None:
            self._closing = asyncio.create_task(self._close())
        await asyncio.shield(self._closing)

    async def _close(self) -> None:
        if self._control >= 0:
            self._directory.release(self._control)
            os.close(self._control)
            self._control = -1
        if self._process is not None:
            try:
                async with asyncio.timeout(_END_SECONDS):
                    await self._gone.wait()
            except TimeoutError:
                # bwrap too, which may hang before it has told the pid of its child.
                self._process.kill()
                await asyncio.to_thread(
                    kill_until_none, lambda: box_processes(self._pid, self._group)
                )
                self._process.wait()
        if self._status is not None:
            self._status.close()
        for job in self._leftover:
            job.close()
        self._leftover.clear()
        if any(self._path.glob("upper*/*")):
            await asyncio.to_thread(remove_tree, self._path)
        else:
            remove_tree(self._path)
        if self._group is not None:
            self._group.remove()
        self._at_close(self)
