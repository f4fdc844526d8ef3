"""Packed shards: what is written is what is read, nothing is read early, damage is refused."""

from __future__ import annotations

import json
import pickle
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from regreen.core.errors import UsageError
from regreen.store.packed import PackedRow, PackedShards
from regreen.store.packed_documents import DOCUMENTS, INDEX, TEMPLATES, PackedDocument, index_lines
from regreen.store.packed_header import (
    LOSS,
    ROLES,
    FileRecord,
    PackedHeader,
    VocabularyRecord,
    read_header,
    role_weights,
    write_header,
)
from regreen.store.packed_shard import ShardShape, ShardTable, digest_of, write_shard

CAPACITY = 12


@dataclass(frozen=True)
class Content:
    """Rows of pieces, as lists; a piece is its document, start, head and labelled tokens."""

    rows: list[list[tuple[int, int, int, list[tuple[int, int]]]]]
    token_bytes: int = 2
    rows_per_shard: int = 3


def write(directory: Path, content: Content) -> PackedHeader:
    directory.mkdir(exist_ok=True)
    shards = []
    for number, first in enumerate(range(0, len(content.rows), content.rows_per_shard)):
        rows = content.rows[first : first + content.rows_per_shard]
        tokens = np.full((len(rows), CAPACITY), 9, f"<u{content.token_bytes}")
        labels = np.zeros((len(rows), CAPACITY), np.uint8)
        counts, borders, pieces = [0], [], []
        for place, row in enumerate(rows):
            at = 0
            for document, start, head, slots in row:
                borders.append(at)
                pieces.append((document, start, head))
                for token, label in slots:
                    tokens[place, at], labels[place, at] = token, label
                    at += 1
            borders.append(at)
            counts.append(counts[-1] + len(row))
        columns = np.array(pieces, np.int64).reshape(-1, 3).T
        table = ShardTable(
            np.array(counts), np.array(borders), *columns, template=np.zeros(len(pieces), int)
        )
        shape = ShardShape(content.token_bytes, CAPACITY, len(rows), len(pieces))
        path = directory / f"shard-{number:05}.rows"
        halves = (slice(0, 1), slice(1, None))
        shards.append(
            write_shard(
                path, shape, [tokens[s] for s in halves], [labels[s] for s in halves], table
            )
        )
    lines = [
        PackedDocument(rollout_id=f"d{n}", source=0, template=0, length=n + 1, head=0)
        .model_dump_json()
        .encode()
        + b"\n"
        for n in range(3)
    ]
    (directory / DOCUMENTS).write_bytes(b"".join(lines))
    (directory / INDEX).write_bytes(np.array(list(index_lines(lines)), "<i8").tobytes())
    (directory / TEMPLATES).write_text('"hermes"\n')
    header = PackedHeader(
        capacity=CAPACITY,
        policy="concat",
        seed=0,
        vocabulary=VocabularyRecord(name="bytes", digest="", size=256, pad=9),
        token_bytes=content.token_bytes,  # type: ignore[arg-type]
        weights=role_weights({}),
        config={},
        config_digest="",
        sources=(),
        num_rows=len(content.rows),
        rows_per_shard=content.rows_per_shard,
        num_documents=3,
        num_templates=1,
        shards=tuple(shards),
        files=tuple(
            FileRecord(
                name=n, bytes=(directory / n).stat().st_size, digest=digest_of(directory / n)
            )
            for n in (DOCUMENTS, INDEX, TEMPLATES)
        ),
        statistics={},
    )
    write_header(directory, header)
    return header


LABELS = st.builds(lambda role, loss: role | loss, st.integers(1, 10), st.sampled_from([0, LOSS]))
SLOTS = st.lists(st.tuples(st.integers(0, 65535), LABELS), min_size=1, max_size=5)
PIECES = st.tuples(st.integers(0, 2), st.integers(0, 1 << 40), st.integers(0, 3), SLOTS)
ROWS = st.lists(PIECES, min_size=1, max_size=2)


