from __future__ import annotations

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from regreen.core.errors import UsageError
from regreen.core.trajectory import Observation, Trajectory, Turn, Usage
from regreen.store.atif import from_atif, read_atif, to_atif, write_atif

text = st.text(st.characters(), max_size=10)
json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | text,
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(text, inner, max_size=2),
    max_leaves=5,
)
calls = st.fixed_dictionaries(
    {
        "id": text,
        "type": st.just("function"),
        "function": st.fixed_dictionaries(
            {"name": text, "arguments": text | json_values | json_values.map(json.dumps)}
        ),
    }
)
plain = st.fixed_dictionaries(
    {"role": st.sampled_from(["system", "user", "developer"]), "content": text}
)
assistant = st.fixed_dictionaries(
    {"role": st.just("assistant"), "content": st.none() | text},
    optional={"reasoning_content": text, "tool_calls": st.lists(calls, max_size=2), "extra": text},
)
tool = st.fixed_dictionaries(
    {"role": st.just("tool"), "tool_call_id": text, "content": text}, optional={"name": text}
)
messages = plain | assistant | tool | st.dictionaries(text, json_values, max_size=3)
turns = st.builds(
    Turn,
    start=st.integers(0, 5),
    end=st.integers(0, 5),
    usage=st.builds(Usage, prompt_tokens=st.integers(0, 9), completion_tokens=st.integers(0, 9)),
    completion_ids=st.none() | st.lists(st.integers(0, 9), max_size=3),
    logprobs=st.none() | st.lists(st.floats(-9, 0), max_size=3),
)
trajectories = st.builds(
    Trajectory,
    rollout_id=text,
    task=text,
    agent=text,
    model=text,
    messages=st.lists(messages, max_size=6),
    turns=st.lists(turns, max_size=4),
)


def example():
    call = {"name": "bash", "arguments": '{"command": "ls"}'}
    return Trajectory(
        rollout_id="t#mini#0",
        task="t",
        agent="mini",
        model="m",
        messages=(
            {"role": "system", "content": "s"},
            {"role": "user", "content": "u"},
            {
                "role": "assistant",
                "content": None,
                "reasoning_content": "hm",
                "tool_calls": [{"id": "1", "type": "function", "function": call}],
            },
            {"role": "tool", "tool_call_id": "1", "content": "README"},
            {"role": "assistant", "content": "done"},
        ),
        turns=(
            Turn(
                start=2,
                end=4,
                usage=Usage(prompt_tokens=7, completion_tokens=2),
                observations=(Observation(call_id="1", tool="bash", exit_code=0, seconds=0.1),),
                completion_ids=(4, 5),
                logprobs=(-0.5, -1.5),
            ),
            Turn(start=4, end=5),
        ),
    )


@settings(max_examples=200, deadline=None)
@given(trajectories)
def test_coming_back_is_exact(trajectory):
    document = json.loads(json.dumps(to_atif(trajectory)))
    assert from_atif(document) == trajectory


def test_a_usual_conversation_becomes_usual_steps():
    document = to_atif(example())
    assert document["schema_version"] == "ATIF-v1.8"
    assert [step["step_id"] for step in document["steps"]] == [1, 2, 3, 4]
    assert [step["source"] for step in document["steps"]] == ["system", "user", "agent", "agent"]
    step = document["steps"][2]
    assert step["reasoning_content"] == "hm"
    assert step["tool_calls"] == [
        {"tool_call_id": "1", "function_name": "bash", "arguments": {"command": "ls"}}
    ]
    assert step["observation"] == {"results": [{"source_call_id": "1", "content": "README"}]}
    assert step["metrics"]["completion_token_ids"] == [4, 5]
    assert document["final_metrics"]["total_prompt_tokens"] == 7
    assert not any("messages" in str(step.get("extra")) for step in document["steps"])


def test_no_text_and_no_id_is_written_twice():
    whole = json.dumps(to_atif(example()))
    assert whole.count("README") == 1
    assert whole.count("[4, 5]") == 1


def test_the_independent_validator_accepts_it():
    atif = pytest.importorskip("atif", reason="the atif package is not installed")
    odd = {"role": "tool", "tool_call_id": "unknown", "content": [{"type": "text", "text": "x"}]}
    trajectory = example().model_copy(update={"messages": (odd, *example().messages, odd)})
    for document in (to_atif(example()), to_atif(trajectory)):
        atif.Trajectory.model_validate(json.loads(json.dumps(document)))


def test_a_document_of_another_program_is_read():
    document = to_atif(example())
    del document["extra"], document["steps"][2]["extra"]
    document["schema_version"] = "ATIF-v1.6"
    found = from_atif(document)
    assert found.messages[2]["tool_calls"] == example().messages[2]["tool_calls"]
    assert found.messages[3:] == example().messages[3:]
    assert found.turns[0].usage == Usage(prompt_tokens=7, completion_tokens=2)
    assert found.turns[0].completion_ids == (4, 5)
    assert [(turn.start, turn.end) for turn in found.turns] == [(2, 4), (4, 5)]
    assert (found.agent, found.model, found.rollout_id) == ("mini", "m", "t#mini#0")


def test_a_file_round_trip(tmp_path):
    endless = example().model_copy(update={"cost": float("inf")})
    write_atif(tmp_path / "t.json", endless)
    assert read_atif(tmp_path / "t.json") == endless


@pytest.mark.parametrize(
    "document",
    [
        {},
        {"schema_version": "ATIF-v2.0", "steps": []},
        {"schema_version": ["ATIF-v1.8"], "steps": []},
        {"schema_version": "ATIF-v1.8", "steps": {}},
        {"schema_version": "ATIF-v1.8", "steps": [{}]},
        {"schema_version": "ATIF-v1.8", "steps": [{"source": "robot", "message": ""}]},
        {"schema_version": "ATIF-v1.8", "steps": ["text"]},
        {"schema_version": "ATIF-v1.8", "steps": []},
        {
            "schema_version": "ATIF-v1.8",
            "steps": [],
            "extra": {"regreen": {"turns": [{"step_id": 9}]}},
        },
        {"schema_version": "ATIF-v1.8", "steps": [], "extra": {"regreen": {"turns": 5}}},
        {"schema_version": "ATIF-v1.8", "steps": [], "extra": {"regreen": {"rollout_id": "a"}}},
    ],
)
def test_what_is_no_atif_is_refused(document):
    with pytest.raises(UsageError) as caught:
        from_atif(document, "x.json")
    assert len(caught.value.lines()) == 3


@pytest.mark.parametrize("content", [b"{", b"\xff", b"[]", None])
def test_a_file_that_is_no_atif_is_refused(tmp_path, content):
    if content is not None:
        (tmp_path / "t.json").write_bytes(content)
    with pytest.raises(UsageError) as caught:
        read_atif(tmp_path / "t.json")
    assert len(caught.value.lines()) == 3
