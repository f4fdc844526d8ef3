from __future__ import annotations

import io
import json
import sys
from types import SimpleNamespace

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from regreen.core.errors import UsageError
from regreen.core.task import Control, Difficulty, Environment, Task, Validation
from regreen.store import TasksetWriter, load_tasks, taskset_digest, write_tasks
from regreen.store.jsonl import encode_row

text = st.text(st.characters(codec="utf-8")) | st.sampled_from(
    ["\u2028\n\r\n", "\x00", "a\tb", "🙂"]
)
texts = st.lists(text, max_size=3)
numbers = st.floats(allow_nan=False)
counts = st.integers(0, 2**40)
validations = st.builds(
    Validation,
    repeats_before=counts,
    repeats_after=counts,
    flaky=texts,
    controls=st.lists(st.builds(Control, name=text, expected=numbers, score=numbers), max_size=2),
    seconds=numbers,
)
tasks = st.builds(
    Task,
    instance_id=text,
    repo=text,
    base_commit=text,
    patch=text,
    test_patch=text,
    problem_statement=text,
    FAIL_TO_PASS=texts,
    PASS_TO_PASS=texts,
    operators=texts,
    difficulty=st.none()
    | st.builds(Difficulty, files=counts, lines=counts, fail_to_pass=counts, covering_tests=counts),
    validation=st.none() | validations,
    environment=st.none()
    | st.builds(
        Environment, source=text, commit=text, repo_layer=text, env_layer=text, requirements=texts
    ),
)
tasksets = st.lists(tasks, min_size=1, max_size=4, unique_by=lambda task: task.instance_id)


def a_task(instance_id="toolz.1", **changes):
    row = {
        "instance_id": instance_id,
        "repo": "pytoolz/toolz",
        "base_commit": "c0ffee",
        "patch": "diff",
        "test_patch": "",
        "problem_statement": "red",
        "FAIL_TO_PASS": ["a b::c[1-x]"],
        "PASS_TO_PASS": [],
        **changes,
    }
    return Task.model_validate(row)


def foreign_row(**changes):
    row = a_task().model_dump(include=Task.model_fields.keys() - {"schema_name", "schema_version"})
    sixteen = ("environment", "difficulty", "validation", "operators", "image", "license")
    kept = {key: value for key, value in row.items() if key not in sixteen}
    return {**kept, "FAIL_TO_PASS": '["a b::c[1-x]"]', "PASS_TO_PASS": "[]", **changes}


@pytest.mark.parametrize("suffix", ["jsonl", "parquet"])
@settings(
    max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None
)
@given(taskset=tasksets)
def test_tasks_come_back_as_they_went(tmp_path, suffix, taskset):
    path = tmp_path / f"tasks.{suffix}"
    write_tasks(path, taskset)
    assert load_tasks(path) == taskset


@settings(max_examples=40, deadline=None)
@given(taskset=tasksets)
def test_the_digest_does_not_know_the_order(taskset):
    assert taskset_digest(taskset) == taskset_digest(reversed(taskset))


def test_the_digest_knows_the_problem_and_not_how_long_its_check_took():
    one = a_task()
    checked = one.model_copy(update={"validation": Validation(repeats_before=3, repeats_after=3)})
    assert taskset_digest([one]) == taskset_digest([checked])
    assert taskset_digest([one]) != taskset_digest([one.model_copy(update={"patch": "other"})])


def test_the_digest_is_the_same_through_both_formats(tmp_path):
    digests = set()
    for suffix in ("jsonl", "parquet"):
        write_tasks(tmp_path / f"t.{suffix}", [a_task("a"), a_task("b")])
        digests.add(taskset_digest(load_tasks(tmp_path / f"t.{suffix}")))
    assert len(digests) == 1


