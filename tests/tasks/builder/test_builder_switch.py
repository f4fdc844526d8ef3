"""Switching a box's tree between the two states: whole or not at all."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from regreen.grading.workshop import stack
from regreen.sandbox.base import BoxSpec, Mount, Sandbox, SandboxProvider
from regreen.tasks.builder.states import ChangeStates
from regreen.tasks.builder.switch import Switch

BEFORE = {"a.txt": "one\n", "b.txt": "two\n", "old.txt": "old\n", "other.txt": "other\n"}
AFTER = {"a.txt": "ONE\n", "z/new.txt": "new\n", "test_a.txt": "test\n"}


@pytest.fixture(scope="module")
def states(make_states: Any) -> ChangeStates:
    found: ChangeStates = make_states("switched", BEFORE, AFTER, tests=("test_a.txt",))
    return found


@pytest.fixture
def in_box(
    workroom: Any, states: ChangeStates, with_boxes: Callable[..., Any]
) -> Callable[..., Any]:
    """Run a coroutine with a switch and a box that begins with the bug."""

    def run(work: Callable[[Switch, Sandbox], Any]) -> Any:
        async def inner(boxes: SandboxProvider) -> Any:
            known = {path: state for path, state in states.bug.items() if state}
            lowers = (stack(known, workroom.store).path, *states.lowers(None))
            box = await boxes.create(BoxSpec(mounts=(Mount(target="/testbed", lowers=lowers),)))
            return await work(Switch(states), box)

        return with_boxes(inner)

    return run


async def shown(box: Sandbox) -> str:
    command = "find . -type f | sort | while read f; do echo $f $(cat $f); done"
    return (await box.exec(["bash", "-c", command])).stdout.decode()


BUG = "./a.txt one\n./b.txt two\n./old.txt old\n./other.txt other\n./test_a.txt test\n"
RESOLVED = BUG.replace("one", "ONE") + "./z/new.txt new\n"


def test_there_and_back_and_what_the_agent_made_stays(in_box: Any) -> None:
    async def work(switch: Switch, box: Sandbox) -> list[str]:
        seen = [await shown(box)]
        await box.exec(["sh", "-c", "echo mine > mine.txt; echo changed > other.txt"])
        assert await switch.to("resolved", box) == ""
        seen.append(await shown(box))
        assert await switch.to("resolved", box) == ""
        assert await switch.to("bug", box) == ""
        seen.append(await shown(box))
        return seen

    before, resolved, after = in_box(work)
    assert before == BUG
    assert resolved.replace("./mine.txt mine\n", "") == RESOLVED.replace("other\n", "changed\n")
    assert after.replace("./mine.txt mine\n", "") == BUG.replace("txt other\n", "txt changed\n")
    assert "mine" in resolved
    assert "mine" in after


def test_a_conflict_is_reported_and_nothing_is_lost(in_box: Any) -> None:
    async def work(switch: Switch, box: Sandbox) -> Any:
        await box.exec(["sh", "-c", "echo edited > a.txt; rm test_a.txt; chmod +x b.txt"])
        refused = await switch.to("resolved", box)
        kept = await shown(box)
        accepted = await switch.to("resolved", box, discard=True)
        return refused, switch.state, kept, accepted, await shown(box)

    refused, state, kept, accepted, after = in_box(work)
    assert "a.txt, test_a.txt" in refused
    assert "edited" in kept
    assert "new" not in kept
    assert (accepted, state, after) == ("", "resolved", RESOLVED)


def test_a_switch_that_fails_half_way_leaves_all_as_it_was(in_box: Any) -> None:
    async def work(switch: Switch, box: Sandbox) -> Any:
        await box.exec(["sh", "-c", "echo in the way > z"])
        fault = await switch.to("resolved", box)
        left = (await box.exec(["ls", "-A", "/tmp"])).stdout
        return fault, switch.state, await shown(box), left

    fault, state, after, left = in_box(work)
    assert "z/new.txt" in fault
    assert state == "bug"
    assert after == BUG + "./z in the way\n"
    assert left == b""
