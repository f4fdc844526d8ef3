"""Scaffold cost of a step: an instant model over a real socket, a real box, 250 steps of 9 kB.

The model answers from a script in another process. Every command is timed where the agent calls
the box, so a step divides into the command's own time and the rest, which is ours: client,
socket, loop, record and live log. The same commands by ``box.exec`` alone stand beside it. The
CPU time of this process is shown too, since wall time on a busy machine tells of its neighbours.

    python benchmarks/agents.py [--steps 250] [--agent mini] [--rounds 3]
"""

from __future__ import annotations

import argparse
import asyncio
import os
import platform
import subprocess
import sys
import tempfile
import time
from itertools import pairwise
from pathlib import Path
from statistics import median

from regreen.agents import Limits, Setting, TaskView, agent_class
from regreen.agents.record import Conversation
from regreen.inference import ChatClient, Endpoint, ScriptedEndpoint, call
from regreen.sandbox import provider
from regreen.sandbox.base import BoxSpec, ExecResult, Mount, Sandbox

COMMAND = "head -c 9000 /testbed/text"
TARGET_MS = 20.0
TARGET_RATIO = 1.2
Moment = tuple[float, float]
"""Wall and CPU seconds."""


def moment() -> Moment:
    return time.perf_counter(), time.process_time()


class TimedBox:
    """A box that notes when each command begins and ends; all else is the box's own."""

    def __init__(self, box: Sandbox) -> None:
        self._box = box
        self.begins: list[Moment] = []
        self.ends: list[Moment] = []

    async def exec(self, argv: list[str], **options: object) -> ExecResult:
        self.begins.append(moment())
        try:
            return await self._box.exec(argv, **options)
        finally:
            self.ends.append(moment())

    def __getattr__(self, name: str) -> object:
        return getattr(self._box, name)

    def outside(self, which: int) -> list[float]:
        """Milliseconds between the commands: 0 wall, 1 CPU."""
        between = zip(self.ends, self.begins[1:], strict=False)
        return [(begin[which] - end[which]) * 1e3 for end, begin in between]

    def steps(self) -> list[float]:
        """Wall milliseconds from the end of one command to the end of the next."""
        return [(after[0] - before[0]) * 1e3 for before, after in pairwise(self.ends)]

    def commands(self) -> list[float]:
        """Wall milliseconds of each command."""
        both = zip(self.begins, self.ends, strict=True)
        return [(end[0] - begin[0]) * 1e3 for begin, end in both]


async def serve(steps: int) -> None:
    """The model's process: print the address, answer until the pipe closes."""
    script = [call("bash", command=COMMAND)] * steps + [call("submit")]
    async with ScriptedEndpoint(script) as server:
        print(server.base_url, flush=True)
        await asyncio.to_thread(sys.stdin.read)


async def measure(agent: str, steps: int, url: str, scratch: Path) -> tuple[TimedBox, TimedBox]:
    """One round in one box: the commands alone, then the agent."""
    project = scratch / "project"
    project.mkdir(exist_ok=True)
    (project / "text").write_text("nine kilobytes of text and more\n" * 400)
    boxes = provider("namespace")
    try:
        box = await boxes.create(BoxSpec(mounts=(Mount(target="/testbed", lowers=(project,)),)))
        alone, acting = TimedBox(box), TimedBox(box)
        for _ in range(steps):
            await alone.exec(["bash", "-c", f"exec 2>&1\n{COMMAND}"], cwd="/testbed", timeout=60)
        async with ChatClient(Endpoint(base_url=url, model="scripted")) as client:
            setting = Setting(limits=Limits(turns=steps + 1), client=client)
            log_path = Path(tempfile.mkstemp(dir=scratch)[1])
            with Conversation(log_path) as log:
                view = TaskView(problem_statement="x")
                status = await agent_class(agent)(setting).act(view, acting, log)
                sent = len(log.messages.encoded())
        assert (status, len(acting.ends)) == ("submitted", steps)
        assert sent > 9000 * steps
    finally:
        await boxes.close()
    return alone, acting


def report(number: int, alone: TimedBox, acting: TimedBox) -> tuple[float, float, float]:
    """Print a round; return ms per step, ms outside commands, and last over first."""
    step, wall, cpu = acting.steps(), acting.outside(0), acting.outside(1)
    columns = [
        median(step),
        median(step[:50]),
        median(step[-50:]),
        median(step[-50:]) / median(step[:50]),
        median(acting.commands()),
        median(alone.commands()),
        median(wall),
        median(wall[:50]),
        median(wall[-50:]),
        median(cpu[:50]),
        median(cpu[-50:]),
    ]
    print(f"{number:5} " + " ".join(f"{value:8.2f}" for value in columns))
    return columns[0], columns[6], columns[3]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--steps", type=int, default=250)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--agent", default="mini", choices=["mini", "react"])
    parser.add_argument("--serve", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.serve:
        asyncio.run(serve(options.steps))
        return 0
    model = subprocess.Popen(
        [sys.executable, __file__, "--serve", "--steps", str(options.steps)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert model.stdout
    url = model.stdout.readline().strip()
    load = os.getloadavg()[0]
    print(f"{platform.machine()}, {os.cpu_count()} cores, load {load:.1f}, {options.agent}")
    print("milliseconds: whole step, of it commands (in the run, alone), and all else: wall, CPU")
    names = [
        "step",
        "first50",
        "last50",
        "ratio",
        "cmd",
        "alone",
        "wall",
        "first50",
        "last50",
        "cpu50",
        "cpu250",
    ]
    print("round " + " ".join(f"{name:>8}" for name in names))
    rows = []
    with tempfile.TemporaryDirectory() as scratch:
        for number in range(options.rounds):
            both = asyncio.run(measure(options.agent, options.steps, url, Path(scratch)))
            rows.append(report(number + 1, *both))
    model.communicate()
    step, own, ratio = (median(column) for column in zip(*rows, strict=True))
    print(f"step {step:.2f} ms, scaffold alone {own:.2f} ms (target {TARGET_MS:g} at most)")
    print(f"last 50 over first 50: {ratio:.2f} (target {TARGET_RATIO:g} at most)")
    return 0 if own <= TARGET_MS and ratio <= TARGET_RATIO else 1


if __name__ == "__main__":
    sys.exit(main())
