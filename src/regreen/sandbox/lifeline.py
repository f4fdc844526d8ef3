"""A controller's run directory, and what clears it however the controller ends.

Boxes die by themselves: PID 1 reads from a pipe whose other end only the controller holds. What
they leave (directories, empty control groups, and any process that a kernel oddity spared) is
cleared by a helper shell that waits on another such pipe, and, should that be killed too, by
the next controller to start, which knows the dead by the lock on their lease.
"""

from __future__ import annotations

import fcntl
import os
import secrets
import shutil
import signal
import stat
import subprocess
import time
import weakref
from contextlib import suppress
from pathlib import Path

from regreen.core.errors import InfrastructureError

__all__ = ["RunDirectory", "cloexec_pipe", "remove_tree", "run_base", "sweep"]

# Arguments: the run directory, then control groups. A bubblewrap whose parent half died with the
# controller waits for it for ever, in no group yet; it is known by the directory it was given.
# Kills twenty times at most, a quarter second
# apart, because a group can be removed only when the kernel has finished with its processes, and
# ends after three looks that found nothing: one that is being born has another name until then.
_JANITOR = r"""
trap '' INT TERM HUP QUIT PIPE
while read -r _; do :; done
[ -d "$1" ] || exit 0
dir=$1; shift; round=0; calm=0
while :; do
  left=
  for group; do
    [ -d "$group" ] || continue
    for procs in "$group"/cgroup.procs "$group"/*/cgroup.procs; do
      while read -r pid; do [ "$pid" -gt 1 ] && kill -9 "$pid"; done <"$procs"
    done
    rmdir "$group"/*/ "$group"
    [ -d "$group" ] && left=1
  done
  for line in /proc/[0-9]*/cmdline; do
    grep -qsaF -- "$dir/" "$line" || continue
    pid=${line#/proc/}; pid=${pid%/cmdline}
    [ "$pid" -gt 1 ] && kill -9 "$pid" && left=1
  done
  round=$((round + 1)); calm=$((calm + 1))
  [ "$left" ] && calm=0
  [ "$calm" -lt 3 ] && [ "$round" -lt 20 ] || break
  sleep 0.25
done
chmod -R u+rwX "$dir"; rm -rf "$dir"
"""

_ABANDONED_SECONDS = 3600.0
_held: weakref.WeakSet[RunDirectory] = weakref.WeakSet()
_hooked = False


def run_base() -> Path:
    """Directory for the run directories of this user's controllers, on a tmpfs where there is one.

    Raises:
        InfrastructureError: no candidate can be written to.
    """
    tried = []
    for parent in ("/dev/shm", os.environ.get("XDG_RUNTIME_DIR"), os.environ.get("TMPDIR"), "/tmp"):
        if not parent or not os.access(parent, os.W_OK | os.X_OK):
            tried.append(parent or "")
            continue
        base = Path(parent, f"regreen-{os.geteuid()}")
        try:
            base.mkdir(mode=0o700, exist_ok=True)
            info = base.lstat()
        except OSError:
            tried.append(parent)
            continue
        # Someone else's directory, or a link of theirs, must not receive what boxes trust.
        if stat.S_ISDIR(info.st_mode) and info.st_uid == os.geteuid():
            base.chmod(0o700)
            return base
        tried.append(str(base))
    what = "no directory for boxes can be written to"
    raise InfrastructureError(what, where=", ".join(filter(None, tried)), mend="export TMPDIR=DIR")


def cloexec_pipe() -> tuple[int, int]:
    """A pipe that no child inherits (read end, write end)."""
    return os.pipe2(os.O_CLOEXEC)


def remove_tree(path: Path) -> None:
    """Remove a directory tree, whatever modes a box gave to its directories."""
    folders = [path]
    for folder in folders:  # grows as it is read: a folder is opened before its own are listed
        with suppress(OSError):
            folder.chmod(0o700)
            with os.scandir(folder) as entries:
                below = [Path(one.path) for one in entries if one.is_dir(follow_symlinks=False)]
            folders += below
    shutil.rmtree(path, ignore_errors=True)


