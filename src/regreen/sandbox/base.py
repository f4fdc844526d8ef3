"""What a sandbox is: the protocol every provider keeps, and the plain data around it.

A box is described before it exists (``BoxSpec``), made by a provider, and gone after ``close``:
reset means a new box, because measuring showed an in-place reset to cost as much.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Literal, Protocol

if TYPE_CHECKING:
    from regreen.sandbox.layers import Layer, LayerStore

__all__ = ["BoxSpec", "Check", "ExecResult", "Job", "Limits", "Mount", "Sandbox", "SandboxProvider"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Mount:
    """One directory of the box, made of read-only lowers under an optional tmpfs upper."""

    target: str
    """Absolute path in the box."""
    lowers: tuple[Path, ...]
    """Host directories, topmost first, in overlayfs form (whiteouts are 0/0 devices)."""
    writable: bool = True
    """True puts a fresh upper on top; False mounts the lowers read-only."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What a box may use; None leaves a resource unlimited."""

    memory_bytes: int | None = 2 * 2**30
    """Resident memory and tmpfs pages together, through cgroups."""
    pids: int | None = 512
    """Processes and threads alive at once."""
    open_files: int = 4096
    """Descriptors per process (RLIMIT_NOFILE)."""
    file_bytes: int | None = 2**30
    """Largest file a process may write (RLIMIT_FSIZE)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BoxSpec:
    """Everything that decides what a box looks like."""

    mounts: tuple[Mount, ...] = ()
    """Overlay directories, for example the repository at ``/testbed``."""
    binds: tuple[tuple[Path, str], ...] = ()
    """Read-only binds ``(host path, path in the box)``, for example a runner script."""
    writable_binds: tuple[tuple[Path, str], ...] = ()
    """Host directories the box writes to; for building environments, never for agents."""
    env: Mapping[str, str] = field(default_factory=dict)
    """Variables on top of the provider's scrubbed minimum."""
    workdir: str = "/testbed"
    """Working directory of commands."""
    network: Literal["none", "host"] = "none"
    """``none`` leaves loopback only; ``host`` is for building environments, never for agents."""
    limits: Limits = Limits()
    """Resource limits."""
    hostname: str = "regreen"
    """Name of the machine as seen inside."""
    nested: bool = False
    """True leaves the seccomp filter out, so that a trusted runner inside may make user namespaces
    of its own; what it then runs for the agent has to load the filter again."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ExecResult:
    """What one command did."""

    exit_code: int
    """Exit status; 128 + N when signal N ended it, 124 when the time limit did."""
    stdout: bytes
    """Standard output, head and tail kept when it passed the cap."""
    stderr: bytes
    """Standard error, likewise."""
    dropped: int = 0
    """Bytes cut out of the middle of both streams together."""
    timed_out: bool = False
    """True when the time limit ended it; its whole process tree is gone."""
    out_of_memory: bool = False
    """True when the box's memory limit was hit while it ran."""
    seconds: float = 0.0
    """Wall seconds."""


class Job(Protocol):
    """A process started in the background of a box.

    ``wait`` and ``kill`` concern the process with everything it started. ``send`` and
    ``close_stdin`` need ``interactive=True``, ``messages`` needs ``channel=True``.
    """

    async def wait(self, timeout: float | None = None) -> ExecResult:
        """Wait for the end; on time-out kill the job's whole tree and say so in the result."""
        ...

    async def kill(self) -> None:
        """Kill the job's whole tree."""
        ...

    def output(self, *, clear: bool = False) -> tuple[bytes, bytes]:
        """What it has printed so far (stdout, stderr), capped; ``clear`` forgets it then."""
        ...

    async def send(self, data: bytes) -> None:
        """Write to the process' standard input, waiting while its pipe is full.

        Raises:
            InfrastructureError: the process has ended, or its input is closed.
        """
        ...

    async def close_stdin(self) -> None:
        """End the process' standard input; calling it twice is harmless."""
        ...

    def messages(self) -> AsyncIterator[bytes]:
        """Lines the process wrote to ``$REGREEN_CHANNEL_FD``, newline included, as they come.

        Ends when the process and all that inherited the descriptor have closed it, or the box
        is gone. The last line may lack its newline when the writer died in the middle of it.
        """
        ...


class Sandbox(Protocol):
    """One live isolated box."""

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
        """Run a command to its end.

        Args:
            argv: program and arguments; no shell is added.
            cwd: working directory in the box; the spec's when None.
            env: variables on top of the spec's.
            stdin: fed to the command, then closed.
            timeout: wall seconds until the whole process tree is killed.
            output_limit: bytes kept per stream, half from the head and half from the tail.

        Raises:
            InfrastructureError: the box is gone.
        """
        ...

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
    ) -> Job:
        """Start a command in the background; it outlives the call and dies with the box.

        Args:
            argv: as in ``exec``, like the three that follow.
            cwd: see ``exec``.
            env: see ``exec``.
            stdin: what standard input begins with.
            output_limit: bytes kept per stream, half from the head and half from the tail.
            interactive: keeps standard input open for ``Job.send``.
            channel: gives the process a private pipe to the host, whose descriptor number is in
                ``REGREEN_CHANNEL_FD``; ``Job.messages`` yields what it writes there.
        """
        ...

    async def read(self, path: str, *, limit: int = 1 << 24) -> bytes:
        """Content of a file in the box.

        Raises:
            FileNotFoundError: there is no such file.
        """
        ...

    async def write(self, path: str, data: bytes, *, mode: int = 0o644) -> None:
        """Create or replace a file in the box, making parent directories."""
        ...

    async def snapshot(self, target: str, store: LayerStore) -> Layer:
        """Freeze the upper of the mount at ``target`` as a new read-only layer."""
        ...

    async def close(self) -> None:
        """End the box and everything in it; calling it twice is harmless."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """One finding of ``regreen doctor``."""

    name: str
    """What was looked at, for example ``bwrap``."""
    ok: bool
    """Whether it works here."""
    detail: str
    """What was found."""
    mend: str = ""
    """The command that mends it, when it is not ok."""
    required: bool = True
    """False for what only improves matters, such as cgroups."""


class SandboxProvider(Protocol):
    """What makes boxes."""

    name: str

    async def create(self, spec: BoxSpec) -> Sandbox:
        """Make a box.

        Raises:
            InfrastructureError: the box could not be made.
        """
        ...

    def check(self) -> tuple[Check, ...]:
        """Whether this provider works here, by trying it."""
        ...

    async def close(self) -> None:
        """End every box of this provider and free what they held."""
        ...
