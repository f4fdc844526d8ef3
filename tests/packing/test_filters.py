"""Each filter against trajectories that differ from a good one in one recorded fact."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from tests.packing.corpus import TOOLS, messages, write_jsonl

from regreen.cli.main import main
from regreen.core.errors import UsageError
from regreen.core.trajectory import ErrorRecord, Incident, Observation, Trajectory, Turn
from regreen.core.verdict import Outcome, Reward, Tamper, Verdict
from regreen.packing.filters import DEFAULT_DROP, FILTERS, UNKNOWN, chosen, dropped
from regreen.packing.rendering import Made, Rendering
from regreen.packing.settings import PackConfig
from regreen.packing.vocabulary import record_vocabulary

STEPS = [("look", [("ls", "a.py")]), ("mend", [("sed -i s/1/2/ a.py", "[exit code 0]")])]
RIGHT = Verdict(resolved=True, fail_to_pass={"t": Outcome.PASSED}, pass_to_pass={})
WRONG = Verdict(resolved=False, fail_to_pass={"t": Outcome.FAILED}, pass_to_pass={})


def good(**given: Any) -> Trajectory:
    turns = [
        Turn(start=2, end=4, observations=(Observation(call_id="c0-0", tool="bash", exit_code=0),)),
        Turn(start=4, end=6, observations=(Observation(call_id="c1-0", tool="bash", exit_code=1),)),
    ]
    row: dict[str, Any] = {
        "rollout_id": "t#mini#0",
        "task": "t",
        "agent": "mini",
        "tool_format": "openai",
        "tools": tuple(TOOLS),
        "messages": tuple(messages("help", "mend it", STEPS)),
        "turns": tuple(turns),
        "exit_status": "submitted",
        "verdict": RIGHT,
    }
    return Trajectory(**{**row, **given})


def observed(**given: Any) -> tuple[Turn, ...]:
    seen = Observation(call_id="c0-0", tool="bash", **given)
    return (Turn(start=2, end=4, observations=(seen,)),)


def with_call(**function: Any) -> tuple[dict[str, Any], ...]:
    rows = messages("help", "mend it", STEPS)
    rows[2]["tool_calls"][0]["function"] |= function
    return tuple(rows)


def fault(name: str, row: Trajectory) -> str:
    found = dropped(row, (name,), row.tool_format)
    return found[1] if found else ""


def test_a_good_trajectory_passes_every_filter() -> None:
    assert dropped(good(), tuple(FILTERS), "openai") is None


BLOCKED = Incident(rule="git", message="no", call_id="c0-0", blocked=True, confirmed=False)
NO_CALL = ({"role": "user", "content": "go"}, {"role": "assistant", "content": "I think"})
FAULTS: list[tuple[str, dict[str, Any], bool]] = [
    ("no_finish", {"exit_status": "turn_limit"}, True),
    ("no_finish", {"exit_status": "EndpointTimeout"}, True),
    ("failed", {"verdict": WRONG}, True),
    ("failed", {"verdict": None}, False),
    ("failed", {"verdict": None, "rewards": (Reward(name="resolved", score=0.0),)}, True),
    ("failed", {"verdict": None, "rewards": (Reward(name="style", score=0.0),)}, False),
    ("unverified", {"verdict": None}, True),
    ("unverified", {"verdict": WRONG}, False),
    ("malformed_call", {"turns": observed(error=True)}, True),
    ("malformed_call", {"turns": observed(error=True, exit_code=124)}, False),
    ("malformed_call", {"turns": observed(error=True), "incidents": (BLOCKED,)}, False),
    ("malformed_call", {"messages": with_call(arguments='{"command": ')}, True),
    ("malformed_call", {"messages": with_call(arguments='["ls"]')}, True),
    ("malformed_call", {"messages": with_call(arguments="{}")}, True),
    ("malformed_call", {"messages": with_call(name="shell")}, True),
    ("malformed_call", {"messages": with_call(name="shell"), "tools": ()}, False),
    ("infrastructure", {"verdict": None}, False),
    ("hacked", {"incidents": (BLOCKED,)}, False),
    ("hacked", {"incidents": (BLOCKED.model_copy(update={"confirmed": True}),)}, True),
]


@pytest.mark.parametrize(("name", "change", "found"), FAULTS)
def test_one_recorded_fact_decides(name: str, change: dict[str, Any], found: bool) -> None:
    assert bool(fault(name, good(**change))) is found


@pytest.mark.parametrize("boundary", ["infrastructure", "model", "task", "agent"])
def test_faults_of_all_parties_but_the_agent_are_infrastructure(boundary: Any) -> None:
    error = ErrorRecord(boundary=boundary, type="BoxGone", message="it has ended")
    said = fault("infrastructure", good(error=error))
    assert ("BoxGone" in said) is (boundary != "agent")


def test_a_tampered_verdict_is_hacking() -> None:
    tamper = Tamper(kind="twin_passed", where="t", evidence="it passed")
    assert fault("hacked", good(verdict=WRONG.model_copy(update={"tamper": (tamper,)})))


def test_an_answer_without_a_call_is_malformed_in_our_own_loop_only() -> None:
    rows = (*good().messages, *NO_CALL, {"role": "user", "content": "go on"})
    turns = (*good().turns, Turn(start=7, end=9), *good().turns[:1])
    own = good(messages=rows, turns=turns)
    assert "no call" in fault("malformed_call", own)
    assert not fault("malformed_call", own.model_copy(update={"exit_status": ""}))


def test_a_call_in_the_text_that_cannot_be_read() -> None:
    broken = '<tool_call>\n{"name": "bash", "arguments": {"command": "ls'
    whole = broken + '"}}\n</tool_call>'
    for text, found in ((broken, True), (whole, False)):
        rows = ({"role": "user", "content": "go"}, {"role": "assistant", "content": text})
        row = good(messages=rows, turns=(), tool_format="hermes", exit_status="")
        assert bool(fault("malformed_call", row)) is found


@pytest.mark.parametrize(
    ("rows", "found"),
    [
        ([{"role": "user", "content": "hi"}, {"role": "assistant", "content": "done"}], False),
        ([{"role": "assistant", "content": "a"}, {"role": "user", "content": "and?"}], True),
        (messages("", "go", STEPS), True),
        ([*with_call(name="finish")[:4]], False),
        ([], True),
    ],
)
def test_a_foreign_trajectory_ends_with_the_agents_word(rows: Any, found: bool) -> None:
    row = Trajectory(rollout_id="x", task="", agent="", messages=tuple(rows))
    assert bool(fault("no_finish", row)) is found
    assert not fault("failed", row)
    assert fault("unverified", row)


@pytest.mark.parametrize(
    ("drop", "verdict", "noted"),
    [(("failed",), None, 1), (("failed",), RIGHT, 0), (("hacked",), None, 0)],
)
def test_what_is_kept_unknown_is_noted(
    drop: tuple[str, ...], verdict: Verdict | None, noted: int
) -> None:
    config = PackConfig(tokenizer="bytes", drop=drop)
    render = Rendering(config=config, vocabulary=record_vocabulary("bytes", ["qwen3_coder"], ""))
    made = render(good(verdict=verdict))
    assert isinstance(made, Made)
    assert made.notes.count(UNKNOWN) == noted


def test_names_are_put_in_order_and_checked() -> None:
    assert chosen(("hacked", "no_finish")) == ("no_finish", "hacked")
    assert chosen(("none",)) == chosen(()) == ()
    assert set(chosen(DEFAULT_DROP)) == set(DEFAULT_DROP)
    for wrong in (("hacks",), ("none", "failed")):
        with pytest.raises(UsageError):
            chosen(wrong)


def test_the_verb_keeps_what_it_drops_with_the_reason(tmp_path: Path) -> None:
    rows = [
        good(),
        good(rollout_id="b", verdict=WRONG),
        good(rollout_id="c", incidents=(BLOCKED.model_copy(update={"confirmed": True}),)),
    ]
    source = write_jsonl(tmp_path / "rows.jsonl", [row.model_dump(mode="json") for row in rows])

    def packed(name: str, *flags: str) -> dict[str, str]:
        with pytest.raises(SystemExit) as stop:
            main(["pack", str(source), "--tokenizer", "bytes", *flags, "-o", str(tmp_path / name)])
        assert not stop.value.code
        spare = tmp_path / name / "rejected.jsonl"
        lines = spare.read_text().splitlines() if spare.exists() else []
        return {row["rollout_id"]: row["reason"] for row in map(json.loads, lines)}

    assert packed("default") == {"c": FILTERS["hacked"].reason}
    assert packed("none", "--drop", "none") == {}
    assert packed("two", "--drop", "failed,hacked") == {
        "b": FILTERS["failed"].reason,
        "c": FILTERS["hacked"].reason,
    }
