"""Commands in a box: output, time limits, background jobs, channels, files, snapshots."""

from __future__ import annotations

import asyncio
import os
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from regreen.core.errors import InfrastructureError
from regreen.sandbox.base import BoxSpec, Limits, Mount
from regreen.sandbox.cgroups import detect
from regreen.sandbox.layers import LayerStore
from regreen.sandbox.namespace import NamespaceProvider
from regreen.sandbox.overlay import read_changes
from regreen.sandbox.processes import descendants, table

InBox = Callable[..., Any]
PYTHON = os.path.realpath(sys.executable)

limited = pytest.mark.skipif(
    not (detect().memory and detect().pids), reason="no control groups that we may use"
)


def shell(in_box: InBox, script: str, **fields: Any) -> Any:
    return in_box(lambda box: box.exec(["/bin/sh", "-c", script]), **fields)


def alive(box: Any) -> list[int]:
    return [row.pid for row in descendants(box.pid, table())]


async def left(box: Any) -> list[int]:
    """What is alive once the server's own shells had time to end."""
    deadline = time.monotonic() + 10
    while alive(box) and time.monotonic() < deadline:
        await asyncio.sleep(0.01)
    return alive(box)


def test_streams_status_and_working_directory(in_box: InBox) -> None:
    result = shell(in_box, "pwd; echo bad >&2; exit 7")
    assert (result.exit_code, result.stdout, result.stderr) == (7, b"/testbed\n", b"bad\n")
    assert not result.timed_out
    assert not result.out_of_memory


def test_words_reach_the_command_as_they_are(in_box: InBox) -> None:
    words = ["", "a b", "'", '"', "$HOME", "`id`", "\n", "-n", "ü\udcff", "*", "\\", "!"]
    program = "import sys, os; sys.stdout.buffer.write(b'|'.join(map(os.fsencode, sys.argv[1:])))"
    result = in_box(lambda box: box.exec([PYTHON, "-c", program, *words]))
    assert result.stdout == b"|".join(os.fsencode(word) for word in words)


@pytest.mark.parametrize(
    ("argv", "cwd", "code"),
    [(["no-such-program"], None, 127), (["/testbed"], None, 126), (["true"], "/nowhere", 126)],
)
def test_commands_that_cannot_start(
    in_box: InBox, argv: list[str], cwd: str | None, code: int
) -> None:
    result = in_box(lambda box: box.exec(argv, cwd=cwd))
    assert result.exit_code == code
    assert result.stderr


def test_a_signal_is_reported_as_a_shell_does(in_box: InBox) -> None:
    result = shell(in_box, "kill -TERM $$")
    assert (result.exit_code, result.stderr) == (143, b"")


def test_standard_input_is_fed_and_closed(in_box: InBox) -> None:
    data = bytes(range(256)) * 4096
    result = in_box(lambda box: box.exec(["cat"], stdin=data, output_limit=1 << 21))
    assert result.stdout == data
    assert in_box(lambda box: box.exec(["cat"])).stdout == b""


def test_long_output_keeps_its_head_and_tail(in_box: InBox) -> None:
    result = in_box(lambda box: box.exec(["seq", "100000"], output_limit=100))
    assert result.stdout.startswith(b"1\n2\n3\n")
    assert result.stdout.endswith(b"99999\n100000\n")
    assert result.dropped == 588895 - 100
    assert b"[... %d bytes cut ...]" % result.dropped in result.stdout


def test_a_time_limit_kills_what_daemonised_itself(in_box: InBox) -> None:
    script = """
    echo begun
    (setsid sh -c 'setsid sleep 1001 & sleep 1002' &)
    (env -i setsid sleep 1003 &)
    trap '' TERM INT HUP; while :; do sleep 1004; done
    """

    async def story(box: Any) -> None:
        result = await box.exec(["/bin/sh", "-c", script], timeout=0.5)
        assert (result.exit_code, result.timed_out, result.stdout) == (124, True, b"begun\n")
        assert await left(box) == []
        assert (await box.exec(["echo", "on"])).stdout == b"on\n"

    in_box(story)


def test_a_time_limit_spares_other_commands(in_box: InBox) -> None:
    async def story(box: Any) -> None:
        job = await box.start(["/bin/sh", "-c", "(setsid sleep 1 &); sleep 1; echo spared"])
        left = await box.exec(["/bin/sh", "-c", "setsid sleep 1000 & echo left"])
        assert left.stdout == b"left\n"
        assert (await box.exec(["sleep", "1000"], timeout=0.3)).timed_out
        assert (await job.wait(10)).stdout == b"spared\n"
        lines = []
        for pid in alive(box):
            with suppress(FileNotFoundError):  # it has ended meanwhile
                lines.append(Path(f"/proc/{pid}/cmdline").read_bytes())
        assert lines.count(b"sleep\x001000\x00") == 1

    in_box(story)


