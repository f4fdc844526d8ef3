"""The supervisor: imports pytest once, then forks a worker for each request.

It never imports repository code. It alone holds the channel out of the box and the run's nonce,
gives a test that hangs, crashes or leaves early its outcome, and starts a new worker for what
is left. Protocol: JSON lines in on stdin, JSON lines out on the channel, each with the nonce.
"""

from __future__ import annotations

import base64
import gc
import json
import os
import resource
import select
import signal
import sys
import time
from typing import Any

WORKER_FD = 250
LINE_LIMIT = 1 << 27
FORGED = "the test process wrote on its channel what no report looks like"
NUMBER = (int, float)
OUTCOMES = ("passed", "failed", "error", "skipped", "xfailed", "xpassed")
FIELDS: dict[str, dict[str, Any]] = {
    "start": {"id_test": str},
    "result": {"id_test": str, "outcome": str, "message": str, "seconds": NUMBER, "cpu": NUMBER},
    "collected": {"ids": list, "duplicates": list, "fixtures": dict},
    "collect_error": {"id_test": str, "message": str},
    "coverage": {"file": str, "contexts": dict},
    "forked": {"ids": list},
    "modules": {"names": list},
    "broken": {"message": str},
    "finished": {"status": int},
}
"""Events of a worker and their fields; nothing else is passed on."""
SCRATCH = ("/tmp", "/home/agent", "/dev/shm")


class Supervisor:
    """State of one runner process."""

    def __init__(self, channel: int, nonce: str, seccomp: bytes) -> None:
        self.channel = channel
        self.nonce = nonce
        self.seccomp = seccomp

    def send(self, number: int, event: str, **fields: Any) -> None:
        """Write one line out of the box."""
        row = {"nonce": self.nonce, "id": number, "event": event, **fields}
        data = json.dumps(row).encode() + b"\n"
        while data:
            data = data[os.write(self.channel, data) :]

    def serve(self) -> None:
        """Answer requests until stdin ends."""
        self.send(0, "ready", python=sys.version.split()[0], cpu=cpu_seconds())
        for line in sys.stdin.buffer:
            self.answer(json.loads(line))

    def answer(self, request: dict[str, Any]) -> None:
        """Run one request, in as many workers as its crashes need."""
        number = request["number"]
        before = cpu_seconds()
        deadline = time.monotonic() + request["total_timeout"]
        left = request.get("tests")
        problem = ""
        for _ in range(request.get("max_workers", 20)):
            state = self.one_worker({**request, "tests": left}, number, deadline)
            problem = state["problem"]
            if state["finished"] or not state["current"] or time.monotonic() > deadline:
                break
            done = state["done"]
            left = [name for name in state["planned"] if name not in done]
            if not left:
                break
        self.send(number, "done", problem=problem, cpu=cpu_seconds() - before)

    def one_worker(self, request: dict[str, Any], number: int, deadline: float) -> dict[str, Any]:
        """Fork a worker, relay its reports, and name what it died of."""
        reader, writer = os.pipe()
        pid = os.fork()
        if pid == 0:
            os.close(reader)
            os.close(self.channel)
            self.become_worker(request, writer)
        os.close(writer)
        state: dict[str, Any] = {
            "current": "",
            "done": set(),
            "planned": request.get("tests") or [],
            "finished": False,
            "problem": "",
            "status": None,
        }
        fate = self.relay(reader, number, request, deadline, state)
        code = end_worker(pid, grace=0.0 if fate else 5.0)
        os.close(reader)
        if state["finished"]:
            if code != state["status"]:
                state["problem"] = f"exit status {code} contradicts the reported {state['status']}"
            return state
        state["problem"] = state["problem"] or fate or f"the test process ended with status {code}"
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
            )
            state["done"].add(state["current"])
        return state

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
            if len(buffer) > LINE_LIMIT:
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

    def become_worker(self, request: dict[str, Any], writer: int) -> None:
        """In the fork: isolate when asked, put the files in place, run pytest, never return."""
        status = 70
        try:
            from . import isolate, worker

            os.dup2(writer, WORKER_FD, inheritable=False)
            os.close(writer)
            quiet(keep_output=bool(request.get("keep_output")))
            if request.get("isolate"):
                isolate.enter_namespaces()
                become_first_process()
                isolate.mount_fresh(os.getcwd(), SCRATCH)  # noqa: PTH109
                isolate.raise_loopback()
            else:
                isolate.dumpable()
                os.setsid()
            place_files(request.get("files") or {})
            if request.get("isolate"):
                isolate.drop_privileges(self.seccomp)
                become_child()
            status = worker.run(request, WORKER_FD)
        except BaseException as exc:
            line = json.dumps({"event": "broken", "message": repr(exc)}).encode() + b"\n"
            os.write(WORKER_FD, line)
        finally:
            os._exit(status)


def understood(line: bytes) -> dict[str, Any] | None:
    """A report of the worker, or None for what its plug-in would never write.

    The pipe lies in the process that runs the code under test, so what comes over it is checked
    like any input: a forged line ends the run, and never the supervisor.
    """
    try:
        row = json.loads(line)
        fields = FIELDS[row["event"]]
        sound = set(row) == {"event", *fields} and all(
            isinstance(row[name], kind) for name, kind in fields.items()
        )
    except (ValueError, KeyError, TypeError):
        return None
    if not sound or row.get("outcome", "passed") not in OUTCOMES:
        return None
    return dict(row)


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
        state["problem"] = row["message"]
    elif event == "finished":
        state["finished"], state["status"] = True, row["status"]
    return event


