"""Every format is told by its columns, and each column has a place or is named."""

from __future__ import annotations

import json
from typing import Any

import pytest

from regreen.core.task import Task
from regreen.grading.patch import FileState, apply_patch, text_patch
from regreen.tasks.exchange.columns import Reading
from regreen.tasks.exchange.kinds import KINDS, kind_of, read_row

RIGHT, WRONG = "def f():\n    return 1\n", "def f():\n    return 2\n"
FIX, BUG = text_patch("a.py", WRONG, RIGHT), text_patch("a.py", RIGHT, WRONG)
TESTS = text_patch("tests/test_a.py", None, "def test_a(): ...\n")
CLASSIC: dict[str, Any] = {
    "repo": "me/lib",
    "instance_id": "me__lib-7",
    "base_commit": "a" * 40,
    "patch": FIX,
    "test_patch": TESTS,
    "problem_statement": "f is wrong",
    "hints_text": "look",
    "created_at": "2021-04-30T04:39:56Z",
    "version": "1.10",
    "FAIL_TO_PASS": '["tests/test_a.py::test_a"]',
    "PASS_TO_PASS": "[]",
    "environment_setup_commit": "b" * 40,
}
GYM = {key: value for key, value in CLASSIC.items() if key != "environment_setup_commit"}
SMITH: dict[str, Any] = {
    "instance_id": "me__lib.0123abcd.func_pm_op_swap__k3j2",
    "repo": "swesmith/me__lib.0123abcd",
    "patch": BUG,
    "FAIL_TO_PASS": ["tests/test_a.py::test_a"],
    "PASS_TO_PASS": [],
    "image_name": "swesmith.x86_64.me__lib",
    "problem_statement": "f is wrong",
}
REBENCH_1: dict[str, Any] = {
    **CLASSIC,
    "FAIL_TO_PASS": ["tests/test_a.py::test_a"],
    "FAIL_TO_FAIL": ["tests/test_a.py::test_z"],
    "license_name": "MIT License",
    "docker_image": "swerebench/x",
    "install_config": {"python": "3.9", "test_cmd": "pytest -rA", "pre_install": None},
    "meta": {
        "llm_score": {"difficulty_score": 1, "issue_text_score": 2, "test_score": 0},
        "num_modified_files": 1,
    },
}
REBENCH_2: dict[str, Any] = {
    **GYM,
    "PASS_TO_PASS": ["case a (12 ms)"],
    "language": "Go",
    "interface": "func F() int",
    "image_name": "swerebench/y",
    "pr_description": "swap it",
    "install_config": {"base_image_name": "go", "test_cmd": ["go test", "./..."]},
    "meta": {
        "llm_metadata": {
            "code": "B2",
            "difficulty": "medium",
            "detected_issues": ["names are given"],
            "confidence": 0.9,
        }
    },
}
MULTI: dict[str, Any] = {
    "org": "me",
    "repo": "lib",
    "number": 7,
    "state": "closed",
    "title": "Fix f",
    "body": "it was 2",
    "base": {"label": "me:main", "ref": "main", "sha": "a" * 40},
    "resolved_issues": [{"number": 3, "title": "f is wrong", "body": "It gives 2."}],
    "fix_patch": text_patch("a.go", "a\n", "b\n"),
    "test_patch": text_patch("a_test.go", "a\n", "b\n"),
    "fixed_tests": {"TestA": {"run": "FAIL"}, "TestB": {"run": "NONE"}},
    "f2p_tests": {"TestA": {"run": "FAIL"}, "TestOfAnotherRow": None},
    "n2p_tests": {"TestB": {"run": "NONE"}},
    "s2p_tests": {},
    "p2p_tests": {"TestC": {"run": "PASS"}},
    "run_result": {"passed_count": 1},
}


def read(row: dict[str, Any]) -> Reading:
    return read_row(row, where="rows.jsonl:1")


def task_of(row: dict[str, Any]) -> Task:
    reading = read(row)
    assert reading.task is not None, reading.reason
    return reading.task


@pytest.mark.parametrize(
    ("row", "kind"),
    [
        (CLASSIC, "swe-bench"),
        ({**GYM, "eval_script": "x", "image": "y"}, "swe-bench"),
        (GYM, "swe-gym"),
        (SMITH, "swe-smith"),
        (REBENCH_1, "swe-rebench"),
        (REBENCH_2, "swe-rebench"),
        (MULTI, "multi-swe"),
        (task_of(CLASSIC).model_dump(), "regreen"),
        ({"question": "?", "answer": "!"}, ""),
    ],
)
def test_columns_tell_the_format(row: dict[str, Any], kind: str) -> None:
    assert kind_of(row) == kind
    assert kind in {*KINDS, ""}


def test_a_classic_row_keeps_its_twelve_columns() -> None:
    task = task_of(CLASSIC)

    lists = ("FAIL_TO_PASS", "PASS_TO_PASS")
    assert all(getattr(task, key) == CLASSIC[key] for key in CLASSIC if key not in lists)
    assert task.FAIL_TO_PASS == ("tests/test_a.py::test_a",)
    assert task.PASS_TO_PASS == ()
    assert read(CLASSIC).left_out == ()


