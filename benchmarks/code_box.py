"""The warm box of candidates beside a cold interpreter, in the same kind of box and outside.

Every way runs the same program on the same inputs, one run after the other; times are wall
milliseconds of a run as its caller sees them, the fastest tenth of which says what the work takes
on a machine that others load too.

    python benchmarks/code_box.py [--runs 200]
"""

from __future__ import annotations

import argparse
import asyncio
import json
import statistics
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

from regreen.sandbox import provider as make_provider
from regreen.sandbox.base import BoxSpec
from regreen.train.code.warm_box import Call, Feed, WarmBox

FUNCTION = "def f(a, b):\n    return sorted([a, b, a * b])\n"
PROGRAM = "a, b = map(int, input().split())\nprint(sorted([a, b, a * b]))\n"
TEXT = "3 4\n"


async def timed(run: Callable[[], Awaitable[Any]], runs: int) -> dict[str, float]:
    for _ in range(min(20, runs)):
        await run()
    times = []
    for _ in range(runs):
        start = time.perf_counter()
        await run()
        times.append(1000 * (time.perf_counter() - start))
    times.sort()
    return {
        "per_second": round(1000 * runs / sum(times), 1),
        "median_ms": round(statistics.median(times), 2),
        "p10_ms": round(times[runs // 10], 2),
        "p95_ms": round(times[runs * 95 // 100], 2),
    }


async def measure(runs: int) -> dict[str, dict[str, float]]:
    python = str(Path(sys.executable).resolve())
    provider = make_provider()
    box = WarmBox(provider)
    cold = await provider.create(BoxSpec(workdir="/tmp"))
    argv = [python, "-P", "-S", "-c", PROGRAM]  # what a host's site-packages load is no part

    async def outside() -> None:
        said = await asyncio.to_thread(
            subprocess.run, argv, input=TEXT.encode(), capture_output=True, check=True
        )
        assert said.stdout == b"[3, 4, 12]\n"

    async def inside() -> None:
        said = await cold.exec(argv, stdin=TEXT.encode())
        assert said.stdout == b"[3, 4, 12]\n", said

    async def warm(program: str, cases: list[Any], value: Any) -> None:
        seen = await box.run(program, cases)
        assert seen[0].value == value, seen

    calls = [Call("f", (3 + n, 4)) for n in range(10)]
    ways: dict[str, Callable[[], Awaitable[Any]]] = {
        "warm, function, 1 case": lambda: warm(FUNCTION, calls[:1], [3, 4, 12]),
        "warm, function, 10 cases": lambda: warm(FUNCTION, calls, [3, 4, 12]),
        "warm, program, 1 input": lambda: warm(PROGRAM, [Feed(TEXT)], "[3, 4, 12]\n"),
        "cold python in a box, 1 input": inside,
        "cold python outside, 1 input": outside,
    }
    try:
        rows = {name: await timed(way, runs) for name, way in ways.items()}
        start = time.perf_counter()
        fresh = WarmBox(provider)
        await fresh.run(FUNCTION, calls[:1])
        rows["a new warm box and its first run"] = {
            "ms": round(1000 * (time.perf_counter() - start))
        }
        await fresh.close()
    finally:
        await box.close()
        await provider.close()
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=200)
    rows = asyncio.run(measure(parser.parse_args().runs))
    base = rows["warm, program, 1 input"]["p10_ms"]
    for name, row in rows.items():
        ratio = f"{row['p10_ms'] / base:6.1f}x" if "p10_ms" in row else ""
        print(f"{name:34s} {ratio}  {row}")
    print(json.dumps(rows))


if __name__ == "__main__":
    main()
