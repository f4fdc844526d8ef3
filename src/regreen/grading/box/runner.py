"""The supervisor: it takes requests, has the zygote fork a worker for each, and relays its reports.

It never imports repository code. It alone holds the channel out of the box and the run's nonce,
gives a test that hangs, crashes or leaves early its outcome, and starts a new worker for what
is left. Protocol: JSON lines in on stdin, JSON lines out on the channel, each with the nonce.
"""

from __future__ import annotations

import json
import math
import os
import select
import socket
import sys
import time
from typing import Any

from . import isolate, zygote

LINE_LIMIT = 1 << 27
PROBLEM_LIMIT = 2000
REPORT_LIMIT = 1 << 26
"""Bytes of reports about one run without coverage; a message is at most a few kilobytes."""
FORGED = "the test process wrote on its channel what no report looks like"
NUMBER = (int, float)
OUTCOMES = ("passed", "failed", "error", "skipped", "xfailed", "xpassed")
FIELDS: dict[str, dict[str, Any]] = {
    "start": {"id_test": str},
    "result": {
        "id_test": str,
        "outcome": str,
        "message": str,
        "seconds": NUMBER,
        "cpu": NUMBER,
        "lines": list,
    },
    "collected": {"ids": list, "duplicates": list, "fixtures": dict, "order": dict},
    "collect_error": {"id_test": str, "message": str},
    "coverage": {"file": str, "contexts": dict},
    "forked": {"ids": list},
    "modules": {"names": list},
    "broken": {"message": str},
    "finished": {"status": int},
}
"""Events of a worker and their fields; nothing else is passed on."""


HOST_FIELDS = frozenset(
    ("number", "isolate", "test_timeout", "collect_timeout", "total_timeout", "max_workers")
)
"""Fields of a request that are the supervisor's own matter; a worker is not told them."""


class Supervisor:
    """State of one runner process.

    Args:
        channel: descriptor of the way out of the box.
        nonce: put on every line.
        control: connection to the zygote.
        spare: connection to another, which stays cold.
    """

    def __init__(
        self, channel: int, nonce: str, control: socket.socket, spare: socket.socket
    ) -> None:
        self.channel = channel
        self.nonce = nonce
        self.control = control
        self.spare = spare

    def send(self, number: int, event: str, **fields: Any) -> None:
        """Write one line out of the box."""
        row = {"nonce": self.nonce, "id": number, "event": event, **fields}
        data = json.dumps(row).encode() + b"\n"
        while data:
            data = data[os.write(self.channel, data) :]

    def ask(self, order: dict[str, Any], descriptors: tuple[int, ...] = ()) -> dict[str, Any]:
        """Have the zygote do something; ends this process when it is gone."""
        try:
            socket.send_fds(self.control, [json.dumps(order).encode()], descriptors)
            data = self.control.recv(zygote.ORDER_LIMIT)
        except OSError:
            data = b""
        if not data:
            raise SystemExit(72)
        answer: dict[str, Any] = json.loads(data)
        return answer

    def serve(self, opening: dict[str, Any]) -> None:
        """Warm up, then answer requests until stdin ends."""
        warm = {name: opening[name] for name in ("path", "warm", "seccomp", "legacy")}
        warmed = self.ask({"op": "warm", **warm})
        cpu = warmed["cpu"]
        if warmed["foreign"]:
            self.control.close()
            self.control = self.spare
            cpu += self.ask({"op": "warm", **warm, "warm": []})["cpu"]
        self.send(0, "ready", python=sys.version.split()[0], cpu=cpu + zygote.cpu_seconds())
        for line in sys.stdin.buffer:
            self.answer(json.loads(line))

    def answer(self, request: dict[str, Any]) -> None:
        """Run one request, in as many workers as its crashes need."""
        number = request["number"]
        deadline = time.monotonic() + request["total_timeout"]
        left = request.get("tests")
        problem, cpu, forged = "", 0.0, False
        for _ in range(request.get("max_workers", 20)):
            state = self.one_worker({**request, "tests": left}, number, deadline)
            problem = state["problem"]
            cpu += state["cpu"]
            forged = forged or state["forged"]
            if state["finished"] or not state["current"] or time.monotonic() > deadline:
                break
            done = state["done"]
            left = [name for name in state["planned"] if name not in done]
            if not left:
                break
        self.send(number, "done", problem=problem, cpu=cpu, forged=forged)

    def one_worker(self, request: dict[str, Any], number: int, deadline: float) -> dict[str, Any]:
        """Start a worker, relay its reports, and name what it died of."""
        reader, writer = os.pipe()
        told = {name: value for name, value in request.items() if name not in HOST_FIELDS}
        paper = os.memfd_create("request")
        with os.fdopen(os.dup(paper), "wb") as handle:
            handle.write(json.dumps(told).encode())
        os.lseek(paper, 0, os.SEEK_SET)
        before = self.ask({"op": "start", "isolate": bool(request.get("isolate"))}, (paper, writer))
        os.close(paper)
        os.close(writer)
        state: dict[str, Any] = {
            "current": "",
            "done": set(),
            "planned": request.get("tests") or [],
            "finished": False,
            "problem": "",
            "status": None,
            "forged": False,
        }
        fate = self.relay(reader, number, request, deadline, state)
        ended = self.ask({"op": "end", "grace": 0.0 if fate else 5.0})
        os.close(reader)
        state["cpu"] = ended["cpu"] - before["cpu"]
        self.conclude(state, ended["code"], fate, number)
        return state

    def conclude(self, state: dict[str, Any], code: int, fate: str, number: int) -> None:
        """Hold what a worker reported against how it ended."""
        state["forged"] = fate == FORGED
        if state["finished"]:
            if code != state["status"]:
                state["forged"] = True
                state["problem"] = f"exit status {code} contradicts the reported {state['status']}"
            return
        state["problem"] = (
            state["problem"] or fate or f"the test process left early, with status {code}"
        )
        if state["current"]:
            outcome = "crashed" if fate in ("", FORGED) else "timeout"
            self.send(
                number,
                "result",
                id_test=state["current"],
                outcome=outcome,
                message=state["problem"],
                seconds=0.0,
                cpu=0.0,
                lines=[],
            )
            state["done"].add(state["current"])

    def relay(
        self,
        reader: int,
        number: int,
        request: dict[str, Any],
        deadline: float,
        state: dict[str, Any],
    ) -> str:
        """Pass reports on until the worker finishes; returns why it was stopped, if it was."""
        buffer = b""
        left = sys.maxsize if request.get("coverage") else REPORT_LIMIT
        limit = request["test_timeout"]
        # Imports and collection happen before the first test and have a limit of their own.
        due = time.monotonic() + request["collect_timeout"]
        while True:
            wait = min(due, deadline) - time.monotonic()
            if wait <= 0 or not select.select([reader], [], [], wait)[0]:
                return "time limit of the run" if deadline < due else "time limit of one test"
            chunk = os.read(reader, 1 << 16)
            if not chunk:
                return ""
            *lines, buffer = (buffer + chunk).split(b"\n")
            left -= len(chunk)
            if len(buffer) > LINE_LIMIT or left < 0:
                return FORGED
            for line in lines:
                row = understood(line)
                if row is None:
                    return FORGED
                event = note(row, state)
                if event in ("start", "result", "collected", "coverage"):
                    due = time.monotonic() + limit
                if event != "start":
                    self.send(number, event, **row)
                if event == "finished":
                    return ""


