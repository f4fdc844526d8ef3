"""Where numbers go: every step once in the file, whatever was killed, and dashboards on request."""

from __future__ import annotations

import importlib.util
import math
from pathlib import Path

import pytest

from regreen.core.errors import PrerequisiteError, UsageError
from regreen.store.run import RunDirectory
from regreen.train.tracking import TRACKERS, check_trackers, rewind, trackers


def steps(path: Path) -> list[object]:
    return [row.get("step") for row in RunDirectory.open(path).metrics()]


def test_the_file_has_every_row_and_can_be_cut_back(tmp_path: Path) -> None:
    with RunDirectory.create(tmp_path / "run", config={}, lock={}) as run:
        run.append_metric({"about": "the machine"})
        tracker = trackers((), run)
        for step in range(6):
            tracker.log(step, {"loss": 1.0 / (step + 1), "note": "text", "bad": math.nan})
        tracker.close()

    with RunDirectory.open(tmp_path / "run") as run:
        assert rewind(run, 3) == 2
        assert rewind(run, 3) == 0
        trackers((), run).log(4, {"loss": 7.0})
    assert steps(tmp_path / "run") == [None, 0, 1, 2, 3, 4]
    rows = list(RunDirectory.open(tmp_path / "run").metrics())
    assert rows[1] == {"step": 0, "loss": 1.0, "note": "text", "bad": "NaN"}
    assert rows[-1]["loss"] == 7.0
    with RunDirectory.open(tmp_path / "run") as run:
        assert rewind(run, -1) == 5
    assert steps(tmp_path / "run") == [None]


def test_what_cannot_be_tracked_to_is_named_before_any_work(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="'tensorbord'") as found:
        check_trackers(["tensorbord"])
    assert all(name in found.value.mend for name in TRACKERS)
    absent = [name for name in ("trackio", "wandb") if importlib.util.find_spec(name) is None]
    for name in absent:
        with pytest.raises(PrerequisiteError, match=name) as missing:
            check_trackers([name])
        assert f"pip install 'regreen[{name}]'" in missing.value.mend
        with (
            RunDirectory.create(tmp_path / name, config={}, lock={}) as run,
            pytest.raises(PrerequisiteError),
        ):
            trackers([name], run)
