"""Which rows can be judged, and why the others cannot."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from tests.packing.corpus import write_jsonl

from regreen.train.data.candidates import as_text, read_candidates, said

ASK, ANSWER = {"role": "user", "content": "q"}, {"role": "assistant", "content": "a"}


def read(tmp_path: Path, *rows: dict[str, Any]) -> tuple[list[str], dict[str, int]]:
    refused = Counter[str]()
    path = write_jsonl(tmp_path / "r.jsonl", list(rows))
    return [one.name for one in read_candidates(path, refused)], dict(refused)


def test_good_rows_go_through_as_they_are(tmp_path: Path) -> None:
    row = {"messages": [ASK, ANSWER], "files": {"a/b.py": "x"}, "license": "MIT", "n": [1]}
    path = write_jsonl(tmp_path / "r.jsonl", [row])
    (found,) = read_candidates(path, Counter())
    assert found.row == row
    assert (list(found.prompt), found.answer) == ([ASK], ANSWER)
    assert found.files == {"a/b.py": "x"}


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        ({"text": "x"}, "has no messages"),
        ({"messages": []}, "does not end with an answer"),
        ({"messages": [ASK]}, "does not end with an answer"),
        ({"messages": [ASK, {"role": "assistant", "content": " "}]}, "is empty"),
        ({"messages": [ANSWER]}, "nobody asks"),
        ({"messages": [ASK, ANSWER], "files": {"/etc/passwd": "x"}}, "files"),
        ({"messages": [ASK, ANSWER], "files": {"../x": "x"}}, "files"),
        ({"messages": [ASK, ANSWER], "files": ["x"]}, "files"),
    ],
)
def test_rows_that_cannot_be_judged(tmp_path: Path, row: dict[str, Any], reason: str) -> None:
    names, refused = read(tmp_path, row, {"messages": [ASK, ANSWER]})
    assert names == ["r.jsonl:2"]
    assert [reason in words for words in refused] == [True]


def test_calls_are_shown_too() -> None:
    call = {"id": "1", "type": "function", "function": {"name": "ls", "arguments": "{}"}}
    message = {"role": "assistant", "content": None, "tool_calls": [call]}
    assert '"name": "ls"' in said(message)
    assert as_text([ASK, message]).startswith("[user]\nq\n\n[assistant]\n[")
