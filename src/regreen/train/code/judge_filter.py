"""The seccomp program of a candidate: no new process, no other program, no socket.

A problem's solution computes, so what the deny list of all boxes leaves open for test suites is
closed here: fork and exec (threads stay, judges of contests always had them), sockets, memory files
and System V IPC. Fork bombs end at the first fork. Format and constants are those of seccomp(2).
"""

from __future__ import annotations

import errno
import platform
import struct

from regreen.sandbox.seccomp import deny_list_program

__all__ = ["judge_program"]

_ARCH = {"x86_64": 0xC000003E, "aarch64": 0xC00000B7}
_CLONE = {"x86_64": 56, "aarch64": 220}
# execve, execveat, memfd_create, memfd_secret, shmget, semget, msgget, mq_open, socket, and on
# x86_64 fork and vfork, which aarch64 lacks
_DENIED = {
    "x86_64": (59, 322, 319, 447, 29, 64, 68, 240, 41, 57, 58),
    "aarch64": (221, 281, 279, 447, 194, 190, 186, 180, 198),
}
_CLONE_THREAD = 0x10000
_LOAD, _EQUAL, _ANY_BIT, _GO, _RETURN = 0x20, 0x15, 0x45, 0x05, 0x06
_REFUSE = 0x00050000 | errno.EPERM
_NUMBER, _ARCHITECTURE, _FLAGS = 0, 4, 16


def judge_program(arch: str = "") -> bytes:
    """The filter as an array of ``struct sock_filter``, with the boxes' deny list behind it.

    Args:
        arch: ``x86_64`` or ``aarch64``; this machine's when empty.

    Raises:
        PrerequisiteError: there is no table for that architecture.
    """
    arch = arch or platform.machine()
    behind = deny_list_program(arch)
    denied = _DENIED[arch]
    count = len(denied)
    # Jumps are counted from the next step; the last three test the flags of clone and refuse.
    steps = [
        (_LOAD, 0, 0, _ARCHITECTURE),
        (_EQUAL, 0, count + 5, _ARCH[arch]),
        (_LOAD, 0, 0, _NUMBER),
        (_EQUAL, count + 1, 0, _CLONE[arch]),
        *((_EQUAL, count - index + 2, 0, number) for index, number in enumerate(denied)),
        (_GO, 0, 0, 3),
        (_LOAD, 0, 0, _FLAGS),
        (_ANY_BIT, 1, 0, _CLONE_THREAD),
        (_RETURN, 0, 0, _REFUSE),
    ]
    return b"".join(struct.pack("<HBBI", *step) for step in steps) + behind
