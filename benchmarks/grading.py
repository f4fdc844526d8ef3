"""One goal: a verdict costs at most 2.2 times plain pytest on a pass and 1.3 times on a failure.

Alternating in one run, per task: the judge's whole verdict, and plain pytest of the same test ids
on the same tree in a box of the same kind with a cold interpreter. CPU is that of every process
that either needed. ``--profile`` tells where a verdict's time goes. Run: python
benchmarks/grading.py TASKS.jsonl... [--tasks N] [--repeat N] [--profile] [--json]
"""

from __future__ import annotations

import argparse
import asyncio
import json
import re
import statistics
import time
from collections import defaultdict
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

from regreen.cli.shared import layer_store
from regreen.core.task import Task
from regreen.grading import workshop as grading_workshop
from regreen.grading.judge import Judge
from regreen.grading.patch import apply_patch, text_patch
from regreen.grading.place import TESTBED
from regreen.grading.runner import TestRunner
from regreen.grading.suite import SuiteRun, TestRequest
from regreen.grading.workshop import Workshop
from regreen.rollout.auditor import audit
from regreen.sandbox import provider
from regreen.store.taskset import load_tasks

IDLE = text_patch("NOTES.regreen", None, "nothing is mended\n")
"""A patch that changes a file and mends nothing."""


class Meter:
    """CPU seconds: of this process, and as reported by what runs in boxes."""

    def __init__(self) -> None:
        self.boxes = 0.0

    @property
    def seconds(self) -> float:
        """All so far; what the boxes' own making costs in other processes is left out of both."""
        return time.process_time() + self.boxes

    def watch(self) -> None:
        """Add up what test runners report."""
        start, run = TestRunner.start, TestRunner.run

        async def started(runner: TestRunner, **options: Any) -> None:
            await start(runner, **options)
            self.boxes += runner.start_cpu

        async def ran(runner: TestRunner, request: TestRequest) -> SuiteRun:
            found = await run(runner, request)
            self.boxes += found.cpu
            return found

        TestRunner.start, TestRunner.run = started, ran  # type: ignore[method-assign]


METER = Meter()
_TIMES = 'python -m pytest -q -p no:cacheprovider "$@" >/dev/null 2>&1; echo $?; times'


async def plain(workshop: Workshop, task: Task, patch: str) -> bool:
    """Plain pytest in a new box: the tree with the patch and the hidden tests; exit status 0."""
    place = await workshop.place(task)
    broken = workshop._broken(task, place)
    read = await workshop.reader(task)
    changes = {**apply_patch(patch, read), **apply_patch(task.test_patch, read)}
    layer = workshop._stack(changes)
    box = await workshop.provider.create(place.spec(over=(layer.path, broken.path), runner=False))
    try:
        ids = (*task.FAIL_TO_PASS, *task.PASS_TO_PASS)
        done = await box.exec(["bash", "-c", _TIMES, "bash", *ids], cwd=TESTBED, timeout=600)
        status, _, children = done.stdout.decode().splitlines()
        METER.boxes += sum(
            60 * float(minutes) + float(seconds)
            for minutes, seconds in re.findall(r"(\d+)m([\d.]+)s", children)
        )
        return status == "0"
    finally:
        await box.close()


async def timed(work: Callable[[], Awaitable[bool]], wanted: bool) -> tuple[float, float]:
    """Wall and CPU seconds of something that must end as wanted."""
    cpu, begin = METER.seconds, time.perf_counter()
    found = await work()
    wall = time.perf_counter() - begin
    if found is not wanted:
        raise SystemExit(f"it ended {found} where {wanted} was meant")
    return wall, METER.seconds - cpu