@pytest.mark.parametrize("suffix", ["jsonl", "parquet"])
def test_the_same_tasks_are_the_same_bytes(tmp_path, suffix):
    for name in ("one", "two"):
        write_tasks(tmp_path / f"{name}.{suffix}", [a_task("a"), a_task("b")])
    assert (tmp_path / f"one.{suffix}").read_bytes() == (tmp_path / f"two.{suffix}").read_bytes()


def test_a_plain_swe_bench_row_is_a_task(tmp_path):
    path = tmp_path / "rows.jsonl"
    path.write_bytes(encode_row(foreign_row(hints_text=None)))
    (task,) = load_tasks(path)
    assert task.FAIL_TO_PASS == ("a b::c[1-x]",)
    assert task.hints_text == ""


def test_a_plain_swe_bench_parquet_file_is_a_taskset(tmp_path):
    import pyarrow as pa
    import pyarrow.parquet as pq

    path = tmp_path / "rows.parquet"
    pq.write_table(pa.Table.from_pylist([foreign_row(created_at=None)]), path)
    assert load_tasks(path) == [a_task()]


def refusal(path, **options):
    with pytest.raises(UsageError) as caught:
        load_tasks(path, **options)
    assert len(caught.value.lines()) == 3
    return caught.value


ROW = encode_row(a_task("first").model_dump())


@pytest.mark.parametrize(
    ("second", "what"),
    [
        (b'{"instance_id": "x"', "ends in the middle"),
        (b"not json\n", "not JSON"),
        (b"\x89PNG\r\n\x1a\n\x00\x00", "not UTF-8"),
        (b"[]\n", "not an object"),
        (ROW, "stands twice, first at"),
        (
            encode_row({**a_task().model_dump(), "schema_name": "regreen.trajectory"}),
            "not a 'regreen.task'",
        ),
        (encode_row({**a_task().model_dump(), "schema_version": 2}), "newer regreen"),
        (encode_row({**a_task().model_dump(), "schema_version": "1"}), "no regreen wrote it"),
        (encode_row({**a_task().model_dump(), "schema_version": True}), "version True"),
        (
            encode_row(foreign_row(log_parser="x", eval_type="y")),
            "unknown columns: eval_type, log_parser",
        ),
        (encode_row({"instance_id": "x", "repo": "r"}), "missing columns: base_commit, patch"),
        (encode_row(foreign_row(patch=5)), "column patch: Input should be a valid string"),
        (encode_row(foreign_row(patch=None)), "column patch"),
        (encode_row(foreign_row(FAIL_TO_PASS="[broken")), "column FAIL_TO_PASS"),
        (encode_row(foreign_row(FAIL_TO_PASS='"text"')), "column FAIL_TO_PASS"),
        (encode_row(foreign_row(FAIL_TO_PASS=[1])), "column FAIL_TO_PASS.0"),
        (encode_row(foreign_row(difficulty="15 min")), "column difficulty"),
    ],
)
def test_a_row_that_is_no_task_is_refused_with_its_line(tmp_path, second, what):
    path = tmp_path / "tasks.jsonl"
    path.write_bytes(ROW + second)
    error = refusal(path)
    assert what in error.what
    assert error.where == f"{path}:2"


def test_text_that_utf8_lacks_lives_in_json_lines_only(tmp_path):
    odd = a_task(patch="+caf\udce9\n")
    write_tasks(tmp_path / "t.jsonl", [odd])
    assert load_tasks(tmp_path / "t.jsonl") == [odd]
    with pytest.raises(UsageError, match="does not fit") as caught:
        write_tasks(tmp_path / "t.parquet", [odd])
    assert ".jsonl" in caught.value.mend
    assert taskset_digest([odd]) != taskset_digest([a_task()])


def test_columns_are_dropped_when_named(tmp_path):
    path = tmp_path / "tasks.jsonl"
    path.write_bytes(encode_row(foreign_row(log_parser="x")))
    assert "drop=" in refusal(path).mend
    assert load_tasks(path, drop=["log_parser"]) == [a_task()]


