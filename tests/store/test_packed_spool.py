"""The spool of a packing job: what was committed stays, what was not is as if never written."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from regreen.core.errors import UsageError
from regreen.store.packed_spool import Spool
from regreen.store.rendered import AsideRow

JOB = {"settings": {"capacity": 8}, "sources": []}


def spool(path: Path, *, resume: bool = False, **job: object) -> Spool:
    return Spool(path / "spool", {**JOB, **job}, token_bytes=2, resume=resume)


def add(into: Spool, number: int, template: str = "hermes") -> None:
    tokens = np.arange(number, number + 3, dtype=np.uint32)
    labels = np.full(3, number, np.uint8)
    about = {"rollout_id": f"d{number}", "source": 0, "head": 1}
    into.append(tokens, labels, np.array([1, 2][: number % 3], np.int64), template, about)


def files(path: Path) -> dict[str, bytes]:
    return {p.name: p.read_bytes() for p in (path / "spool").iterdir() if p.name != ".writer"}


def test_what_was_not_committed_is_cut_off(tmp_path: Path) -> None:
    with spool(tmp_path) as first:
        add(first, 1)
        first.reject(AsideRow(rollout_id="r", reason="bad"))
        first.commit(2)
        committed = files(tmp_path)
        add(first, 2, "glm46")
        first.reject(AsideRow(rollout_id="s", reason="bad"))
    assert files(tmp_path) != committed
    (tmp_path / "spool" / "borders").write_bytes(b"torn by a crash, and longer than before")

    with spool(tmp_path, resume=True) as again:
        assert (again.read, again.documents, dict(again.reasons)) == (2, 1, {"bad": 1})
        add(again, 3, "glm46")
        add(again, 4)
        again.commit(4, complete=True)
        found = again.map()

        assert found.tokens.tolist() == [1, 2, 3, 3, 4, 5, 4, 5, 6]
        assert found.labels.tolist() == [1] * 3 + [3] * 3 + [4] * 3
        assert found.lengths.tolist() == [3, 3, 3]
        assert found.heads.tolist() == [1, 1, 1]
        assert found.templates.tolist() == [0, 1, 0]
        assert again.templates() == ["hermes", "glm46"]
        assert found.border_counts.tolist() == [1, 0, 1]
        assert again.complete


@pytest.mark.parametrize("name", ["tokens", "lengths", "documents.jsonl", "templates.jsonl"])
def test_a_file_that_lost_its_end_is_refused(tmp_path: Path, name: str) -> None:
    with spool(tmp_path) as first:
        add(first, 1)
        first.commit(1)
    path = tmp_path / "spool" / name
    path.write_bytes(path.read_bytes()[:-1])
    left = path.read_bytes()

    with pytest.raises(UsageError, match="not whole") as raised:
        spool(tmp_path, resume=True)
    assert raised.value.where == str(path)
    assert str(tmp_path) in raised.value.mend
    assert path.read_bytes() == left


@pytest.mark.parametrize("name", ["state.json", "templates.jsonl"])
@pytest.mark.parametrize("junk", ["[]", "{", "5555555555", "cut"])
def test_junk_in_what_the_spool_says_is_refused(tmp_path: Path, name: str, junk: str) -> None:
    with spool(tmp_path) as first:
        add(first, 1)
        first.commit(1)
    path = tmp_path / "spool" / name
    whole = path.read_text()
    path.write_text(whole[:-4] if junk == "cut" else junk.ljust(len(whole)))

    with pytest.raises(UsageError, match=r"not whole") as raised:
        spool(tmp_path, resume=True)
    assert len(raised.value.lines()) == 3


def test_a_state_with_columns_that_are_wrong_is_refused(tmp_path: Path) -> None:
    with spool(tmp_path) as first:
        add(first, 1)
        first.commit(1)
    state = tmp_path / "spool" / "state.json"
    whole = json.loads(state.read_text())
    wrong: dict[str, list[Any]] = {"sizes": [{}, []], "read": [-1], "job": [[]], "notes": [3]}
    for changes in ({key: value} for key, values in wrong.items() for value in values):
        state.write_text(json.dumps({**whole, **changes}))
        with pytest.raises(UsageError, match="not whole"):
            spool(tmp_path, resume=True)


def test_another_job_and_another_writer_are_refused(tmp_path: Path) -> None:
    with spool(tmp_path), pytest.raises(UsageError, match="another process"):
        spool(tmp_path, resume=True)
    with pytest.raises(UsageError, match="not finished"):
        spool(tmp_path)
    with pytest.raises(UsageError, match="other settings: settings"):
        spool(tmp_path, resume=True, settings={"capacity": 9})
    state = tmp_path / "spool" / "state.json"
    state.write_text(state.read_text().replace('"schema_version": 1', '"schema_version": 2'))
    with pytest.raises(UsageError, match="another version"):
        spool(tmp_path, resume=True)


def test_a_spool_that_was_only_begun_is_begun_again(tmp_path: Path) -> None:
    (tmp_path / "spool").mkdir()
    (tmp_path / "spool" / "tokens").write_bytes(b"abc")
    with spool(tmp_path, resume=True) as found:
        assert (found.read, found.documents) == (0, 0)
        found.commit(0)
        assert len(found.map().tokens) == 0
