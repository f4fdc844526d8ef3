"""``regreen tasks convert`` from rows to rows and folders, with what was lost named."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from regreen.cli.main import main
from regreen.grading.patch import text_patch
from regreen.store.taskset import load_tasks

ROW: dict[str, Any] = {
    "repo": "me/lib",
    "instance_id": "me__lib-1",
    "base_commit": "a" * 40,
    "patch": text_patch("a.py", "1\n", "2\n"),
    "test_patch": text_patch("tests/test_a.py", None, "def test_a(): ...\n"),
    "problem_statement": "is wrong",
    "hints_text": "",
    "created_at": "2021-04-30T04:39:56Z",
    "version": "1",
    "FAIL_TO_PASS": '["tests/test_a.py::test_a[x y]"]',
    "PASS_TO_PASS": '["tests/test_a.py::test_b[cut"]',
    "environment_setup_commit": "",
    "image": "example.org/lib:1",
    "difficulty": "<15 min fix",
    "weather": "fair",
}


@pytest.fixture
def rows(tmp_path: Path) -> Path:
    lines = [ROW, {**ROW, "instance_id": "me__lib-2", "patch": ""}]
    path = tmp_path / "rows.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in lines) + "{torn")
    return path


def run(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[Any, str, str]:
    with pytest.raises(SystemExit) as stop:
        main(["tasks", "convert", *arguments])
    out, err = capsys.readouterr()
    return stop.value.code, out, err


def test_every_row_and_column_is_accounted_for(
    rows: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code, out, _ = run(capsys, str(rows), "-o", str(tmp_path / "t.jsonl"), "--json")

    told = json.loads(out)
    assert code == 0
    assert (told["rows"], told["tasks"], told["formats"]) == (3, 1, {"swe-bench": 1})
    assert [(one["instance_id"], one["reason"]) for one in told["refused"]] == [
        ("me__lib-2", "column patch is empty"),
        ("", "the line is no JSON"),
    ]
    assert told["left_out"] == {"weather": 1}
    assert told["warnings"][0]["warning"].startswith("truncated test ids: 1 of PASS_TO_PASS")
    (task,) = load_tasks(tmp_path / "t.jsonl")
    assert task.FAIL_TO_PASS == ("tests/test_a.py::test_a[x y]",)


def test_the_summary_for_people_says_the_same(
    rows: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code, out, err = run(capsys, str(rows), "-o", str(tmp_path / "t.parquet"))

    assert code == 0
    assert out.startswith("1 of 3 rows are tasks (1 swe-bench); written to ")
    assert "refused me__lib-2: column patch is empty" in err
    assert "left out: weather (1 rows)" in err
    assert "warning: truncated test ids (1 rows)" in err


@pytest.mark.parametrize(
    ("target", "name", "file"),
    [
        ("swe-bench", "rows.json", "rows.json"),
        ("swe-bench-5", "repo", "repo/tasks/me__lib-1/eval.sh"),
        ("harbor", "dataset", "dataset/me__lib-1/tests/test.sh"),
    ],
)
def test_what_is_written_is_read_again(
    rows: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    target: str,
    name: str,
    file: str,
) -> None:
    run(capsys, str(rows), "-o", str(tmp_path / "first.jsonl"))
    run(capsys, str(tmp_path / "first.jsonl"), "-o", str(tmp_path / name), "--to", target)
    code, _, _ = run(capsys, str(tmp_path / name), "-o", str(tmp_path / "second.jsonl"))

    assert code == 0
    assert (tmp_path / file).is_file()
    (first,), (second,) = (
        load_tasks(tmp_path / "first.jsonl"),
        load_tasks(tmp_path / "second.jsonl"),
    )
    assert (first.patch, first.FAIL_TO_PASS) == (second.patch, second.FAIL_TO_PASS)
    assert (first == second) is (target != "swe-bench")


def test_ids_that_swebench_cuts_are_named_when_written_for_it(
    rows: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = (str(rows), "-o", str(tmp_path / "rows.json"), "--to", "swe-bench", "--json")
    _, out, _ = run(capsys, *arguments)

    warnings = [one["warning"] for one in json.loads(out)["warnings"]]
    assert "test ids with spaces, which swebench's log parsers cut: 1" in warnings


def test_what_cannot_run_here_is_named_when_building(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "rows.json").write_text(json.dumps([{**ROW, "language": "go"}]))
    (tmp_path / "kept.jsonl").write_text("what stood here\n")

    code, out, _ = run(
        capsys, str(tmp_path / "rows.json"), "-o", str(tmp_path / "kept.jsonl"), "--build", "--json"
    )

    assert code == 1
    assert json.loads(out)["refused"][0]["reason"] == "only Python tasks run here: go"
    assert (tmp_path / "kept.jsonl").read_text() == "what stood here\n"


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("{rows}", "-o", "{tmp}/t.csv"), ".csv"),
        (("{rows}", "-o", "{tmp}/t.jsonl", "--to", "harbor"), "folders"),
        (("{rows}", "-o", "{tmp}/t", "--to", "harbour"), "harbour"),
        (("{rows}", "-o", "{tmp}/t.jsonl", "--from", "csv"), "--from"),
        (("{rows}", "-o", "{tmp}/t.jsonl", "-n", "0"), "--limit"),
        (("{rows}", "-o", "{tmp}/t.jsonl", "-j", "0"), "-j"),
        (("{rows}", "-o", "{tmp}/t.jsonl", "--clones", "{tmp}"), "--build"),
        (("{rows}", "-o", "{tmp}/t.jsonl", "--build", "--clones", "{tmp}/no"), "/no"),
        (("{tmp}/absent.jsonl", "-o", "{tmp}/t.jsonl"), "absent.jsonl"),
        (("{rows}", "-o", "/proc/t.jsonl"), "/proc"),
    ],
)
def test_wrong_flags_are_three_lines(
    rows: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    arguments: tuple[str, ...],
    words: str,
) -> None:
    given = [one.format(rows=rows, tmp=tmp_path) for one in arguments]

    code, _, err = run(capsys, *given)

    assert code == 2
    assert words in err
    assert "mend:" in err
    assert "Traceback" not in err
