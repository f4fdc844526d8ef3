"""The keeper of the runs: it orders processes, times them, kills them, and reads what they report.

Time is the candidate's processor time, so that a busy machine fails nobody; only a candidate that
sleeps meets the wall limit. What a candidate wrote is passed on unread: it is judged on the host.
"""

from __future__ import annotations

import contextlib
import json
import os
import select
import signal
import socket
import struct
import time
from typing import Any

__all__ = ["NEWS", "UNBORN", "Brood", "Keeper"]

NEWS = struct.Struct("<iid")
"""The zygote's news: pid of the process that is ready; exit code (negative for a signal) and
processor seconds of the one before."""
UNBORN = 72
"""Exit code of a process that could not even wait for an order."""
_CHUNK = 1 << 16
_ERROR_BYTES = 2000
_GLANCE = 0.01
_CHECKS = 1000
_WHOLE = 16

Row = tuple[str, str, str, float]
"""What came of one case: fate, what it wrote, what it complained, processor seconds."""


class _Clock:
    """Time of one case: processor time of its processes, bounded by wall time."""

    def __init__(self, pids: list[int], request: dict[str, Any]) -> None:
        self._ids = [(~pid << 3) | 2 for pid in pids]  # clock_getcpuclockid(3) of a process
        self._seconds, self._patience = request["seconds"], request["patience"]
        self.begin()
        self.before = self._cpu

    def begin(self) -> None:
        """A new case starts now."""
        self._cpu, self._wall = self._processor(), time.monotonic()

    def used(self) -> float:
        """Processor seconds since then."""
        return max(0.0, self._processor() - self._cpu)

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
        total = 0.0
        for one in self._ids:
            with contextlib.suppress(OSError):  # it has ended
                total += time.clock_gettime(one)
        return total


class Brood:
    """Processes of one zygote, of which one is always ready.

    Args:
        orders: where the process that is ready listens.
        news: where the zygote tells of it.
    """

    def __init__(self, orders: socket.socket, news: socket.socket) -> None:
        self._orders, self._news = orders, news
        self.pid, _, _ = NEWS.unpack(news.recv(NEWS.size))

    def start(self, order: dict[str, Any], files: list[int]) -> None:
        """Have the one that is ready carry out an order; ``files`` become its 0, 1, 2 … and go."""
        paper = _paper(json.dumps(order).encode())
        socket.send_fds(self._orders, [b"go"], [paper, *files])
        for fd in {paper, *files}:
            os.close(fd)

    def end(self) -> tuple[int, float]:
        """Kill what is left of it; its exit code and processor seconds."""
        with contextlib.suppress(ProcessLookupError):
            os.kill(self.pid, signal.SIGKILL)
        self.pid, status, seconds = NEWS.unpack(self._news.recv(NEWS.size))
        if status == UNBORN:
            raise SystemExit(UNBORN)
        return status, seconds


