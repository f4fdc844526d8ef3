"""The provider without isolation keeps the same protocol, and is not made by accident."""

from __future__ import annotations

import asyncio
import os
import sys
from pathlib import Path
from typing import Any

import pytest

from regreen.core.errors import InfrastructureError, UsageError
from regreen.sandbox import PROVIDERS, provider
from regreen.sandbox.base import BoxSpec, Mount
from regreen.sandbox.layers import LayerStore
from regreen.sandbox.overlay import merged_tree
from regreen.sandbox.processes import marker, table
from regreen.sandbox.server import MARKER


def test_it_must_be_asked_for() -> None:
    with pytest.raises(UsageError, match="isolates nothing") as caught:
        provider("process")
    assert "--unsafe-no-isolation" in caught.value.mend
    assert provider("process", unsafe=True).name == "process"


def test_an_unknown_provider_is_named() -> None:
    with pytest.raises(UsageError) as caught:
        provider("docker")
    assert all(name in caught.value.mend for name in PROVIDERS)


def test_paths_of_the_box_are_mapped(unsafe_box: Any, tmp_path: Path) -> None:
    script = tmp_path / "run.py"
    script.write_text("import os; print(open('a.txt').read(), os.environ['PATHS'], os.getcwd())")

    async def story(box: Any) -> None:
        result = await box.exec(
            [sys.executable, "/run/it.py"], env={"PATHS": "/testbed/bin:/usr/bin"}
        )
        here = f"{box.root}/testbed"
        assert result.stdout.decode().split() == ["one", f"{here}/bin:/usr/bin", here], result

    unsafe_box(story, binds=((script, "/run/it.py"),))


def test_it_runs_commands(unsafe_box: Any) -> None:
    async def story(box: Any) -> None:
        assert (await box.exec(["cat"], stdin=b"x" * 200000)).stdout == b"x" * 200000
        assert (await box.exec(["/bin/sh", "-c", "echo e >&2; exit 3"])).exit_code == 3
        assert (await box.exec(["no-such-program"])).exit_code == 127
        assert (await box.exec(["/bin/sh", "-c", "kill -TERM $$"])).exit_code == 143
        await box.write("/testbed/new/file", b"data", mode=0o755)
        assert await box.read("/testbed/new/file") == b"data"
        with pytest.raises(FileNotFoundError):
            await box.read("/testbed/none")
        env = (await box.exec(["env"])).stdout
        assert b"HOME=" + os.fsencode(box.root) in env

    unsafe_box(story)


def test_a_time_limit_kills_the_tree(unsafe_box: Any) -> None:
    async def story(box: Any) -> None:
        script = "setsid sh -c 'setsid sleep 1005 & sleep 1006' & sleep 1007"
        result = await box.exec(["/bin/sh", "-c", script], timeout=0.3)
        assert (result.exit_code, result.timed_out) == (124, True)
        worn = [marker(pid, MARKER) for pid in table()]
        assert not [name for name in worn if name and name.startswith(box._name)]

    unsafe_box(story)


def test_a_channel_and_live_input(unsafe_box: Any) -> None:
    program = """
import os, sys
with os.fdopen(int(os.environ["REGREEN_CHANNEL_FD"]), "w", buffering=1) as channel:
    for line in sys.stdin:
        channel.write(f"got {line}")
"""

    async def story(box: Any) -> None:
        job = await box.start([sys.executable, "-c", program], interactive=True, channel=True)
        messages = job.messages()
        await job.send(b"one\n")
        assert await anext(messages) == b"got one\n"
        await job.close_stdin()
        assert [line async for line in messages] == []
        assert (await job.wait(10)).exit_code == 0

    unsafe_box(story)


def test_a_snapshot_holds_the_difference(
    runner: asyncio.Runner, lower: Path, tmp_path: Path
) -> None:
    async def main() -> None:
        made = provider("process", unsafe=True)
        box = await made.create(BoxSpec(mounts=(Mount(target="/testbed", lowers=(lower,)),)))
        await box.exec(["/bin/sh", "-c", "rm a.txt; echo 2 >pkg/core.py; echo n >n"])
        layer = await box.snapshot("/testbed", LayerStore(tmp_path / "store"))
        await made.close()
        tree = merged_tree([layer.path, lower])
        assert sorted(tree) == ["n", "pkg/__init__.py", "pkg/core.py"]
        assert tree["pkg/core.py"].read_text() == "2\n"
        with pytest.raises(InfrastructureError):
            await box.exec(["true"])

    runner.run(main())
    assert sorted(merged_tree([lower])) == ["a.txt", "pkg/__init__.py", "pkg/core.py"]
