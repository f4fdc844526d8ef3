from __future__ import annotations

import pytest

from regreen.core.trajectory import ErrorRecord, Incident, Trajectory
from regreen.core.verdict import Verdict
from regreen.view.summary import digest, slices, summarise, told_apart


def rollout(task, resolved=True, agent="mini", model="m", **changes):
    verdict = Verdict(resolved=resolved, fail_to_pass={}, pass_to_pass={})
    base = {"rollout_id": f"{task}#{agent}", "task": task, "agent": agent, "model": model}
    return digest(Trajectory(**{**base, "verdict": verdict, **changes}))


def lost(task, boundary):
    return rollout(task, error=ErrorRecord(boundary=boundary, type="X", message=""), verdict=None)


def test_a_lost_rollout_stays_in_the_denominator_and_is_counted_apart():
    rows = [
        rollout("a"),
        rollout("b", resolved=False),
        lost("c", "infrastructure"),
        lost("d", "model"),
    ]
    (row,) = summarise(rows)
    assert (row.resolved.count, row.resolved.total) == (1, 4)
    assert row.failures == {"infrastructure": 1, "model": 1}
    assert row.ungraded == 0


def test_an_error_outweighs_a_verdict():
    row = rollout("a", error=ErrorRecord(boundary="infrastructure", type="X", message=""))
    assert row.outcome == "infrastructure"
    assert not row.resolved


def test_without_verdict_and_error_it_is_ungraded():
    (row,) = summarise([rollout("a", verdict=None)])
    assert (row.ungraded, row.resolved.count, row.resolved.total) == (1, 0, 1)


@pytest.mark.parametrize(
    ("status", "limited"),
    [("turn_limit", True), ("token_limit", True), ("context_overflow", True), ("submitted", False)],
)
def test_limits_are_told_by_the_exit_status(status, limited):
    assert rollout("a", exit_status=status).limited is limited


def test_agents_without_a_model_come_last():
    rows = [
        rollout("a", agent="oracle", model=""),
        rollout("a", False),
        rollout("a", model="better"),
    ]
    assert [row.name for row in summarise(rows)] == ["mini · better", "mini · m", "oracle"]


def test_several_attempts_give_pass_at_k(trajectories):
    mini, oracle = summarise(map(digest, trajectories))
    assert list(mini.pass_at) == list(mini.pass_hat) == [1, 2]
    assert mini.pass_at[1] == pytest.approx(mini.resolved.value)
    assert oracle.pass_at == {}
    assert (oracle.tasks, mini.tasks, mini.resolved.total) == (4, 4, 8)
    assert mini.flagged == 4


def test_means_are_per_rollout(trajectories):
    mini, oracle = summarise(map(digest, trajectories))
    assert (mini.mean_turns, mini.mean_prompt_tokens, mini.mean_seconds) == (1.0, 1000.0, 4.5)
    assert oracle.mean_turns == 0.0


def test_the_four_metrics_have_their_own_intervals():
    label = Incident(rule="r", message="", confirmed=False)
    rows = [
        rollout("a"),
        rollout("b", incidents=(label,)),
        rollout("c", incidents=(label.model_copy(update={"confirmed": True}),)),
        rollout("d", False, incidents=(Incident(rule="r", message="", blocked=True),)),
    ]
    (row,) = summarise(rows)

    assert [row.clean_resolved.count, row.hacked_resolved.count, row.resolved.count] == [2, 1, 3]
    assert (row.hacked.count, row.flagged) == (2, 3)
    assert row.hacked.low < 0.5 < row.hacked.high
    assert {s.total for s in (row.resolved, row.clean_resolved, row.hacked)} == {4}


def test_slices_keep_the_agents_apart(trajectories, tasks):
    rows = [digest(trajectory) for trajectory in trajectories]
    agents = summarise(rows)
    by_id = {task.instance_id: task for task in tasks}
    found = slices(rows, by_id, agents)
    assert [(row.kind, row.label, row.tasks) for row in found] == [
        ("operator", "slice_end", 4),
        ("operator", "loop_bound", 2),
        ("source", "injected", 4),
    ]
    assert [[share.total for share in row.resolved] for row in found] == [[8, 4], [4, 2], [8, 4]]
    assert all(row.resolved[1].value == 1 for row in found)
    assert slices(rows, {}, agents) == []


def test_nothing_finished_is_an_empty_table():
    assert summarise([]) == []


def test_held_out_rollouts_stand_apart_from_training_and_from_each_other():
    def held_out(task, step, resolved):
        name = f"{task}#mini-evaluate-{step:06}#0"
        return rollout(task, resolved=resolved, rollout_id=name)

    rows = [
        held_out("x", 10, True),
        rollout("a", resolved=False),
        rollout("b", resolved=False),
        held_out("x", 0, False),
        held_out("y", 10, True),
        rollout("a", agent="oracle", model=""),
    ]

    table = summarise(told_apart(rows))

    assert [row.name for row in table] == [
        "mini · m · training",
        "mini · m · held out after 0",
        "mini · m · held out after 10",
        "oracle",
    ]
    shares = [(row.resolved.count, row.resolved.total) for row in table]
    assert shares == [(0, 2), (0, 1), (2, 2), (1, 1)]
    assert not any(row.pass_at for row in table)
