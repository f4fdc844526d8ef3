"""Walls around each run inside the box: processes, files and IPC of its own, in one fork.

One user namespace is made at the start and its capabilities kept, so a run costs none of its own: a
new pid namespace before the fork, a new mount namespace with an empty /tmp after it. The rest of
the tree is read-only, and /proc is covered once for all. The numbers are those of unshare(2),
setns(2), mount(2), statvfs(3), prctl(2) and capset(2).
"""

from __future__ import annotations

import ctypes
import os
import resource
import signal
import struct

from regreen.grading.box import isolate

__all__ = ["Walls"]

_NEWNS, _NEWIPC, _NEWPID = 0x20000, 0x8000000, 0x20000000
_RDONLY, _NOSUID, _NODEV, _REMOUNT, _BIND = 1, 2, 4, 32, 4096
_REC, _PRIVATE = 0x4000, 1 << 18
_KEPT = {1: 1, 2: 2, 4: 4, 8: 8, 1024: 1024, 2048: 2048, 4096: 1 << 21}
"""Flags as statvfs tells them, and as mount takes them: what is locked must be named again."""
_SECCOMP, _CAPBSET_DROP, _NO_NEW_PRIVS = 22, 24, 38
_CAPABILITIES = ctypes.create_string_buffer(struct.pack("Ii", 0x20080522, 0))
_NOTHING = ctypes.create_string_buffer(24)
_FILE_BYTES = 1 << 24
_STACK_BYTES = 1 << 26
_OPEN_FILES = 64

_libc = ctypes.CDLL(None, use_errno=True)


def _call(name: str, *arguments: object) -> None:
    if getattr(_libc, name)(*arguments) != 0:
        error = ctypes.get_errno()
        raise OSError(error, f"{name}: {os.strerror(error)}")


def _mount(kind: bytes, target: str, flags: int, data: bytes | None = None) -> None:
    _call("mount", b"none", target.encode(), kind, ctypes.c_ulong(flags), data)


class Walls:
    """Made once, before anything is known of any candidate.

    Args:
        seccomp: filter of the processes that run candidates.
    """

    def __init__(self, seccomp: bytes) -> None:
        self._program = ctypes.create_string_buffer(seccomp, len(seccomp))
        self._filter = ctypes.create_string_buffer(
            struct.pack("HxxxxxxP", len(seccomp) // 8, ctypes.addressof(self._program))
        )
        with open("/proc/self/statm") as file:  # noqa: PTH123
            self._own_bytes = int(file.read().split()[0]) * resource.getpagesize()
        isolate.enter_namespaces()
        if (pid := os.fork()) != 0:
            os._exit(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) & 0xFF)
        # A first process is deaf to what its own namespace sends, if it has no handler for it.
        signal.signal(signal.SIGINT, signal.SIG_DFL)
        self._pid_namespace = os.open("/proc/self/ns/pid", os.O_RDONLY | os.O_CLOEXEC)
        _mount(b"none", "/", _REC | _PRIVATE)
        _mount(b"tmpfs", "/proc", _NOSUID | _NODEV | _RDONLY, b"size=4k,mode=0555")
        for target in ("/dev", "/home/agent"):
            known = os.statvfs(target).f_flag
            kept = sum(mount for told, mount in _KEPT.items() if known & told)
            _mount(b"none", target, _REMOUNT | _BIND | _RDONLY | kept)
        for capability in range(64):
            if _libc.prctl(_CAPBSET_DROP, capability, 0, 0, 0) != 0:
                break
        _call("prctl", _NO_NEW_PRIVS, 1, 0, 0, 0)
        isolate.undumpable()

    def fork(self) -> int:
        """Fork the first process of a new pid namespace."""
        _call("unshare", _NEWPID)
        pid = os.fork()
        if pid:
            _call("setns", self._pid_namespace, _NEWPID)
        return pid

    def close_in(self) -> None:
        """In that process: an empty /tmp as directory, then no capability any more."""
        os.setsid()  # a process group reaches across namespaces
        _call("unshare", _NEWNS | _NEWIPC)
        _mount(b"tmpfs", "/tmp", _NOSUID | _NODEV, b"size=16m,nr_inodes=1k")
        os.chdir("/tmp")
        _call("capset", _CAPABILITIES, _NOTHING)

    def restrain(self, *, seconds: float, memory: int) -> None:
        """Before a candidate runs: bounds and the filter, for good.

        Args:
            seconds: processor seconds of the process, after which the kernel ends it.
            memory: bytes it may allocate beyond what it has.
        """
        for which, bound in (
            (resource.RLIMIT_AS, self._own_bytes + memory),
            (resource.RLIMIT_CPU, int(seconds) + 2),
            (resource.RLIMIT_FSIZE, _FILE_BYTES),
            (resource.RLIMIT_STACK, _STACK_BYTES),
            (resource.RLIMIT_NOFILE, _OPEN_FILES),
            (resource.RLIMIT_CORE, 0),
        ):
            hard = resource.getrlimit(which)[1]
            value = bound if hard == resource.RLIM_INFINITY else min(bound, hard)
            resource.setrlimit(which, (value, value))
        isolate.dumpable()
        _call("prctl", _SECCOMP, 2, self._filter, 0, 0)
