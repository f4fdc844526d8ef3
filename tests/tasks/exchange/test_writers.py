"""What we write we read again: all of it where the format allows, ids byte for byte everywhere."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from strange_tasks import tasks

from regreen.core.errors import UsageError
from regreen.core.task import Task
from regreen.tasks.exchange.files import read_source
from regreen.tasks.exchange.writers import COLUMNS, check_target, swe_bench_row, write_target


def again(kind: str, name: str, task: Task) -> Task:
    """The task written and read."""
    refused: list[str] = []
    with tempfile.TemporaryDirectory() as scratch:
        out = Path(scratch) / name
        count = write_target(kind, out, [task], refuse=lambda _, why: refused.append(why))
        readings = list(read_source(out))
    assert (count, refused) == (1, [])
    (reading,) = readings
    assert reading.task is not None, reading.reason
    return reading.task


@given(tasks())
@settings(max_examples=40)
def test_classic_rows_keep_their_columns(task: Task) -> None:
    for name in ("rows.jsonl", "rows.json", "rows.parquet"):
        read = again("swe-bench", name, task)
        assert [getattr(read, key) for key in COLUMNS] == [getattr(task, key) for key in COLUMNS]


@given(tasks())
@settings(max_examples=50)
def test_task_repositories_keep_everything(task: Task) -> None:
    assert again("swe-bench-5", "repo", task) == task


@given(tasks())
@settings(max_examples=50)
def test_harbor_folders_keep_everything(task: Task) -> None:
    assert again("harbor", "dataset", task) == task


@given(tasks())
@settings(max_examples=20)
def test_another_reader_sees_a_task_repository_by_its_own_files(task: Task) -> None:
    with tempfile.TemporaryDirectory() as scratch:
        out = Path(scratch) / "repo"
        write_target("swe-bench-5", out, [task], refuse=lambda *_: None)
        (out / "tasks" / task.instance_id / "regreen.json").unlink()
        (reading,) = read_source(out)

    assert reading.task is not None
    assert [getattr(reading.task, key) for key in COLUMNS] == [
        getattr(task, key) for key in COLUMNS
    ]
    assert reading.left_out == ("datasets", "eval_type", "log_parser", "split")


@given(tasks())
def test_lists_are_json_text_in_a_classic_row(task: Task) -> None:
    row = swe_bench_row(task)

    assert tuple(row) == COLUMNS
    assert all(isinstance(value, str) for value in row.values())
    assert tuple(json.loads(row["FAIL_TO_PASS"])) == task.FAIL_TO_PASS


@pytest.mark.parametrize("kind", ["swe-bench-5", "harbor"])
def test_folders_are_read_in_the_order_they_were_written(tmp_path: Path, kind: str) -> None:
    names = ["a__b-9", "a__b-10", "a__b-1", "a__b-2"]
    write_target(kind, tmp_path / "made", map(_task, names), refuse=lambda *_: None)

    def ids() -> list[str]:
        return [reading.instance_id for reading in read_source(tmp_path / "made")]

    assert ids() == names
    write_target(kind, tmp_path / "made", map(_task, ["a__b-3"]), refuse=lambda *_: None)
    assert ids() == ["a__b-3", *sorted(names)]
    (tmp_path / "made/regreen-order.json").unlink()
    assert ids() == sorted([*names, "a__b-3"])


@pytest.mark.parametrize("text", ["", "[]", '{"schema_name": "regreen.task_order"}'])
def test_an_order_that_says_nothing_is_refused(tmp_path: Path, text: str) -> None:
    write_target("harbor", tmp_path / "made", [_task("a__b-1")], refuse=lambda *_: None)
    (tmp_path / "made/regreen-order.json").write_text(text)
    with pytest.raises(UsageError, match="no order of tasks"):
        list(read_source(tmp_path / "made"))


def undecodable(task: Task) -> Task:
    return task.model_copy(update={"problem_statement": "\ud800"})


@pytest.mark.parametrize(
    ("kind", "name"),
    [
        ("swe-bench", "rows.parquet"),
        ("swe-bench", "rows.jsonl"),
        ("regreen", "rows.parquet"),
        ("swe-bench-5", "repo"),
        ("harbor", "dataset"),
    ],
)
def test_a_task_a_format_cannot_hold_is_refused_and_the_rest_is_written(
    tmp_path: Path, kind: str, name: str
) -> None:
    good = _task("a__b-1")
    refused: list[str] = []

    count = write_target(
        kind,
        tmp_path / name,
        [undecodable(_task("a__b-0")), good],
        refuse=lambda task, _: refused.append(task.instance_id),
    )

    assert (count, refused) == (1, ["a__b-0"])
    assert [reading.instance_id for reading in read_source(tmp_path / name)] == ["a__b-1"]


def _task(instance_id: str) -> Task:
    return Task(
        instance_id=instance_id,
        repo="a/b",
        base_commit="0" * 40,
        patch="diff --git a/a b/a\n--- a/a\n+++ b/a\n@@ -1 +1 @@\n-1\n+2\n",
        test_patch="",
        problem_statement="wrong",
        FAIL_TO_PASS=("t.py::a",),
        PASS_TO_PASS=(),
        image="example.org/b:1",
    )


def test_a_task_nobody_else_could_build_is_refused(tmp_path: Path) -> None:
    refused: list[str] = []
    task = _task("a__b-1").model_copy(update={"image": ""})

    count = write_target("harbor", tmp_path, [task], refuse=lambda _, why: refused.append(why))

    assert count == 0
    assert refused == [
        "it names neither an environment nor an image: attach one: regreen tasks convert --build"
    ]


@pytest.mark.parametrize(
    ("kind", "name", "words"),
    [
        ("harbour", "x", "harbour"),
        ("swe-bench", "x.csv", ".csv"),
        ("swe-bench", "x", "without suffix"),
        ("regreen", "x.json", ".json"),
        ("harbor", "x.jsonl", "folders"),
    ],
)
def test_targets_that_do_not_fit_are_refused(kind: str, name: str, words: str) -> None:
    with pytest.raises(UsageError, match=words):
        check_target(kind, Path(name))
