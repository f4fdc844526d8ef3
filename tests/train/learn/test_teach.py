"""The teacher's rollouts survive their boxes."""

from __future__ import annotations

import os
import signal
from collections import Counter
from contextlib import suppress
from pathlib import Path

from regreen.store.run import RunDirectory
from regreen.train.learn.stage import LearnStage, LearnStageConfig
from regreen.train.learn.teach import teach
from regreen.train.stop import Asked


def boxes() -> list[int]:
    """The first process of every box that this process has started."""
    names: dict[int, tuple[str, int]] = {}
    for path in Path("/proc").glob("[0-9]*/stat"):
        with suppress(OSError):
            name, _, rest = path.read_text().partition("(")[2].rpartition(")")
            names[int(path.parent.name)] = name, int(rest.split()[1])
    own = {pid for pid, (name, parent) in names.items() if (name, parent) == ("bwrap", os.getpid())}
    return [pid for pid, (_, parent) in names.items() if parent in own]


def test_boxes_that_are_killed_cost_the_teacher_nothing(tmp_path: Path) -> None:
    stage = LearnStage(LearnStageConfig(problems=12, boxes=2))
    told: Counter[str] = Counter()
    killed: list[int] = []

    def tell(name: str, outcome: str) -> None:
        told[outcome] += 1
        if not killed:
            killed.extend(boxes())
            for pid in killed:
                os.kill(pid, signal.SIGKILL)

    with RunDirectory.create(tmp_path / "run", config={}, lock={}) as run:
        rows = teach(stage, stage.problems(), run, seed=0, peeks=0.0, told=tell, asked=Asked())

    assert len(killed) == 2
    assert [row.task for row in rows] == list(stage.problems())
    assert all(row.verdict is not None for row in rows)
    assert told["fault"] > 0
    assert told["resolved"] + told["failed"] == 12
