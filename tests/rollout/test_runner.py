"""Rollouts end to end: real boxes, real sockets, real run directories."""

from __future__ import annotations

import asyncio
import json
import socket
from typing import ClassVar

import pytest
from tiny_workshop import BAD_TEST, TinyWorkshop, make_task

from regreen.agents import Limits
from regreen.core.errors import (
    InfrastructureError,
    PrerequisiteError,
    RegreenError,
    UsageError,
)
from regreen.inference import Reply, call, calls
from regreen.rollout import Runner, assignments, builder
from regreen.sandbox.base import Sandbox

REPAIR = [call("bash", command="sed -i s/a.-.b/a+b/ calc.py"), call("submit")]


def by_task(rows):
    return {row.task: row for row in rows.values()}


def test_oracle_scores_one_and_nop_scores_zero(rollouts):
    rows, summary = rollouts("oracle", [make_task()])
    (row,) = rows.values()
    assert row.verdict.resolved
    assert {r.name: r.score for r in row.rewards}["resolved"] == 1.0
    assert "+    return a + b" in row.patch
    assert (summary.finished, summary.resolved, summary.errors) == (1, 1, {})


def test_nop_scores_zero(rollouts):
    rows, _ = rollouts("nop", [make_task()])
    (row,) = rows.values()
    assert not row.verdict.resolved
    assert (row.patch, row.exit_status, row.tool_format) == ("", "submitted", "")
    assert {r.name: r.score for r in row.rewards}["resolved"] == 0.0


def test_scripted_repairs_without_a_model(rollouts):
    rows, _ = rollouts("scripted", [make_task()])
    (row,) = rows.values()
    assert row.verdict.resolved
    assert row.model == ""
    assert row.turns[-1].observations[0].tool == "submit"
    offered = [tool["function"]["name"] for tool in row.tools]
    assert (row.tool_format, offered) == ("openai", ["bash", "view", "edit", "search", "submit"])


def test_the_row_of_a_model_driven_rollout(rollouts, tmp_path):
    rows, _ = rollouts("mini", [make_task()], script=REPAIR)
    row = rows["calc-0#mini#0"]
    assert (row.exit_status, row.model, row.tool_format) == ("submitted", "m", "openai")
    assert row.verdict.resolved
    assert [(t.start, t.end) for t in row.turns] == [(2, 4), (4, 6)]
    assert row.segments == ((0, 6),)
    assert set(row.seconds) == {"act", "verify"}
    log = (tmp_path / "run" / "logs" / "calc-0#mini#0.jsonl").read_text().splitlines()
    assert [json.loads(line)["message"] for line in log[1:]] == list(row.messages)


def test_the_answer_is_the_box_and_not_the_words(rollouts):
    script = [calls(("bash", {"command": "echo 'diff --git a/calc.py b/calc.py'"})), call("submit")]
    rows, _ = rollouts("mini", [make_task()], script=script)
    assert rows["calc-0#mini#0"].patch == ""


def test_git_in_the_box_cannot_hide_an_edit(rollouts):
    hide = "sed -i s/a.-.b/a+b/ calc.py; git update-index --assume-unchanged calc.py; rm -rf .git"
    rows, _ = rollouts("mini", [make_task()], script=[call("bash", command=hide), call("submit")])
    assert rows["calc-0#mini#0"].verdict.resolved


def test_a_limit_is_scored_by_what_was_done_until_then(rollouts):
    rows, _ = rollouts("mini", [make_task()], script=REPAIR, limits=Limits(turns=1))
    row = rows["calc-0#mini#0"]
    assert (row.exit_status, row.verdict.resolved, row.error) == ("turn_limit", True, None)


def test_attempts_differ_in_seed_and_a_resume_would_not(rollouts):
    first = assignments([make_task("a"), make_task("b")], "nop", attempts=3, seed=1)
    again = assignments([make_task("b")], "nop", attempts=3, seed=1)
    assert len({one.seed for one in first}) == 6
    assert [one.seed for one in again] == [one.seed for one in first[3:]]
    rows, _ = rollouts("nop", [make_task("a")], attempts=3)
    assert sorted(rows) == ["a#nop#0", "a#nop#1", "a#nop#2"]


def test_two_tasks_of_one_name_are_refused():
    with pytest.raises(UsageError, match="two tasks"):
        assignments([make_task(), make_task()], "nop")


def test_an_agent_that_needs_a_model_says_so_before_the_run():
    with pytest.raises(UsageError, match="needs a model"):
        builder("react")


def test_only_the_oracle_is_handed_gold():
    one = assignments([make_task()], "scripted")[0]
    assert "gold" not in builder("scripted")(one).needs
    assert builder("oracle")(one)._patch == make_task().patch


def test_no_more_rollouts_at_once_than_workers(rollouts):
    running, most, seen = set(), [], []

    class Watch:
        def phase(self, rollout_id, phase):
            running.add(rollout_id)
            most.append(len(running))
            seen.append(phase)

        def finished(self, trajectory):
            running.discard(trajectory.rollout_id)

    tasks = [make_task(f"t{i}") for i in range(7)]
    rows, _ = rollouts("oracle", tasks, workers=3, watch=Watch())
    assert len(rows) == 7
    assert max(most) == 3
    assert seen.count("verify") == 7


# -- failures: each has its boundary and its type, none is scored, none stops its siblings


def check_failure(rows, boundary: str, kind: str, task: str = "bad") -> None:
    row = by_task(rows)[task]
    assert (row.error.boundary, row.error.type) == (boundary, kind)
    assert row.rewards == ()
    assert all(other.error is None for name, other in by_task(rows).items() if name != task)


