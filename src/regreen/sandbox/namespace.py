"""The default provider: boxes of Linux namespaces, made by bubblewrap.

A box costs one ``bwrap`` call whose command is PID 1 and stays: later commands are forks of it,
so ``exec`` costs what a subprocess costs. Nothing here polls: a box reports on one pipe and is
gone when that pipe ends, and PID 1 ends when the pipe it reads from does.
"""

from __future__ import annotations

import asyncio
import os
import resource
import shutil
from pathlib import Path

from regreen.core.errors import InfrastructureError
from regreen.sandbox.base import BoxSpec, Check
from regreen.sandbox.box import NamespaceSandbox
from regreen.sandbox.bwrap import Bwrap, find_bwrap
from regreen.sandbox.cgroups import ControllerGroup, Hierarchy, detect
from regreen.sandbox.doctor import namespace_checks
from regreen.sandbox.launch import Launch, box_arguments
from regreen.sandbox.lifeline import RunDirectory, run_base, sweep
from regreen.sandbox.rootfs import (
    etc_skeleton,
    masked_directories,
    toolchain_arguments,
)
from regreen.sandbox.seccomp import deny_list_program

__all__ = ["NamespaceProvider"]

_DESCRIPTORS = 65536


def _unprepared(exc: OSError) -> InfrastructureError:
    what = f"cannot prepare a box: {exc.strerror}"
    mend = "free space there, or raise the limit of open files: ulimit -n 65536"
    return InfrastructureError(what, where=str(exc.filename or ""), mend=mend)


def _allow_descriptors() -> None:
    """Use what the hard limit grants: a box takes two descriptors, a running command two more."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard == resource.RLIM_INFINITY or soft < hard:
        wanted = _DESCRIPTORS if hard == resource.RLIM_INFINITY else min(hard, _DESCRIPTORS)
        resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, wanted), hard))


class NamespaceProvider:
    """Makes boxes of Linux namespaces; see the ``SandboxProvider`` protocol.

    Args:
        bwrap: the binary; found when None.
        hierarchy: where control groups go; detected when None.
        base: where run directories go, preferably on a tmpfs; chosen when None.
    """

    name = "namespace"

    def __init__(
        self,
        *,
        bwrap: Bwrap | None = None,
        hierarchy: Hierarchy | None = None,
        base: Path | None = None,
    ) -> None:
        self._bwrap = bwrap
        self._base = base
        self._hierarchy = hierarchy
        self._directory: RunDirectory | None = None
        self._group: ControllerGroup | None = None
        self._toolchains: dict[str, list[str]] = {}
        self._masked: list[str] = []
        self._boxes: set[NamespaceSandbox] = set()
        self._count = 0

    def _open(self) -> RunDirectory:
        """The run directory, made with all that boxes share on first use."""
        if self._directory is not None:
            return self._directory
        self._bwrap = self._bwrap or find_bwrap()
        base = self._base or run_base()
        sweep(base)
        _allow_descriptors()
        self._masked = masked_directories(base / "masked.json")
        directory = RunDirectory(base)
        try:
            shutil.copy(os.path.realpath("/bin/sh"), directory.path / "sh")
            (directory.path / "sh").chmod(0o111)
            (directory.path / "empty").mkdir()
            (directory.path / "seccomp").write_bytes(deny_list_program())
            hierarchy = self._hierarchy or detect()
            if hierarchy.version:
                self._group = ControllerGroup(hierarchy, f"regreen-{directory.name}")
            directory.guard(self._group.directories if self._group else ())
        except BaseException:
            directory.close()
            raise
        self._directory = directory
        return directory

    def _toolchain(self, directory: RunDirectory, network: str) -> list[str]:
        known = self._toolchains.get(network)
        if known is None:
            etc = directory.path / f"etc-{network}"
            etc.mkdir()
            etc_skeleton(etc, resolver=network == "host")
            known = self._toolchains[network] = toolchain_arguments(etc, self._masked)
        return known

    async def create(self, spec: BoxSpec) -> NamespaceSandbox:
        """Make a box.

        Raises:
            PrerequisiteError: bubblewrap is missing or may not make namespaces here.
            InfrastructureError: the box could not be made.
        """
        try:
            directory = self._open()
            assert self._bwrap is not None
            self._count += 1
            path = directory.path / f"b{self._count}"
            launch = Launch(
                path=path,
                bwrap=self._bwrap,
                toolchain=self._toolchain(directory, spec.network),
                shared=directory.path,
            )
            arguments = box_arguments(spec, launch)
            group = self._group.box(path.name, spec.limits) if self._group else None
        except OSError as exc:
            raise _unprepared(exc) from exc
        box = NamespaceSandbox(spec, path, directory, group, self._boxes.discard)
        self._boxes.add(box)
        try:
            await box.launch(arguments, directory.path / "seccomp")
        except BaseException as exc:
            await box.close()
            if isinstance(exc, OSError):
                raise _unprepared(exc) from exc
            raise
        return box

    def check(self) -> tuple[Check, ...]:
        """Whether boxes can be made here, by making one."""
        return namespace_checks(lambda bwrap: NamespaceProvider(bwrap=bwrap))

    async def close(self) -> None:
        """End every box of this provider and free what they held."""
        await asyncio.gather(*(box.close() for box in list(self._boxes)))
        if self._group is not None:
            self._group.remove()
            self._group = None
        if self._directory is not None:
            directory, self._directory = self._directory, None
            await asyncio.to_thread(directory.close)
