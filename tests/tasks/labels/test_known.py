"""Lists of benchmarks: every way of naming a problem, and files that name none."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from regreen.core.errors import UsageError
from regreen.tasks.labels.known import Entry, entry_of_id, read_known

SHA = "0123456789abcdef0123456789abcdef01234567"
ROW = {
    "instance_id": "Owner__name-12",
    "repo": "Owner/name",
    "base_commit": SHA,
    "patch": "diff",
    "problem_statement": "It fails.",
    "FAIL_TO_PASS": '["a"]',
}


def read(path: Path, text: str) -> list[Entry]:
    path.write_text(text)
    return list(read_known(path))


@pytest.mark.parametrize(
    ("line", "repo", "number", "commits"),
    [
        ("owner__name-12", "owner/name", 12, ()),
        ("my.org__the-name-12", "my.org/the-name", 12, ()),
        ("owner/name#12", "owner/name", 12, ()),
        ("name#12", "name", 12, ()),
        (f"Owner/Name@{SHA}", "owner/name", None, (SHA,)),
        ("owner/name@0123abc", "owner/name", None, ("0123abc",)),
        ("https://github.com/owner/name/pull/12", "owner/name", 12, ()),
        (f"https://github.com/owner/name/commit/{SHA}", "owner/name", None, (SHA,)),
        (SHA, "", None, (SHA,)),
        (f"instance_owner__name-{SHA}-v123", "owner/name", None, (SHA,)),
        ("owner__name-12  # why", "owner/name", 12, ()),
        ("owner__name-12,easy", "owner/name", 12, ()),
        ("toolz-b60b2c2.off_by_one.1f2e", "", None, ()),
        ('"owner__name-12"', "owner/name", 12, ()),
    ],
)
def test_lines(
    tmp_path: Path, line: str, repo: str, number: int | None, commits: tuple[str, ...]
) -> None:
    (entry,) = read(tmp_path / "ids.txt", f"# ids\n\n{line}\n")
    assert (entry.repo, entry.number, entry.commits) == (repo, number, commits)


@pytest.mark.parametrize("shape", ["lines", "list", "parquet"])
def test_rows_of_a_benchmark(tmp_path: Path, shape: str) -> None:
    path = tmp_path / ("rows.parquet" if shape == "parquet" else "rows.json")
    if shape == "parquet":
        pq.write_table(pa.Table.from_pylist([ROW, ROW]), path)
    else:
        rows = [ROW, ROW]
        path.write_text(json.dumps(rows) if shape == "list" else "\n".join(map(json.dumps, rows)))
    expected = Entry(
        name="Owner__name-12",
        instance_id="Owner__name-12",
        repo="owner/name",
        number=12,
        commits=(SHA,),
        patch="diff",
        statement="It fails.",
    )
    assert list(read_known(path)) == [expected] * 2


@pytest.mark.parametrize(
    ("row", "repo", "number"),
    [
        (
            {
                "org": "o",
                "repo": "n",
                "number": 3,
                "base": {"sha": SHA},
                "fix_patch": "diff",
                "resolved_issues": [{"title": "A", "body": None}],
            },
            "o/n",
            3,
        ),
        ({"instance_id": "a__b.12345678.bug__x", "repo": "swesmith/a__b.12345678"}, "a/b", None),
        ({"repo": "o/n", "pull_number": "7"}, "o/n", 7),
    ],
)
def test_rows_of_other_shapes(
    tmp_path: Path, row: dict[str, Any], repo: str, number: int | None
) -> None:
    (entry,) = read(tmp_path / "rows.jsonl", json.dumps(row))
    assert (entry.repo, entry.number) == (repo, number)


def test_a_short_sha_in_an_id_is_a_commit_and_digits_are_a_number() -> None:
    assert entry_of_id("o__n-0123abc456").commits == ("0123abc456",)
    assert entry_of_id("o__n-1234567").number == 1234567
    assert entry_of_id("anything").repo == ""


@pytest.mark.parametrize(
    ("name", "data", "words"),
    [
        ("ids.txt", b"", "names no problem"),
        ("ids.txt", b"# nothing\n", "names no problem"),
        ("ids.txt", b"owner__name-1\nhello world\n", "'hello'"),
        ("rows.jsonl", b'{"a": 1}\n', "names no problem"),
        ("rows.jsonl", b'{"a": \n', "no JSON"),
        ("rows.json", b"[1, 2", "no JSON"),
        ("rows.json", b"[1, 2]", "names no problem"),
        ("rows.txt", b"\xff\xfe\x00", "cannot be read"),
        ("rows.parquet", b"PAR1 no", "cannot be read"),
    ],
)
def test_what_is_no_list_is_refused_with_its_place(
    tmp_path: Path, name: str, data: bytes, words: str
) -> None:
    path = tmp_path / name
    path.write_bytes(data)
    with pytest.raises(UsageError) as caught:
        list(read_known(path))
    assert words in caught.value.what
    assert str(path) in caught.value.where


def test_an_absent_file_is_refused(tmp_path: Path) -> None:
    for name in ("none.txt", "none.parquet"):
        with pytest.raises(UsageError, match="cannot be read"):
            list(read_known(tmp_path / name))
