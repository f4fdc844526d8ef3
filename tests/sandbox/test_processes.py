"""Finding processes: descent and markers, and what must never be taken for a target."""

from __future__ import annotations

import os
import subprocess

import pytest

from regreen.sandbox.processes import descendants, inner_pid, kill_until_none, marker, table
from regreen.sandbox.trees import box_processes


def test_descendants_and_markers() -> None:
    script = "sleep 1010 & sleep 1010"
    with subprocess.Popen(["/bin/sh", "-c", script], env={"WORN": "it"}) as shell:
        try:
            while len(found := descendants(shell.pid, table())) < 2:
                pass
            assert {row.parent for row in found} == {shell.pid}
            assert {marker(row.pid, "WORN") for row in found} <= {"it", None}
            assert marker(os.getpid(), "WORN") is None
            assert inner_pid(shell.pid) is not None
        finally:
            assert kill_until_none(lambda: descendants(shell.pid, table()))
            shell.kill()


@pytest.mark.parametrize("root", [0, 1])
def test_an_unknown_root_is_nobody(root: int) -> None:
    """Taken literally, what lies below 0 or 1 is the whole machine."""
    assert descendants(root, table()) == []
    assert box_processes(root, None) == []


def test_we_never_kill_ourselves() -> None:
    ourselves = table()[os.getpid()]
    assert not kill_until_none(lambda: [ourselves])


def test_a_process_that_is_gone() -> None:
    with subprocess.Popen(["/bin/true"]) as done:
        done.wait()
    assert marker(done.pid, "X") is None
    assert inner_pid(done.pid) is None