def test_a_fork_race_is_won(in_box: InBox) -> None:
    program = "import os, time\nwhile True:\n    if os.fork(): os._exit(0)\n"

    async def story(box: Any) -> None:
        result = await box.exec(
            [PYTHON, "-c", f"import os\nif os.fork() == 0:\n exec({program!r})"]
        )
        assert result.exit_code == 0
        assert (await box.exec(["sleep", "1000"], timeout=0.3)).timed_out
        runaway = await box.start([PYTHON, "-c", program])
        await runaway.kill()

    in_box(story)


def test_what_a_command_leaves_behind_does_not_keep_it_waiting(in_box: InBox) -> None:
    async def story(box: Any) -> None:
        result = await box.exec(["/bin/sh", "-c", "yes & echo $!; sleep 1000 &"], timeout=20)
        assert not result.timed_out
        left = await box.exec(["/bin/sh", "-c", "cat /proc/[0-9]*/comm | grep -cE 'yes|sleep'"])
        assert left.stdout == b"2\n"

    in_box(story)


def test_a_cancelled_command_is_killed(in_box: InBox) -> None:
    async def story(box: Any) -> None:
        task = asyncio.create_task(box.exec(["sleep", "1000"]))
        while not alive(box):
            await asyncio.sleep(0.01)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert await left(box) == []

    in_box(story)


def test_a_background_job(in_box: InBox) -> None:
    async def story(box: Any) -> None:
        await box.exec(["mkfifo", "/tmp/gate"])
        job = await box.start(["/bin/sh", "-c", "echo up; cat /tmp/gate; echo down"])
        while job.output()[0] != b"up\n":
            await asyncio.sleep(0.01)
        await box.exec(["/bin/sh", "-c", "echo through >/tmp/gate"])
        assert (await job.wait(5)).stdout == b"up\nthrough\ndown\n"
        endless = await box.start(["sleep", "1000"])
        await endless.kill()
        assert (await endless.wait()).exit_code == 137
        assert await left(box) == []

    in_box(story)


def test_a_channel_carries_lines_and_nothing_else_does(in_box: InBox) -> None:
    program = """
import os, sys
channel = os.fdopen(int(os.environ["REGREEN_CHANNEL_FD"]), "w", buffering=1)
for line in sys.stdin:
    print("noise")
    channel.write(f"got {line}")
channel.write("x" * 300000 + "\\nlast")
"""

    async def story(box: Any) -> None:
        job = await box.start([PYTHON, "-c", program], interactive=True, channel=True)
        messages = job.messages()
        await job.send(b"one\n")
        assert await anext(messages) == b"got one\n"
        run = Path(box._path, "run")
        assert not list(run.glob("*.c")), "the channel keeps no name"
        await job.send(b"two\n")
        assert await anext(messages) == b"got two\n"
        await job.close_stdin()
        assert [len(line) async for line in messages] == [300001, 4]
        result = await job.wait(5)
        assert result.stdout == b"noise\nnoise\n"
        with pytest.raises(InfrastructureError):
            await job.send(b"late\n")

    in_box(story)


def test_live_input_waits_for_a_slow_reader(in_box: InBox) -> None:
    async def story(box: Any) -> None:
        job = await box.start(["/bin/sh", "-c", "sleep 0.2; wc -c"], interactive=True)
        await job.send(b"x" * 1_000_000)
        await job.close_stdin()
        assert (await job.wait(10)).stdout.strip() == b"1000000"

    in_box(story)


def test_files_are_read_and_written(in_box: InBox) -> None:
    async def story(box: Any) -> None:
        data = bytes(range(256))
        await box.write("/testbed/new/deep/file", data, mode=0o755)
        assert await box.read("/testbed/new/deep/file") == data
        assert (await box.exec(["test", "-x", "new/deep/file"])).exit_code == 0
        await box.exec(["chmod", "400", "a.txt"])
        await box.write("/testbed/a.txt", b"two\n")
        assert await box.read("/testbed/a.txt") == b"two\n"
        with pytest.raises(FileNotFoundError):
            await box.read("/testbed/none")
        with pytest.raises(IsADirectoryError):
            await box.read("/testbed")
        with pytest.raises(OSError, match="too large"):
            await box.read("/testbed/a.txt", limit=1)
        with pytest.raises(OSError, match="Read-only"):
            await box.write("/usr/bin/true", b"")

    in_box(story)


