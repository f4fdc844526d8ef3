"""``tasks rate`` and ``tasks decontaminate`` on files: labels from runs, rows that go, a stream."""

from __future__ import annotations

import asyncio
import contextlib
import io
import json
from pathlib import Path
from typing import Any

import pytest

from regreen.cli.main import main
from regreen.core.task import Quality, Task
from regreen.core.trajectory import Trajectory
from regreen.core.verdict import Verdict
from regreen.inference import Reply, say
from regreen.inference.scripted import ScriptedEndpoint
from regreen.store.run import RunDirectory
from regreen.store.taskset import load_tasks, write_tasks

PATCH = "diff --git a/b.py b/b.py\n--- a/b.py\n+++ b/b.py\n@@ -1 +1 @@\n-a\n+return items[{0}]\n"


def run(*arguments: str) -> tuple[int, dict[str, Any], str]:
    out, err = io.StringIO(), io.StringIO()
    code = 0
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        try:
            main([*arguments, "--json"])
        except SystemExit as stop:
            code = stop.code if isinstance(stop.code, int) else 1
    return code, json.loads(out.getvalue() or "{}"), err.getvalue()


def task(number: int, **changes: Any) -> Task:
    fields: dict[str, Any] = {
        "instance_id": f"owner__bag-{number}",
        "repo": "owner/bag",
        "base_commit": f"{number:040x}",
        "patch": PATCH.format("0x" + "9" * 30 + str(number)),
        "test_patch": "",
        "problem_statement": f"Case {number} fails with item{number}.\n",
        "FAIL_TO_PASS": ("t.py::a",),
        "PASS_TO_PASS": ("t.py::b",),
    }
    return Task(**fields | changes)


@pytest.fixture
def taskset(tmp_path: Path) -> Path:
    path = tmp_path / "tasks.jsonl"
    write_tasks(path, [task(1), task(2, quality=Quality(code="A", statement="clear"))])
    return path


def rollouts(path: Path, resolved: list[bool]) -> Path:
    with RunDirectory.create(path, config={}, lock={}) as made:
        for number, good in enumerate(resolved):
            verdict = Verdict(resolved=good, fail_to_pass={}, pass_to_pass={})
            made.append(
                Trajectory(
                    rollout_id=f"{number}", task="owner__bag-1", agent="mini", verdict=verdict
                )
            )
    return path


def test_rules_rate_what_has_no_quality_yet(taskset: Path, tmp_path: Path) -> None:
    code, told, _ = run("tasks", "rate", str(taskset), "-o", str(tmp_path / "out.parquet"))
    first, second = load_tasks(tmp_path / "out.parquet")
    assert (code, told["tasks"], told["levels"]) == (0, 2, {"easy": 2})
    assert first.quality is not None
    assert first.quality.codes == ("B4",)
    assert second.quality == Quality(code="A", statement="clear")


def test_pass_rates_come_from_all_runs(taskset: Path, tmp_path: Path) -> None:
    one = rollouts(tmp_path / "one", [False, False, True])
    two = rollouts(tmp_path / "two", [False, False])
    out = tmp_path / "out.jsonl"
    code, told, _ = run("tasks", "rate", str(taskset), "--runs", str(one), str(two), "-o", str(out))
    first = load_tasks(out)[0].difficulty
    assert first is not None
    assert (code, told["with_rollouts"]) == (0, 1)
    assert (first.pass_rate, first.rollouts, first.level) == (0.2, 5, "hard")


def test_a_path_that_is_no_run_is_refused(taskset: Path, tmp_path: Path) -> None:
    out = tmp_path / "out.jsonl"
    code, _, err = run("tasks", "rate", str(taskset), "--runs", str(tmp_path), "-o", str(out))
    assert code == 2
    assert str(tmp_path) in err
    assert not out.exists()


def test_a_model_judges_when_one_is_named(taskset: Path, tmp_path: Path) -> None:
    opinion = {
        "codes": ["B6"],
        "statement": "thin",
        "tests": "broad",
        "environment": "partial",
        "reasons": {"B6": "It needs a text."},
    }

    def script(_: Any) -> Reply:
        return say(json.dumps(opinion))

    async def serve() -> None:
        async with ScriptedEndpoint(script) as server:
            told = await asyncio.to_thread(
                run,
                *("tasks", "rate", str(taskset), "-o", str(tmp_path / "out.jsonl")),
                *("--base-url", server.base_url, "--model", "m"),
            )
        assert told[0] == 0, told[2]

    asyncio.run(serve())
    qualities = [row.quality for row in load_tasks(tmp_path / "out.jsonl")]
    assert [(one.code, one.judge) for one in qualities if one] == [("B6", "m")] * 2


def test_listed_tasks_go_each_with_its_reason(tmp_path: Path) -> None:
    tasks, out = tmp_path / "tasks.jsonl", tmp_path / "clean.jsonl"
    write_tasks(tasks, [task(number) for number in range(6)])
    (tmp_path / "ids.txt").write_text("owner/bag#1\nowner/bag@" + f"{2:040x}\n")
    row = {"instance_id": "other-1", "patch": task(3).patch}
    (tmp_path / "rows.jsonl").write_text(json.dumps(row) + "\n")
    lists = [str(tmp_path / name) for name in ("ids.txt", "rows.jsonl")]
    code, told, _ = run("tasks", "decontaminate", str(tasks), "--against", *lists, "-o", str(out))
    assert code == 0
    assert [row.instance_id[-1] for row in load_tasks(out)] == ["0", "4", "5"]
    assert (told["listed"], told["tasks"], told["kept"]) == (3, 6, 3)
    assert told["by_kind"] == {"number": 1, "commit": 1, "patch": 1}
    assert told["dropped"]["owner__bag-3"] == "same patch as other-1"


def test_a_bad_list_leaves_no_result(taskset: Path, tmp_path: Path) -> None:
    (tmp_path / "bad.txt").write_text("hello world\n")
    out = tmp_path / "clean.jsonl"
    code, _, err = run(
        *("tasks", "decontaminate", str(taskset), "--against", str(tmp_path / "bad.txt")),
        *("-o", str(out)),
    )
    assert (code, out.exists()) == (2, False)
    assert "names no problem" in err
