"""Where control groups are made, decided on recorded layouts; their effect is tested on boxes."""

from __future__ import annotations

from pathlib import Path

import pytest

from regreen.core.errors import InfrastructureError
from regreen.sandbox.base import Limits
from regreen.sandbox.cgroups import BoxGroup, ControllerGroup, Hierarchy, detect


def group(
    path: Path, *, procs: str = "", controllers: str = "memory pids", root: bool = False
) -> Path:
    path.mkdir(parents=True)
    (path / "cgroup.controllers").write_text(controllers)
    (path / "cgroup.subtree_control").write_text("")
    (path / "cgroup.procs").write_text(procs)
    if not root:
        (path / "cgroup.type").write_text("domain")
    return path


def found(tmp_path: Path, mounts: list[str], own: str) -> Hierarchy:
    (tmp_path / "mountinfo").write_text("".join(f"{line}\n" for line in mounts))
    (tmp_path / "cgroup").write_text(own)
    return detect(tmp_path / "cgroup", tmp_path / "mountinfo")


def mount(path: Path, kind: str, options: str = "rw", root: str = "/") -> str:
    return f"30 20 0:26 {root} {path} rw - {kind} {kind} {options}"


def test_version_1_below_our_own_groups(tmp_path: Path) -> None:
    memory, pids = tmp_path / "memory", tmp_path / "pids"
    (memory / "ours").mkdir(parents=True)
    pids.mkdir()
    mounts = [mount(memory, "cgroup", "rw,memory"), mount(pids, "cgroup", "rw,pids")]
    result = found(tmp_path, mounts, "2:memory:/ours\n1:pids:/\n0::/\n")
    assert (result.version, result.memory, result.pids) == (1, memory / "ours", pids)


def test_version_2_beside_our_own_group(tmp_path: Path) -> None:
    """The scope that holds us may not be divided, the slice above it may."""
    root = group(tmp_path / "cg", root=True)
    above = group(root / "user.slice")
    group(above / "run.scope", procs="1\n2\n")
    result = found(tmp_path, [mount(root, "cgroup2")], "0::/user.slice/run.scope\n")
    assert (result.version, result.memory, result.pids) == (2, above, above)
    assert (above / "cgroup.subtree_control").read_text() == "+memory +pids"


def test_version_2_at_the_true_root(tmp_path: Path) -> None:
    root = group(tmp_path / "cg", procs="1\n", root=True)
    assert found(tmp_path, [mount(root, "cgroup2")], "0::/\n").memory == root


@pytest.mark.parametrize(("procs", "controllers"), [("1\n", "memory pids"), ("", "hugetlb")])
def test_version_2_that_cannot_be_used(tmp_path: Path, procs: str, controllers: str) -> None:
    root = group(tmp_path / "cg", procs=procs, controllers=controllers)
    result = found(tmp_path, [mount(root, "cgroup2")], "0::/\n")
    assert (result.version, result.roots) == (0, ())
    assert result.detail


def test_no_control_groups(tmp_path: Path) -> None:
    assert detect(tmp_path / "none", tmp_path / "none").version == 0


def test_version_2_limits_and_events(tmp_path: Path) -> None:
    parent = tmp_path / "box"
    box = BoxGroup(parent, parent, Limits(memory_bytes=4096, pids=7))
    box.make()
    assert (parent / "memory.max").read_text() == "4096"
    assert (parent / "pids.max").read_text() == "7"
    assert box.memory_kills() == 0
    (parent / "memory.events").write_text("low 0\noom 3\noom_kill 2\n")
    (parent / "pids.current").write_text("4")
    assert box.memory_kills() == 2
    assert box.full()
    box.attach(12)
    assert box.processes() == {12}


def test_a_hierarchy_that_refuses_is_an_infrastructure_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(InfrastructureError):
        ControllerGroup(Hierarchy(1, tmp_path / "file", None, ""), "name")
