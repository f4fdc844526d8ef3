"""What a step of training costs: tokens per second, share of rollouts, time that a process waits.

The same reinforcement learning of the demonstration, some batches of it, in one run each way: in
one process, with a worker that takes turns with the trainer, and with workers that play ahead. SFT
is measured on the same teacher's rows. Ratios hold; absolute rates are this machine's.

    python benchmarks/train.py [--batches 12]
"""

from __future__ import annotations

import argparse
import json
import resource
import tempfile
import time
from pathlib import Path
from statistics import median

from regreen.core.console import Console
from regreen.train.learn.demo import learn
from regreen.train.learn.settings import LearnConfig

WAYS = (
    ("one process", {"workers": 0, "staleness": 0}),
    ("a worker, taking turns", {"workers": 1, "staleness": 0}),
    ("a worker, one batch ahead", {"workers": 1, "staleness": 1}),
    ("two workers, one batch ahead", {"workers": 2, "staleness": 1}),
)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--batches", type=int, default=12)
    parser.add_argument("--tuning", type=int, default=400, help="steps of fine-tuning before")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        base = LearnConfig()
        sft = base.sft.model_copy(update={"steps": given.tuning})
        quick = base.model_copy(update={"sft": sft, "traces": 1500})
        for place, (title, how) in enumerate(WAYS):
            update = {"steps": given.batches, "evaluate_every": 0, "readable": 0, **how}
            rl = base.rl.model_copy(update=update)
            stage = base.stage.model_copy(update={"held_out": 1})
            before = cpu()
            begin = time.monotonic()
            learn(
                quick.model_copy(update={"rl": rl, "stage": stage}),
                folder,
                console=Console(quiet=True),
            )
            if place == 0:
                show_sft(folder)
            show_rl(title, folder, time.monotonic() - begin, cpu() - before)
            (folder / "rl").rename(folder / f"rl-{place}")


def cpu() -> float:
    """CPU seconds of this process and its children that have ended."""
    own, ended = (
        resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)
    )
    return own.ru_utime + own.ru_stime + ended.ru_utime + ended.ru_stime


def rows(path: Path) -> list[dict[str, float]]:
    return [json.loads(line) for line in (path / "metrics.jsonl").read_text().splitlines()]


def show_sft(folder: Path) -> None:
    rates = [row["tokens_per_second"] for row in rows(folder / "sft") if "tokens_per_second" in row]
    print(f"fine-tuning: {median(rates):,.0f} tokens/s, median of {len(rates)} rows")


def show_rl(title: str, folder: Path, wall: float, seconds: float) -> None:
    found = [row for row in rows(folder / "rl") if "seconds_update" in row][2:]
    waits = [row["seconds_rollout"] for row in found]
    updates = [row["seconds_update"] for row in found]
    rates = [row["tokens_per_second"] for row in found]
    steps = [a + b for a, b in zip(waits, updates, strict=True)]
    print(
        f"{title:30} {median(steps):6.2f} s a batch  {median(rates):8,.0f} tokens/s  "
        f"trainer waits {sum(waits) / sum(steps):5.0%}  "
        f"reward {sum(row['reward'] for row in found) / len(found):.3f}  "
        f"largest mismatch {max(row['mismatch_max'] for row in found):.1e}  "
        f"{seconds / wall:.2f} cores busy"
    )


if __name__ == "__main__":
    main()
