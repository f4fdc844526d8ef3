"""The filter, run on an interpreter of its own: every call of both machines gets its answer."""

from __future__ import annotations

import errno
import os
import struct
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from regreen.core.errors import PrerequisiteError
from regreen.sandbox.seccomp import deny_list_program

ALLOW = 0x7FFF0000
EPERM = 0x00050000 | errno.EPERM
ENOSYS = 0x00050000 | errno.ENOSYS
ARCH = {"x86_64": 0xC000003E, "aarch64": 0xC00000B7}


def answer(program: bytes, arch: int, number: int, *arguments: int) -> int:
    """What the kernel would do: the four instructions that the filter uses."""
    filled = (*arguments, *(0,) * (6 - len(arguments)))
    data = struct.pack("<IIQ6Q", number, arch, 0, *filled)
    steps = list(struct.iter_unpack("<HBBI", program))
    at = accumulator = 0
    while True:
        code, then, otherwise, value = steps[at]
        if code == 0x06:
            return value
        if code == 0x20:
            (accumulator,) = struct.unpack_from("<I", data, value)
            at += 1
            continue
        tests = {
            0x15: accumulator == value,
            0x35: accumulator >= value,
            0x45: bool(accumulator & value),
        }
        at += 1 + (then if tests[code] else otherwise)


@pytest.mark.parametrize(
    ("arch", "clone", "clone3", "ioctl", "socket", "personality", "mount", "ptrace", "openat"),
    [
        ("x86_64", 56, 435, 16, 41, 135, 165, 101, 257),
        ("aarch64", 220, 435, 29, 198, 92, 40, 117, 56),
    ],
)
def test_answers(
    arch: str,
    clone: int,
    clone3: int,
    ioctl: int,
    socket: int,
    personality: int,
    mount: int,
    ptrace: int,
    openat: int,
) -> None:
    program = deny_list_program(arch)

    def ask(number: int, *arguments: int) -> int:
        return answer(program, ARCH[arch], number, *arguments)

    assert ask(mount) == ask(ptrace) == ask(425) == EPERM
    assert ask(openat) == ask(0) == ask(436) == ALLOW
    assert ask(clone3) == ENOSYS
    assert ask(clone, 0x01200011) == ask(clone, 0x003D0F00) == ALLOW
    for flag in (0x20000, 0x02000000, 0x04000000, 0x08000000, 0x10000000, 0x20000000, 0x40000000):
        assert ask(clone, flag | 17) == EPERM
    assert ask(ioctl, 0, 0x5401) == ALLOW
    assert ask(ioctl, 0, 0x5412) == ask(ioctl, 0, 0xFFFFFFFF00005412) == EPERM
    assert [ask(socket, family) for family in (1, 2, 10, 16)] == [ALLOW] * 4
    assert [ask(socket, family) for family in (38, 40)] == [EPERM] * 2
    assert [ask(personality, which) for which in (0, 8, 0xFFFFFFFF)] == [ALLOW] * 3
    assert ask(personality, 0x0040000) == EPERM
    assert answer(program, 0x40000003, 4) == EPERM, "32-bit calls"


def test_x32_calls_are_denied() -> None:
    assert answer(deny_list_program("x86_64"), ARCH["x86_64"], 0x40000000 | 1) == EPERM


def test_another_processor_is_refused() -> None:
    with pytest.raises(PrerequisiteError) as caught:
        deny_list_program("riscv64")
    assert len(caught.value.lines()) == 3


def test_a_process_can_load_it_by_itself(in_box: Callable[..., Any], tmp_path: Path) -> None:
    """As a warm runner does in the children that run the agent's code."""
    (tmp_path / "filter").write_bytes(deny_list_program())
    (tmp_path / "load.py").write_text(LOAD)
    result = in_box(
        lambda box: box.exec([os.path.realpath(sys.executable), "/run/it/load.py"]),
        nested=True,
        binds=((tmp_path, "/run/it"),),
    )
    assert result.stdout.split() == [b"free", b"1", b"ENOSYS", b"EPERM", b"works"], result.stderr


LOAD = """
import ctypes, errno, os, pathlib, subprocess

class Program(ctypes.Structure):
    _fields_ = [("length", ctypes.c_ushort), ("filter", ctypes.c_char_p)]

libc = ctypes.CDLL(None, use_errno=True)
child = os.fork()
if child == 0:
    os._exit(libc.unshare(0x10000000))
print("free" if os.waitpid(child, 0)[1] == 0 else "denied")
code = pathlib.Path("/run/it/filter").read_bytes()
assert libc.prctl(38, 1, 0, 0, 0) == 0
assert libc.prctl(22, 2, ctypes.byref(Program(len(code) // 8, code)), 0, 0) == 0
print(libc.prctl(39, 0, 0, 0, 0))
assert libc.syscall(435, 0, 0) == -1
print(errno.errorcode[ctypes.get_errno()])
assert libc.unshare(0x10000000) == -1
print(errno.errorcode[ctypes.get_errno()])
print(subprocess.run(["echo", "works"], capture_output=True, text=True).stdout)
"""