def _forget_after_fork() -> None:
    """In a forked child: let go of the pipes that mean "the controller lives"."""
    for directory in list(_held):
        directory.let_go()


class RunDirectory:
    """The directory of one controller, leased while it lives."""

    def __init__(self, base: Path) -> None:
        global _hooked  # noqa: PLW0603 - one hook per process, and none on import
        self.name = f"c{os.getpid()}-{secrets.token_hex(4)}"
        self.path = base / self.name
        self._lifelines: set[int] = set()
        scratch = base / f".new-{self.name}"
        scratch.mkdir(mode=0o700)
        self._lease = os.open(scratch / "lease", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        fcntl.flock(self._lease, fcntl.LOCK_EX)
        scratch.rename(self.path)
        self._janitor: subprocess.Popen[bytes] | None = None
        self._janitor_pipe = -1
        _held.add(self)
        if not _hooked:
            os.register_at_fork(after_in_child=_forget_after_fork)
            _hooked = True

    def guard(self, groups: tuple[Path, ...]) -> None:
        """Start the helper that clears up after us.

        Args:
            groups: control groups to kill and remove.
        """
        names = [str(group) for group in groups]
        (self.path / "groups").write_text("\n".join(names))
        source, self._janitor_pipe = cloexec_pipe()
        try:
            self._janitor = subprocess.Popen(
                ["/bin/sh", "-c", _JANITOR, "regreen-janitor", str(self.path), *names],
                stdin=source,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                cwd="/",
                env={"PATH": "/usr/bin:/bin"},
                start_new_session=True,
            )
        finally:
            os.close(source)

    def hold(self, fd: int) -> None:
        """Count a descriptor among those that a forked child must close."""
        self._lifelines.add(fd)

    def release(self, fd: int) -> None:
        """Forget such a descriptor; the caller closes it."""
        self._lifelines.discard(fd)

    def let_go(self) -> None:
        """Close everything that tells others that the controller lives."""
        for fd in (*self._lifelines, self._janitor_pipe, self._lease):
            if fd >= 0:
                with suppress(OSError):
                    os.close(fd)
        self._lifelines.clear()
        self._janitor_pipe = self._lease = -1

    def close(self) -> None:
        """Remove the directory and end the helper."""
        remove_tree(self.path)
        self.let_go()
        if self._janitor is not None:
            self._janitor.wait()
            self._janitor = None
        _held.discard(self)


def _clear(path: Path) -> None:
    """What the helper would have done."""
    try:
        groups = [Path(line) for line in (path / "groups").read_text().splitlines()]
    except OSError:
        groups = []
    for group in groups:
        for folder in (*group.glob("*/"), group):
            with suppress(OSError):
                for pid in map(int, (folder / "cgroup.procs").read_text().split()):
                    if pid > 1:  # 0 stands for a process of another pid namespace
                        os.kill(pid, signal.SIGKILL)
            with suppress(OSError):
                folder.rmdir()
    for line in Path("/proc").glob("[0-9]*/cmdline"):
        with suppress(OSError):
            pid = int(line.parent.name)
            if pid not in (1, os.getpid()) and f"{path}/".encode() in line.read_bytes():
                os.kill(pid, signal.SIGKILL)
    remove_tree(path)


def sweep(base: Path) -> int:
    """Clear what dead controllers left; returns how many there were."""
    cleared = 0
    for path in (*base.glob("c*-*"), *base.glob(".new-c*-*")):
        try:
            lease = os.open(path / "lease", os.O_RDWR | os.O_CLOEXEC)
        except FileNotFoundError:
            # It is being made or cleared right now, or that was broken off long ago.
            with suppress(OSError):
                if time.time() - path.stat().st_mtime > _ABANDONED_SECONDS:
                    _clear(path)
                    cleared += 1
            continue
        except OSError:
            continue
        try:
            fcntl.flock(lease, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            continue
        else:
            _clear(path)
            cleared += 1
        finally:
            os.close(lease)
    return cleared
