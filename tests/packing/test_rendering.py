"""Units to documents: the renderer's own ids and mask, one document a segment, all or none."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import pytest
from tests.packing.corpus import TOOLS, messages

from regreen.core.trajectory import Trajectory
from regreen.packing.rendering import Document, Made, Refused, Rendering, formats_used
from regreen.packing.settings import PackConfig
from regreen.packing.vocabulary import open_vocabulary, record_vocabulary
from regreen.store.packed_header import LOSS, ROLES
from regreen.store.texts import TextRow
from regreen.store.trajectory_sets import read_trajectories
from regreen.templates.diversity.draw import DiversityConfig, draw, drawn_format
from regreen.templates.registry import FORMATS
from regreen.templates.tokens.renderer import Renderer

RECORDED = list(
    read_trajectories(Path(__file__).parents[1] / "templates" / "data" / "scripted.jsonl")
)


def rendering(*, diversity: DiversityConfig | None = None, **given: Any) -> Rendering:
    config = PackConfig(**{"tokenizer": "bytes", "capacity": 1 << 20, **given})
    vocabulary = record_vocabulary("bytes", formats_used(config, diversity), config.end_of_text)
    return Rendering(config=config, vocabulary=vocabulary, diversity=diversity)


def made(found: Made | Refused) -> list[Document]:
    assert isinstance(found, Made), found
    return found.documents


def noted(found: Made | Refused) -> list[str]:
    assert isinstance(found, Made), found
    return found.notes


@pytest.mark.parametrize("name", sorted(FORMATS))
def test_ids_and_mask_are_those_of_the_renderer(name: str) -> None:
    render = rendering(tool_format=name)
    tokenizer = open_vocabulary("bytes", render.vocabulary)
    for row in RECORDED:
        found = render(row)
        if isinstance(found, Refused):
            assert name not in {"qwen3_coder", "hermes", "glm46"}, found
            continue
        (document,) = found.documents
        wanted = Renderer(drawn_format(name), tokenizer).encode(row.messages, row.tools, close=True)
        if name in {"qwen3_coder", "hermes", "glm46"}:
            assert document.tokens.tolist() == wanted.ids
            assert (document.labels >= LOSS).tolist() == [bool(m) for m in wanted.loss_mask()]
        assert len(document.tokens) == len(document.labels)
        assert (document.labels[: document.head] == ROLES.index("system")).all()
        assert document.template == name


def test_roles_are_what_the_messages_say() -> None:
    said = {"role": "assistant", "content": "said", "reasoning_content": "thought"}
    rows = [*messages("sys", "task", [("calls", [("ls", "out")])]), said]
    render = rendering(tool_format="glm46")
    (document,) = made(
        render(Trajectory(rollout_id="r", task="", agent="", messages=rows, tools=TOOLS))
    )
    tokenizer = open_vocabulary("bytes", render.vocabulary)
    by_role = {
        role: tokenizer.decode(document.tokens[(document.labels & (LOSS - 1)) == place].tolist())
        for place, role in enumerate(ROLES)
    }

    assert "sys" in by_role["system"]
    assert "Runs a command." in by_role["system"]
    assert by_role["user"].strip() == "task" or "task" in by_role["user"]
    assert "out" in by_role["tool"]
    assert "ls" in by_role["call"]
    assert "calls" in by_role["assistant"]
    assert "said" in by_role["assistant"]
    assert "thought" in by_role["reasoning"]
    assert "<|observation|>" in by_role["end"]
    assert by_role["end"].endswith("<|user|>"), "the last answer is trained to stop too"
    assert by_role["pad"] == by_role["context"] == by_role["text"] == ""


def test_each_segment_is_a_document() -> None:
    rows = messages("sys", "task", [("one", []), ("two", [])])
    row = Trajectory(
        rollout_id="r", task="", agent="", messages=rows, segments=((0, 3), (0, 4), (0, 4))
    )

    found = made(rendering()(row))
    assert [document.segment for document in found] == [0, 1, 2]
    assert len(found[0].tokens) < len(found[1].tokens) == len(found[2].tokens)
    broken = row.model_copy(update={"segments": ((0, 3), (0, 2))})
    assert rendering()(broken) == Refused("no answer of a model is in it", "")


def test_what_cannot_be_said_is_refused_with_a_reason() -> None:
    rows: list[tuple[list[Any], str]] = [
        ([], "no answer"),
        ([{"role": "user", "content": "x"}], "no answer"),
        ([{"role": "robot"}, {"role": "assistant", "content": "x"}], "no known role"),
        ([{"role": "tool", "content": "x"}, {"role": "assistant", "content": "x"}], "no call"),
    ]
    for conversation, reason in rows:
        found = rendering()(Trajectory(rollout_id="r", task="", agent="", messages=conversation))
        assert isinstance(found, Refused)
        assert reason in found.reason
    long = messages("", "task", [("", [("x" * 900, "")])])
    row = Trajectory(rollout_id="r", task="", agent="", messages=long, tools=TOOLS)
    found = rendering(capacity=600)(row)
    assert isinstance(found, Refused)
    assert "longer than a row" in found.reason or "fills a row" in found.reason
    assert made(rendering(capacity=600, policy="best-fit-split")(row))


def test_a_text_ends_in_the_mark() -> None:
    render = rendering()
    (document,) = made(render(TextRow(name="t", text="Hallo é")))

    end = render.vocabulary.end_of_text
    assert document.tokens.tolist() == [*"Hallo é".encode(), end]
    assert (document.labels >= LOSS).all()
    assert [ROLES[label - LOSS] for label in document.labels[-2:]] == ["text", "end"]


def test_what_no_utf8_can_hold_is_noted() -> None:
    (note,) = noted(rendering()(TextRow(name="t", text="a\ud800b")))
    assert "surrogate" in note
    rows = messages("sys", "task \ud800", [("said", [])])
    assert noted(rendering()(Trajectory(rollout_id="r", task="", agent="", messages=rows))) == [
        note
    ]
    rows = messages("sys", "task", [("", [("\udfff", "")])])
    row = Trajectory(rollout_id="r", task="", agent="", messages=rows, tools=TOOLS)
    assert note in noted(rendering()(row))
    assert noted(rendering()(TextRow(name="t", text="a\U0001f600b"))) == []


def test_templates_are_drawn_by_the_trajectory() -> None:
    diversity = DiversityConfig(seed=3)
    render = pickle.loads(pickle.dumps(rendering(diversity=diversity)))
    found = [
        render(RECORDED[0].model_copy(update={"rollout_id": f"r{number}"})) for number in range(12)
    ]
    kept = [one.documents[0].template for one in found if isinstance(one, Made)]

    assert len(set(kept)) > 4
    assert set(kept) <= {str(draw(diversity, f"r{number}")) for number in range(12)}


def test_vocabularies_are_recorded(tmp_path: Path) -> None:
    one = record_vocabulary("bytes", ["qwen3_coder"], "<|endoftext|>")
    assert one.specials == ("<|im_start|>", "<|im_end|>", "<|endoftext|>")
    assert (one.size, one.pad, one.end_of_text) == (259, 258, 258)
    other = record_vocabulary("bytes", ["qwen3_coder"], "")
    assert (other.pad, other.end_of_text) == (0, None)
    assert record_vocabulary("bytes", ["glm46"], "").digest != other.digest

    from tokenizers import Tokenizer
    from tokenizers.models import WordLevel

    path = tmp_path / "tokenizer.json"
    inner = Tokenizer(WordLevel({"<unk>": 0, "a": 1}, unk_token="<unk>"))
    inner.add_special_tokens(["<|end|>"])
    inner.save(str(path))
    found = record_vocabulary(str(path), ["qwen3_coder"], "<|end|>")
    assert (found.name, found.size, found.pad) == ("tokenizer.json", 3, 2)
    assert open_vocabulary(str(path), found).encode("a") == [1]