def understood(line: bytes) -> dict[str, Any] | None:
    """A report of the worker, or None for what its plug-in would never write.

    The pipe lies in the process that runs the code under test, so what comes over it is checked
    like any input: a forged line ends the run, and never the supervisor.
    """
    try:
        row = json.loads(line)
        fields = FIELDS[row["event"]]
        sound = set(row) == {"event", *fields} and all(
            isinstance(row[name], kind) and plain(row[name]) for name, kind in fields.items()
        )
    except (ValueError, KeyError, TypeError, RecursionError):
        return None
    if not sound or row.get("outcome", "passed") not in OUTCOMES:
        return None
    return dict(row)


def plain(value: Any, depth: int = 0) -> bool:
    """Whether a field holds texts, finite numbers, lists of them, and nothing else."""
    if isinstance(value, dict):
        return depth == 0 and all(plain(item, depth) for item in value.values())
    if isinstance(value, list):
        return depth < 2 and all(plain(item, depth + 1) for item in value)
    if isinstance(value, float):
        return math.isfinite(value)
    return isinstance(value, (str, int))


def note(row: dict[str, Any], state: dict[str, Any]) -> str:
    """Keep what a report says about the worker itself; returns the event, taken off the row."""
    event: str = row.pop("event")
    if event == "start":
        state["current"] = row["id_test"]
    elif event == "result":
        state["current"] = ""
        state["done"].add(row["id_test"])
    elif event == "collected":
        state["planned"] = row["ids"]
    elif event == "broken":
        state["problem"] = row["message"][:PROBLEM_LIMIT]
    elif event == "finished":
        state["finished"], state["status"] = True, row["status"]
    return event


def main() -> None:
    """Fork the zygotes off, then read the opening line and serve."""
    channel = int(os.environ.pop("REGREEN_CHANNEL_FD"))
    os.set_inheritable(channel, False)
    control = forked(channel)
    spare = forked(channel, control)
    opening = json.loads(sys.stdin.buffer.readline())
    isolate.undumpable()
    Supervisor(channel, opening["nonce"], control, spare).serve(opening)


def forked(channel: int, *others: socket.socket) -> socket.socket:
    """A connection to a new zygote, which gets none of ours."""
    control, other = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    if os.fork() == 0:
        for mine in (control, *others):
            mine.close()
        os.close(channel)
        zygote.serve(other)
    other.close()
    return control
