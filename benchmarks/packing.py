"""Plans of packed rows: their time beside TRL's packer, and what each policy pads and cuts.

    python benchmarks/packing.py [--trl-python PATH] [--documents 1000000] [--json FILE]

Lengths are lognormal (median 14,000 tokens, sigma 1) between 256 and 200,000. TRL is run in a
Python of its own, since it is no dependency here; anywhere will do:

    python -m venv /tmp/trl && /tmp/trl/bin/pip install '.[bench]'

Both plan the same lengths in one run and the rows' fills are compared: best fit, decreasing, has
one answer for them. Seconds are of one thread, wall and CPU.
"""

from __future__ import annotations

import argparse
import json
import statistics as medians
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import numpy as np

from regreen.model.config import ModelConfig
from regreen.packing import (
    POLICIES,
    Borders,
    CostModel,
    Document,
    Plan,
    balance,
    measure,
    plan,
    shuffle,
    statistics,
    stream,
)

CAPACITIES = (32_768, 262_144)
HERE = Path(__file__).parent
Row = dict[str, Any]


def draw(number: int, seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return np.clip(np.exp(rng.normal(np.log(14_000), 1.0, number)).astype(np.int64), 256, 200_000)


def messages(lengths: np.ndarray, median: int, seed: int = 1) -> Borders:
    """Borders of messages of lognormal length, sigma 1."""
    total = int(lengths.sum())
    rng = np.random.default_rng(seed)
    sizes = np.exp(rng.normal(np.log(median), 1.0, int(total / median / 1.5))).astype(np.int64) + 1
    ends = np.cumsum(sizes)
    ends = ends[ends < total]
    begins = np.cumsum(lengths) - lengths
    owners = np.searchsorted(begins, ends, side="right") - 1
    offsets = np.searchsorted(owners, np.arange(len(lengths) + 1))
    return Borders(offsets, (ends - begins[owners]).astype(np.int32))


def timed(work: Callable[[], Plan], rounds: int) -> tuple[Plan, float, float]:
    """The result, and medians of wall and CPU seconds."""
    wall, cpu = [], []
    for _ in range(rounds):
        begin, begin_cpu = time.perf_counter(), time.process_time()
        made = work()
        cpu.append(time.process_time() - begin_cpu)
        wall.append(time.perf_counter() - begin)
    return made, medians.median(wall), medians.median(cpu)


def trl(python: str, lengths: np.ndarray, capacity: int, *more: str) -> tuple[Row, np.ndarray]:
    """What TRL's packer took, and the fills it reached."""
    with tempfile.TemporaryDirectory() as folder:
        given, fills = Path(folder, "lengths.npy"), Path(folder, "fills.npy")
        np.save(given, lengths)
        command = [python, HERE / "packing_trl.py", given, str(capacity), fills, *more]
        done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
        return json.loads(done.stdout.splitlines()[-1]), np.load(fills)


def padding(fills: np.ndarray, capacity: int) -> float:
    return 100 * (1.0 - float(fills.sum()) / (len(fills) * capacity))


def speed(python: str | None, number: int, rounds: int) -> Iterable[Row]:
    for documents in (number // 10, number):
        lengths = draw(documents)
        for capacity in CAPACITIES:
            policy = "best-fit-split" if lengths.max() > capacity else "best-fit"
            made, wall, cpu = timed(lambda x=lengths, c=capacity, p=policy: plan(x, c, p), rounds)
            row: Row = {
                "documents": documents,
                "capacity": capacity,
                "policy": policy,
                "ours s": round(wall, 3),
                "ours cpu s": round(cpu, 3),
                "padding %": round(padding(made.fill, capacity), 4),
            }
            if python:
                found, fills = trl(python, lengths, capacity)
                row["TRL"] = found["version"]
                row["TRL s"] = round(found["seconds"], 2)
                row["TRL cpu s"] = round(found["cpu_seconds"], 2)
                row["ratio of cpu"] = round(found["cpu_seconds"] / cpu, 1)
                row["same fills"] = bool(np.array_equal(fills, np.sort(made.fill)))
            yield row


def beside_the_real_packer(python: str, number: int) -> Iterable[Row]:
    """TRL's packer with its tokens, shrunk 64 times to fit memory; fills beside ours."""
    lengths = np.maximum(draw(number // 10) // 64, 1)
    made, wall, _ = timed(lambda: plan(lengths, 512, "best-fit-split"), 5)
    for name, more in (
        ("whole", ("--whole",)),
        ("windows of 1000", ("--whole", "--window", "1000")),
    ):
        found, fills = trl(python, lengths, 512, *more)
        yield {
            "documents": len(lengths),
            "capacity": 512,
            "TRL packs": name,
            "TRL s (moves tokens)": round(found["seconds"], 2),
            "ours s (plan only)": round(wall, 4),
            "same fills": bool(np.array_equal(fills, np.sort(made.fill))),
            "TRL padding %": round(padding(fills, 512), 3),
            "ours padding %": round(padding(made.fill, 512), 3),
        }


def described(made: Plan, cpu: float) -> Row:
    counted = statistics(made)
    return {
        "cpu s": round(cpu, 3),
        "rows": counted.rows,
        "padding %": round(100 * counted.padding_share, 4),
        "documents cut %": round(100 * counted.fragmentation, 2),
        ".. that fit %": round(100 * counted.fragmentation_that_fit, 2),
        "headless %": round(100 * counted.headless_share, 2),
        "extra %": round(100 * counted.repeated_share, 2),
        "discarded %": round(100 * counted.discarded_share, 2),
        "forced cuts": counted.forced_cuts,
    }


def policies(number: int) -> Iterable[Row]:
    lengths = draw(number)
    heads = np.minimum(lengths, 3000)
    for capacity in CAPACITIES:
        for policy in POLICIES:
            if policy == "best-fit" and lengths.max() > capacity:
                continue
            made, _, cpu = timed(lambda p=policy, c=capacity: plan(lengths, c, p, heads=heads), 3)
            yield {"capacity": capacity, "policy": policy, **described(made, cpu)}


def heads(number: int) -> Iterable[Row]:
    """The head-carrying split by length of head, cut anywhere and at messages' borders only."""
    lengths = draw(number)
    borders = messages(lengths, 400)
    for head in (1500, 3000, 8000):
        for name, given in (("anywhere", None), ("messages of about 400", borders)):
            known = np.minimum(lengths, head)
            made, _, cpu = timed(
                lambda h=known, b=given: plan(lengths, CAPACITIES[0], heads=h, borders=b), 3
            )
            yield {"capacity": CAPACITIES[0], "head": head, "cut": name, **described(made, cpu)}


def streaming(number: int) -> Iterable[Row]:
    lengths = draw(number)
    for capacity in CAPACITIES:
        for window in (1000, 10_000, 100_000):
            begin = time.process_time()
            documents = (Document(length, min(length, 3000)) for length in lengths.tolist())
            fills = np.array(
                [
                    sum(p.head + p.stop - p.start for p in row)
                    for row in stream(documents, capacity, window=window)
                ]
            )
            cpu = time.process_time() - begin
            apart = [
                plan(part, capacity, heads=np.minimum(part, 3000)).fill
                for part in np.split(lengths, range(window, number, window))
            ]
            yield {
                "capacity": capacity,
                "window": window,
                "padding %": round(padding(fills, capacity), 4),
                "windows planned apart, padding %": round(
                    padding(np.concatenate(apart), capacity), 4
                ),
                "documents a cpu s": round(number / cpu),
            }


def unpacked(lengths: np.ndarray) -> Plan:
    """One document a row."""
    count, zeros = len(lengths), np.zeros(len(lengths), np.int64)
    return Plan(
        capacity=int(lengths.max()),
        policy="one a row",
        lengths=lengths,
        document=np.arange(count),
        start=zeros,
        stop=lengths,
        head=zeros,
        seen=zeros,
        forced=zeros.astype(np.bool_),
        rows=np.arange(count + 1),
    )


def balanced(number: int) -> Iterable[Row]:
    """Dearest rank over the mean, by what is taken for a row's cost; measured by the true cost."""
    lengths = draw(number)
    config = ModelConfig()
    cost = CostModel.of(config)
    every = CostModel(cost.linear, cost.quadratic * config.full_attention_interval)
    costs = {"ours": cost, "all quadratic": every, "tokens": CostModel(1.0, 0.0)}
    plans = {
        str(capacity): plan(lengths, capacity, heads=np.minimum(lengths, 3000))
        for capacity in CAPACITIES
    }
    plans["unpacked"] = unpacked(lengths)
    for name, made in plans.items():
        rows = shuffle(made, seed=1)
        for num_ranks in (8, 64):
            for rows_per_rank in (1, 4, 8, 16, None):
                row: Row = {"rows of": name, "ranks": num_ranks, "rows a rank": rows_per_rank}
                for label, taken in costs.items():
                    ranks = balance(rows, num_ranks, taken, rows_per_rank=rows_per_rank)
                    found = measure(rows, ranks, num_ranks, cost, rows_per_rank=rows_per_rank)
                    row[f"{label}: time"] = round(found.time, 4)
                    row[f"{label}: worst"] = round(found.worst, 4)
                yield row


def show(title: str, rows: Iterable[Row]) -> list[Row]:
    """Print each row as soon as it is there."""
    print(f"\n{title}", flush=True)
    kept: list[Row] = []
    for row in rows:
        if not kept:
            print(" | ".join(row))
        print(" | ".join(f"{value}" for value in row.values()), flush=True)
        kept.append(row)
    return kept


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--trl-python", help="a Python that has trl")
    parser.add_argument("--documents", type=int, default=1_000_000)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--json", type=Path)
    given = parser.parse_args()
    python, number = given.trl_python, given.documents
    if not python:
        print("TRL is not run: pip install '.[bench]' into a venv and name its --trl-python")
    else:
        subprocess.run([python, "-c", "import trl"], check=True, stdout=sys.stderr)
    found = {"speed": show("Plan time", speed(python, number, given.rounds))}
    if python:
        title = "Beside TRL's packer with tokens (lengths / 64)"
        found["packer"] = show(title, beside_the_real_packer(python, number))
    found["policies"] = show("Policies (heads of 3000)", policies(number // 10))
    found["heads"] = show("Head-carrying split", heads(number))
    found["streaming"] = show("Streaming (heads of 3000)", streaming(number // 10))
    found["balance"] = show("Rank balance, 80B shape", balanced(number // 10))
    if given.json:
        given.json.write_text(json.dumps(found, indent=1), encoding="utf-8")


if __name__ == "__main__":
    main()
