"""What a box costs, beside bare bubblewrap and the container engines, in one run.

    python benchmarks/sandbox.py            a table, under a minute
    python benchmarks/sandbox.py --json     the same as JSON
    python benchmarks/sandbox.py -n 100     more repetitions

Ours and each comparator take turns, so that a busy machine slows both alike; the ratios are what to
compare between machines. Milliseconds are medians unless a column says otherwise.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import platform
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable
from dataclasses import asdict, dataclass
from pathlib import Path

from regreen.sandbox.base import BoxSpec, Mount
from regreen.sandbox.bwrap import find_bwrap
from regreen.sandbox.launch import Launch, box_arguments
from regreen.sandbox.namespace import NamespaceProvider
from regreen.sandbox.processes import descendants, table


@dataclass(frozen=True)
class Row:
    """One measured claim."""

    claim: str
    value: float | None
    unit: str
    target: str
    beside: str
    ratio: float | None


def spec(lower: Path) -> BoxSpec:
    return BoxSpec(mounts=(Mount(target="/testbed", lowers=(lower,)),))


def bare(program: str, *, dressed: bool) -> float:
    """Milliseconds of one bubblewrap call around `true`."""
    words = [program, "--unshare-all", "--ro-bind", "/", "/"]
    words += ["--proc", "/proc", "--dev", "/dev", "--tmpfs", "/tmp"] if dressed else []
    started = time.perf_counter()
    subprocess.run([*words, "/bin/true"], stdin=subprocess.DEVNULL, check=True)
    return (time.perf_counter() - started) * 1e3


def alike(provider: NamespaceProvider, lower: Path, number: int) -> float:
    """Milliseconds of one bubblewrap call around `true` with every mount that a box of ours has."""
    directory = provider._open()
    toolchain = provider._toolchain(directory, "none")
    path = directory.path / f"alike{number}"
    launch = Launch(path=path, bwrap=find_bwrap(), toolchain=toolchain, shared=directory.path)
    words = box_arguments(spec(lower), launch)
    words = [*words[: words.index("@")], "/bin/true"]
    started = time.perf_counter()
    subprocess.run(words, stdin=subprocess.DEVNULL, check=True, env={})
    return (time.perf_counter() - started) * 1e3


def host() -> float:
    """Milliseconds of `true` as a plain subprocess."""
    started = time.perf_counter()
    subprocess.run(["/bin/true"], stdin=subprocess.DEVNULL, check=True)
    return (time.perf_counter() - started) * 1e3


async def timed(work: Callable[[], Awaitable[object]]) -> float:
    started = time.perf_counter()
    await work()
    return (time.perf_counter() - started) * 1e3


async def starts(provider: NamespaceProvider, lower: Path, count: int) -> list[Row]:
    """Cold start to first output, taking turns with bare bubblewrap."""
    program = find_bwrap().path
    ours, plain, dressed, same, closing = [], [], [], [], []

    async def cold() -> None:
        nonlocal box
        box = await provider.create(spec(lower))
        assert (await box.exec(["/bin/echo", "x"])).stdout == b"x\n"

    box = await provider.create(spec(lower))
    await box.close()
    for number in range(count):
        plain.append(bare(program, dressed=False))
        same.append(alike(provider, lower, number))
        ours.append(await timed(cold))
        closing.append(await timed(box.close))
        dressed.append(bare(program, dressed=True))
    middle = statistics.median(ours)
    best = min(ours)
    return [
        row("cold start to first output", middle, "ms", "<= 15, 2x bare", "bwrap true", plain),
        row("  the same", middle, "ms", "", "bwrap true, own /proc /dev /tmp", dressed),
        row("  the same", middle, "ms", "", "bwrap true, our mounts", same),
        Row("  fastest", best, "ms", "", "bwrap true, fastest", best / min(plain)),
        Row("close", statistics.median(closing), "ms", "", "", None),
    ]


def row(claim: str, value: float, unit: str, target: str, name: str, other: list[float]) -> Row:
    middle = statistics.median(other)
    return Row(claim, value, unit, target, f"{name} {middle:.2f} ms", value / middle)


async def execs(provider: NamespaceProvider, lower: Path, count: int) -> list[Row]:
    """A command in a box that stands, taking turns with a plain subprocess."""
    box = await provider.create(spec(lower))
    ours, plain = [], []
    for _ in range(count):
        ours.append(await timed(lambda: box.exec(["/bin/true"])))
        plain.append(host())
    await box.close()
    middle = statistics.median(ours)
    return [
        row("exec /bin/true", middle, "ms", "<= 3", "host subprocess", plain),
        Row("  fastest", min(ours), "ms", "", "host, fastest", min(ours) / min(plain)),
    ]


async def rate(provider: NamespaceProvider, lower: Path, count: int, width: int) -> Row:
    """Boxes made, used and closed per second."""
    left = iter(range(count))

    async def worker() -> None:
        for _ in left:
            box = await provider.create(spec(lower))
            await box.exec(["/bin/true"])
            await box.close()

    started = time.perf_counter()
    await asyncio.gather(*(worker() for _ in range(width)))
    value = count / (time.perf_counter() - started)
    return Row("create, exec, destroy", value, "/s", ">= 100", f"{width} at once", None)


def kernel_bytes() -> int:
    """Memory that the kernel holds for itself and in tmpfs files."""
    rows = dict(line.split(":") for line in Path("/proc/meminfo").read_text().splitlines())
    names = ("Slab", "KernelStack", "PageTables", "Percpu", "Shmem", "SecPageTables")
    return sum(int(rows[name].split()[0]) * 1024 for name in names if name in rows)


def proportional_bytes(pids: list[int]) -> int:
    """Proportional set size of processes."""
    total = 0
    for pid in pids:
        try:
            text = Path(f"/proc/{pid}/smaps_rollup").read_text()
        except OSError:
            continue
        total += sum(
            int(line.split()[1]) * 1024 for line in text.splitlines() if line.startswith("Pss:")
        )
    return total


async def density(provider: NamespaceProvider, lower: Path, count: int) -> list[Row]:
    """Memory of boxes that stand idle, each having run a command."""
    warm = await provider.create(spec(lower))
    before, own = kernel_bytes(), proportional_bytes([os.getpid()])
    boxes = []
    started = time.perf_counter()
    for _ in range(count // 10):
        made = await asyncio.gather(*(provider.create(spec(lower)) for _ in range(10)))
        await asyncio.gather(*(box.exec(["/bin/true"]) for box in made))
        boxes += made
    seconds = time.perf_counter() - started
    members = [row.pid for row in descendants(os.getpid(), table())]
    processes = proportional_bytes(members) / len(boxes)
    kernel = (kernel_bytes() - before) / len(boxes)
    controller = (proportional_bytes([os.getpid()]) - own) / len(boxes)
    latency = [await timed(lambda box=box: box.exec(["/bin/true"])) for box in boxes[:50]]
    ended = time.perf_counter()
    await asyncio.gather(*(box.close() for box in [*boxes, warm]))
    ended = time.perf_counter() - ended
    total = processes + kernel + controller
    parts = f"processes {processes / 1e3:.0f}, kernel {kernel / 1e3:.0f}, "
    parts += f"controller {controller / 1e3:.0f} kB"
    return [
        Row(f"{len(boxes)} alive, each", total / 1e6, "MB", "<= 1", parts, None),
        Row("  made in", seconds, "s", "", f"closed in {ended:.1f} s", None),
        Row("  exec meanwhile", statistics.median(latency), "ms", "", "", None),
    ]


CONTROLLER = """
import asyncio
from regreen.sandbox.base import BoxSpec, Mount
from regreen.sandbox.launch import Launch, box_arguments
from regreen.sandbox.namespace import NamespaceProvider