def test_a_snapshot_is_the_lower_of_a_new_box(
    runner: asyncio.Runner, boxes: NamespaceProvider, lower: Path, tmp_path: Path
) -> None:
    store = LayerStore(tmp_path / "store")
    script = """
    rm a.txt; echo y >b.txt; rm -r pkg; mkdir pkg; echo z >pkg/new.py; chmod +x b.txt; ln -s b.txt l
    mkdir -p shut/in; chmod 0 shut
    """

    async def main() -> None:
        first = await boxes.create(BoxSpec(mounts=(Mount(target="/testbed", lowers=(lower,)),)))
        await first.exec(["/bin/sh", "-c", script])
        layer = await first.snapshot("/testbed", store)
        again = await first.snapshot("/testbed", store)
        assert again == layer
        await first.close()
        kinds = {change.path: change.kind for change in read_changes(layer.path)}
        assert kinds["a.txt"] == "deleted"
        assert kinds["pkg"] == "opaque"
        mounts = (Mount(target="/testbed", lowers=(layer.path, lower)),)
        second = await boxes.create(BoxSpec(mounts=mounts))
        found = await second.exec(["find", ".", "-not", "-type", "d", "-printf", "%P %m %l\n"])
        await second.close()
        assert sorted(found.stdout.decode().splitlines()) == [
            "b.txt 755 ",
            "l 777 b.txt",
            "pkg/new.py 644 ",
        ]

    runner.run(main())


@limited
def test_the_memory_limit_kills_the_command_and_not_the_box(in_box: InBox) -> None:
    limits = Limits(memory_bytes=64 * 2**20)

    async def story(box: Any) -> None:
        greedy = await box.exec([PYTHON, "-c", "x = bytearray(400 << 20)"])
        assert (greedy.exit_code, greedy.out_of_memory) == (137, True)
        tmpfs = await box.exec(["dd", "if=/dev/zero", "of=/testbed/big", "bs=1M", "count=200"])
        assert tmpfs.out_of_memory
        await box.exec(["rm", "-f", "/testbed/big"])
        modest = await box.exec(["echo", "alive"])
        assert (modest.stdout, modest.out_of_memory) == (b"alive\n", False)

    in_box(story, limits=limits)


@limited
def test_a_fork_storm_stays_in_its_box(in_box: InBox) -> None:
    program = """
import os, time
children = 0
try:
    while os.fork():
        children += 1
    time.sleep(1000)
except BlockingIOError:
    print(children)
"""

    async def story(box: Any) -> None:
        storm = await box.exec([PYTHON, "-c", program])
        assert 10 < int(storm.stdout) < 40
        refused = await box.exec(["true"])
        assert refused.exit_code == 254
        assert b"limit of 40 processes" in refused.stderr

    in_box(story, limits=Limits(pids=40))


def test_resource_limits(in_box: InBox) -> None:
    limits = Limits(open_files=50, file_bytes=1 << 20)
    result = shell(
        in_box, "ulimit -n; head -c 2000000 /dev/zero >/tmp/f; wc -c </tmp/f", limits=limits
    )
    assert result.stdout.split() == [b"50", b"1048576"]


def test_a_writable_bind_reaches_the_host(in_box: InBox, tmp_path: Path) -> None:
    folder = tmp_path / "out"
    folder.mkdir()
    script = "echo made >/out/file; cat /in/file"
    result = shell(in_box, script, writable_binds=((folder, "/out"),), binds=((folder, "/in"),))
    assert result.stdout == b"made\n"
    assert (folder / "file").read_text() == "made\n"


def test_closing_twice_is_harmless(in_box: InBox) -> None:
    async def story(box: Any) -> None:
        pid = box.pid
        await box.exec(["/bin/sh", "-c", "setsid sleep 1000 & mkdir -p d/e; chmod 0 d"])
        await asyncio.gather(box.close(), box.close())
        await box.close()
        assert not Path(f"/proc/{pid}").exists()
        assert not box._path.exists()
        with pytest.raises(InfrastructureError):
            await box.exec(["true"])

    in_box(story)


def test_a_box_that_dies_takes_its_commands_with_it(in_box: InBox) -> None:
    async def story(box: Any) -> None:
        job = await box.start(["sleep", "1000"])
        os.kill(box.pid, 9)
        with pytest.raises(InfrastructureError, match="gone"):
            await job.wait(10)

    in_box(story)
