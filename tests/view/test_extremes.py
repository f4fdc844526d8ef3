"""What a reader of a training run is shown first."""

from __future__ import annotations

from dataclasses import replace
from urllib.parse import quote

import pytest

from regreen.core.trajectory import Trajectory
from regreen.view.extremes import extremes
from regreen.view.facts import RunFacts
from regreen.view.report_html import render_html
from regreen.view.summary import RolloutRow

PLAIN = RolloutRow(
    rollout_id="", task="t", agent="learn", model="", outcome="resolved", exit_status="submitted",
    turns=3, prompt_tokens=0, completion_tokens=0, seconds=0.0, incidents=0, hacked=False,
    started_at="", part="training",
)  # fmt: skip


def row(name: str, outcome: str, turns: int, *, hacked: bool = False) -> RolloutRow:
    return replace(PLAIN, rollout_id=name, outcome=outcome, turns=turns, hacked=hacked)


def test_cheats_come_before_failures_and_short_successes_before_long_ones() -> None:
    rows = [
        row("long", "resolved", 8), row("short", "resolved", 2),
        row("lost", "unresolved", 8), row("brief", "unresolved", 1),
        row("paid", "resolved", 1, hacked=True), row("vain", "unresolved", 1, hacked=True),
        row("machine", "infrastructure", 1), row("nobody", "ungraded", 1),
    ]  # fmt: skip

    (found,) = extremes(rows)

    assert [one.rollout_id for one in found.best] == ["short", "long"]
    assert [one.rollout_id for one in found.worst] == ["paid", "vain", "lost", "brief"]


def test_parts_stand_apart_and_five_are_enough() -> None:
    rows = [row(f"{at}", "resolved", at) for at in range(9)]
    rows += [replace(one, part="held out after 3") for one in rows]

    found = extremes(rows)

    assert [one.part for one in found] == ["training", "held out after 3"]
    assert [len(one.best) for one in found] == [5, 5]


def test_a_run_without_parts_has_none() -> None:
    assert extremes([replace(PLAIN, part="")]) == []


@pytest.mark.parametrize("task", ["held_out-3", "a/b#c d"])
def test_the_page_leads_to_them(task: str) -> None:
    name = f"{task}#learn-evaluate-000010#0"
    played = Trajectory(
        rollout_id=name, task=task, agent="learn", tool_format="openai",
        verdict={"resolved": True, "fail_to_pass": {}, "pass_to_pass": {}},
    )  # fmt: skip

    page = render_html(title="t", run=RunFacts("r", config={}, lock={}), trajectories=[played])

    assert f'href="#r={quote(name, safe="")}"' in page
