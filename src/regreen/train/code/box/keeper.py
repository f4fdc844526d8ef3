"""The keeper of one run: first process of the run's own namespace, and the candidate's clock.

It forks the process that runs the candidate, reads what that reports through a pipe, and kills it
at its limit. Time is the candidate's processor time, so that a busy machine fails nobody; only a
candidate that sleeps meets the wall limit. What a candidate wrote is passed on unread.
"""

from __future__ import annotations

import contextlib
import os
import select
import signal
import time
from typing import Any

from regreen.train.code.box import candidate
from regreen.train.code.box.walls import Walls

__all__ = ["keep"]

Row = tuple[str, str, str, float]
"""What came of one case: fate, what it wrote, what it complained, processor seconds."""

_CHUNK = 1 << 16
_ERROR_BYTES = 2000
_GLANCE = 0.01


def keep(request: dict[str, Any], walls: Walls) -> dict[str, object]:
    """Run one request.

    Returns:
        ``number``; ``load``, the candidate's line about its own start; ``cases``, a ``Row`` for
        each case, in their order.
    """
    assert os.getpid() == 1, "kill(-1) below must not leave the namespace"
    run = _calls if request["kind"] == "calls" else _programs
    return {"number": request["number"], **run(request, walls)}


class _Clock:
    """Time of one case: processor time of the process, bounded by wall time."""

    def __init__(self, pid: int, request: dict[str, Any]) -> None:
        self._id = (~pid << 3) | 2  # clock_getcpuclockid(3) of a process
        self._seconds, self._patience = request["seconds"], request["patience"]
        self.begin()

    def begin(self) -> None:
        """A new case starts now."""
        self._cpu, self._wall = self._processor(), time.monotonic()

    def used(self) -> float:
        """Processor seconds since then."""
        return self._processor() - self._cpu

    def wait(self, readers: list[int]) -> str:
        """Until one of ``readers`` has something; ``timeout`` when the time is up first."""
        while True:
            wall = self._patience - (time.monotonic() - self._wall)
            left = self._seconds - self.used()
            if left <= 0 or wall <= 0:
                return "timeout"
            if select.select(readers, [], [], min(wall, max(left, _GLANCE)))[0]:
                return ""

    def _processor(self) -> float:
        try:
            return time.clock_gettime(self._id)
        except OSError:  # it has ended
            return 0.0


def _fork(walls: Walls, request: dict[str, Any], files: list[int], start: int) -> int:
    """Fork a candidate; ``files`` become its descriptors 0, 1, 2 …, all others are closed."""
    pid = os.fork()
    if pid:
        return pid
    try:
        for index, fd in enumerate([os.dup(fd) for fd in files]):
            os.dup2(fd, index)
        os.closerange(len(files), 4096)
        walls.restrain(request, len(request["cases"]))
        candidate.play(request, start)
    finally:
        os._exit(71)


def _end(pid: int) -> tuple[int, float]:
    """Kill all that is left of a candidate; its exit code and processor seconds."""
    with contextlib.suppress(ProcessLookupError):
        os.kill(-1, signal.SIGKILL)
    _, status, usage = os.wait4(pid, 0)
    return os.waitstatus_to_exitcode(status), usage.ru_utime + usage.ru_stime


def _calls(request: dict[str, Any], walls: Walls) -> dict[str, object]:
    """Cases of a function: one process answers them all while it lasts."""
    total, restarts = len(request["cases"]), request["restarts"]
    rows: list[Row] = []
    load, rest = "", "not_run"
    while len(rows) < total:
        load, fate = _answers(request, walls, rows)
        if not fate or not load:
            rest = fate or "load"
            break
        rows.append((fate, "", "", 0.0))
        restarts -= 1
        if restarts < 0:
            break
    return {"load": load, "cases": rows + [(rest, "", "", 0.0)] * (total - len(rows))}


def _answers(request: dict[str, Any], walls: Walls, rows: list[Row]) -> tuple[str, str]:
    """Collect lines of one process; its line about the start, and what ended it early."""
    null = os.open(os.devnull, os.O_RDWR)
    reader, writer = os.pipe()
    pid = _fork(walls, request, [null, null, null, writer], len(rows))
    os.close(writer)
    os.close(null)
    clock = _Clock(pid, request)
    load, fate, held = "", "", bytearray()
    total = len(request["cases"])
    while len(rows) < total and not fate:
        fate = clock.wait([reader])
        chunk = b"" if fate else os.read(reader, _CHUNK)
        if not chunk:
            break
        held += chunk
        *lines, rest = held.split(b"\n")
        held = bytearray(rest)
        for line in lines[: total - len(rows) + (not load)]:
            text = line.decode("ascii", "replace")
            if load:
                rows.append(("line", text, "", clock.used()))
            load = load or text
            clock.begin()
        if len(held) > request["output"]:
            fate = "flooded"
    os.close(reader)
    code, _ = _end(pid)
    if not fate and len(rows) < total and not load.startswith('["load"'):
        fate = "crashed" if code < 0 else "exited"
    return load, fate


def _programs(request: dict[str, Any], walls: Walls) -> dict[str, object]:
    """Cases of a program: a process for each, which reads its input and prints its output."""
    restarts = request["restarts"]
    rows: list[Row] = []
    for text in request["cases"]:
        if restarts < 0:
            rows.append(("not_run", "", "", 0.0))
            continue
        rows.append(_program(request, walls, text))
        restarts -= rows[-1][0] in ("timeout", "flooded")
    return {"load": "", "cases": rows}


def _program(request: dict[str, Any], walls: Walls, text: str) -> Row:
    paper = os.memfd_create("input")
    _write(paper, text.encode("utf-8", "surrogateescape"))
    os.lseek(paper, 0, os.SEEK_SET)
    output, writer = os.pipe()
    errors, complaints = os.pipe()
    pid = _fork(walls, request, [paper, writer, complaints], 0)
    for fd in (paper, writer, complaints):
        os.close(fd)
    clock = _Clock(pid, request)
    said = {output: bytearray(), errors: bytearray()}
    still, fate = [output, errors], ""
    while still and not fate:
        fate = clock.wait(still)
        for fd in [] if fate else select.select(still, [], [], 0)[0]:
            chunk = os.read(fd, _CHUNK)
            said[fd] += chunk
            if not chunk:
                still.remove(fd)
        del said[errors][:-_ERROR_BYTES]
        if len(said[output]) > request["output"]:
            fate = "flooded"
    for fd in said:
        os.close(fd)
    code, seconds = _end(pid)
    if not fate:
        fate = "returned" if code == 0 else "crashed" if code < 0 else "exited"
        fate = "raised" if code == 1 else fate
    printed = said[output][: request["output"]].decode("utf-8", "surrogateescape")
    return fate, printed, said[errors].decode("utf-8", "replace"), seconds


def _write(fd: int, data: bytes) -> None:
    while data:
        data = data[os.write(fd, data) :]
