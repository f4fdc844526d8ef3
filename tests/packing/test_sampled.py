"""What a model sampled is packed as it was sampled, and as a dialogue would train on it."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.packing.corpus import TOOLS

from regreen.core.trajectory import Trajectory
from regreen.packing.rendering import Made, Rendering, formats_used
from regreen.packing.settings import PackConfig
from regreen.packing.vocabulary import record_vocabulary
from regreen.store.packed_header import LOSS, ROLES
from regreen.templates.registry import tool_format
from regreen.templates.tokens.byte_tokenizer import ByteTokenizer
from regreen.templates.tokens.dialogue import Dialogue
from regreen.templates.tokens.renderer import Renderer

FORMATS = ("qwen3_coder", "hermes", "glm46", "deepseekv3", "llama3_json")


def rendering(name: str) -> Rendering:
    config = PackConfig(tokenizer="bytes", tool_format=name, capacity=1 << 20)
    vocabulary = record_vocabulary("bytes", formats_used(config, None), config.end_of_text)
    return Rendering(config=config, vocabulary=vocabulary)


def dialogue(name: str, answers: list[tuple[bytes, str]], *, ended: bool = True) -> Dialogue:
    """A rollout in which answers were sampled; a byte 0xff is no UTF-8 and encodes otherwise."""
    render = rendering(name)
    renderer = Renderer(tool_format(name), ByteTokenizer(render.vocabulary.specials))
    found = Dialogue(renderer, TOOLS, [{"role": "user", "content": "the task"}])
    for place, (said, command) in enumerate(answers):
        call = {"function": {"name": "bash", "arguments": {"command": command}}}
        message = {"role": "assistant", "content": "", "tool_calls": [{"id": "c", **call}]}
        ids = renderer.completion(message, TOOLS, before=found.messages)
        last = place == len(answers) - 1
        sampled = [*said, *ids] if ended or not last else list(said)
        found.sampled(sampled, "stop" if ended or not last else "length")
        calls = found.messages[-1].get("tool_calls") or []
        found.append(
            *({"role": "tool", "tool_call_id": c["id"], "content": "result"} for c in calls)
        )
    return found


def trajectory(found: Dialogue, name: str = "openai") -> Trajectory:
    return Trajectory(
        rollout_id="r",
        task="",
        agent="",
        tool_format=name,
        tools=TOOLS,
        messages=found.messages,
        turns=found.turns(),
    )


SAID = st.sampled_from([b"", b"plain words ", b"\xff torn ", b"\xe2\x82 half ", "é ".encode()])
ANSWERS = st.lists(
    st.tuples(SAID, st.sampled_from(["ls", "cat x\ny", "é"])), min_size=1, max_size=3
)


@given(ANSWERS, st.sampled_from(FORMATS), st.booleans())
@settings(max_examples=60)
def test_ids_and_mask_are_those_of_the_dialogue(
    answers: list[tuple[bytes, str]], name: str, ended: bool
) -> None:
    if not ended:
        answers = [*answers, (b"cut \xff off", "ls")]
    found = dialogue(name, answers, ended=ended)
    made = rendering(name)(trajectory(found))

    assert isinstance(made, Made)
    assert not any("anew" in note for note in made.notes)
    (document,) = made.documents
    size = len(found.ids)
    assert document.tokens[:size].tolist() == found.ids
    assert (document.labels[:size] >= LOSS).tolist() == [bool(one) for one in found.loss_mask]
    assert not (document.labels[size:] >= LOSS).any()


def test_a_call_that_encodes_otherwise_stays_a_call() -> None:
    found = dialogue("hermes", [(b"\xff", "ls")])
    made = rendering("hermes")(trajectory(found))

    assert isinstance(made, Made)
    labels = made.documents[0].labels
    assert {ROLES[label - LOSS] for label in labels[labels >= LOSS].tolist()} == {"call", "end"}


@pytest.mark.parametrize("other", ["qwen3_coder", "glm46"])
def test_ids_of_another_format_are_left_aside_and_told(other: str) -> None:
    found = dialogue("hermes", [(b"\xff", "ls"), (b"", "cat")])
    made = rendering(other)(trajectory(found))

    assert isinstance(made, Made)
    assert [note for note in made.notes if "anew" in note]
    assert 0xFF not in made.documents[0].tokens


def test_ids_beyond_the_vocabulary_are_left_aside() -> None:
    row = trajectory(dialogue("hermes", [(b"word ", "ls")]))
    (turn,) = row.turns
    ids = (70_000, *(turn.completion_ids or ())[1:])
    made = rendering("hermes")(
        row.model_copy(update={"turns": (turn.model_copy(update={"completion_ids": ids}),)})
    )

    assert isinstance(made, Made)
    assert max(made.documents[0].tokens) < 256 + 8