class Keeper:
    """Runs one request after the other.

    Args:
        candidates: processes for programs under test.
        tests: processes for tests that are programs.
    """

    def __init__(self, candidates: Brood, tests: Brood) -> None:
        self._candidates, self._tests = candidates, tests
        self._left = 0

    def run(self, request: dict[str, Any]) -> dict[str, object]:
        """Run one request.

        Returns:
            ``number``; ``load``, the candidate's line about its own start; ``cases``, a ``Row``
            for each case, in their order.
        """
        self._left = request["output"] * _WHOLE
        kinds = {"calls": self._calls, "feeds": self._feeds, "checks": self._checks}
        return {"number": request["number"], **kinds[request["kind"]](request)}

    def _start(self, request: dict[str, Any], cases: list[Any], files: list[int]) -> _Clock:
        order = {name: request[name] for name in ("kind", "program", "memory")}
        order |= {"seconds": request["seconds"] * (len(cases) + 2), "cases": cases}
        clock = _Clock([self._candidates.pid], request)
        self._candidates.start(order, files)
        return clock

    def _checks(self, request: dict[str, Any]) -> dict[str, object]:
        """Tests that are a program: they run apart, and each call crosses to the candidate."""
        questions, asking = os.pipe()
        answers, answering = os.pipe()
        reader, writer = os.pipe()
        null = os.open(os.devnull, os.O_RDWR)
        spare = os.dup(null)
        shared = {"memory": request["memory"], "seconds": request["seconds"] * _CHECKS}
        clock = _Clock([self._candidates.pid, self._tests.pid], request)
        order = {**shared, "kind": "answers", "program": request["program"]}
        self._candidates.start(order, [questions, null, null, answering])
        order = {**shared, "kind": "checks", "tests": request["tests"], "entry": request["entry"]}
        self._tests.start(order, [spare, spare, spare, writer, asking, answers])
        rows: list[Row] = []
        fate, held = "", b""
        while not fate:
            fate = clock.wait([reader])
            chunk = b"" if fate else os.read(reader, _CHUNK)
            if not chunk:
                break
            *lines, held = (held + chunk).split(b"\n")
            for line in lines:
                rows.append(("line", line.decode("ascii", "replace"), "", clock.used()))
                clock.begin()
            if len(held) > request["output"] or len(rows) > _CHECKS:
                fate = "flooded"
        os.close(reader)
        self._candidates.end()
        code, _ = self._tests.end()
        ended = fate or ("returned" if code == 0 else "crashed" if code < 0 else "exited")
        return {"load": "", "cases": [*rows, (ended, "", "", 0.0)]}

    def _calls(self, request: dict[str, Any]) -> dict[str, object]:
        """Cases of a function: one process answers them all while it lasts."""
        total, restarts = len(request["cases"]), request["restarts"]
        rows: list[Row] = []
        load, rest = "", "not_run"
        while len(rows) < total:
            load, fate = self._answers(request, rows)
            if not fate or not load:
                rest = fate or "load"
                break
            rows.append((fate, "", "", 0.0))
            restarts -= 1
            if restarts < 0 or self._left < 0:
                break
        return {"load": load, "cases": rows + [(rest, "", "", 0.0)] * (total - len(rows))}

    def _answers(self, request: dict[str, Any], rows: list[Row]) -> tuple[str, str]:
        """Collect lines of one process; its line about the start, and what ended it early."""
        null = os.open(os.devnull, os.O_RDWR)
        reader, writer = os.pipe()
        cases = request["cases"][len(rows) :]
        clock = self._start(request, cases, [null, null, null, writer])
        total = len(request["cases"])
        load, fate, held = "", "", bytearray()
        while len(rows) < total and not fate:
            fate = clock.wait([reader])
            chunk = b"" if fate else os.read(reader, _CHUNK)
            if not chunk:
                break
            self._left -= len(chunk)
            *lines, rest = (held + chunk).split(b"\n")
            held = rest
            for line in lines[: total - len(rows) + (not load)]:
                text = line.decode("ascii", "replace")
                if load:
                    rows.append(("line", text, "", clock.used()))
                load = load or text
                clock.begin()
            if len(held) > request["output"] or self._left < 0:
                fate = "flooded"
        os.close(reader)
        code, _ = self._candidates.end()
        if not fate and len(rows) < total and not load.startswith('["load"'):
            fate = "crashed" if code < 0 else "exited"
        return load, fate

    def _feeds(self, request: dict[str, Any]) -> dict[str, object]:
        """Cases of a program: a process for each, which reads its input and prints its output."""
        restarts = request["restarts"]
        rows: list[Row] = []
        for text in request["cases"]:
            if restarts < 0 or self._left < 0:
                rows.append(("not_run", "", "", 0.0))
                continue
            rows.append(self._feed(request, text))
            restarts -= rows[-1][0] in ("timeout", "flooded")
        return {"load": "", "cases": rows}

    def _feed(self, request: dict[str, Any], text: str) -> Row:
        paper = _paper(text.encode("utf-8", "surrogatepass"))
        output, writer = os.pipe()
        errors, complaints = os.pipe()
        clock = self._start(request, [], [paper, writer, complaints])
        said = {output: bytearray(), errors: bytearray()}
        still, fate = [output, errors], ""
        while still and not fate:
            fate = clock.wait(still)
            for fd in [] if fate else select.select(still, [], [], 0)[0]:
                chunk = os.read(fd, _CHUNK)
                said[fd] += chunk
                self._left -= len(chunk) if fd == output else 0
                if not chunk:
                    still.remove(fd)
            del said[errors][:-_ERROR_BYTES]
            if len(said[output]) > request["output"]:
                fate = "flooded"
        for fd in said:
            os.close(fd)
        code, seconds = self._candidates.end()
        if not fate:
            fate = {0: "returned", 1: "raised"}.get(code, "crashed" if code < 0 else "exited")
        printed = said[output][: request["output"]].decode("utf-8", "surrogateescape")
        complaint = said[errors].decode("utf-8", "replace")
        return fate, printed, complaint, max(0.0, seconds - clock.before)


def _paper(data: bytes) -> int:
    """A file in memory that holds ``data``, at its beginning."""
    fd = os.memfd_create("paper")
    while data:
        data = data[os.write(fd, data) :]
    os.lseek(fd, 0, os.SEEK_SET)
    return fd
