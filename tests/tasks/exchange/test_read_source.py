"""Files and folders of rows: every row is read or has a reason, and none stops the rest."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from regreen.core.errors import UsageError
from regreen.core.task import Task
from regreen.grading.patch import text_patch
from regreen.store.taskset import write_tasks
from regreen.tasks.exchange.columns import Reading
from regreen.tasks.exchange.files import read_source


def row(number: int, **changed: Any) -> dict[str, Any]:
    return {
        "repo": "me/lib",
        "instance_id": f"me__lib-{number}",
        "base_commit": "a" * 40,
        "patch": text_patch("a.py", "1\n", "2\n"),
        "test_patch": "",
        "problem_statement": "is wrong",
        "hints_text": "",
        "created_at": "2021-04-30T04:39:56Z",
        "version": "1",
        "FAIL_TO_PASS": ["t.py::a b"],
        "PASS_TO_PASS": ["t.py::ü"],
        "environment_setup_commit": "",
        **changed,
    }


def ids(readings: list[Reading]) -> list[str]:
    return [reading.instance_id for reading in readings if reading.task]


def test_lines_lists_tables_and_objects_give_the_same_tasks(tmp_path: Path) -> None:
    rows = [row(1), row(2)]
    (tmp_path / "a.jsonl").write_text("".join(json.dumps(one) + "\n\n" for one in rows))
    (tmp_path / "b.json").write_text(json.dumps(rows))
    (tmp_path / "c.json").write_text(json.dumps({one["instance_id"]: one for one in rows}))
    (tmp_path / "d.json").write_text("".join(json.dumps(one) + "\n" for one in rows))
    pq.write_table(pa.Table.from_pylist(rows), tmp_path / "e.parquet")

    read = {path.name: list(read_source(path)) for path in sorted(tmp_path.iterdir())}

    tasks = [[reading.task for reading in readings] for readings in read.values()]
    assert len(tasks) == 5
    assert all(one == tasks[0] for one in tasks)
    assert ids(read["a.jsonl"]) == ["me__lib-1", "me__lib-2"]


def test_a_single_object_is_one_row(tmp_path: Path) -> None:
    (tmp_path / "one.json").write_text(json.dumps(row(1)))

    assert ids(list(read_source(tmp_path / "one.json"))) == ["me__lib-1"]


def test_bad_lines_are_refused_and_the_rest_is_read(tmp_path: Path) -> None:
    lines = [json.dumps(row(1)).encode(), b"{torn", b"\xff\xfe", b"3", json.dumps(row(2)).encode()]
    lines += [json.dumps(row(1)).encode(), b"[" * 100_000, json.dumps({"x": 1}).encode()]
    (tmp_path / "rows.jsonl").write_bytes(b"\n".join(lines))

    readings = list(read_source(tmp_path / "rows.jsonl"))

    assert ids(readings) == ["me__lib-1", "me__lib-2"]
    assert [reading.reason.partition(":")[0] for reading in readings if not reading.task] == [
        "the line is no JSON",
        "the line is not UTF-8",
        "the line is no JSON object",
        "instance_id stands twice",
        "the line is no JSON",
        "its columns are those of no format we read",
    ]
    assert readings[1].where.endswith("rows.jsonl:2")


def test_a_folder_is_read_file_by_file_and_a_damaged_one_is_named(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "README.md").write_text("a data card")
    pq.write_table(pa.Table.from_pylist([row(1)]), tmp_path / "data" / "test-0.parquet")
    whole = (tmp_path / "data" / "test-0.parquet").read_bytes()
    (tmp_path / "data" / "test-1.parquet").write_bytes(whole[:-40])
    (tmp_path / "data" / "test-2.jsonl").write_text(json.dumps(row(2)))

    readings = list(read_source(tmp_path))

    assert ids(readings) == ["me__lib-1", "me__lib-2"]
    assert [reading.where for reading in readings if not reading.task] == [
        str(tmp_path / "data" / "test-1.parquet")
    ]


def test_our_own_parquet_is_read_whole(tmp_path: Path) -> None:
    (tmp_path / "rows.json").write_text(json.dumps([row(1)]))
    task = next(iter(read_source(tmp_path / "rows.json"))).task
    assert isinstance(task, Task)
    write_tasks(tmp_path / "ours.parquet", [task])

    reading = next(iter(read_source(tmp_path / "ours.parquet")))

    assert (reading.kind, reading.task) == ("regreen", task)


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("absent.jsonl", None, "no such file"),
        ("rows.csv", "a,b\n", ".csv"),
        ("rows.json", "[{", "no JSON list"),
        ("rows.json", "3", "neither a list nor an object"),
        ("rows.parquet", "PAR1", "Parquet"),
    ],
)
def test_a_named_file_that_cannot_be_read_is_the_users_error(
    tmp_path: Path, name: str, content: str | None, words: str
) -> None:
    if content is not None:
        (tmp_path / name).write_text(content)

    with pytest.raises(UsageError, match=words):
        list(read_source(tmp_path / name))


def test_an_empty_folder_is_the_users_error(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no tasks and no files of rows"):
        list(read_source(tmp_path))
