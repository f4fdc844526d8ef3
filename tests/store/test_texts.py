"""Text rows: other people's with nothing but a text, ours with all that they say."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from regreen.core.errors import UsageError
from regreen.store.jsonl import encode_row
from regreen.store.texts import TextPart, TextRow, holds_texts, read_texts


def read(path: Path, *rows: dict[str, Any]) -> tuple[list[TextRow], list[str]]:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    refused: list[str] = []
    return list(read_texts(path, lambda name, row, why: refused.append(why))), refused


def test_our_rows_come_back_as_they_were(tmp_path: Path) -> None:
    row = TextRow(
        name="flask/app.py#0",
        text="<|fim_prefix|>a\r\n<|fim_middle|>b",
        masked=((0, 31),),
        specials=((0, 14), (17, 31)),
        closed=True,
        parts=(TextPart(start=14, end=17, origin="r:a"),),
        license="MIT",
    )
    path = tmp_path / "t.jsonl"
    path.write_bytes(encode_row(row.model_dump(mode="json")))
    assert holds_texts(path)
    assert list(read_texts(path, lambda *_: None)) == [row]


def test_other_peoples_columns_mean_nothing(tmp_path: Path) -> None:
    rows, refused = read(tmp_path / "t.jsonl", {"text": "a", "parts": 3, "license": None})
    assert rows == [TextRow(name="t:1", text="a")]
    assert not refused


@pytest.mark.parametrize(
    "more",
    [
        {"masked": [[0, 9]]},
        {"masked": [[1, 1]]},
        {"masked": [[1, 2], [0, 1]]},
        {"specials": [[0, 2], [1, 3]]},
        {"specials": ["<|a|>"]},
        {"masked": [[-1, 2]]},
    ],
)
def test_stretches_outside_the_text_are_refused(tmp_path: Path, more: dict[str, Any]) -> None:
    rows, refused = read(tmp_path / "t.jsonl", {"text": "abc", **more}, {"text": "d"})
    assert [row.text for row in rows] == ["d"]
    assert len(refused) == 1


def test_another_version_is_not_read(tmp_path: Path) -> None:
    row = {"schema_name": "regreen.text", "schema_version": 2, "name": "x", "text": "a"}
    with pytest.raises(UsageError, match="version 2"):
        read(tmp_path / "t.jsonl", row)
