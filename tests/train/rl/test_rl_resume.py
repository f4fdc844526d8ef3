"""What is told after a break: time of all processes, what is done already, records once."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

from tests.train.rl_sets import PROBLEMS, configured, rows, trained

from regreen.core.clock import SystemClock
from regreen.core.progress import Progress
from regreen.store.run import RunDirectory
from regreen.train.stop import Asked

HELD_OUT = ("u", "v")


class Later(SystemClock):
    """A clock of a process in which an hour passes for every second."""

    def monotonic(self) -> float:
        return 3600.0 * super().monotonic()


class After(Asked):
    """Asked once a file is there."""

    def __init__(self, path: Path, pattern: str, count: int = 1) -> None:
        self._path, self._pattern, self._count = path, pattern, count

    @property  # type: ignore[override]
    def stop(self) -> bool:
        return len(list(self._path.glob(self._pattern))) >= self._count


def lines_of(path: Path) -> list[str]:
    lines = (path / "trajectories.jsonl").read_text().splitlines()
    return [json.loads(line)["rollout_id"] for line in lines]


def test_an_evaluation_that_is_played_again_replaces_its_records(tmp_path: Path) -> None:
    config = configured(steps=3, evaluate_every=1, checkpoint_every=3)
    whole, path = tmp_path / "whole", tmp_path / "run"
    trained(whole, config, held_out=HELD_OUT, keep=True)
    # Without its checkpoint the run is where a kill before the first one leaves it.
    trained(path, config, held_out=HELD_OUT, keep=True)
    assert (path / "checkpoints" / "step-000003").is_dir()
    (path / "checkpoints" / "step-000003").rename(tmp_path / "gone")

    trained(path, config, held_out=HELD_OUT, keep=True)

    held_out = Counter(name for name in lines_of(path) if "evaluate" in name)
    expected = {f"{p}#bits-evaluate-{s:06}#{n}" for s in range(4) for n, p in enumerate(HELD_OUT)}
    assert held_out == dict.fromkeys(expected, 1)
    records = {one.rollout_id: one for one in RunDirectory.open(path).trajectories()}
    same = {one.rollout_id: one for one in RunDirectory.open(whole).trajectories()}
    assert {k: v.messages for k, v in records.items()} == {k: v.messages for k, v in same.items()}
    assert len({records[name].seed for name in expected}) == len(HELD_OUT)
    # One that stands in the checkpoint keeps its records.
    trained(path, config, held_out=HELD_OUT, keep=True)
    assert set(lines_of(path)) == set(records)


def test_time_of_a_killed_process_is_counted(tmp_path: Path) -> None:
    config = configured(steps=2, checkpoint_every=2)
    first, _ = trained(tmp_path, config, held_out=HELD_OUT, clock=Later())
    assert first.seconds > max(value for _, value in rows(tmp_path, "seconds"))
    (tmp_path / "checkpoints" / "step-000002").rename(tmp_path / "gone")

    second, _ = trained(tmp_path, config, held_out=HELD_OUT)

    assert second.seconds > first.seconds
    assert all(seconds > first.seconds for _, seconds in rows(tmp_path, "seconds"))
    # What was lost tells nothing of how long a batch takes.
    assert [eta < first.seconds for _, eta in rows(tmp_path, "eta_seconds")] == [True, True]


def test_what_is_done_and_what_was_kept_stand_in_the_progress(tmp_path: Path) -> None:
    config = configured(steps=4, checkpoint_every=2)
    slow = {"seconds": dict.fromkeys(PROBLEMS, 0.005)}
    there = tmp_path / "checkpoints"
    asked = After(there, "step-000002")
    trained(tmp_path, config, asked=asked, stage=slow)
    kept = 0
    if not list((tmp_path / "groups").glob("*.npz")):
        asked = After(tmp_path / "groups", "*.npz", 2)
        trained(tmp_path, config, asked=asked, stage=slow)
    kept = len(list((tmp_path / "groups").glob("*.npz")))
    assert kept
    progress = Progress("rollouts", total=128, done=0, good="resolved", clock=SystemClock())

    trained(tmp_path, config, progress=progress)

    assert progress.finished == 128
    assert sum(progress.outcomes.values()) == 128 - 2 * 32 - 8 * kept
