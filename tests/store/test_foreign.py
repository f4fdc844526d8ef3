"""Files of other programs: text, calls, ids and usage survive, whatever the notation."""

from __future__ import annotations

import contextlib
import json
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from regreen.core.errors import UsageError
from regreen.core.trajectory import Trajectory, Turn, Usage
from regreen.store.atif import to_atif
from regreen.store.foreign import read_document, read_foreign
from regreen.store.run import RunDirectory

DIFF = "diff --git a/x.py b/x.py\n--- a/x.py\n+++ b/x.py\n@@ -1 +1 @@\n-a\n+b\n"
USAGE = {"prompt_tokens": 70, "completion_tokens": 9}


def commands(trajectory: Trajectory) -> list[str]:
    return [
        json.loads(call["function"]["arguments"])["command"]
        for message in trajectory.messages
        for call in message.get("tool_calls") or ()
    ]


def mini(messages, version="1.1", **changes):
    ends = {"role": "exit", "content": DIFF, "extra": {"exit_status": "Submitted"}}
    document = {
        "info": {
            "model_stats": {"instance_cost": 0.5, "api_calls": 2},
            "config": {"model": {"model_name": "tiny"}},
            "exit_status": "Submitted",
            "submission": DIFF,
        },
        "messages": [
            {"role": "system", "content": "You repair."},
            {"role": "user", "content": "It is red."},
            *messages,
            ends,
        ],
        "trajectory_format": f"mini-swe-agent-{version}",
        "instance_id": "acme__widget-7",
    }
    return {**document, **changes}


def ran(text, code):
    return {"raw_output": text, "returncode": code}


STRUCTURED = mini(
    [
        {
            "role": "assistant",
            "content": None,
            "tool_calls": [
                {
                    "id": "c1",
                    "type": "function",
                    "index": 0,
                    "function": {"name": "bash", "arguments": '{"command": "ls -a"}'},
                }
            ],
            "extra": {"actions": [{"command": "ls -a", "tool_call_id": "c1"}],
                      "response": {"usage": USAGE}},
        },
        {"role": "tool", "tool_call_id": "c1", "content": "x.py", "extra": ran("x.py", 0)},
    ]
)  # fmt: skip
IN_TEXT = mini(
    [
        {
            "role": "assistant",
            "content": "THOUGHT: look\n\n```mswea_bash_command\nls -a\n```",
            "extra": {"actions": [{"command": "ls -a"}], "response": {"usage": USAGE}},
        },
        {"role": "user", "content": "x.py", "extra": ran("x.py", 0)},
    ]
)
OLD = mini(
    [
        {"role": "assistant", "content": "THOUGHT: look\n\n```bash\nls -a\n```",
         "extra": {"response": {"usage": USAGE}}},
        {"role": "user", "content": "x.py"},
    ],
    version="1",
)  # fmt: skip
RESPONSES = mini(
    [
        {
            "object": "response",
            "output": [
                {"type": "message", "role": "assistant",
                 "content": [{"type": "output_text", "text": "look"}]},
                {"type": "function_call", "call_id": "c1", "name": "bash",
                 "arguments": '{"command": "ls -a"}'},
            ],
            "usage": {"input_tokens": 70, "output_tokens": 9},
            "extra": {"actions": [{"command": "ls -a", "tool_call_id": "c1"}]},
        },
        {"type": "function_call_output", "call_id": "c1", "output": "x.py",
         "extra": ran("x.py", 0)},
    ]
)  # fmt: skip


@pytest.mark.parametrize("document", [STRUCTURED, IN_TEXT, OLD, RESPONSES])
def test_all_notations_of_mini_swe_agent_say_the_same(document):
    found = read_document(document, "other", "f.json")

    assert (found.task, found.agent, found.model) == ("acme__widget-7", "mini-swe-agent", "tiny")
    assert (found.exit_status, found.patch, found.cost) == ("submitted", DIFF, 0.5)
    assert commands(found) == ["ls -a"]
    (turn,) = found.turns
    assert turn.usage == Usage(**USAGE)
    assert [found.messages[i]["role"] for i in range(turn.start, turn.end)] == ["assistant", "tool"]
    assert found.messages[turn.start + 1]["content"] == "x.py"
    (seen,) = turn.observations
    call = found.messages[turn.start]["tool_calls"][0]
    assert (seen.call_id, seen.tool) == (call["id"], "bash")
    assert seen.exit_code in (0, None)


def test_text_around_a_command_stays_and_a_format_error_is_no_result():
    wrong = {
        "role": "user",
        "content": "No command found.",
        "extra": {"interrupt_type": "FormatError"},
    }
    plain = {"role": "assistant", "content": "hm", "extra": {"actions": []}}
    found = read_document(mini([plain, wrong, *IN_TEXT["messages"][2:4]]), "o", "f")

    assert [m["role"] for m in found.messages[2:6]] == ["assistant", "user", "assistant", "tool"]
    assert found.messages[4]["content"].startswith("THOUGHT: look")
    assert len(found.turns) == 2