def test_a_dead_endpoint_is_the_models(rollouts):
    with socket.create_server(("127.0.0.1", 0)) as free:
        url = f"http://127.0.0.1:{free.getsockname()[1]}/v1"
    rows, summary = rollouts("mini", [make_task("bad")], base_url=url)
    check_failure(rows, "model", "EndpointUnreachable")
    assert summary.errors == {"model": 1}
    assert by_task(rows)["bad"].exit_status == "EndpointUnreachable"


def test_garbage_from_the_endpoint_stops_only_its_own_rollout(rollouts):
    def script(messages):
        if "poison" in messages[1]["content"]:
            return Reply(body=b"\x00garbage")
        return REPAIR[min(1, sum(m["role"] == "assistant" for m in messages))]

    tasks = [make_task("one"), make_task("bad", problem_statement="poison"), make_task("two")]
    rows, _ = rollouts("mini", tasks, script=script)
    check_failure(rows, "model", "MalformedAnswer")
    assert by_task(rows)["two"].verdict.resolved
    assert len(by_task(rows)["bad"].messages) == 2  # what was said until then is kept


class KilledBoxes(TinyWorkshop):
    """Closes act boxes of the task ``bad`` from outside, as often as told."""

    times: ClassVar[int] = 2

    def __init__(self, base, scratch) -> None:
        super().__init__(base, scratch)
        self.left = self.times
        self.killers = []

    async def act_box(self, task, *, wall=None) -> Sandbox:
        box = await super().act_box(task)
        if task.instance_id == "bad" and self.left:
            self.left -= 1
            self.killers.append(asyncio.ensure_future(self._kill(box)))
        return box

    async def _kill(self, box: Sandbox) -> None:
        await asyncio.sleep(0.1)
        await box.close()


class KilledOnce(KilledBoxes):
    times = 1


def slowly(messages):
    turn = sum(m["role"] == "assistant" for m in messages)
    slow = Reply(tool_calls=REPAIR[0].tool_calls, delay=0.3)
    return [slow, REPAIR[1]][turn]


def test_a_box_killed_twice_is_the_infrastructures(rollouts):
    tasks = [make_task("one"), make_task("bad"), make_task("two")]
    rows, _ = rollouts("mini", tasks, script=slowly, make=KilledBoxes)
    check_failure(rows, "infrastructure", "InfrastructureError")


def test_a_box_killed_once_is_tried_again(rollouts, tmp_path):
    rows, _ = rollouts("mini", [make_task("bad")], script=slowly, make=KilledOnce)
    row = by_task(rows)["bad"]
    assert (row.error, row.verdict.resolved, len(row.messages)) == (None, True, 6)
    log = (tmp_path / "run" / "logs" / "bad#mini#0.jsonl").read_text()
    assert log.count("regreen.log") == 2


def test_hidden_tests_that_do_not_apply_are_the_tasks(rollouts):
    rows, _ = rollouts("oracle", [make_task("one"), make_task("bad", test_patch=BAD_TEST)])
    check_failure(rows, "task", "TaskError")
    assert by_task(rows)["bad"].patch  # the act was done


def test_a_gold_patch_that_does_not_apply_is_the_tasks(rollouts):
    rows, _ = rollouts("oracle", [make_task("one"), make_task("bad", patch=BAD_TEST)])
    check_failure(rows, "task", "TaskError")


class Raises:
    name = "raises"
    needs: ClassVar[frozenset] = frozenset()

    def __init__(self, error) -> None:
        self.error = error

    async def act(self, task, box, log):
        if task.problem_statement != "bad":
            return "submitted"
        if self.error is None:
            await asyncio.sleep(3600)
        raise self.error


@pytest.mark.parametrize(
    ("error", "boundary", "kind"),
    [
        (ZeroDivisionError("oops"), "agent", "ZeroDivisionError"),
        (InfrastructureError("gone"), "infrastructure", "InfrastructureError"),
        (PrerequisiteError("no bwrap", mend="install it"), "infrastructure", "PrerequisiteError"),
        (None, "agent", "TimeoutError"),
    ],
)
def test_an_agent_that_breaks_or_hangs(rollouts, error, boundary, kind):
    rows, _ = rollouts(
        "raises",
        [make_task("one"), make_task("bad", problem_statement="bad")],
        build=lambda _: Raises(error),
        act_seconds=1.0,
    )
    check_failure(rows, boundary, kind)


class NoBoxes(TinyWorkshop):
    """Cannot make a box for the task ``bad``."""

    async def act_box(self, task, *, wall=None) -> Sandbox:
        if task.instance_id == "bad":
            msg = "no space left"
            raise OSError(msg)
        return await super().act_box(task)


def test_a_box_that_cannot_be_made(rollouts):
    rows, _ = rollouts("nop", [make_task("one"), make_task("bad")], make=NoBoxes)
    check_failure(rows, "infrastructure", "OSError")


def test_a_runner_needs_no_assignments(rollouts):
    rows, summary = rollouts("nop", [])
    assert (rows, summary.finished) == ({}, 0)
    assert Runner.__dataclass_fields__["workers"].default == 2


def test_a_row_that_cannot_be_written_ends_the_run(rollouts, tmp_path):
    class Spoil:
        def phase(self, rollout_id, phase):
            (tmp_path / "run" / "trajectories.jsonl").mkdir(exist_ok=True)

        def finished(self, trajectory):
            pass

    with pytest.raises(RegreenError):
        rollouts("nop", [make_task(f"t{i}") for i in range(3)], watch=Spoil())
