"""``mini`` in a real box, driven over a real socket."""

from __future__ import annotations

import pytest

from regreen.core.errors import ModelError
from regreen.inference import Reply, call, calls, say


def test_it_works_and_submits(run_agent):
    acted = run_agent(
        "mini", [call("bash", command="sed -i s/a-b/a+b/ calc.py; ls"), call("submit")]
    )
    assert acted.status == "submitted"
    assert "[exit code 0]" in acted.observations[0]
    assert "README.md" in acted.observations[0]


def test_every_command_starts_in_a_fresh_shell_in_the_repository(run_agent):
    acted = run_agent(
        "mini",
        [
            call("bash", command="cd /; X=1; export X; touch /tmp/kept"),
            call("bash", command='pwd; echo "[$X]"; ls /tmp/kept'),
            call("submit"),
        ],
    )
    assert acted.observations[1].splitlines()[1:] == ["/testbed", "[]", "/tmp/kept"]


def test_both_streams_come_in_the_order_written(run_agent):
    command = "echo one; echo two >&2; echo three; exit 3"
    acted = run_agent("mini", [call("bash", command=command), call("submit")])
    assert acted.observations[0] == "[exit code 3]\none\ntwo\nthree\n"
    assert acted.log.turns()[0].observations[0].exit_code == 3
    assert not acted.log.turns()[0].observations[0].error


def test_only_the_first_call_of_an_answer_is_carried_out(run_agent):
    acted = run_agent(
        "mini",
        [
            calls(("bash", {"command": "echo hi"}), ("bash", {"command": "touch no"})),
            call("submit"),
        ],
    )
    assert acted.observations[1].startswith("Refused")
    acted = run_agent("mini", [call("bash", command="ls"), call("submit")])
    assert "no\n" not in acted.observations[0]


def test_printing_does_not_submit(run_agent):
    acted = run_agent("mini", [call("bash", command="echo submit"), say("submit"), call("submit")])
    assert acted.status == "submitted"
    assert acted.log.num_turns == 3


def test_a_long_output_keeps_head_and_tail(run_agent):
    acted = run_agent(
        "mini",
        [call("bash", command="seq 1 1000000"), call("submit")],
        limits={"output_characters": 1000},
    )
    text = acted.observations[0]
    assert "\n1\n2\n" in text
    assert text.endswith("999999\n1000000\n")
    assert "characters left out" in text
    assert len(text) < 1100


def test_output_that_is_no_text(run_agent):
    acted = run_agent("mini", [call("bash", command=r"printf '\377\0ok'"), call("submit")])
    assert "ok" in acted.observations[0]


@pytest.mark.parametrize(
    ("limits", "script", "status"),
    [
        ({"turns": 3}, lambda _: call("bash", command="true"), "turn_limit"),
        (
            {"completion_tokens": 100},
            lambda _: Reply(tool_calls=(("bash", '{"command":""}'),), completion_tokens=40),
            "token_limit",
        ),
        ({"seconds": 0.5}, lambda _: call("bash", command="sleep 60"), "time_limit"),
        ({"seconds": 0.5}, lambda _: Reply(content="late", delay=60), "time_limit"),
        ({"repeated_errors": 3}, lambda _: say("I think"), "repeated_errors"),
        ({"repeated_errors": 2}, lambda _: call("fly", to="moon"), "repeated_errors"),
        ({}, lambda _: call("bash", cmd="ls"), "repeated_errors"),
        ({}, lambda _: Reply(tool_calls=(("bash", '{"command": "ls'),)), "repeated_errors"),
        ({}, lambda _: Reply(status=400, content="context window exceeded"), "context_overflow"),
        (
            {"command_seconds": 0.2, "repeated_errors": 2},
            lambda _: call("bash", command="sleep 60"),
            "repeated_errors",
        ),
    ],
)
def test_each_limit_ends_it_under_its_name(run_agent, limits, script, status):
    assert run_agent("mini", script, limits=limits).status == status


def test_a_good_call_forgives_the_errors_before_it(run_agent):
    bad, good = say("hm"), call("bash", command="true")
    script = [bad, bad, good, bad, bad, good, call("submit")]
    assert run_agent("mini", script, limits={"repeated_errors": 3}).status == "submitted"


def test_the_turn_limit_lets_the_last_turn_act(run_agent):
    script = [call("bash", command="echo last > calc.py")]
    acted = run_agent("mini", script, limits={"turns": 1})
    assert (acted.status, acted.files["calc.py"]) == ("turn_limit", "last\n")


def test_a_command_that_runs_too_long_takes_its_children_with_it(run_agent):
    acted = run_agent(
        "mini",
        [
            call("bash", command="(sleep 300 & setsid sleep 301 & wait)"),
            call("bash", command="cat /proc/[0-9]*/cmdline | tr '\\0' ' '"),
            call("submit"),
        ],
        limits={"command_seconds": 0.3},
    )
    assert "killed after 0.3 s" in acted.observations[0]
    assert "sleep 30" not in acted.observations[1]


def test_a_broken_endpoint_is_the_models_failure(run_agent):
    with pytest.raises(ModelError):
        run_agent("mini", [Reply(body=b"garbage")])


def test_a_cut_answer_is_told_so(run_agent):
    acted = run_agent("mini", [Reply(content="so", finish_reason="length"), call("submit")])
    assert "length limit" in acted.log.messages[3]["content"]
