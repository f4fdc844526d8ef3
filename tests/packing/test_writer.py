"""Packing to disk: every token once, heads before continuations, no trace of interruptions."""

from __future__ import annotations

import json
import re
from collections import Counter
from itertools import chain
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.packing.corpus import CONVERSATIONS, TOOLS, messages, write_jsonl

from regreen.core.errors import RegreenError, UsageError
from regreen.packing.planner import POLICIES
from regreen.packing.rendering import Document, Made, Rendering, formats_used
from regreen.packing.settings import PackConfig
from regreen.packing.sources import read_units
from regreen.packing.vocabulary import open_vocabulary, record_vocabulary
from regreen.packing.writer import PackJob, pack
from regreen.store.packed import PackedShards
from regreen.store.packed_header import ROLES
from regreen.store.rendered import AsideRow
from regreen.store.trajectory_sets import read_trajectories
from regreen.templates.diversity.draw import DiversityConfig

CONTEXT = ROLES.index("context")


def job(
    out: Path, *sources: Path, diversity: DiversityConfig | None = None, **given: Any
) -> PackJob:
    ours = {key: given.pop(key) for key in ("workers", "resume", "commit_every") if key in given}
    config = PackConfig(**{"tokenizer": "bytes", "tool_format": "hermes", **given})
    vocabulary = record_vocabulary("bytes", formats_used(config, diversity), config.end_of_text)
    rendering = Rendering(config=config, vocabulary=vocabulary, diversity=diversity)
    return PackJob(sources=sources, out=out, rendering=rendering, **ours)


def documents(work: PackJob) -> list[Document]:
    """The documents as they are in memory, without any file of ours between."""
    found = [work.rendering(row.unit) for row in read_units(work.sources)]  # type: ignore[arg-type]
    return [document for one in found if isinstance(one, Made) for document in one.documents]


def check_rows(work: PackJob, wanted: list[Document]) -> Counter[int]:
    """Each piece is what the document holds there, behind its head; returns how often each token
    of each document stands as more than context."""
    shards = PackedShards(work.out)
    assert len(wanted) == shards.header.num_documents
    seen: Counter[int] = Counter()
    for row in shards:
        assert 0 < row.used <= shards.header.capacity == len(row.tokens)
        assert not row.labels[row.used :].any()
        assert (row.tokens[row.used :] == shards.header.vocabulary.pad).all()
        for place, number in enumerate(row.document.tolist()):
            document = wanted[number]
            slots = slice(int(row.borders[place]), int(row.borders[place + 1]))
            start, head = int(row.start[place]), int(row.head[place])
            tokens, labels = row.tokens[slots].tolist(), row.labels[slots].tolist()
            stop = start + len(tokens) - head
            assert tokens[:head] == document.tokens[:head].tolist()
            assert tokens[head:] == document.tokens[start:stop].tolist()
            assert labels[:head] == [CONTEXT] * head
            assert not head or labels[head] == CONTEXT
            assert shards.templates[row.template[place]] == document.template
            for at, label in enumerate(labels[head:], start):
                first_behind_head = head and at == start
                if label != CONTEXT or first_behind_head:
                    seen[number << 32 | at] += 1
                assert label in {document.labels[at], CONTEXT}
    return seen


SOURCES = st.tuples(
    st.lists(CONVERSATIONS, min_size=1, max_size=5),
    st.lists(st.text("abc é\n", min_size=1, max_size=900), max_size=4),
)


@given(SOURCES, st.sampled_from(sorted(set(POLICIES) - {"best-fit"})), st.integers(1, 1500))
@settings(max_examples=20)
def test_every_token_stands_once_and_rows_read_back(
    sources: tuple[list[Any], list[str]], policy: str, shard_tokens: int
) -> None:
    with TemporaryDirectory() as name:
        chats = write_jsonl(
            Path(name) / "chats.jsonl", [{"messages": rows, "tools": TOOLS} for rows in sources[0]]
        )
        texts = write_jsonl(Path(name) / "texts.jsonl", [{"text": text} for text in sources[1]])
        work = job(
            Path(name) / "out",
            *([chats, texts] if sources[1] else [chats]),
            capacity=700,
            policy=policy,
            shard_tokens=shard_tokens,
        )
        wanted = documents(work)
        if not wanted:
            return
        header = pack(work)
        seen = check_rows(work, wanted)
        PackedShards(work.out).verify()

    told = header.statistics
    assert set(seen.values()) <= {1}
    assert len(seen) + told["tokens_left_out"] == sum(len(document.tokens) for document in wanted)
    if policy == "best-fit-heads":
        assert told["tokens_left_out"] == told["headless_tokens"] == told["forced_cuts"] == 0


