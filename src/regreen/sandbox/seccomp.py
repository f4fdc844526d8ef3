"""The system calls a box may not make, as a classic BPF program assembled by hand.

A deny list and not an allow list: test suites of arbitrary projects run in the box, and a call that
a list forgot to allow would turn into a wrong verdict. What is denied is what widens the kernel's
surface (mounts, namespaces, tracing, keys, BPF, io_uring, modules, handles) and never a test's
business. ``clone3`` answers ENOSYS, because its flags lie in memory that a filter cannot read;
the C library then falls back to ``clone``, whose flags are checked.

The format is that of seccomp(2), "SECCOMP_SET_MODE_FILTER": an array of ``struct sock_filter``.
"""

from __future__ import annotations

import errno
import platform
import struct
from dataclasses import dataclass
from functools import cache

from regreen.core.errors import PrerequisiteError

__all__ = ["deny_list_program"]

_AUDIT_ARCH = {"x86_64": 0xC000003E, "aarch64": 0xC00000B7}
_COLUMN = {"x86_64": 0, "aarch64": 1}
_X32_BIT = 0x40000000

# Numbers on x86_64 and aarch64; None where the architecture has no such call.
_DENIED: dict[str, tuple[int | None, int | None]] = {
    "_sysctl": (156, None),
    "acct": (163, 89),
    "add_key": (248, 217),
    "bpf": (321, 280),
    "chroot": (161, 51),
    "clock_settime": (227, 112),
    "create_module": (174, None),
    "delete_module": (176, 106),
    "fanotify_init": (300, 262),
    "finit_module": (313, 273),
    "fsconfig": (431, 431),
    "fsmount": (432, 432),
    "fsopen": (430, 430),
    "fspick": (433, 433),
    "get_kernel_syms": (177, None),
    "init_module": (175, 105),
    "io_uring_enter": (426, 426),
    "io_uring_register": (427, 427),
    "io_uring_setup": (425, 425),
    "ioperm": (173, None),
    "iopl": (172, None),
    "kcmp": (312, 272),
    "kexec_file_load": (320, 294),
    "kexec_load": (246, 104),
    "keyctl": (250, 219),
    "lookup_dcookie": (212, 18),
    "migrate_pages": (256, 238),
    "modify_ldt": (154, None),
    "mount": (165, 40),
    "mount_setattr": (442, 442),
    "move_mount": (429, 429),
    "move_pages": (279, 239),
    "nfsservctl": (180, 42),
    "open_by_handle_at": (304, 265),
    "open_tree": (428, 428),
    "open_tree_attr": (467, 467),
    "perf_event_open": (298, 241),
    "pidfd_getfd": (438, 438),
    "pivot_root": (155, 41),
    "process_vm_readv": (310, 270),
    "process_vm_writev": (311, 271),
    "ptrace": (101, 117),
    "query_module": (178, None),
    "quotactl": (179, 60),
    "quotactl_fd": (443, 443),
    "reboot": (169, 142),
    "request_key": (249, 218),
    "setdomainname": (171, 162),
    "sethostname": (170, 161),
    "setns": (308, 268),
    "settimeofday": (164, 170),
    "swapoff": (168, 225),
    "swapon": (167, 224),
    "syslog": (103, 116),
    "umount2": (166, 39),
    "unshare": (272, 97),
    "uselib": (134, None),
    "userfaultfd": (323, 282),
    "vhangup": (153, 58),
}
_CLONE = (56, 220)
_CLONE3 = (435, 435)
_IOCTL = (16, 29)
_PERSONALITY = (135, 92)
_SOCKET = (41, 198)

# CLONE_NEW* of cgroup, ipc, mount, network, pid, user and uts namespaces.
_NAMESPACE_FLAGS = (
    0x02000000 | 0x08000000 | 0x00020000 | 0x40000000 | 0x20000000 | 0x10000000 | 0x04000000
)
# TIOCSTI types into a terminal, TIOCLINUX pastes into one.
_TERMINAL_REQUESTS = (0x5412, 0x541C)
# Linux as it is, 32-bit uname, and "tell me which"; the others switch protections off.
_PERSONALITIES = (0x0, 0x8, 0xFFFFFFFF)
# AF_ALG is kernel surface, AF_VSOCK reaches the hypervisor's host past the network namespace.
_FAMILIES = (38, 40)