def told(row: PackedRow) -> list[tuple[int, int, int, list[tuple[int, int]]]]:
    slots = list(zip(row.tokens.tolist(), row.labels.tolist(), strict=True))
    return [
        (int(d), int(s), int(h), slots[row.borders[k] : row.borders[k + 1]])
        for k, (d, s, h) in enumerate(zip(row.document, row.start, row.head, strict=True))
    ]


@given(st.lists(ROWS, min_size=1, max_size=8), st.sampled_from([2, 4]), st.integers(1, 4))
@settings(max_examples=40)
def test_rows_come_back_as_they_were_written(
    rows: list[Any], token_bytes: int, rows_per_shard: int
) -> None:
    with TemporaryDirectory() as name:
        write(Path(name) / "p", Content(rows, token_bytes, rows_per_shard))
        shards = PackedShards(Path(name) / "p")

        assert [told(row) for row in shards] == rows
        assert told(shards[-1]) == rows[-1]
        for row in shards:
            assert (row.tokens[row.used :] == 9).all()
            assert not row.labels[row.used :].any()
            assert row.loss_mask.tolist() == [label >= LOSS for label in row.labels]
            roles = [ROLES[role] for role in row.roles]
            assert row.weights.tolist() == [shards.weights.get(role, 0.0) for role in roles]
        shards.verify()


@pytest.fixture
def packed(tmp_path: Path) -> Path:
    rows = [[(0, 0, 0, [(5, ROLES.index("tool")), (6, LOSS | ROLES.index("call"))])]] * 7
    write(tmp_path / "p", Content(rows))
    return tmp_path / "p"


def test_a_row_is_a_view_of_the_file_that_cannot_be_written(packed: Path) -> None:
    shards = PackedShards(packed)
    row = shards[4]

    assert np.shares_memory(row.tokens, shards.shard(1).tokens)
    assert np.shares_memory(row.labels, shards.shard(1).labels)
    assert not row.tokens.flags.writeable


def test_it_is_a_sequence(packed: Path) -> None:
    shards = PackedShards(packed)

    assert len(shards) == len(list(shards)) == len(shards[:]) == 7
    assert len(shards[2:5]) == 3
    for index in (7, -8):
        with pytest.raises(IndexError, match="of 7"):
            shards[index]


def test_opening_reads_no_shard(packed: Path) -> None:
    for path in packed.glob("shard-*"):
        path.unlink()
    shards = PackedShards(packed)

    assert len(shards) == 7
    with pytest.raises(UsageError, match="No such file"):
        shards[0]


def test_weights_can_be_changed_at_reading(packed: Path) -> None:
    row = PackedShards(packed, weights={"tool": 0.25, "call": 2.0})[0]

    assert row.weights[:3].tolist() == [0.25, 2.0, 0.0]
    assert PackedShards(packed)[0].weights[:3].tolist() == [0.0, 1.0, 0.0]
    with pytest.raises(UsageError, match="'tools'"):
        PackedShards(packed, weights={"tools": 1})
    for wrong in ("x", None, float("nan"), -1):
        with pytest.raises(UsageError, match="is no weight") as raised:
            PackedShards(packed, weights={"tool": wrong})  # type: ignore[dict-item]
        assert "tool" in raised.value.where


def test_a_set_goes_to_another_process(packed: Path) -> None:
    shards = PackedShards(packed, weights={"tool": 0.5})
    shards[0]
    again = pickle.loads(pickle.dumps(shards))

    assert told(again[6]) == told(shards[6])
    assert again[6].weights.tolist() == shards[6].weights.tolist()


def test_documents_and_templates_are_found(packed: Path) -> None:
    shards = PackedShards(packed)

    assert [shards.document(n).rollout_id for n in range(3)] == ["d0", "d1", "d2"]
    assert shards.templates == ("hermes",)
    with pytest.raises(UsageError, match="no document 3 of 3"):
        shards.document(3)