def test_columns_without_a_place_are_named() -> None:
    row = {**CLASSIC, "split": "test", "empty": None, "none": [], "log_parser": "parse_log_pytest"}

    assert read(row).left_out == ("log_parser", "split")


def test_verified_difficulty_becomes_a_level() -> None:
    difficulty = task_of({**CLASSIC, "difficulty": "1-4 hours"}).difficulty

    assert difficulty is not None
    assert (difficulty.level, difficulty.files, difficulty.lines) == ("hard", 1, 2)


def test_the_bug_of_a_swe_smith_row_becomes_its_fix() -> None:
    task = task_of(SMITH)

    mended = apply_patch(task.patch, {"a.py": FileState(WRONG.encode())}.get)
    assert mended == {"a.py": FileState(RIGHT.encode())}
    assert (task.repo, task.environment_setup_commit) == ("me/lib", "0123abcd")
    assert (task.operators, task.base_commit) == (("func_pm_op_swap",), "")


def test_scores_of_swe_rebench_1_become_quality() -> None:
    task = task_of(REBENCH_1)

    assert task.quality is not None
    assert (task.quality.code, task.quality.statement) == ("B4", "thin")
    assert task.quality.tests == "aligned"
    assert task.difficulty is not None
    assert task.difficulty.level == "medium"
    assert (task.image, task.license) == ("swerebench/x", "MIT License")
    assert "pytest -rA" in task.eval_script
    assert read(REBENCH_1).left_out == (
        "FAIL_TO_FAIL",
        "install_config.python",
        "meta.num_modified_files",
    )


def test_letters_of_swe_rebench_2_are_ours() -> None:
    task = task_of(REBENCH_2)

    assert task.quality is not None
    assert (task.quality.code, task.quality.reasons) == ("B2", ("names are given",))
    assert (task.language, task.interface) == ("go", "func F() int")
    assert task.PASS_TO_PASS == ("case a",)
    assert task.difficulty is not None
    assert task.difficulty.level == "medium"
    assert read(REBENCH_2).left_out == (
        "install_config.base_image_name",
        "meta.llm_metadata.confidence",
        "pr_description",
    )


def test_a_pull_request_of_multi_swe_becomes_a_task() -> None:
    task = task_of(MULTI)

    assert (task.instance_id, task.repo, task.language) == ("me__lib-7", "me/lib", "go")
    assert task.problem_statement == "f is wrong\n\nIt gives 2."
    assert (task.FAIL_TO_PASS, task.PASS_TO_PASS) == (("TestA", "TestB"), ("TestC",))
    left_out = read(MULTI).left_out
    assert left_out == ("base.label", "base.ref", "body", "run_result", "state", "title")


def test_tables_of_tests_come_in_three_shapes() -> None:
    for shape in ({"name": ["TestA"], "fix": ["PASS"]}, ["TestA"], [{"name": "TestA"}]):
        row = {**MULTI, "f2p_tests": shape, "n2p_tests": None}
        assert task_of(row).FAIL_TO_PASS == ("TestA",)


def test_a_pull_request_without_an_issue_says_where_its_statement_is_from() -> None:
    reading = read({**MULTI, "resolved_issues": []})

    assert reading.task is not None
    assert reading.task.problem_statement == "Fix f\n\nit was 2"
    assert reading.warnings == ("statement taken from the pull request",)


def test_a_date_that_is_none_is_named_and_left_out() -> None:
    reading = read({**CLASSIC, "created_at": "last May"})

    assert reading.task is not None
    assert reading.task.created_at == ""
    assert reading.warnings == ("created_at is no date: 'last May'",)


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        ({"question": "?"}, "no format we read: question"),
        ({**CLASSIC, "patch": " "}, "column patch is empty"),
        ({**CLASSIC, "base_commit": None}, "column base_commit is empty"),
        ({**CLASSIC, "patch": ["x"]}, "column patch is no text: list"),
        ({**CLASSIC, "FAIL_TO_PASS": "[]"}, "nothing decides this task"),
        ({**CLASSIC, "FAIL_TO_PASS": '["[100%]"]'}, "nothing decides this task"),
        ({**CLASSIC, "PASS_TO_PASS": "[cut"}, "no JSON list"),
        ({**CLASSIC, "instance_id": "../../etc"}, "cannot be a file name"),
        ({**CLASSIC, "instance_id": "x" * 300}, "too long"),
        ({**SMITH, "instance_id": "nothing"}, "does not name owner"),
        ({**SMITH, "patch": "a\n"}, "names no file"),
        ({**REBENCH_1, "install_config": "pip install"}, "install_config is no table"),
        ({**REBENCH_1, "meta": json.dumps({"llm_score": 3})}, "meta.llm_score is no table"),
        ({**MULTI, "base": {}}, "column base.sha is empty"),
        ({**MULTI, "f2p_tests": 3}, "f2p_tests is no table"),
        ({**task_of(CLASSIC).model_dump(), "schema_version": 9}, "version 9"),
        ({**task_of(CLASSIC).model_dump(), "novel": 1}, "unknown columns"),
    ],
)
def test_a_row_that_cannot_be_a_task_has_a_reason(row: dict[str, Any], reason: str) -> None:
    reading = read(row)

    assert reading.task is None
    assert reason in reading.reason
