"""The command line that makes one box, and the directories that it needs beforehand."""

from __future__ import annotations

import os
import shlex
from dataclasses import dataclass
from pathlib import Path

from regreen.core.errors import InfrastructureError
from regreen.sandbox.base import BoxSpec, Mount
from regreen.sandbox.bwrap import Bwrap
from regreen.sandbox.rootfs import packages_beside
from regreen.sandbox.server import RUN_TARGET, SERVER

__all__ = ["Launch", "box_arguments", "upper_directory"]

# Where a box may write beside its mounts; /dev/shm lies on the tmpfs that is its /dev.
_SCRATCH = ("/tmp", "/home/agent")


@dataclass(frozen=True, slots=True)
class Launch:
    """What decides a box's command line beside its spec."""

    path: Path
    """The box's own directory, made by ``box_arguments``."""
    bwrap: Bwrap
    toolchain: list[str]
    """Arguments that lay out the host's toolchain."""
    shared: Path
    """The controller's directory, with ``sh`` and ``empty``."""


def upper_directory(box: Path, index: int) -> Path:
    """Where the upper of the box's mount number ``index`` lies."""
    return box / f"upper{index}"


def _overlay(mount: Mount, index: int, launch: Launch) -> list[str]:
    """Arguments for one mount; bwrap takes the lowest directory first."""
    lowers = mount.lowers or (launch.shared / "empty",)
    for lower in lowers:
        if not lower.is_dir():
            what = f"a layer of {mount.target} is not on this machine"
            raise InfrastructureError(what, where=str(lower), mend="build the environment again")
    if not mount.writable and len(lowers) == 1:
        return ["--ro-bind", str(lowers[0]), mount.target]
    words = [word for lower in reversed(lowers) for word in ("--overlay-src", str(lower))]
    if not mount.writable:
        return [*words, "--ro-overlay", mount.target]
    upper = upper_directory(launch.path, index)
    work = launch.path / f"work{index}"
    upper.mkdir()
    work.mkdir()
    return [*words, "--overlay", str(upper), str(work), mount.target]


def _wrapped(spec: BoxSpec, launch: Launch) -> tuple[list[str], list[str]]:
    """Mount arguments when bwrap cannot overlay, with the shell prefix that mounts in its stead.

    The mounts live in a private mount namespace and are therefore gone with the box.
    """
    commands: list[str] = []
    words: list[str] = []
    for index, mount in enumerate(spec.mounts):
        plain = _overlay(mount, index, launch)
        if plain[0] != "--overlay-src":
            words += plain
            continue
        merged = launch.path / f"merged{index}"
        merged.mkdir()
        lowers = mount.lowers or (launch.shared / "empty",)
        options = "userxattr,lowerdir=" + ":".join(
            str(lower).replace("\\", "\\\\").replace(":", "\\:").replace(",", "\\,")
            for lower in lowers
        )
        if mount.writable:
            upper, work = upper_directory(launch.path, index), launch.path / f"work{index}"
            options += f",upperdir={upper},workdir={work}"
        commands.append(
            f"mount -t overlay -o {shlex.quote(options)} overlay {shlex.quote(str(merged))}"
        )
        words += ["--bind" if mount.writable else "--ro-bind", str(merged), mount.target]
    script = " && ".join([*commands, 'exec "$0" "$@"'])
    return words, ["unshare", "--mount", "--propagation", "private", "/bin/sh", "-c", script]


def box_arguments(spec: BoxSpec, launch: Launch) -> list[str]:
    """Make the box's directories and return its command line.

    ``--info-fd`` and ``--seccomp``, whose numbers are known later, are left to the caller.

    Raises:
        InfrastructureError: a layer is missing.
        OSError: a directory could not be made.
    """
    launch.path.mkdir()
    run = launch.path / "run"
    run.mkdir()
    os.link(launch.shared / "sh", run / "sh")
    # Entered but not listed: names in it are known to who was told them.
    run.chmod(0o311)
    prefix: list[str] = []
    if launch.bwrap.overlays:
        mounts = [w for i, mount in enumerate(spec.mounts) for w in _overlay(mount, i, launch)]
    else:
        mounts, prefix = _wrapped(spec, launch)
    words = [*prefix, launch.bwrap.path, "--unshare-user", "--unshare-all"]
    if spec.network == "host":
        words.append("--share-net")
    words += ["--as-pid-1", "--uid", "1000", "--gid", "1000", "--cap-drop", "ALL"]
    words += ["--hostname", spec.hostname, *launch.toolchain]
    size = ["--size", str(spec.limits.memory_bytes)] if spec.limits.memory_bytes else []
    for target in _SCRATCH:
        mode = ["--perms", "1777"] if target == "/tmp" else []
        words += [*size, *mode, "--tmpfs", target]
    words += ["--ro-bind", str(run), RUN_TARGET, *mounts]
    for source, target in spec.binds:
        words += ["--ro-bind", str(source), target]
        for name in packages_beside(source) if str(source) == target else ():
            words += ["--perms", "0555", "--tmpfs", name]
    for source, target in spec.writable_binds:
        words += ["--bind", str(source), target]
    words += ["--remount-ro", "/", "--chdir", "/"]
    return [*words, "@", "--", f"{RUN_TARGET}/sh", "-c", SERVER]
