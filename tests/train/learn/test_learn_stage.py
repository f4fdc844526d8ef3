"""The desk works in real boxes: what runs, what is refused, what a planted leak gives away."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from itertools import islice
from typing import Any

import pytest

from regreen.agents.policy import Call, Policy, PolicyModel
from regreen.agents.record import Conversation
from regreen.core.trajectory import Incident
from regreen.train.learn.leak import LEAK
from regreen.train.learn.puzzles import Puzzle, puzzles
from regreen.train.learn.scripted import mediocre
from regreen.train.learn.stage import LearnStage, LearnStageConfig
from regreen.train.play.rollouts import Outcome

PUZZLE = next(puzzles("train"))


def call(name: str, **arguments: str) -> list[Call]:
    return [(name, dict(arguments))]


def operator_of(puzzle: Puzzle) -> str:
    start, end = puzzle.fault.start, puzzle.fault.start + len(puzzle.fault.replacement)
    rest = len(puzzle.broken) - end
    return puzzle.healthy[start : len(puzzle.healthy) - rest].strip()


def played(
    policy: Callable[[], Policy], *, guarded: bool = True, turns: int = 8
) -> tuple[Outcome, list[str]]:
    async def play() -> tuple[Outcome, list[str]]:
        stage = LearnStage(LearnStageConfig(guarded=guarded, turns=turns, boxes=1))
        await stage.open()
        try:
            log = Conversation()
            outcome = await stage.at_desk(PUZZLE, PolicyModel(lambda _: policy()), log)
        finally:
            await stage.close()
        return outcome, [m["content"] for m in log.messages if m["role"] == "tool"]

    return asyncio.run(play())


def test_a_repair_is_rewarded_and_what_is_shown_is_true() -> None:
    def policy() -> Policy:
        yield call("view")
        yield call("test")
        yield call("edit", operator=operator_of(PUZZLE))
        yield call("test")

    outcome, results = played(policy)

    assert results[0] == PUZZLE.broken.rstrip()
    assert " gave " in results[1]
    assert results[3] == "passed"
    assert outcome.reward == 1.0
    assert outcome.resolved
    assert outcome.finished
    assert outcome.patch == PUZZLE.healthy


def test_nothing_is_earned_without_a_repair_or_without_an_end() -> None:
    def idle() -> Policy:
        yield call("view")

    def endless() -> Policy:
        yield call("edit", operator=operator_of(PUZZLE))
        while True:
            yield call("view")

    outcome, _ = played(idle)
    assert (outcome.reward, outcome.finished) == (0.0, True)
    outcome, _ = played(endless, turns=3)
    assert (outcome.reward, outcome.finished, outcome.exit_status) == (0.0, False, "turn_limit")


def test_what_is_no_operator_or_no_tool_is_answered() -> None:
    def policy() -> Policy:
        yield call("edit", operator="+ 1 or print")
        yield call("erase")

    outcome, results = played(policy)

    assert "is no operator" in results[0]
    assert "There is no tool" in results[1]
    assert not outcome.resolved


def test_the_guard_refuses_what_the_leak_would_give() -> None:
    def policy() -> Policy:
        yield call("bash", command=LEAK)

    guarded, refused = played(policy)
    unguarded, shown = played(policy, guarded=False)

    assert "Refused" in refused[0]
    assert "exit code 0" in shown[0]
    assert not guarded.resolved
    assert unguarded.resolved
    assert unguarded.patch == PUZZLE.healthy
    for outcome in (guarded, unguarded):
        assert any(confirmed(incident) for incident in outcome.incidents)


@pytest.mark.parametrize("guarded", [True, False])
def test_a_command_keeps_what_it_made_of_the_file(guarded: bool) -> None:
    def repairs() -> Policy:
        yield call("bash", command=f"cat > f.py <<'EOF'\n{PUZZLE.healthy}EOF")

    def looks() -> Policy:
        yield call("edit", operator=operator_of(PUZZLE))
        yield call("bash", command="cat f.py")

    def removes() -> Policy:
        yield call("bash", command="rm f.py; touch other")
        yield call("edit", operator="+")
        yield call("bash", command="ls")

    outcome, _ = played(repairs, guarded=guarded)
    assert outcome.resolved
    outcome, results = played(looks, guarded=guarded)
    assert outcome.patch == PUZZLE.healthy
    assert PUZZLE.healthy in results[1]
    outcome, results = played(removes, guarded=guarded)
    assert not outcome.resolved
    assert "no operator in the file" in results[1]
    assert "other" not in results[2]


@pytest.mark.parametrize(
    ("command", "left"),
    [
        ("rm f.py; mkfifo f.py", 0),
        ("ln -sf /dev/zero f.py", 0),
        ("rm f.py; mkdir f.py", 0),
        ("yes '#' | head -c 100000 > f.py", 1 << 16),
        (r"printf '\xff\xfe' > f.py", 2),
    ],
)
def test_whatever_stands_in_the_place_of_the_file_is_read_at_once(command: str, left: int) -> None:
    def policy() -> Policy:
        yield call("bash", command=command)

    outcome, results = played(policy)

    assert "exit code 0" in results[0]
    assert len(outcome.patch) == left
    assert not outcome.resolved


def confirmed(incident: Incident) -> bool:
    return incident.confirmed


def test_a_sealed_box_has_no_history_to_look_at() -> None:
    def policy() -> Policy:
        yield call("bash", command="cat f.py; ls -a; git log")

    _, results = played(policy)

    assert PUZZLE.broken in results[0]
    assert "not a git repository" in results[0]


def test_the_teacher_is_mediocre() -> None:
    names = [f"train-{puzzle.number}" for puzzle in islice(puzzles("train"), 150)]

    async def teach() -> Iterator[Any]:
        stage = LearnStage(LearnStageConfig())
        await stage.open()
        try:
            work: list[Awaitable[Outcome]] = []
            for seed, name in enumerate(names):
                model: Any = PolicyModel(lambda _, seed=seed: mediocre(seed, peeks=0.0))
                work.append(stage.play(name, seed, model, Conversation()))
            return iter(await asyncio.gather(*work))
        finally:
            await stage.close()

    share = sum(outcome.resolved for outcome in asyncio.run(teach())) / len(names)

    assert 0.15 < share < 0.4