@pytest.mark.parametrize(
    "name", ["empty.jsonl", "absent.jsonl", "absent.parquet", "d.parquet", "d"]
)
def test_what_holds_no_task_is_refused(tmp_path, name):
    (tmp_path / "empty.jsonl").write_bytes(b"")
    (tmp_path / "d.parquet").mkdir()
    (tmp_path / "d").mkdir()
    refusal(tmp_path / name)


def test_an_empty_parquet_taskset_is_refused(tmp_path):
    write_tasks(tmp_path / "t.parquet", [])
    assert "no task" in refusal(tmp_path / "t.parquet").what


def test_a_parquet_file_cut_anywhere_is_refused(tmp_path):
    path = tmp_path / "tasks.parquet"
    write_tasks(path, [a_task()])
    whole = path.read_bytes()
    for cut in range(0, len(whole), max(1, len(whole) // 150)):
        path.write_bytes(whole[:cut])
        refusal(path)


def test_a_parquet_file_of_other_rows_is_refused(tmp_path):
    from regreen.core.trajectory import Trajectory
    from regreen.store.parquet import write_parquet

    path = tmp_path / "tasks.parquet"
    write_parquet(path, Trajectory, [Trajectory(rollout_id="a", task="b", agent="c")])
    assert "regreen.trajectory" in refusal(path).what


@pytest.mark.parametrize("name", ["tasks.csv", "tasks", "tasks.json"])
def test_an_unknown_suffix_is_refused_before_anything_is_written(tmp_path, name):
    with pytest.raises(UsageError) as caught:
        write_tasks(tmp_path / name, [a_task()])
    assert ".parquet" in caught.value.mend
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("suffix", ["jsonl", "parquet"])
def test_a_failing_write_leaves_the_old_file(tmp_path, suffix):
    path = tmp_path / f"tasks.{suffix}"
    write_tasks(path, [a_task("old")])
    with pytest.raises(UsageError, match="stands twice"):
        write_tasks(path, [a_task("new"), a_task("new")])
    assert [task.instance_id for task in load_tasks(path)] == ["old"]
    assert list(tmp_path.iterdir()) == [path]


def test_a_dash_is_standard_input_and_output(monkeypatch):
    written = SimpleNamespace(buffer=io.BytesIO())
    monkeypatch.setattr(sys, "stdout", written)
    write_tasks("-", [a_task("a"), a_task("b")])
    monkeypatch.setattr(sys, "stdin", SimpleNamespace(buffer=io.BytesIO(written.buffer.getvalue())))
    assert load_tasks("-") == [a_task("a"), a_task("b")]


def test_the_writer_appends_and_resumes(tmp_path):
    path = tmp_path / "tasks.jsonl"
    with TasksetWriter(path) as writer:
        writer.append(a_task("a"))
        assert load_tasks(path) == [a_task("a")]
    with TasksetWriter(path) as writer:
        assert writer.instance_ids == {"a"}
        with pytest.raises(UsageError, match="stands twice"):
            writer.append(a_task("a"))
        writer.append(a_task("b"))
    assert load_tasks(path) == [a_task("a"), a_task("b")]


def test_a_taskset_cut_at_any_byte_of_its_last_row_resumes_without_it(tmp_path):
    path = tmp_path / "tasks.jsonl"
    last = encode_row(a_task("last").model_dump())
    for cut in range(len(last) - 1):
        path.write_bytes(ROW + last[:cut])
        with TasksetWriter(path) as writer:
            assert writer.instance_ids == {"first"}
        assert path.read_bytes() == ROW


def test_the_writer_refuses_a_file_that_holds_something_else(tmp_path):
    path = tmp_path / "tasks.jsonl"
    path.write_text(json.dumps({"hello": 1}) + "\n")
    with pytest.raises(UsageError, match="unknown columns"):
        TasksetWriter(path)
    with pytest.raises(UsageError, match="JSON lines only"):
        TasksetWriter(tmp_path / "tasks.parquet")