def test_a_crash_of_the_other_agent_is_an_error_here():
    info = {"exit_status": "RuntimeError", "submission": "", "exception_str": "boom",
            "traceback": "…"}  # fmt: skip
    found = read_document(mini([], info=info), "o", "f")

    assert found.error is not None
    assert (found.error.boundary, found.error.type) == ("agent", "RuntimeError")


HISTORY = [
    {"role": "system", "content": "You repair.", "agent": "main", "message_type": "system_prompt"},
    {"role": "user", "content": "A demonstration", "is_demo": True},
    {"role": "assistant", "content": "shown", "action": "demo", "is_demo": True},
    {"role": "user", "content": [{"type": "text", "text": "It is red."}]},
    {
        "role": "assistant",
        "content": "I look.",
        "thought": "I look.",
        "action": "ls -a",
        "tool_calls": [
            {"id": "t1", "type": "function",
             "function": {"name": "bash", "arguments": '{"command":"ls -a"}'}}
        ],
        "thinking_blocks": [{"type": "thinking", "thinking": "Where is it?"}],
        "message_type": "action",
    },
    {"role": "tool", "content": [{"type": "text", "text": "x.py"}], "tool_call_ids": ["t1"],
     "message_type": "observation"},
]  # fmt: skip
TRAJ = {
    "trajectory": [{"action": "ls -a", "observation": "x.py", "response": "I look.",
                    "thought": "I look.", "execution_time": 0.1, "state": {}, "query": []}],
    "history": HISTORY,
    "info": {
        "exit_status": "submitted",
        "submission": DIFF,
        "model_stats": {"instance_cost": 0.2, "tokens_sent": 70, "tokens_received": 9},
    },
    "replay_config": json.dumps({"agent": {"model": {"name": "tiny"}}}),
    "environment": "main",
}  # fmt: skip


def test_a_traj_with_history_keeps_what_the_model_was_shown():
    found = read_document(TRAJ, "acme__widget-7", "f.traj")

    assert (found.task, found.agent, found.model) == ("acme__widget-7", "SWE-agent", "tiny")
    assert (found.patch, found.exit_status, found.cost) == (DIFF, "submitted", 0.2)
    (turn,) = found.turns
    assert commands(found)[-1] == "ls -a"
    message, result = found.messages[turn.start : turn.end]
    assert (message["content"], message["reasoning_content"]) == ("I look.", "Where is it?")
    assert (result["tool_call_id"], result["content"]) == ("t1", "x.py")
    assert found.messages[3]["content"] == "It is red."
    assert turn.usage == Usage(**USAGE)


def test_a_traj_without_structured_calls_has_its_actions():
    text = {**TRAJ, "history": [
        HISTORY[0],
        {"role": "assistant", "content": "DISCUSSION\nlook\n```\nls -a\n```", "thought": "look",
         "action": "ls -a\n", "message_type": "action"},
        {"role": "user", "content": "x.py", "message_type": "observation"},
    ]}  # fmt: skip
    steps = {key: value for key, value in TRAJ.items() if key != "history"}
    for document in (text, steps):
        found = read_document(document, "i", "f.traj")
        assert [command.strip() for command in commands(found)] == ["ls -a"]
        assert found.messages[found.turns[0].start + 1]["content"] == "x.py"


OPEN_HANDS = {
    "instance_id": "acme__widget-7",
    "metadata": {"llm_config": {"model": "tiny"}},
    "test_result": {"git_patch": DIFF},
    "history": [
        {"id": 0, "source": "user", "action": "message", "args": {"content": "It is red."}},
        {
            "id": 1,
            "source": "agent",
            "action": "run",
            "args": {"command": "ls -a", "thought": "I look."},
            "tool_call_metadata": {
                "tool_call_id": "t1",
                "model_response": {
                    "usage": USAGE,
                    "choices": [
                        {"message": {"tool_calls": [
                            {"id": "t1", "function": {"name": "execute_bash",
                                                      "arguments": '{"command": "ls -a"}'}}
                        ]}}
                    ],
                },
            },
        },
        {"id": 2, "source": "agent", "observation": "run", "content": "x.py", "cause": 1,
         "extras": {"exit_code": 0}, "tool_call_metadata": {"tool_call_id": "t1"}},
        {"id": 3, "source": "environment", "observation": "agent_state_changed", "content": "",
         "cause": 2},
        {"id": 4, "source": "agent", "action": "message", "args": {"content": "Done."}},
    ],
}  # fmt: skip
EVENTS = [
    {"kind": "SystemPromptEvent", "source": "agent", "system_prompt": {"text": "You repair."}},
    {"kind": "MessageEvent", "source": "user",
     "llm_message": {"role": "user", "content": [{"type": "text", "text": "It is red."}]}},
    {"kind": "ActionEvent", "source": "agent", "thought": [{"type": "text", "text": "I look."}],
     "tool_call_id": "t1", "tool_name": "terminal",
     "tool_call": {"id": "t1", "name": "terminal", "arguments": '{"command": "ls -a"}'}},
    {"kind": "ObservationEvent", "source": "environment", "tool_call_id": "t1",
     "observation": {"content": [{"type": "text", "text": "x.py"}]}},
]  # fmt: skip


