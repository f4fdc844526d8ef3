"""Memory and process limits through control groups, version 1 or 2, whichever is there.

A controller process gets one parent group and each box a child of it, attached from outside
before the first command runs. Groups are made below our own group (version 1) or below the
nearest ancestor that holds no process itself (version 2, which forbids processes in inner groups),
so that a limit set on us from outside goes on holding.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from regreen.core.errors import InfrastructureError
from regreen.sandbox.base import Limits

__all__ = ["BoxGroup", "ControllerGroup", "Hierarchy", "detect"]


@dataclass(frozen=True, slots=True)
class Hierarchy:
    """Where groups can be made on this machine."""

    version: int
    """1, 2, or 0 when there is none."""
    memory: Path | None
    """Directory for groups with a memory limit."""
    pids: Path | None
    """Directory for groups with a limit of processes; the same as ``memory`` in version 2."""
    detail: str
    """What was found, for ``doctor``."""

    @property
    def roots(self) -> tuple[Path, ...]:
        """The distinct directories."""
        found = (path for path in (self.memory, self.pids) if path is not None)
        return tuple(dict.fromkeys(found))


def _mounts(mountinfo: str) -> list[tuple[str, Path, str, set[str]]]:
    """``(type, mount point, root inside the hierarchy, options)`` of every cgroup mount."""
    rows = []
    for line in mountinfo.splitlines():
        left, _, right = line.partition(" - ")
        kind, _, options = right.split(" ", 2)
        if kind in {"cgroup", "cgroup2"}:
            fields = left.split()
            rows.append((kind, Path(fields[4]), fields[3], set(options.split(","))))
    return rows


def _own_directory(mount: Path, root: str, own: str) -> Path:
    """Where our group lies below a mount, which may show only a part of the hierarchy."""
    relative = own if root == "/" else own.removeprefix(root)
    path = mount / relative.strip("/")
    return path if path.is_dir() else mount


def _version_1(mounts: list[tuple[str, Path, str, set[str]]], own: dict[str, str]) -> Hierarchy:
    found: dict[str, Path] = {}
    for kind, mount, root, options in mounts:
        for name in {"memory", "pids"} & options if kind == "cgroup" else set():
            path = _own_directory(mount, root, own.get(name, "/"))
            if os.access(path, os.W_OK):
                found[name] = path
    names = " and ".join(sorted(found)) or "neither memory nor pids"
    return Hierarchy(
        1 if found else 0,
        found.get("memory"),
        found.get("pids"),
        f"cgroup version 1: {names} usable",
    )


def _version_2(mount: Path, root: str, own: str) -> Hierarchy:
    path = _own_directory(mount, root, own)
    while True:
        controllers = set((path / "cgroup.controllers").read_text().split())
        # Only the true root, which has no cgroup.type, may hold processes and hand out controllers.
        vacant = not (path / "cgroup.procs").read_text().strip()
        if (vacant or not (path / "cgroup.type").exists()) and os.access(path, os.W_OK):
            if {"memory", "pids"} <= controllers and _enable(path):
                return Hierarchy(2, path, path, f"cgroup version 2 below {path}")
            return Hierarchy(0, None, None, f"cgroup version 2 without memory and pids at {path}")
        if path == mount:
            return Hierarchy(0, None, None, "cgroup version 2, but no group that we may divide")
        path = path.parent


def _enable(path: Path) -> bool:
    control = path / "cgroup.subtree_control"
    try:
        if not {"memory", "pids"} <= set(control.read_text().split()):
            control.write_text("+memory +pids")
    except OSError:
        return False
    return True


def detect(
    proc_cgroup: Path = Path("/proc/self/cgroup"),
    mountinfo: Path = Path("/proc/self/mountinfo"),
) -> Hierarchy:
    """Look for a usable hierarchy; version 2 wins when it has both controllers."""
    try:
        mounts = _mounts(mountinfo.read_text())
        entries = [line.split(":", 2) for line in proc_cgroup.read_text().splitlines()]
    except (OSError, ValueError):
        return Hierarchy(0, None, None, "no control groups here")
    own = {name: path for _, names, path in entries for name in names.split(",")}
    first = _version_1(mounts, own)
    if first.version:
        return first
    for kind, mount, root, _ in mounts:
        if kind == "cgroup2":
            try:
                second = _version_2(mount, root, own.get("", "/"))
            except OSError:
                continue
            if second.version or "without" not in second.detail:
                return second
    return Hierarchy(0, None, None, "no hierarchy with memory or pids that we may write to")


class BoxGroup:
    """The groups of one box, there once ``make`` was called."""

    def __init__(self, memory: Path | None, pids: Path | None, limits: Limits) -> None:
        self.directories = tuple(dict.fromkeys(path for path in (memory, pids) if path))
        self._memory = memory
        self._pids = pids
        self._limits = limits
        self._events: Path | None = None
        self._current: Path | None = None

    def make(self) -> None:
        """Make the groups and set their limits.

        Raises:
            InfrastructureError: the kernel refuses.
        """
        limits = self._limits
        try:
            for path in self.directories:
                path.mkdir()
            if self._memory is not None and limits.memory_bytes is not None:
                self._limit_memory(self._memory, limits.memory_bytes)
            if self._pids is not None and limits.pids is not None:
                (self._pids / "pids.max").write_text(str(limits.pids))
                self._current = self._pids / "pids.current"
        except OSError as exc:
            what = f"cannot limit a box: {exc.strerror}"
            raise InfrastructureError(what, where=str(exc.filename)) from exc

    def _limit_memory(self, path: Path, limit: int) -> None:
        if (path / "memory.limit_in_bytes").exists():
            names = ("memory.limit_in_bytes", "memory.memsw.limit_in_bytes")
            self._events = path / "memory.oom_control"
        else:
            names = ("memory.max", "memory.swap.max")
            self._events = path / "memory.events"
        (path / names[0]).write_text(str(limit))
        if (path / names[1]).exists():
            (path / names[1]).write_text(str(limit) if "memsw" in names[1] else "0")

    def attach(self, pid: int) -> None:
        """Put a process, and what it starts from now on, under the limits."""
        for path in self.directories:
            (path / "cgroup.procs").write_text(str(pid))

    def memory_kills(self) -> int:
        """How many processes the kernel has killed here for want of memory."""
        if self._events is None:
            return 0
        try:
            rows = dict(line.split() for line in self._events.read_text().splitlines())
        except OSError:
            return 0
        return int(rows.get("oom_kill", 0))

    def full(self) -> bool:
        """Whether starting one more command would meet the limit of processes."""
        if self._current is None or self._limits.pids is None:
            return False
        try:
            return int(self._current.read_text()) > self._limits.pids - 4
        except OSError:
            return False

    def processes(self) -> set[int]:
        """Pids, as we see them, of what is inside."""
        found: set[int] = set()
        for path in self.directories:
            try:
                found.update(map(int, (path / "cgroup.procs").read_text().split()))
            except OSError:
                continue
        return found

    def remove(self) -> bool:
        """Remove the empty groups; False when one still holds a process."""
        gone = True
        for path in self.directories:
            try:
                path.rmdir()
            except FileNotFoundError:
                continue
            except OSError:
                gone = False
        return gone


class ControllerGroup:
    """The parent group of one controller process."""

    def __init__(self, hierarchy: Hierarchy, name: str) -> None:
        self._memory = hierarchy.memory and hierarchy.memory / name
        self._pids = hierarchy.pids and hierarchy.pids / name
        self.directories = tuple(root / name for root in hierarchy.roots)
        try:
            for path in self.directories:
                path.mkdir()
                if hierarchy.version == 2:
                    _enable(path)
        except OSError as exc:
            what = f"cannot make a control group: {exc.strerror}"
            raise InfrastructureError(what, where=str(exc.filename)) from exc

    def box(self, name: str, limits: Limits) -> BoxGroup:
        """The groups of a box, still to be made."""
        return BoxGroup(
            self._memory and self._memory / name, self._pids and self._pids / name, limits
        )

    def remove(self) -> None:
        """Remove the empty parents."""
        for path in self.directories:
            try:
                path.rmdir()
            except OSError:
                continue
