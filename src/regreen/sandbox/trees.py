"""Which processes of a box belong to which command."""

from __future__ import annotations

from regreen.sandbox.cgroups import BoxGroup
from regreen.sandbox.processes import Process, descendants, inner_pid, marker, table
from regreen.sandbox.server import MARKER

__all__ = ["box_processes", "command_processes"]


def command_processes(
    root: int, *, shell: int | None, number: int, others: set[int]
) -> list[Process]:
    """Processes of one command, wherever they have moved in the tree.

    Orphans are children of PID 1. One that wears this command's marker is ours, one that wears
    another's is not, and one that wears none is taken for ours: better a background job of some
    earlier command too few than a runaway too many.

    Args:
        root: PID 1 of the box, as the host sees it.
        shell: pid, inside, of the shell that runs the command; it reports and is spared.
        number: the command's marker.
        others: the shells of other running commands, likewise.
    """
    rows = table()
    found: dict[int, Process] = {}
    for row in rows.values():
        if row.parent != root:
            continue
        inner = inner_pid(row.pid)
        if inner in others:
            continue
        worn = marker(row.pid, MARKER)
        if inner != shell and worn not in {None, str(number)}:
            continue
        if inner != shell:
            found[row.pid] = row
        found.update((below.pid, below) for below in descendants(row.pid, rows))
    for row in descendants(root, rows):
        if marker(row.pid, MARKER) == str(number) and inner_pid(row.pid) != shell:
            found[row.pid] = row
    return list(found.values())


def box_processes(root: int, group: BoxGroup | None) -> list[Process]:
    """Every process of a box.

    Args:
        root: PID 1 of the box as the host sees it; 0 while it is unknown, when only the group
            can tell (below 0 or 1 lies the whole machine).
        group: the box's control group.
    """
    rows = table()
    pids = group.processes() if group is not None else set()
    if root <= 1:
        return [rows[pid] for pid in pids if pid in rows]
    pids.update(row.pid for row in descendants(root, rows))
    return [rows[pid] for pid in pids | {root} if pid in rows]
