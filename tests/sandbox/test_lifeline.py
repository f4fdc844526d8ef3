"""Nothing is left of a controller, however it ends."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from regreen.sandbox.base import BoxSpec
from regreen.sandbox.lifeline import RunDirectory, remove_tree, sweep
from regreen.sandbox.namespace import NamespaceProvider
from regreen.sandbox.processes import table

CONTROLLER = """
import asyncio, sys
from regreen.sandbox.base import BoxSpec, Mount
from regreen.sandbox.namespace import NamespaceProvider

async def main():
    provider = NamespaceProvider()
    spec = BoxSpec(mounts=(Mount(target="/testbed", lowers=()),))
    boxes = await asyncio.gather(*(provider.create(spec) for _ in range(10)))
    script = "setsid sleep 1008 & mkdir -p d/e; echo x >d/e/f; chmod 0 d; echo up; sleep 1008"
    jobs = [await box.start(["/bin/sh", "-c", script]) for box in boxes]
    while any(job.output()[0] != b"up\\n" for job in jobs):
        await asyncio.sleep(0.01)
    print(provider._directory.path, flush=True)
    await asyncio.sleep(1000)

asyncio.run(main())
"""


def eventually(true: Callable[[], bool], seconds: float = 20.0) -> bool:
    deadline = time.monotonic() + seconds
    while not true():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.02)
    return True


def belongs(pid: int, path: Path) -> bool:
    """Whether a process has the run directory in its command line or among its mounts."""
    try:
        words = Path(f"/proc/{pid}/cmdline").read_bytes()
        mounts = Path(f"/proc/{pid}/mountinfo").read_text()
    except OSError:
        return False
    return os.fsencode(path) in words or str(path.name) in mounts


@pytest.mark.usefixtures("boxes")
@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
def test_nothing_is_left_of_a_killed_controller(how: signal.Signals) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", CONTROLLER],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    ) as controller:
        assert controller.stdout is not None
        path = Path(controller.stdout.readline().strip())
        groups = [Path(line) for line in (path / "groups").read_text().splitlines()]
        members = [pid for pid in table() if belongs(pid, path)]
        assert len(members) >= 40
        controller.send_signal(how)
        controller.wait(20)
    assert eventually(lambda: not path.exists())
    assert eventually(lambda: not any(group.exists() for group in groups))
    assert eventually(lambda: not [pid for pid in members if belongs(pid, path)])
    assert path.name not in Path("/proc/self/mountinfo").read_text()


def test_a_box_that_is_born_after_its_controller_died_is_found(tmp_path: Path) -> None:
    """A forked bubblewrap has its controller's name until it has become itself."""
    directory = RunDirectory(tmp_path)
    directory.guard(())
    born = "import os, sys, time; time.sleep(0.4); "
    born += "os.execv('/bin/sleep', [sys.argv[1] + '/b1', '300'])"
    late = subprocess.Popen([sys.executable, "-c", born, str(directory.path)])
    directory.let_go()  # what the kernel does for a controller that is killed
    try:
        assert late.wait(20) == -signal.SIGKILL
        assert eventually(lambda: not directory.path.exists())
    finally:
        late.kill()


def test_the_next_controller_sweeps_up(tmp_path: Path) -> None:
    """As after a power cut, or when the helper was killed too."""
    living = RunDirectory(tmp_path)
    dead = RunDirectory(tmp_path)
    group = tmp_path / "group"
    (group / "b1").mkdir(parents=True)
    (dead.path / "groups").write_text(str(group))
    (dead.path / "b1" / "work").mkdir(parents=True)
    (dead.path / "b1" / "work").chmod(0)
    dead.let_go()
    assert sweep(tmp_path) == 1
    assert not dead.path.exists()
    assert not group.exists()
    assert living.path.exists()
    assert sweep(tmp_path) == 0
    living.close()
    assert not living.path.exists()


@pytest.mark.usefixtures("boxes")
def test_a_forked_child_does_not_keep_boxes_alive() -> None:
    """What multiprocessing forks inherits our pipes and must let go of them."""

    async def main() -> tuple[int, int]:
        provider = NamespaceProvider()
        box = await provider.create(BoxSpec(workdir="/tmp"))
        ready, told = os.pipe()
        child = os.fork()
        if child == 0:
            os.write(told, b"x")
            time.sleep(1000)
            os._exit(0)
        os.read(ready, 1)
        os.close(ready)
        os.close(told)
        await asyncio.wait_for(provider.close(), 20)
        return child, box.pid

    child, pid = asyncio.run(main())
    try:
        assert not Path(f"/proc/{pid}").exists()
    finally:
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)


def test_trees_go_whatever_their_modes(tmp_path: Path) -> None:
    tree = tmp_path / "tree"
    (tree / "a" / "b").mkdir(parents=True)
    (tree / "a" / "b" / "f").write_text("x")
    (tree / "link").symlink_to(tmp_path)
    (tree / "a" / "b").chmod(0o500)
    (tree / "a").chmod(0)
    remove_tree(tree)
    assert not tree.exists()
    assert tmp_path.exists()
