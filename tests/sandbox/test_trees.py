"""What counts as a box's processes: nothing, as long as the box's root is not known."""

from __future__ import annotations

from regreen.sandbox.processes import Process, descendants


def test_no_root_has_no_descendants() -> None:
    """With pid 0 for "not known yet", all processes of the machine would be below it."""
    rows = {
        pid: Process(pid=pid, parent=parent, state="S", born="1")
        for pid, parent in ((1, 0), (2, 0), (10, 1), (11, 10), (12, 11))
    }

    assert descendants(0, rows) == []
    assert descendants(1, rows) == []
    assert [row.pid for row in descendants(10, rows)] == [11, 12]
