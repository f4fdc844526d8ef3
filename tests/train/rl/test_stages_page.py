"""The program that docs/reference/stages.md shows is one that runs."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import torch

from regreen.store.run import RunDirectory

PAGE = Path(__file__).parents[3] / "docs" / "reference" / "stages.md"


def test_the_program_of_the_page_trains(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    torch.manual_seed(0)
    (block,) = re.findall(r"```python\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)
    found: dict[str, Any] = {}

    exec(block, found)

    assert found["result"].step == 2
    assert "step-000002" in capsys.readouterr().out
    with RunDirectory.open(found["folder"] / "run") as run:
        rewards = [row["reward"] for row in run.metrics() if "reward" in row]
        names = {record.rollout_id.split("#")[1] for record in run.trajectories()}
    assert len(rewards) == 2
    assert all(0.0 <= reward <= 1.0 for reward in rewards)
    assert names == {"shout", "shout-evaluate-000000", "shout-evaluate-000002"}