def test_a_shard_that_was_written_over_is_told(packed: Path) -> None:
    path = packed / "shard-00001.rows"
    whole, places = path.read_bytes(), ShardShape(2, CAPACITY, 3, 3).sections()
    for name, read in (
        ("document", lambda shards: shards.document(int(shards[3].document[0]))),
        ("rows", lambda shards: shards[3]),
    ):
        content = bytearray(whole)
        content[places[name][1] : places[name][1] + 8] = b"\x7f" * 8
        path.write_bytes(content)
        with pytest.raises(UsageError) as raised:
            read(PackedShards(packed))
        assert len(raised.value.lines()) == 3
        assert "verify()" in raised.value.mend


@pytest.mark.parametrize("content", ['"herm', "", "5\n", '"hermes"\n"glm46"\n', "{}\n"])
def test_templates_that_cannot_be_read_are_told(packed: Path, content: str) -> None:
    (packed / TEMPLATES).write_text(content)
    with pytest.raises(UsageError, match="templates") as raised:
        _ = PackedShards(packed).templates
    assert len(raised.value.lines()) == 3


def edit(path: Path, **changes: Any) -> None:
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))


def test_unknown_headers_are_refused(packed: Path) -> None:
    header = packed / "header.json"
    told = header.read_text()
    for changes, words in (
        ({"schema_name": "other"}, "'other'"),
        ({"schema_version": 2}, "version 2"),
        ({"capacity": "wide"}, "capacity"),
        ({"new_column": 1}, "new_column"),
        ({"num_rows": 8}, "contradicts"),
        ({"roles": ["pad"]}, "contradicts"),
        ({"rows_per_shard": 0}, "rows_per_shard"),
        ({"rows_per_shard": 1}, "contradicts"),
        ({"rows_per_shard": 4}, "contradicts"),
        ({"rows_per_shard": -3}, "rows_per_shard"),
        ({"capacity": -1}, "capacity"),
        ({"capacity": 10**30}, "capacity"),
    ):
        edit(header, **changes)
        with pytest.raises(UsageError, match=words) as raised:
            PackedShards(packed)
        assert len(raised.value.lines()) == 3
        header.write_text(told)
    header.write_text("{")
    with pytest.raises(UsageError, match="not JSON"):
        read_header(packed)


def test_a_place_without_a_header_is_told_apart(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no packed shards"):
        PackedShards(tmp_path)
    (tmp_path / "spool").mkdir()
    with pytest.raises(UsageError, match="has not finished") as raised:
        PackedShards(tmp_path)
    assert "--resume" in raised.value.mend


def test_shards_that_are_not_whole_are_refused(packed: Path) -> None:
    path, other = packed / "shard-00000.rows", packed / "shard-00002.rows"
    whole = path.read_bytes()
    for content, words in (
        (whole[:-1], "bytes and should have"),
        (whole + b"\0", "bytes and should have"),
        (whole[:40], "no shard"),
        (b"", "no shard"),
        (b"x" + whole[1:], "no shard"),
        (whole[:16] + b"\x07" + whole[17:], "version 7"),
        (other.read_bytes(), "not the one"),
    ):
        path.write_bytes(content)
        with pytest.raises(UsageError, match=words) as raised:
            PackedShards(packed)[0]
        assert len(raised.value.lines()) == 3


@pytest.mark.parametrize("name", ["shard-00001.rows", DOCUMENTS, INDEX, TEMPLATES])
def test_a_changed_byte_is_found_when_asked(packed: Path, name: str) -> None:
    content = bytearray((packed / name).read_bytes())
    content[len(content) // 2] ^= 1
    (packed / name).write_bytes(content)

    shards = PackedShards(packed)
    with pytest.raises(UsageError, match="not as it was written"):
        shards.verify()


def test_reading_loads_numpy_and_no_torch() -> None:
    code = "import sys, regreen.store.packed; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert "numpy" in done.stdout.split()
    assert not {"torch", "tokenizers", "pyarrow"} & set(done.stdout.split())