async def main():
    provider = NamespaceProvider()
    spec = BoxSpec(mounts=(Mount(target="/testbed", lowers=()),))
    boxes = await asyncio.gather(*(provider.create(spec) for _ in range(50)))
    script = "setsid sleep 1009 & echo x >/testbed/x; echo up; sleep 1009"
    jobs = [await box.start(["/bin/sh", "-c", script]) for box in boxes]
    while any(job.output()[0] != b"up\\n" for job in jobs):
        await asyncio.sleep(0.01)
    print(provider._directory.path, flush=True)
    await asyncio.sleep(1000)

asyncio.run(main())
"""


def mounted(pid: int, name: str) -> bool:
    try:
        return name in Path(f"/proc/{pid}/mountinfo").read_text()
    except OSError:
        return False


def aftermath() -> Row:
    """Seconds from the controller's SIGKILL until nothing of 50 boxes is left."""
    with subprocess.Popen(
        [sys.executable, "-c", CONTROLLER], stdout=subprocess.PIPE, text=True
    ) as controller:
        assert controller.stdout is not None
        path = Path(controller.stdout.readline().strip())
        groups = [Path(line) for line in (path / "groups").read_text().splitlines()]
        members = [pid for pid in table() if mounted(pid, path.name)]
        controller.send_signal(signal.SIGKILL)
        started = time.perf_counter()
        controller.wait()
    while (
        path.exists()
        or any(group.exists() for group in groups)
        or any(mounted(pid, path.name) for pid in members)
    ):
        time.sleep(0.005)
        if time.perf_counter() - started > 30:
            break
    value = time.perf_counter() - started
    beside = f"{len(members)} processes, their mounts, {len(groups)} x 51 control groups"
    return Row("gone after SIGKILL, 50 boxes", value, "s", "<= 2", beside, None)