_LOAD = 0x20  # BPF_LD | BPF_W | BPF_ABS
_EQUAL = 0x15  # BPF_JMP | BPF_JEQ | BPF_K
_AT_LEAST = 0x35  # BPF_JMP | BPF_JGE | BPF_K
_ANY_BIT = 0x45  # BPF_JMP | BPF_JSET | BPF_K
_RETURN = 0x06  # BPF_RET | BPF_K
_ALLOW = 0x7FFF0000
_ERRNO = 0x00050000
# Offsets into struct seccomp_data; of an argument the low half, both machines being little-endian.
_NUMBER, _ARCH, _ARGUMENT = 0, 4, (16, 24, 32)


@dataclass(frozen=True, slots=True)
class _Step:
    """One instruction; a jump names the label it takes when its test holds."""

    code: int
    value: int
    label: str = ""
    unless: str = ""


def _number_tests(column: int) -> list[_Step]:
    steps = [
        _Step(_EQUAL, number, "deny")
        for number in sorted(row[column] or 0 for row in _DENIED.values())
        if number
    ]
    for row, label in (
        (_CLONE3, "absent"),
        (_CLONE, "clone"),
        (_IOCTL, "ioctl"),
        (_PERSONALITY, "personality"),
        (_SOCKET, "socket"),
    ):
        steps.append(_Step(_EQUAL, row[column], label))
    return steps


def _program(arch: str) -> tuple[list[_Step], dict[str, int]]:
    steps = [_Step(_LOAD, _ARCH), _Step(_EQUAL, _AUDIT_ARCH[arch], unless="deny")]
    steps.append(_Step(_LOAD, _NUMBER))
    if arch == "x86_64":
        steps.append(_Step(_AT_LEAST, _X32_BIT, "deny"))
    steps += _number_tests(_COLUMN[arch])
    labels: dict[str, int] = {}

    def block(label: str, *body: _Step) -> None:
        labels[label] = len(steps)
        steps.extend(body)

    block("allow", _Step(_RETURN, _ALLOW))
    block("clone", _Step(_LOAD, _ARGUMENT[0]), _Step(_ANY_BIT, _NAMESPACE_FLAGS, "deny"))
    block("clone end", _Step(_RETURN, _ALLOW))
    block("ioctl", _Step(_LOAD, _ARGUMENT[1]))
    block("ioctl tests", *(_Step(_EQUAL, request, "deny") for request in _TERMINAL_REQUESTS))
    block("ioctl end", _Step(_RETURN, _ALLOW))
    block("socket", _Step(_LOAD, _ARGUMENT[0]))
    block("socket tests", *(_Step(_EQUAL, family, "deny") for family in _FAMILIES))
    block("socket end", _Step(_RETURN, _ALLOW))
    block("personality", _Step(_LOAD, _ARGUMENT[0]))
    block("personality tests", *(_Step(_EQUAL, which, "granted") for which in _PERSONALITIES))
    block("deny", _Step(_RETURN, _ERRNO | errno.EPERM))
    block("absent", _Step(_RETURN, _ERRNO | errno.ENOSYS))
    block("granted", _Step(_RETURN, _ALLOW))
    return steps, labels


@cache
def deny_list_program(arch: str = "") -> bytes:
    """The filter, ready for ``prctl(PR_SET_SECCOMP)`` or ``bwrap --seccomp``.

    Args:
        arch: ``x86_64`` or ``aarch64``; this machine's when empty.

    Raises:
        PrerequisiteError: there is no table for that architecture.
    """
    arch = arch or platform.machine()
    if arch not in _AUDIT_ARCH:
        msg = "there is no seccomp filter for this processor"
        raise PrerequisiteError(
            msg,
            where=arch,
            mend="use a machine with x86_64 or aarch64",
        )
    steps, labels = _program(arch)
    words = []
    for index, step in enumerate(steps):
        then, otherwise = (
            labels[label] - index - 1 if label else 0 for label in (step.label, step.unless)
        )
        words.append(struct.pack("<HBBI", step.code, then, otherwise, step.value))
    return b"".join(words)
