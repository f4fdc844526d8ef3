from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from regreen.core.errors import InfrastructureError, UsageError
from regreen.store.jsonl import JsonlWriter, encode_row, read_jsonl

any_text = st.text(st.characters())  # lone surrogates, NUL and line separators included
values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | any_text,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(any_text, inner, max_size=3),
    max_leaves=8,
)
rows = st.dictionaries(any_text, values, max_size=4)


@given(rows)
def test_a_row_is_one_line_and_comes_back(row):
    line = encode_row(row)
    assert line.count(b"\n") == 1
    assert line.endswith(b"\n")
    assert json.loads(line.decode("utf-8")) == row


@pytest.mark.parametrize(
    ("number", "word"),
    [(float("nan"), "NaN"), (float("inf"), "Infinity"), (float("-inf"), "-Infinity")],
)
def test_numbers_json_lacks_become_words(number, word):
    assert json.loads(encode_row({"a": [number, {"b": number}]})) == {"a": [word, {"b": word}]}


def test_rows_appended_are_read_in_order(tmp_path):
    path = tmp_path / "deep" / "rows.jsonl"
    with JsonlWriter(path) as writer:
        for number in range(5):
            writer.append({"number": number})
    with JsonlWriter(path) as writer:
        writer.append({"number": 5})
    assert list(read_jsonl(path)) == [(n + 1, {"number": n}) for n in range(6)]


def test_a_file_cut_at_any_byte_of_its_last_row_loses_that_row_only(tmp_path):
    path = tmp_path / "rows.jsonl"
    first, last = (
        encode_row({"text": "one\n"}),
        encode_row({"text": "zwei \u2028 \u00fc", "n": [1, 2]}),
    )
    for cut in range(len(last) + 1):
        path.write_bytes(first + last[:cut])
        with JsonlWriter(path) as writer:
            writer.append({"after": cut})
        texts = [row for _, row in read_jsonl(path)]
        whole = [json.loads(last)] if cut >= len(last) - 1 else []
        assert texts == [json.loads(first), *whole, {"after": cut}]


def test_a_torn_row_longer_than_a_block_is_found(tmp_path):
    path = tmp_path / "rows.jsonl"
    path.write_bytes(encode_row({"a": 1}) + b'{"b":"' + b"x" * 200_000)
    with JsonlWriter(path) as writer:
        assert writer.repaired_bytes == 200_006
    assert [row for _, row in read_jsonl(path)] == [{"a": 1}]


def test_threads_do_not_tear_each_others_rows(tmp_path):
    path = tmp_path / "rows.jsonl"
    with JsonlWriter(path) as writer:
        threads = [
            threading.Thread(
                target=lambda n=n: [writer.append({"n": n, "x": "y" * 5000}) for _ in range(10)]
            )
            for n in range(6)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert sorted(row["n"] for _, row in read_jsonl(path)) == sorted(list(range(6)) * 10)


_APPEND_FOREVER = """
import sys
from pathlib import Path
from regreen.store.jsonl import JsonlWriter
with JsonlWriter(Path(sys.argv[1])) as writer:
    for number in range(10**9):
        writer.append({"number": number, "text": "x" * 3000})
        print(number, flush=True)
"""


def test_what_was_acknowledged_outlives_a_killed_process(tmp_path):
    path = tmp_path / "rows.jsonl"
    command = [sys.executable, "-c", _APPEND_FOREVER, str(path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        acknowledged = [int(process.stdout.readline()) for _ in range(25)]
        os.kill(process.pid, signal.SIGKILL)
        acknowledged += [int(line) for line in process.stdout.read().splitlines()]
    JsonlWriter(path).close()
    numbers = [row["number"] for _, row in read_jsonl(path)]
    assert numbers[: len(acknowledged)] == acknowledged
    assert len(numbers) <= len(acknowledged) + 1


_FILL = """
import resource, sys
from pathlib import Path
from regreen.core.errors import InfrastructureError
from regreen.store.jsonl import JsonlWriter
path = Path(sys.argv[1])
with JsonlWriter(path) as writer:
    writer.append({"number": 0})
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, resource.RLIM_INFINITY))
    try:
        writer.append({"text": "x" * 5000})
    except InfrastructureError as error:
        print("\\n".join(error.lines()))
    resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
    writer.append({"number": 1})
"""


def test_a_full_disk_keeps_what_stands_and_says_how_to_go_on(tmp_path):
    path = tmp_path / "rows.jsonl"
    done = subprocess.run(
        [sys.executable, "-c", _FILL, str(path)], capture_output=True, text=True, check=True
    )
    what, where, mend = done.stdout.splitlines()
    assert "File too large" in what
    assert str(path) in where
    assert "run" in mend
    assert [row for _, row in read_jsonl(path)] == [{"number": 0}, {"number": 1}]


def test_a_device_without_space_is_an_infrastructure_failure():
    with JsonlWriter(Path("/dev/full")) as writer, pytest.raises(InfrastructureError) as caught:
        writer.append({"a": 1})
    assert "No space left" in caught.value.what
    assert "--resume" in caught.value.mend


@pytest.mark.parametrize(
    ("content", "what"),
    [
        (b'{"a": 1}\n{"a": \n', "not JSON"),
        (b'{"a": 1}\n{"a"', "ends in the middle"),
        (b'{"a": 1}\n[1]\n', "a JSON list, not an object"),
        (b'{"a": 1}\n"text"\n', "a JSON str, not an object"),
        (b'{"a": 1}\n\xff\xfe\x00garbage\n', "not UTF-8"),
        (b'{"a": 1}\n' + b"[" * 100_000 + b"\n", "not JSON"),
    ],
)
def test_a_line_that_is_no_row_is_refused_with_its_place(tmp_path, content, what):
    path = tmp_path / "rows.jsonl"
    path.write_bytes(content)
    with pytest.raises(UsageError) as caught:
        list(read_jsonl(path))
    assert what in caught.value.what
    assert caught.value.where == f"{path}:2"
    assert len(caught.value.lines()) == 3


def test_blank_lines_are_passed_over(tmp_path):
    path = tmp_path / "rows.jsonl"
    path.write_bytes(b'\n{"a": 1}\r\n\n  \n{"a": 2}')
    assert [number for number, _ in read_jsonl(path)] == [2, 5]


@pytest.mark.parametrize("name", [".", "absent.jsonl", "file/below.jsonl"])
def test_what_is_no_file_is_refused(tmp_path, name):
    (tmp_path / "file").write_text("")
    with pytest.raises(UsageError) as caught:
        list(read_jsonl(tmp_path / name))
    assert len(caught.value.lines()) == 3


@pytest.mark.parametrize("name", ["file/below.jsonl", "directory"])
def test_a_path_that_cannot_be_written_is_refused(tmp_path, name):
    (tmp_path / "file").write_text("")
    (tmp_path / "directory").mkdir()
    with pytest.raises(UsageError) as caught:
        JsonlWriter(tmp_path / name)
    assert len(caught.value.lines()) == 3