def test_continuations_of_a_trajectory_begin_with_its_head(tmp_path: Path) -> None:
    steps = [(f"step {number}", [(f"run {number}", "r" * 150)]) for number in range(9)]
    rows = [{"messages": messages("You are careful.", "Mend it.", steps), "tools": TOOLS}]
    work = job(tmp_path / "out", write_jsonl(tmp_path / "a.jsonl", rows), capacity=1500)
    header = pack(work)
    decode = open_vocabulary("bytes", work.rendering.vocabulary).decode

    assert header.statistics["documents_cut"] == 1
    found = sorted(PackedShards(work.out), key=lambda row: int(row.start[0]))
    assert len(found) > 2
    trained = ""
    for row in found:
        text = decode(row.tokens[: row.used].tolist())
        assert text.startswith("<|im_start|>system\n")
        assert "You are careful." in text
        assert "Runs a command." in text
        if row.start[0]:
            body = decode(row.tokens[int(row.head[0]) : row.used].tolist())
            assert body.startswith("<|im_start|>assistant\nstep")
        written = decode(row.tokens[row.loss_mask].tolist())
        assert "You are careful" not in written
        assert "rrr" not in written
        trained += written
        assert row.weights[row.loss_mask].all()
        assert not row.weights[~row.loss_mask].any()
    assert [f"step {number}" in trained for number in range(9)] == [True] * 9
    assert trained.count("<|im_end|>") == 9


def corpus(path: Path, count: int = 14) -> list[Path]:
    """A file of trajectories, a broken row among them, and a file of texts."""
    rows: list[dict[str, Any]] = [
        {"messages": messages("S", f"task {n}", [("x" * 40 * n, [("c", "r" * 30 * n)])])}
        for n in range(count)
    ]
    rows.insert(3, {"messages": [{"role": "user", "content": "only a question"}]})
    rows.insert(5, {"messages": "no list"})
    rows.insert(6, {})
    texts = [{"text": "abc " * (20 * n + 1)} for n in range(count)] + [{"text": 5}]
    return [write_jsonl(path / "chats.jsonl", rows), write_jsonl(path / "texts.jsonl", texts)]


def content(out: Path) -> dict[str, bytes]:
    return {str(path.relative_to(out)): path.read_bytes() for path in out.rglob("*")}


class Stop(Exception):
    """Ends a job in the middle."""


def test_an_interrupted_job_ends_with_the_same_bytes(tmp_path: Path) -> None:
    sources = corpus(tmp_path)
    diversity = DiversityConfig(seed=1)

    def work(name: str, **given: Any) -> PackJob:
        out = tmp_path / name
        return job(out, *sources, diversity=diversity, capacity=900, shard_tokens=6000, **given)

    steps: list[str] = []
    pack(work("whole", commit_every=9), steps.append)
    whole = content(tmp_path / "whole")
    pack(work("other", commit_every=100))

    assert content(tmp_path / "other") == whole
    assert len(steps) > 5
    for cut in range(len(steps)):
        name, told = f"cut{cut}", [0]

        def stop(text: str, at: int = cut, told: list[int] = told) -> None:
            told[0] += 1
            if told[0] > at:
                raise Stop(text)

        with pytest.raises(Stop):
            pack(work(name, commit_every=9), stop)
        for path in (tmp_path / name / "spool").iterdir():
            if path.name not in {"state.json", ".writer"}:
                with path.open("ab") as file:
                    file.write(b"torn")
        (tmp_path / name / ".shard-00000.rows.x.tmp").write_bytes(b"torn")
        pack(work(name, commit_every=5, resume=True))
        assert content(tmp_path / name) == whole, cut