@pytest.mark.parametrize("document", [OPEN_HANDS, EVENTS])
def test_both_records_of_open_hands_are_read(document):
    found = read_document(document, "acme__widget-7", "f.json")

    assert commands(found) == ["ls -a"]
    message = found.messages[found.turns[0].start]
    assert (message["content"], message["tool_calls"][0]["id"]) == ("I look.", "t1")
    assert found.messages[found.turns[0].start + 1]["content"] == "x.py"
    assert found.task == "acme__widget-7"


def test_the_older_record_keeps_patch_and_usage():
    found = read_document(OPEN_HANDS, "x", "f.json")

    assert (found.patch, found.model) == (DIFF, "tiny")
    assert found.turns[0].usage == Usage(**USAGE)
    assert found.messages[-1]["content"] == "Done."


def ours(name="a#mini#0"):
    return Trajectory(
        rollout_id=name,
        task="a",
        agent="mini",
        messages=({"role": "user", "content": "x"}, {"role": "assistant", "content": "y"}),
        turns=(Turn(start=1, end=2, usage=Usage(**USAGE)),),
    )


def test_a_directory_of_all_kinds_is_read_by_content(tmp_path: Path):
    (tmp_path / "acme__widget-7").mkdir()
    (tmp_path / "acme__widget-7" / "acme__widget-7.traj").write_text(json.dumps(TRAJ))
    (tmp_path / "b.traj.json").write_text(json.dumps(STRUCTURED))
    (tmp_path / "c.json").write_text(json.dumps(to_atif(ours())))
    (tmp_path / "d.jsonl").write_text(json.dumps(OPEN_HANDS) + "\n" + ours("z").model_dump_json())
    (tmp_path / "preds.json").write_text("{}")
    (tmp_path / "notes.md").write_text("nothing")

    found = list(read_foreign(tmp_path))

    assert [row.agent for row in found] == [
        "SWE-agent",
        "mini-swe-agent",
        "mini",
        "OpenHands",
        "mini",
    ]
    assert found[0].task == "acme__widget-7"
    assert found[2] == ours()


def test_a_run_of_ours_is_read(tmp_path: Path):
    with RunDirectory.create(tmp_path / "run", config={}, lock={}) as run:
        run.append(ours())

    assert list(read_foreign(tmp_path / "run")) == [ours()]


@pytest.mark.parametrize(
    ("name", "text", "word"),
    [
        ("a.json", '{"hello": 1}', "no trajectory that regreen knows"),
        ("a.json", "[]", "no trajectory"),
        ("a.json", "3", "no trajectory"),
        ("a.json", "{", "not JSON"),
        ("a.traj", json.dumps({**TRAJ, "history": [3]}), "does not follow its format"),
        ("a.json", json.dumps({**STRUCTURED, "messages": None}), "does not follow its format"),
        ("a.jsonl", '{"rollout_id": 1}\n', "missing columns"),
    ],
)
def test_what_no_reader_knows_is_refused_in_three_lines(tmp_path, name, text, word):
    path = tmp_path / name
    path.write_text(text)
    with pytest.raises(UsageError, match=word) as caught:
        list(read_foreign(path))
    assert len(caught.value.lines()) == 3
    assert str(path) in caught.value.where


def test_an_empty_or_missing_place_is_refused(tmp_path):
    with pytest.raises(UsageError, match="no trajectories"):
        list(read_foreign(tmp_path))
    with pytest.raises(UsageError):
        list(read_foreign(tmp_path / "absent.traj"))


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=6), inner, max_size=3)
    ),
    max_leaves=8,
)
KEYS = st.sampled_from(
    ["trajectory", "history", "info", "messages", "events", "schema_version", "steps"]
)


@given(st.dictionaries(KEYS, JSON, max_size=4), st.booleans())
@settings(max_examples=80, deadline=None)
def test_any_document_is_read_or_refused_but_never_breaks(document, is_mini):
    if is_mini:
        document["trajectory_format"] = "mini-swe-agent-1.1"
    with contextlib.suppress(UsageError):  # anything else would fail here
        assert isinstance(read_document(document, "x", "f"), Trajectory)


@given(st.text(max_size=60), st.text(max_size=60), st.integers(0, 9**9))
@settings(max_examples=40, deadline=None)
def test_any_command_and_result_survive_structured_calls(command, result, tokens):
    document = json.loads(json.dumps(STRUCTURED))
    assistant, tool = document["messages"][2:4]
    assistant["tool_calls"][0]["function"]["arguments"] = json.dumps({"command": command})
    assistant["extra"]["response"]["usage"]["prompt_tokens"] = tokens
    tool["content"] = result
    found = read_document(document, "x", "f")

    assert commands(found) == [command]
    assert found.messages[3]["content"] == result
    assert found.turns[0].usage.prompt_tokens == tokens
