"""Finding and killing the processes of one command, seen from outside through /proc.

Killing by process group or session misses what daemonised itself, so a command's processes are
found by descent and by a marker in their environment. They are stopped before they are killed,
and looked for again until none is left, because a fork may always win against one scan.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

__all__ = [
    "Process",
    "descendants",
    "held_still",
    "inner_pid",
    "kill_until_none",
    "marker",
    "table",
]

_ROUNDS = 100


@dataclass(frozen=True, slots=True)
class Process:
    """One row of the process table."""

    pid: int
    parent: int
    state: str
    born: str
    """Start time in clock ticks: with the pid it names a process for good."""


def _row(pid: int) -> Process | None:
    try:
        text = Path(f"/proc/{pid}/stat").read_bytes()
    except OSError:
        return None
    fields = text[text.rindex(b")") + 2 :].split()
    return Process(pid, int(fields[1]), fields[0].decode(), fields[19].decode())


def table() -> dict[int, Process]:
    """Every process alive now; zombies are left out."""
    names = os.listdir("/proc")  # noqa: PTH208 - names only, and fast
    rows = (_row(int(name)) for name in names if name.isdigit())
    return {row.pid: row for row in rows if row is not None and row.state not in "ZX"}


def descendants(root: int, rows: dict[int, Process]) -> list[Process]:
    """The processes below ``root``, parents before children, without ``root``."""
    if root <= 1:
        return []  # an unknown root; taken literally it would mean the whole machine
    children: dict[int, list[Process]] = {}
    for row in rows.values():
        children.setdefault(row.parent, []).append(row)
    found: list[Process] = []
    queue = [root]
    while queue:
        below = children.get(queue.pop(), [])
        found += below
        queue += [row.pid for row in below]
    return found


def marker(pid: int, name: str) -> str | None:
    """Value of the variable ``name`` in the process' environment when it was executed."""
    try:
        environ = Path(f"/proc/{pid}/environ").read_bytes()
    except OSError:
        return None
    prefix = name.encode() + b"="
    for entry in environ.split(b"\0"):
        if entry.startswith(prefix):
            return entry[len(prefix) :].decode("utf-8", "replace")
    return None


def inner_pid(pid: int) -> int | None:
    """The pid that the process has in its own pid namespace."""
    try:
        text = Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return None
    for line in text.splitlines():
        if line.startswith("NSpid:"):
            return int(line.split()[-1])
    return None


def _signal(row: Process, number: int) -> None:
    """Signal exactly this process, never another that got its pid since, nor ourselves."""
    if row.pid in {1, os.getpid()}:
        return
    try:
        fd = os.pidfd_open(row.pid)
    except OSError:
        return
    try:
        now = _row(row.pid)
        if now is not None and now.born == row.born:
            signal.pidfd_send_signal(fd, number)
    except OSError:
        return
    finally:
        os.close(fd)


@contextmanager
def held_still(find: Callable[[], list[Process]]) -> Iterator[None]:
    """Stop what ``find`` returns, with all it starts meanwhile, and let it go on afterwards.

    Nobody inside can undo it, because whoever might send the signal is stopped as well.
    """
    stopped: dict[tuple[int, str], Process] = {}
    try:
        for _ in range(_ROUNDS):
            fresh = [row for row in find() if (row.pid, row.born) not in stopped]
            if not fresh:
                break
            for row in fresh:
                _signal(row, signal.SIGSTOP)
                stopped[row.pid, row.born] = row
        yield
    finally:
        for row in stopped.values():
            _signal(row, signal.SIGCONT)


def kill_until_none(find: Callable[[], list[Process]]) -> bool:
    """Stop, then kill, what ``find`` returns until it returns nothing.

    Returns:
        False when something outlived every round, for example in uninterruptible sleep.
    """
    for _ in range(_ROUNDS):
        stopped: dict[tuple[int, str], Process] = {}
        while True:
            found = find()
            fresh = [row for row in found if (row.pid, row.born) not in stopped]
            if not fresh:
                break
            for row in fresh:
                _signal(row, signal.SIGSTOP)
                stopped[row.pid, row.born] = row
        if not stopped:
            return True
        for row in found:
            _signal(row, signal.SIGKILL)
            stopped.pop((row.pid, row.born), None)
        for row in stopped.values():  # no longer what is looked for: it must not stay stopped
            _signal(row, signal.SIGCONT)
    return not find()