@pytest.mark.parametrize("recorded", [True, False])
def test_a_file_of_rows_that_was_damaged_meanwhile_is_written_anew(
    tmp_path: Path, recorded: bool
) -> None:
    sources = corpus(tmp_path)
    work: dict[str, Any] = {"capacity": 900, "shard_tokens": 6000}
    pack(job(tmp_path / "whole", *sources, **work))

    def stop(text: str) -> None:
        if text.startswith("2 of"):
            raise Stop(text)

    with pytest.raises(Stop):
        pack(job(tmp_path / "out", *sources, **work), stop)
    shard = tmp_path / "out" / "shard-00000.rows"
    content_of = bytearray(shard.read_bytes())
    content_of[200] ^= 1  # a token, of which the shape says nothing
    shard.write_bytes(content_of)
    if not recorded:
        state = tmp_path / "out" / "spool" / "state.json"
        state.write_text(json.dumps({**json.loads(state.read_text()), "finished": {}}))
    pack(job(tmp_path / "out", *sources, **work, resume=True))
    assert content(tmp_path / "out") == content(tmp_path / "whole")


def test_several_processes_write_the_same_bytes(tmp_path: Path) -> None:
    sources = corpus(tmp_path, 40)
    for name, workers in (("one", 1), ("two", 2)):
        pack(job(tmp_path / name, *sources, capacity=900, workers=workers))

    assert content(tmp_path / "one") == content(tmp_path / "two")


def test_the_seed_decides_the_order(tmp_path: Path) -> None:
    sources = corpus(tmp_path)
    for name, seed in (("a", 0), ("b", 0), ("c", 1)):
        pack(job(tmp_path / name, *sources, capacity=900, seed=seed))

    rows = {
        name: [row.document.tolist() for row in PackedShards(tmp_path / name)] for name in "abc"
    }
    assert content(tmp_path / "a") == content(tmp_path / "b")
    assert rows["a"] != rows["c"]
    assert sorted(chain(*rows["a"])) == sorted(chain(*rows["c"]))


def test_bad_rows_are_kept_with_their_reason_and_can_be_packed_again(tmp_path: Path) -> None:
    header = pack(job(tmp_path / "out", *corpus(tmp_path), capacity=900))
    rejected = tmp_path / "out" / "rejected.jsonl"
    rows = [AsideRow.model_validate(json.loads(line)) for line in rejected.read_text().splitlines()]

    assert [row.rollout_id for row in rows] == ["chats:4", "chats:6", "chats:7", "texts:15"]
    assert rows[0].reason == "no answer of a model is in it"
    assert [row.row for row in rows[1:]] == [{"messages": "no list"}, {}, {"text": 5}]
    assert sum(header.statistics["rejected"].values()) == 4
    assert header.statistics["rows_read"] == 32
    rejected.write_text("".join(rejected.read_text().splitlines(keepends=True)[:2]))
    assert [row.rollout_id for row in read_trajectories(rejected, lambda *_: None)] == ["chats:4"]


def test_columns_beside_bare_messages_are_passed_over(tmp_path: Path) -> None:
    rows = messages("S", "task", [("said", [])])
    odd = {"messages": rows, "prompt_id": "x", "task": "kept", "model": None}
    work = job(tmp_path / "out", write_jsonl(tmp_path / "a.jsonl", [odd, {"messages": rows}]))

    assert pack(work).num_documents == 2
    assert [PackedShards(work.out).document(number).task for number in range(2)] == ["kept", ""]


def test_a_text_file_is_packed_as_it_is(tmp_path: Path) -> None:
    path, empty = tmp_path / "a.txt", tmp_path / "b.txt"
    path.write_bytes(b"one\r\ntwo\rthree\n")
    empty.touch()
    work = job(tmp_path / "out", path, empty)

    assert pack(work).statistics["rejected"] == {"the row is neither a trajectory nor a text": 1}
    row = PackedShards(work.out)[0]
    decode = open_vocabulary("bytes", work.rendering.vocabulary).decode
    assert decode(row.tokens[: row.used].tolist()) == "one\r\ntwo\rthree\n<|endoftext|>"
    aside = json.loads((work.out / "rejected.jsonl").read_text())
    assert (aside["rollout_id"], aside["row"]) == ("b.txt", {"text": ""})


