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
    below = descendants(root, rows)
    inner = {row.pid: inner_pid(row.pid) for row in below}
    spared = {row.pid for row in below if inner[row.pid] in {shell, *others} - {None}}
    # What forked a command's shell lives until that shell has shot it.
    starters = {rows[pid].parent for pid in spared} - {root}
    found: dict[int, Process] = {}
    for row in below:
        worn = marker(row.pid, MARKER)
        if worn == str(number):
            found[row.pid] = row
        elif row.parent == root and row.pid not in starters:
            ours = inner[row.pid] == shell or (worn is None and row.pid not in spared)
            lower = [row, *descendants(row.pid, rows)] if ours else []
            found.update((each.pid, each) for each in lower)
    return [row for pid, row in found.items() if pid not in spared]


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
