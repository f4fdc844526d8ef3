"""``regreen train problems``: what is kept, what is left out, what is made."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from regreen.cli.main import main
from regreen.train.code.problems import CallTest, read_problems

RIGHT = {
    "task_id": "HumanEval/1", "prompt": "def inc(x):\n    '''x + 1'''\n", "entry_point": "inc",
    "canonical_solution": "    return x + 1\n",
    "test": "def check(candidate):\n    assert candidate(1) == 2\n    assert candidate(-1) == 0\n",
}  # fmt: skip
LYING = RIGHT | {"task_id": "HumanEval/2", "canonical_solution": "    return x\n"}
OPEN = RIGHT | {"task_id": "HumanEval/3", "test": "def check(candidate):\n    pass\n"}
BARE = {
    "schema_name": "regreen.code_problem", "problem_id": "double", "prompt": "Double it.",
    "entry_point": "double", "visible": [{"call": "double(2)", "expected": "4"}],
}  # fmt: skip


def lines(path: Path, *rows: dict[str, Any]) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def command(*words: object) -> int:
    with pytest.raises(SystemExit) as caught:
        main(["train", "problems", *map(str, words)])
    return int(caught.value.code or 0)


def test_only_what_its_own_solution_passes_is_kept(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = lines(tmp_path / "rows.jsonl", RIGHT, LYING, OPEN, BARE)
    out = tmp_path / "out.jsonl"
    assert command(rows, "-o", out, "--license", "MIT", "--json") == 0
    said = json.loads(capsys.readouterr().out)
    assert (said["rows"], said["kept"]) == (4, 1)
    assert said["left_out"] == {"its own solution fails": 1, "no tests": 1}
    assert [where.partition(": ")[0] for where in said["refused"]] == [f"{rows}:3"]
    (problem,) = read_problems(out)
    assert (problem.problem_id, problem.license, len(problem.hidden)) == ("HumanEval/1", "MIT", 2)


def test_tests_are_made_from_solutions(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rows = lines(tmp_path / "rows.jsonl", BARE)
    programs = ["2 * n", "n + n", "n << 1", "sum([n, n])", "n * n"]
    solutions = lines(
        tmp_path / "solutions.jsonl",
        *({"problem_id": "double", "program": f"def double(n): return {p}"} for p in programs),
    )
    out = tmp_path / "out.jsonl"
    assert command(rows, "-o", out, "--solutions", solutions, "--json") == 0
    said = json.loads(capsys.readouterr().out)
    assert said["synthesised"] == 1
    assert 0.8 <= said["agreement"] <= 1
    (problem,) = read_problems(out)
    tests = [test for test in problem.hidden if isinstance(test, CallTest)]
    assert len(tests) >= 3
    for test in tests:
        assert int(test.expected) == 2 * int(test.call[len("double(") : -1])


def test_nothing_kept_is_a_failure(tmp_path: Path) -> None:
    rows = lines(tmp_path / "rows.jsonl", LYING)
    assert command(rows, "-o", tmp_path / "out.jsonl", "-q") == 1
    assert command(rows, "-o", rows) == 2
    assert command(tmp_path / "missing.jsonl", "-o", tmp_path / "out.jsonl") == 2
