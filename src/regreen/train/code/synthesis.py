"""Tests where there are none: what independent solutions agree on is taken for right.

All solutions run on all inputs in the box. The expected output of an input is the plurality among
valid outputs, and the input is kept only when enough independent solutions stand behind it; the
tests with the highest agreement come first, as the original keeps them, with room left for those on
which a few dissent, for only these tell solutions apart. Everything dropped is counted by its
reason. Agreement is no proof: solutions of one model share its mistakes.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from regreen.train.code.compare import same, same_output
from regreen.train.code.independence import independent
from regreen.train.code.literals import NotLiteral, read_call, write_value
from regreen.train.code.problems import CallTest, FeedTest, Problem
from regreen.train.code.stage import passes, run_tests
from regreen.train.code.warm_box import Observed, WarmBox

__all__ = ["Synthesis", "SynthesisConfig", "synthesise"]


class SynthesisConfig(BaseModel):
    """When an output is believed."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    agreement: float = Field(default=0.7, gt=0.5, le=1.0)
    """Least share of the valid outputs that are the plurality's."""
    solutions: int = Field(default=3, ge=2)
    """Least number of independent solutions behind it."""
    valid: float = Field(default=0.5, ge=0.0, le=1.0)
    """Least share of solutions with a valid output; below it the input is outside the domain."""
    rival: float = Field(default=0.2, ge=0.0, le=0.5)
    """Largest share the second opinion may have; above it the problem leaves the input open."""
    tests: int = Field(default=20, ge=1)
    """Tests kept, those with the highest agreement first."""
    contested: float = Field(default=0.5, ge=0.0, le=1.0)
    """Share of them set aside for tests on which some solution dissents, where there are any: an
    input on which all agree tells no two solutions apart. 0 goes by agreement alone."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Synthesis:
    """What came of it."""

    problem: Problem
    """With the tests as hidden ones."""
    agreement: float
    """Mean share of the plurality, over all inputs with a valid output."""
    pairwise: float
    """Chance that two different solutions agree on an input, over the same inputs."""
    solutions: int
    """Independent solutions that voted."""
    dropped: dict[str, int]
    """Inputs left out: ``repeated``, ``unreadable``, ``visible``, ``invalid`` (too few valid
    outputs), ``few`` (too few solutions), ``tie``, ``disagreement``, ``rival``, ``surplus``."""
    left_out: dict[str, int]
    """Solutions without a vote: ``repeated or unreadable``, ``examples`` (fails a visible one)."""
    outputs: int
    """Distinct expected outputs; tests with one output hardly test anything."""
    votes: tuple[float, ...] = field(repr=False)
    """Share of the plurality behind each test."""


@dataclass(frozen=True, slots=True)
class _Poll:
    """Opinions on one input, the most common first."""

    test: CallTest | FeedTest
    sizes: tuple[int, ...]
    winner: Any
    pairwise: float

    @property
    def valid(self) -> int:
        return sum(self.sizes)

    @property
    def share(self) -> float:
        return self.sizes[0] / self.valid


async def synthesise(
    problem: Problem,
    solutions: Sequence[str],
    inputs: Sequence[str],
    *,
    box: WarmBox,
    config: SynthesisConfig | None = None,
) -> Synthesis:
    """Make hidden tests of inputs by a vote.

    Args:
        problem: its hidden tests are replaced; its visible ones are examples a solution must pass.
        solutions: programs from independent sources, in a fixed order, which decides nothing but
            which one of two copies votes.
        inputs: calls such as ``f(1, [2])`` for a function, whole inputs for a program.
        box: where solutions run.
        config: when an output is believed.

    Raises:
        InfrastructureError: the box died.
    """
    config = config or SynthesisConfig()
    dropped: dict[str, int] = {}
    tests = _tests(problem, inputs, dropped)
    voters = independent(solutions, {problem.entry_point, *problem.entry_point.split(".")})
    left_out = {"repeated or unreadable": len(solutions) - len(voters)}
    able = []
    for program in voters:
        seen = await run_tests(box, problem, program, problem.visible)
        if all(map(passes, [problem] * len(seen), problem.visible, seen)):
            able.append(program)
    left_out["examples"] = len(voters) - len(able)
    seen_by = [await run_tests(box, problem, program, tests) for program in able]
    polls, asked = [], []
    for index, test in enumerate(tests):
        poll = _poll(problem, test, [seen[index] for seen in seen_by])
        reason = _reason(poll, len(able), config)
        asked += [poll] if poll.sizes else []
        if reason:
            dropped[reason] = dropped.get(reason, 0) + 1
        else:
            polls.append(poll)
    kept = _chosen(polls, config)
    if len(polls) > len(kept):
        dropped["surplus"] = len(polls) - len(kept)
    hidden = tuple(_with_output(poll) for poll in kept)
    return Synthesis(
        problem=problem.model_copy(update={"hidden": hidden}),
        agreement=_mean([poll.share for poll in asked]),
        pairwise=_mean([poll.pairwise for poll in asked]),
        solutions=len(able),
        dropped=dropped,
        left_out={reason: count for reason, count in left_out.items() if count},
        outputs=len({t.expected if isinstance(t, CallTest) else t.output for t in hidden}),
        votes=tuple(poll.share for poll in kept),
    )


def _chosen(polls: list[_Poll], config: SynthesisConfig) -> list[_Poll]:
    """The tests to keep, by falling agreement; inputs of one agreement keep their order."""
    ranked = sorted(polls, key=lambda poll: -poll.share)
    contested = [poll for poll in ranked if poll.share < 1][
        : round(config.tests * config.contested)
    ]
    others = [poll for poll in ranked if all(poll is not one for one in contested)]
    kept = [*contested, *others[: config.tests - len(contested)]]
    return sorted(kept, key=lambda poll: -poll.share)


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values) if values else 0.0


def _tests(
    problem: Problem, inputs: Sequence[str], dropped: dict[str, int]
) -> list[CallTest | FeedTest]:
    """Inputs as tests that do not know their output yet."""
    shown = {test.call if isinstance(test, CallTest) else test.input for test in problem.visible}
    made: dict[str, CallTest | FeedTest] = {}
    for text in inputs:
        reason = "visible" if text in shown else "repeated" if text in made else ""
        if not reason and problem.kind == "function":
            try:
                reason = "" if read_call(text)[0] == problem.entry_point else "unreadable"
            except NotLiteral:
                reason = "unreadable"
        if reason:
            dropped[reason] = dropped.get(reason, 0) + 1
        elif problem.kind == "function":
            made[text] = CallTest(call=text, expected="None")
        else:
            made[text] = FeedTest(input=text, output="")
    return list(made.values())


def _poll(problem: Problem, test: CallTest | FeedTest, seen: Sequence[Observed]) -> _Poll:
    """Sort valid outputs into opinions; each is known by the first that had it."""
    opinions: list[tuple[Any, int]] = []
    for one in seen:
        if one.fate != "returned":
            continue
        for index, (value, count) in enumerate(opinions):
            if _agree(problem, value, one.value):
                opinions[index] = (value, count + 1)
                break
        else:
            opinions.append((one.value, 1))
    opinions.sort(key=lambda opinion: -opinion[1])
    sizes = tuple(count for _, count in opinions)
    total = sum(sizes)
    pairs = total * (total - 1)
    pairwise = sum(size * (size - 1) for size in sizes) / pairs if pairs else 1.0
    return _Poll(test, sizes, opinions[0][0] if opinions else None, pairwise)


def _agree(problem: Problem, one: Any, other: Any) -> bool:
    compare = same if problem.kind == "function" else same_output
    return compare(one, other, problem.rule)


def _reason(poll: _Poll, voters: int, config: SynthesisConfig) -> str:
    """Why an input is dropped; empty when it is kept."""
    if not poll.sizes or poll.valid < config.valid * voters:
        return "invalid"
    second = poll.sizes[1] if len(poll.sizes) > 1 else 0
    checks = (
        ("tie", poll.sizes[0] == second),
        ("few", poll.sizes[0] < config.solutions),
        ("disagreement", poll.share < config.agreement),
        ("rival", second / poll.valid > config.rival),
    )
    return next((reason for reason, holds in checks if holds), "")


def _with_output(poll: _Poll) -> CallTest | FeedTest:
    if isinstance(poll.test, FeedTest):
        return FeedTest(input=poll.test.input, output=poll.winner)
    return CallTest(call=poll.test.call, expected=write_value(poll.winner))