def cpu_seconds() -> float:
    """CPU seconds of this process and of every child it has reaped."""
    usages = (resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return sum(usage.ru_utime + usage.ru_stime for usage in usages)


def quiet(*, keep_output: bool) -> None:
    """Stdin is the request stream and must not reach tests; output is kept only on request."""
    null = os.open(os.devnull, os.O_RDWR)
    for descriptor in (0,) if keep_output else (0, 1, 2):
        os.dup2(null, descriptor)
    os.close(null)


def become_first_process() -> None:
    """Fork into the new pid namespace; the parent only passes the child's end on."""
    pid = os.fork()
    if pid:
        os.close(WORKER_FD)
        status = os.waitpid(pid, 0)[1]
        os._exit(os.waitstatus_to_exitcode(status) & 0xFF)


def become_child() -> None:
    """Stay as pid 1, which reaps, and go on in a child, which has ordinary signal rules."""
    pid = os.fork()
    if not pid:
        os.setsid()
        return
    os.close(WORKER_FD)
    while True:
        try:
            ended, status = os.wait()
        except ChildProcessError:
            os._exit(71)
        if ended == pid:
            os._exit(os.waitstatus_to_exitcode(status) & 0xFF)


def place_files(files: dict[str, str | None]) -> None:
    """Write, or delete for None, files relative to the tree; latin-1 keeps every byte."""
    for name, text in files.items():
        if text is None:
            os.unlink(name)  # noqa: PTH108
            continue
        folder = os.path.dirname(name)  # noqa: PTH120
        if folder:
            os.makedirs(folder, exist_ok=True)  # noqa: PTH103
        with open(name, "wb") as handle:  # noqa: PTH123
            handle.write(text.encode("latin-1"))


def descendants(pid: int) -> list[int]:
    """Every process below ``pid``, from /proc."""
    children: dict[int, list[int]] = {}
    for entry in os.listdir("/proc"):  # noqa: PTH208
        if entry.isdigit():
            try:
                with open(f"/proc/{entry}/stat", "rb") as handle:  # noqa: PTH123
                    parent = int(handle.read().rpartition(b")")[2].split()[1])
            except (OSError, IndexError, ValueError):
                continue
            children.setdefault(parent, []).append(int(entry))
    found, queue = [], [pid]
    while queue:
        below = children.get(queue.pop(), [])
        found += below
        queue += below
    return found


def end_worker(pid: int, grace: float) -> int:
    """Let a worker end by itself for ``grace`` seconds, then kill and reap all it left.

    The supervisor is a subreaper, so daemons of the tests come back to it and their CPU time is
    counted. Returns the worker's exit code, negative for a signal.
    """
    handle = os.pidfd_open(pid)
    select.select([handle], [], [], grace)
    os.close(handle)
    code = 0
    while True:
        for victim in descendants(os.getpid()):
            try:
                os.kill(victim, signal.SIGKILL)
            except ProcessLookupError:
                continue
        try:
            ended, status = os.waitpid(-1, 0)
        except ChildProcessError:
            return code
        if ended == pid:
            code = os.waitstatus_to_exitcode(status)


def warm(names: list[str], root: str) -> None:
    """Import modules, to be shared by all forks, but none that leads to repository code.

    A repository that the runner itself depends on (pluggy, say) would otherwise stay in memory
    in its healthy form, and its supervisor would run its code. Packages are tried in a fork
    first, one by one; the standard library is not suspected.
    """
    groups: dict[str, list[str]] = {}
    for name in names:
        top = name.partition(".")[0]
        key = "" if top in sys.stdlib_module_names else top
        groups.setdefault(key, []).append(name)
    for key, members in groups.items():
        if not key or is_foreign(members, root):
            import_all(members)


def import_all(names: list[str]) -> None:
    """Import what can be imported; an absent module only makes runs slower."""
    for name in names:
        try:
            __import__(name)
        except Exception:  # a package may raise anything
            continue


def is_foreign(names: list[str], root: str) -> bool:
    """Whether importing modules loads nothing from ``root``, found out in a fork."""
    pid = os.fork()
    if pid == 0:
        inside = True
        try:
            quiet(keep_output=False)
            import_all(names)
            files = [getattr(module, "__file__", None) or "" for module in sys.modules.values()]
            inside = any(name.startswith(root + "/") for name in files)
        finally:
            os._exit(int(inside))
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0


def main() -> None:
    """Read the opening line, warm up, serve."""
    channel = int(os.environ.pop("REGREEN_CHANNEL_FD"))
    os.set_inheritable(channel, False)
    opening = json.loads(sys.stdin.buffer.readline())
    sys.path[:] = [entry for entry in sys.path if entry]
    sys.path.extend(entry for entry in opening["path"] if entry not in sys.path)
    from . import isolate

    if opening["warm"]:
        warm(opening["warm"], os.getcwd())  # noqa: PTH109
        gc.collect()
        gc.freeze()  # what is shared is left out of every collection in the forks
    isolate.undumpable()
    isolate.become_subreaper()
    seccomp = base64.b64decode(opening["seccomp"])
    Supervisor(channel, opening["nonce"], seccomp).serve()
