"""Puzzles are a function of their number, broken by a real fault class, and split for good."""

from __future__ import annotations

from itertools import islice
from typing import Any

import pytest

from regreen.core.errors import UsageError
from regreen.tasks.inject.operators.site import apply
from regreen.train.learn.puzzles import FAULTS, OPERATORS, Puzzle, make, puzzles
from regreen.train.learn.stage import puzzle_of


def function(source: str, name: str) -> Any:
    space: dict[str, Any] = {}
    exec(source, space)
    return space[name]


def some(split: Any, count: int = 60) -> list[Puzzle]:
    return list(islice(puzzles(split), count))


@pytest.mark.parametrize("split", ["train", "held_out"])
def test_a_puzzle_is_broken_where_its_cases_say(split: Any) -> None:
    for puzzle in some(split):
        healthy, broken = (function(text, puzzle.name) for text in (puzzle.healthy, puzzle.broken))
        cases = (*puzzle.visible, *puzzle.hidden)
        assert all(healthy(*case.arguments) == case.expected for case in cases)
        for part in (puzzle.visible, puzzle.hidden):
            assert any(broken(*case.arguments) != case.expected for case in part)
        assert len({case.arguments for case in cases}) == len(cases)
        assert puzzle.fault.operator in FAULTS
        assert puzzle.broken == apply(puzzle.healthy, [puzzle.fault])


def test_the_same_number_gives_the_same_puzzle() -> None:
    again = [make(puzzle.number, "train") for puzzle in some("train")]

    assert again == some("train")


def test_a_puzzle_is_of_one_split() -> None:
    train, held_out = some("train", 200), some("held_out", 200)

    assert not {p.number for p in train} & {p.number for p in held_out}
    assert not {(p.healthy, p.broken) for p in train} & {(p.healthy, p.broken) for p in held_out}


def test_every_operator_repairs_something() -> None:
    repaired = set()
    for puzzle in some("train", 300):
        for operator in OPERATORS:
            if f" {operator} " in puzzle.healthy.replace(" = ", " "):
                repaired.add(operator)

    assert repaired == set(OPERATORS)


def test_names_lead_back_to_puzzles() -> None:
    puzzle = some("held_out", 1)[0]

    assert puzzle_of(f"held_out-{puzzle.number}") == puzzle
    with pytest.raises(UsageError, match="there is no puzzle"):
        puzzle_of(f"train-{puzzle.number}")
