"""A fresh box for one forked worker: namespaces, a new overlay, no capabilities, seccomp.

A warm process cannot be put into a box from outside without paying for a new interpreter, so
the fork makes its own: user, mount, pid, ipc, uts and network namespaces, a tmpfs upper over the
read-only tree, then everything it could undo this with is dropped before repository code runs.
The system call numbers' meanings are in unshare(2), mount(2), capabilities(7) and prctl(2).
"""

from __future__ import annotations

import contextlib
import ctypes
import fcntl
import os
import socket
import struct

CLONE_NEWNS, CLONE_NEWUTS, CLONE_NEWIPC = 0x20000, 0x4000000, 0x8000000
CLONE_NEWUSER, CLONE_NEWPID, CLONE_NEWNET = 0x10000000, 0x20000000, 0x40000000
MS_NOSUID, MS_NODEV, MS_REC, MS_PRIVATE = 2, 4, 0x4000, 1 << 18
PR_SET_SECCOMP, PR_CAPBSET_DROP, PR_SET_NO_NEW_PRIVS, PR_SET_DUMPABLE = 22, 24, 38, 4
PR_SET_CHILD_SUBREAPER = 36
PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL = 47, 4
LAST_CAPABILITY = 63
SIOCGIFFLAGS, SIOCSIFFLAGS, IFF_UP = 0x8913, 0x8914, 1

_libc = ctypes.CDLL(None, use_errno=True)


def _call(name: str, *arguments: object) -> None:
    if getattr(_libc, name)(*arguments) != 0:
        error = ctypes.get_errno()
        raise OSError(error, f"{name}: {os.strerror(error)}")


def undumpable() -> None:
    """Keep other processes of the box from reading or writing this one's memory."""
    _call("prctl", PR_SET_DUMPABLE, 0, 0, 0, 0)


def dumpable() -> None:
    """Undo ``undumpable`` in a fork, whose /proc/self would else belong to root."""
    _call("prctl", PR_SET_DUMPABLE, 1, 0, 0, 0)


def become_subreaper() -> None:
    """Inherit orphans, so that nothing a test leaves behind escapes."""
    _call("prctl", PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def enter_namespaces() -> None:
    """Leave every shared namespace; the next fork is the first process of the new pid one."""
    uid, gid = os.getuid(), os.getgid()
    dumpable()
    flags = CLONE_NEWUSER | CLONE_NEWNS | CLONE_NEWPID | CLONE_NEWIPC | CLONE_NEWUTS | CLONE_NEWNET
    _call("unshare", flags)
    for name, text in (
        ("setgroups", "deny"),
        ("uid_map", f"{uid} {uid} 1"),
        ("gid_map", f"{gid} {gid} 1"),
    ):
        with open(f"/proc/self/{name}", "w") as handle:  # noqa: PTH123
            handle.write(text)


def _mount(source: str, target: str, kind: str, flags: int, data: str = "") -> None:
    _call(
        "mount",
        source.encode(),
        target.encode(),
        kind.encode(),
        ctypes.c_ulong(flags),
        data.encode() or None,
    )


def mount_fresh(tree: str, scratch: tuple[str, ...]) -> None:
    """Put a new tmpfs upper over ``tree`` and an empty tmpfs on each of ``scratch``."""
    _mount("none", "/", "none", MS_REC | MS_PRIVATE)
    for target in scratch:
        _mount("tmpfs", target, "tmpfs", MS_NOSUID | MS_NODEV)
    upper = scratch[0] + "/.upper"
    for name in (upper, upper + "/data", upper + "/work"):
        os.mkdir(name, 0o755)  # noqa: PTH102
    options = f"lowerdir={tree},upperdir={upper}/data,workdir={upper}/work,userxattr"
    _mount("overlay", tree, "overlay", MS_NOSUID | MS_NODEV, options)
    # An empty directory on top, so that the upper's own path says nothing.
    _mount("tmpfs", upper, "tmpfs", MS_NOSUID | MS_NODEV, "size=4k,mode=0555")
    with contextlib.suppress(OSError):  # refused where /proc is only partly visible
        _mount("proc", "/proc", "proc", MS_NOSUID | MS_NODEV)
    os.chdir(tree)


def raise_loopback() -> None:
    """Bring ``lo`` up: a new network namespace has it down, and suites hang on that."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as handle:
        request = struct.pack("16sh14x", b"lo", 0)
        flags = struct.unpack("16sh14x", fcntl.ioctl(handle, SIOCGIFFLAGS, request))[1]
        fcntl.ioctl(handle, SIOCSIFFLAGS, struct.pack("16sh14x", b"lo", flags | IFF_UP))


def drop_privileges(seccomp: bytes) -> None:
    """Give up every capability for good and load the deny list.

    Args:
        seccomp: array of ``struct sock_filter``, or empty for none.
    """
    for capability in range(LAST_CAPABILITY + 1):
        if _libc.prctl(PR_CAPBSET_DROP, capability, 0, 0, 0) != 0:
            break
    _libc.prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0)
    header = struct.pack("Ii", 0x20080522, 0)
    _call("capset", ctypes.create_string_buffer(header), ctypes.create_string_buffer(24))
    _call("prctl", PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
    if seccomp:
        program = ctypes.create_string_buffer(seccomp, len(seccomp))
        length = len(seccomp) // 8
        filter_ = struct.pack("HxxxxxxP", length, ctypes.addressof(program))
        _call("prctl", PR_SET_SECCOMP, 2, ctypes.create_string_buffer(filter_), 0, 0)