class Profile:
    """Wall seconds of a verdict's parts, by wrapping the calls that make them up."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = defaultdict(float)
        self.verdicts = 0

    def watch(self, owner: Any, name: str, label: str) -> None:
        """Add up the wall time of an asynchronous method."""
        inner = getattr(owner, name)

        async def outer(*args: Any, **options: Any) -> Any:
            begin = time.perf_counter()
            try:
                return await inner(*args, **options)
            finally:
                self.seconds[label] += time.perf_counter() - begin

        setattr(owner, name, outer)

    def watch_function(self, owner: Any, name: str, label: str) -> None:
        """Add up the wall time of a plain function."""
        inner = getattr(owner, name)

        def outer(*args: Any, **options: Any) -> Any:
            begin = time.perf_counter()
            try:
                return inner(*args, **options)
            finally:
                self.seconds[label] += time.perf_counter() - begin

        setattr(owner, name, outer)

    def lines(self) -> list[str]:
        """Milliseconds per verdict."""
        count = max(self.verdicts, 1)
        return [f"  {name:<24}{1000 * sec / count:8.1f} ms" for name, sec in self.seconds.items()]


async def measure(options: argparse.Namespace) -> dict[str, Any]:
    boxes = provider()
    workshop = Workshop(boxes, layer_store(), auditor=audit)
    profile = Profile()
    rows = []
    try:
        METER.watch()
        profile.watch_function(workshop, "auditor", "audit of the diff")
        profile.watch_function(grading_workshop, "admit", "policy on the diff")
        profile.watch_function(grading_workshop, "_tests", "hidden tests")
        profile.watch_function(workshop, "_stack", "layers")
        profile.watch_function(grading_workshop, "pairs_of", "twins' files")
        profile.watch(workshop, "place", "place")
        profile.watch(Judge, "_judged", "runs and twins")
        profile.watch(Judge, "_round", "of them rounds")
        profile.watch(TestRunner, "start", "of them runner's start")
        profile.watch(TestRunner, "close", "of them closing")
        for path in options.tasksets:
            rows += await library(path, workshop, options, profile)
    finally:
        await boxes.close()
    return {"rows": rows, "profile": profile.lines()}


async def library(
    path: Path, workshop: Workshop, options: argparse.Namespace, profile: Profile
) -> list[dict[str, Any]]:
    """Medians of one taskset, on passes and on failures."""
    taken: dict[tuple[str, str], list[tuple[float, float]]] = defaultdict(list)
    ratios: dict[str, list[float]] = defaultdict(list)
    cpu_ratios: dict[str, list[float]] = defaultdict(list)
    tests = []
    for task in load_tasks(path)[: options.tasks]:
        await workshop.twins(task)
        tests.append(len(task.FAIL_TO_PASS) + len(task.PASS_TO_PASS))
        for name, patch, wanted in (("pass", task.patch, True), ("failure", IDLE, False)):

            async def verdict(task: Task = task, patch: str = patch) -> bool:
                begin = time.perf_counter()
                found = (await workshop.verify_patch(task, patch)).resolved
                profile.verdicts += 1
                profile.seconds["verdicts in all"] += time.perf_counter() - begin
                return found

            async def bare(task: Task = task, patch: str = patch) -> bool:
                return await plain(workshop, task, patch)

            await bare()
            for number in range(options.repeat):
                order = (verdict, bare) if number % 2 else (bare, verdict)
                found = {work.__name__: await timed(work, wanted) for work in order}
                taken[name, "verdict"].append(found["verdict"])
                taken[name, "plain"].append(found["bare"])
                ratios[name].append(found["verdict"][0] / found["bare"][0])
                cpu_ratios[name].append(found["verdict"][1] / max(found["bare"][1], 0.01))
    return [
        {
            "library": path.stem,
            "on": name,
            "tests": statistics.median(tests),
            "plain wall": statistics.median(wall for wall, _ in taken[name, "plain"]),
            "verdict wall": statistics.median(wall for wall, _ in taken[name, "verdict"]),
            "wall ratio": statistics.median(ratios[name]),
            "plain cpu": statistics.median(cpu for _, cpu in taken[name, "plain"]),
            "verdict cpu": statistics.median(cpu for _, cpu in taken[name, "verdict"]),
            "cpu ratio": statistics.median(cpu_ratios[name]),
        }
        for name in ("pass", "failure")
    ]


def table(found: dict[str, Any], *, profile: bool) -> str:
    heads = ("plain wall", "verdict wall", "wall ratio", "plain cpu", "verdict cpu", "cpu ratio")
    lines = [f"{'library':<12}{'on':<9}{'tests':>6}" + "".join(f"{head:>14}" for head in heads)]
    lines += [
        f"{row['library']:<12}{row['on']:<9}{row['tests']:>6.0f}"
        + "".join(f"{row[head]:>14.2f}" for head in heads)
        for row in found["rows"]
    ]
    if profile:
        lines += ["", "where a verdict's wall time goes, mean", *found["profile"]]
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("tasksets", nargs="+", type=Path, metavar="TASKS.jsonl")
    parser.add_argument("--tasks", type=int, default=3, help="of each set")
    parser.add_argument("--repeat", type=int, default=3)
    parser.add_argument("--profile", action="store_true")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    found = asyncio.run(measure(options))
    print(json.dumps(found, indent=2) if options.json else table(found, profile=options.profile))


if __name__ == "__main__":
    main()
