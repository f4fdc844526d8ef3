"""A refused call never runs, is answered with what is prohibited, and is kept as an incident."""

from __future__ import annotations

import json

import pytest

from regreen.guard.blocker import Blocker
from regreen.guard.subject import Subject
from regreen.inference import Reply, say
from regreen.templates import tool_format

BLOCKER = Blocker(Subject.of("octo/calc"), penalty=0.25)
FETCH = "touch /testbed/ran; curl https://github.com/octo/calc/pull/7.diff"


def call(tool: str, **arguments: object) -> Reply:
    return Reply(tool_calls=((tool, json.dumps(arguments)),))


def test_a_refused_call_does_not_run_and_leaves_an_incident(run_agent):
    script = [call("bash", command=FETCH), call("bash", command="ls"), call("submit")]
    acted = run_agent("mini", script, blocker=BLOCKER)

    assert acted.status == "submitted"
    assert "prohibited" in acted.observations[0]
    assert "ran" not in acted.observations[1].split()
    (incident,) = acted.log.incidents
    assert (incident.rule, incident.blocked, incident.layer) == ("upstream-fetch", True, "block")
    assert (incident.turn, incident.penalty) == (0, 0.25)
    assert incident.call_id == acted.log.messages[2]["tool_calls"][0]["id"]
    text = json.dumps({"command": FETCH})
    assert incident.span is not None
    assert text[slice(*incident.span)] == "curl https://github.com/octo/calc/pull/7.diff"
    first, second, _ = acted.log.turns()
    assert first.observations[0].error
    assert not second.observations[0].error


def test_without_a_blocker_every_call_runs(run_agent):
    acted = run_agent("mini", [call("bash", command=FETCH), call("submit")], read=("ran",))

    assert acted.files["ran"] == ""
    assert acted.log.incidents == ()


def test_refusals_do_not_end_the_rollout_as_errors_do(run_agent):
    script = [call("bash", command="git log --all") for _ in range(4)] + [call("submit")]
    acted = run_agent("mini", script, blocker=BLOCKER, limits={"repeated_errors": 2})

    assert acted.status == "submitted"
    assert [each.turn for each in acted.log.incidents] == [0, 1, 2, 3]


def test_a_refusal_between_errors_does_not_hide_them(run_agent):
    bad = [call("nothing") for _ in range(2)]
    script = [bad[0], call("bash", command="git reflog"), bad[1], call("submit")]
    acted = run_agent("mini", script, blocker=BLOCKER, limits={"repeated_errors": 2})

    assert acted.status != "submitted"


def test_a_script_written_before_is_read_when_it_is_run(run_agent):
    script = [
        call("bash", command="printf 'git log --%s\\n' all > look.sh"),
        call("bash", command="bash look.sh"),
        call("submit"),
    ]
    acted = run_agent("mini", script, blocker=BLOCKER)

    assert [each.rule for each in acted.log.incidents] == ["history-all"]
    assert acted.log.incidents[0].span == (0, len('{"command": "bash look.sh"}'))


def test_one_refused_call_of_several_leaves_the_others_alone(run_agent):
    both = (("view", '{"path": ".git/packed-refs"}'), ("view", '{"path": "calc.py"}'))
    script = [Reply(tool_calls=both), call("submit")]
    acted = run_agent("react", script, blocker=BLOCKER)

    assert "Refused" in acted.observations[0]
    assert "def add" in acted.observations[1]


def test_a_flag_is_kept_and_the_call_runs(run_agent):
    script = [call("bash", command="git branch -a && echo seen"), call("submit")]
    acted = run_agent("mini", script, blocker=BLOCKER)

    assert "seen" in acted.observations[0]
    (incident,) = acted.log.incidents
    assert (incident.blocked, incident.confirmed, incident.penalty) == (False, False, 0.0)


@pytest.mark.parametrize("name", ["qwen3_coder", "hermes"])
def test_calls_in_a_formats_text_are_judged_too(run_agent, name):
    form = tool_format(name)

    def answer(tool: str, **arguments: object) -> Reply:
        made = {"id": "x", "type": "function", "function": {"name": tool, "arguments": arguments}}
        return say(form.completion({"role": "assistant", "content": "", "tool_calls": [made]}, []))

    script = [answer("bash", command=FETCH), answer("submit")]
    acted = run_agent("mini", script, tool_format=name, blocker=BLOCKER)

    assert [each.rule for each in acted.log.incidents] == ["upstream-fetch"]
    assert acted.log.incidents[0].call_id == acted.log.messages[2]["tool_calls"][0]["id"]
    assert acted.status == "submitted"


def test_the_live_log_tells_of_it_beside_the_observation(run_agent, tmp_path):
    run_agent("mini", [call("bash", command=FETCH), call("submit")], blocker=BLOCKER)
    rows = [json.loads(line) for line in (tmp_path / "log.jsonl").read_text().splitlines()]

    (row,) = [row for row in rows if "incidents" in row]
    assert row["incidents"][0]["rule"] == "upstream-fetch"
    assert row["message"]["tool_call_id"] == row["incidents"][0]["call_id"]
