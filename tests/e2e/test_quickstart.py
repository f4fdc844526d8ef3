"""The quickstart a newcomer runs, offline and small, from an empty home."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path


def test_offline_quickstart_ends_with_a_report(tmp_path: Path) -> None:
    env = {**os.environ, "REGREEN_HOME": str(tmp_path / "home"), "CI": "true"}
    done = subprocess.run(
        [sys.executable, "-m", "regreen", "quickstart", "--offline", "-n", "3", "-o", "out"],
        cwd=tmp_path,
        env=env,
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )

    assert done.returncode == 0, done.stderr
    page = tmp_path / done.stdout.splitlines()[-1]
    assert page.name == "report.html"
    text = page.read_text()
    assert "oracle" in text
    assert "<script src" not in text
    rows = [json.loads(line) for line in (tmp_path / "out/tasks.jsonl").open()]
    assert len(rows) == 3
    verdicts: dict[str, list[bool]] = {}
    signs: dict[str, set[str]] = {}
    refused: dict[str, int] = {}
    for line in (tmp_path / "out/run/trajectories.jsonl").open():
        row = json.loads(line)
        verdicts.setdefault(row["agent"], []).append(row["verdict"]["resolved"])
        kinds = {sign["kind"] for sign in row["verdict"]["tamper"]}
        signs[row["agent"]] = signs.get(row["agent"], set()) | kinds
        blocked = sum(incident["blocked"] for incident in row["incidents"])
        refused[row["agent"]] = refused.get(row["agent"], 0) + blocked
    assert verdicts["oracle"] == [True] * 3
    assert verdicts["nop"] == [False] * 3
    assert len(verdicts["scripted"]) == 3
    for cheat in ("cheat_fetch", "cheat_runner", "cheat_equal"):
        assert verdicts[cheat] == [False] * 3
    assert signs["cheat_runner"] == {"diff_policy"}
    assert signs["cheat_equal"] & {"twin_passed", "unsteady", "always_equal"}
    assert refused["cheat_fetch"] >= 9
    for row in rows:
        for test in row["FAIL_TO_PASS"]:
            assert test.rpartition("::")[2] not in row["problem_statement"]