def image(engine: str) -> str | None:
    """A local image of the engine that has `true`."""
    done = subprocess.run(
        [engine, "images", "-q"], capture_output=True, text=True, timeout=30, check=False
    )
    return done.stdout.split()[0] if done.returncode == 0 and done.stdout.split() else None


def engine(name: str, count: int, cold: float, inside: float) -> list[Row]:
    """The same two things by a container engine, where it works."""
    path = shutil.which(name)
    if path is None:
        return [Row(f"{name} run", None, "ms", "", "not installed", None)]
    try:
        found = image(path)
        run, exec_ = engine_times(path, found, count) if found else ([], [])
    except (subprocess.SubprocessError, OSError) as exc:
        return [Row(f"{name} run", None, "ms", "", f"does not work here: {exc}", None)]
    if not run:
        return [Row(f"{name} run", None, "ms", "", "does not answer, or has no image", None)]
    first, second = statistics.median(run), statistics.median(exec_)
    return [
        Row(f"{name} run ... echo", first, "ms", "", "times our cold start", first / cold),
        Row(f"{name} exec ... true", second, "ms", "", "times our exec", second / inside),
    ]


def engine_times(path: str, found: str, count: int) -> tuple[list[float], list[float]]:
    """Milliseconds of ``run`` with an ``echo``, and of ``exec`` in a container that stands."""
    options = ["--network", "none", "--ulimit", "nofile=4096:4096", "--ulimit", "nproc=4096:4096"]
    standing = subprocess.run(
        [path, "run", "-d", *options, found, "sleep", "600"],
        check=True,
        capture_output=True,
        text=True,
        timeout=60,
    ).stdout.strip()
    commands = (
        [path, "run", "--rm", *options, found, "echo", "x"],
        [path, "exec", standing, "true"],
    )
    times: tuple[list[float], list[float]] = ([], [])
    try:
        for _ in range(count):
            for words, spent in zip(commands, times, strict=True):
                started = time.perf_counter()
                subprocess.run(words, check=True, capture_output=True, timeout=60)
                spent.append((time.perf_counter() - started) * 1e3)
    finally:
        subprocess.run([path, "rm", "-f", standing], check=False, capture_output=True)
    return times


async def measure(count: int, alive: int) -> list[Row]:
    provider = NamespaceProvider()
    with tempfile.TemporaryDirectory() as folder:
        lower = Path(folder)
        (lower / "file").write_text("x")
        try:
            rows = await starts(provider, lower, count)
            rows += await execs(provider, lower, 4 * count)
            rows += [await rate(provider, lower, 8 * count, width) for width in (1, 4)]
            rows += await density(provider, lower, alive)
        finally:
            await provider.close()
    rows.append(aftermath())
    for name in ("podman", "docker"):
        rows += engine(name, max(3, count // 10), rows[0].value or 1, rows[5].value or 1)
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("-n", type=int, default=40, help="repetitions")
    parser.add_argument("--alive", type=int, default=500, help="boxes alive at once")
    parser.add_argument("--json", action="store_true", help="print JSON")
    options = parser.parse_args()
    load = os.getloadavg()[0]
    rows = asyncio.run(measure(options.n, options.alive))
    machine = {
        "kernel": platform.release(),
        "cores": os.cpu_count(),
        "load": [round(load, 2), round(os.getloadavg()[0], 2)],
        "bwrap": find_bwrap().describe().split(":")[0] + ")",
        "user": "root" if os.geteuid() == 0 else "ordinary",
    }
    if options.json:
        print(json.dumps({"machine": machine, "rows": [asdict(row) for row in rows]}, indent=1))
        return
    print(" ".join(f"{key}={value}" for key, value in machine.items()))
    for found in rows:
        ratio = f"{found.ratio:6.2f}x" if found.ratio is not None else " " * 7
        value = f"{found.value:10.3f}" if found.value is not None else f"{'-':>10s}"
        print(f"{found.claim:30s}{value} {found.unit:3s}{ratio}  {found.target:16s}{found.beside}")


if __name__ == "__main__":
    main()