def test_nothing_to_pack_is_said(tmp_path: Path) -> None:
    only = write_jsonl(tmp_path / "a.jsonl", [{"messages": [{"role": "user", "content": "x"}]}])
    with pytest.raises(RegreenError, match="none of 1 row became") as raised:
        pack(job(tmp_path / "out", only))
    assert raised.value.exit_code == 1
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["rejected.jsonl"]
    good = write_jsonl(tmp_path / "b.jsonl", [{"text": "x"}])
    assert pack(job(tmp_path / "out", good)).num_rows == 1
    assert not (tmp_path / "out" / "rejected.jsonl").exists()

    empty = write_jsonl(tmp_path / "c.jsonl", [])
    with pytest.raises(UsageError, match="nothing in the sources"):
        pack(job(tmp_path / "empty", empty))
    assert pack(job(tmp_path / "empty", good)).num_rows == 1


@pytest.mark.parametrize("workers", [1, 2])
def test_a_job_that_fails_at_once_leaves_nothing_in_the_way(tmp_path: Path, workers: int) -> None:
    source = tmp_path / "a.jsonl"
    source.write_text('{"text": "x"}\n{"te')
    with pytest.raises(UsageError, match="not JSON"):
        pack(job(tmp_path / "out", source, workers=workers))
    assert not list((tmp_path / "out").iterdir())
    source.write_text('{"text": "x"}\n')
    assert pack(job(tmp_path / "out", source)).num_rows == 1


def test_a_job_that_fails_later_says_how_to_begin_anew(tmp_path: Path) -> None:
    source = tmp_path / "a.jsonl"
    source.write_text('{"text": "x"}\n{"text": "y"}\n{"te')
    with pytest.raises(UsageError, match="not JSON"):
        pack(job(tmp_path / "out", source, commit_every=1))
    source.write_text('{"text": "x"}\n')
    for resume in (False, True):
        with pytest.raises(UsageError, match="begun here") as raised:
            pack(job(tmp_path / "out", source, resume=resume))
        assert "begin anew" in raised.value.mend


def test_what_is_there_is_not_written_over(tmp_path: Path) -> None:
    sources = corpus(tmp_path)
    header = pack(job(tmp_path / "out", *sources))

    with pytest.raises(UsageError, match="already"):
        pack(job(tmp_path / "out", *sources))
    assert pack(job(tmp_path / "out", *sources, resume=True)) == header
    with pytest.raises(UsageError, match="other settings"):
        pack(job(tmp_path / "out", *sources, resume=True, seed=5))
    sources[1].write_text('{"text": "changed"}\n')
    with pytest.raises(UsageError, match="other settings or sources"):
        pack(job(tmp_path / "out", *sources, resume=True))
    with pytest.raises(UsageError, match="holds files"):
        pack(job(tmp_path, *sources))


def test_the_report_counts_what_is_in_the_rows(tmp_path: Path) -> None:
    work = job(tmp_path / "out", *corpus(tmp_path), capacity=900, weights={"tool": 0.5})
    told = pack(work).statistics
    rows = list(PackedShards(work.out))
    counts = Counter(ROLES[role] for row in rows for role in row.roles.tolist())
    loss = sum(int(row.loss_mask.sum()) for row in rows)

    assert {role: row["tokens"] for role, row in told["roles"].items()} == counts
    assert sum(row["loss_tokens"] for row in told["roles"].values()) == loss
    assert told["padding_tokens"] == counts["pad"]
    assert told["fill"] == pytest.approx(sum(row.used for row in rows) / (900 * len(rows)))
    assert told["templates"]["hermes"]["documents"] == 14
    assert told["templates"]["plain text"]["documents"] == 14
    assert sum(told["document_lengths"]["counts"]) == 28
    assert {0.0, 0.5, 1.0} == {weight for row in rows for weight in row.weights.tolist()}
    text = (work.out / "report.md").read_text()
    assert f"{len(rows)} rows of 900 tokens" in text
    assert "█" in text
    shares = dict(re.findall(r"^ *(\w+) .* ([\d.]+) % of the loss$", text, re.MULTILINE))
    sums = {
        role: sum(float(row.weights[row.roles == place].sum()) for row in rows)
        for place, role in enumerate(ROLES)
    }
    assert set(shares) == set(told["roles"])
    for role, share in shares.items():
        assert float(share) == pytest.approx(100 * sums[role] / sum(sums.values()), rel=0.01)
