"""Proving twins when the first changed value happens to be what the broken code gives."""

import asyncio
import re

from regreen.core.task import Twin, Twins
from regreen.grading.twinning import Side, Target, TwinFiles, prove_twins, twin_files

TEXT = """
from lib import colour

def test_one():
    assert colour(1) == "red"

def test_two():
    assert colour(2) == "green"

def test_three():
    assert colour(3) == "blue"
"""
PATH = "test_lib.py"
TESTS = ("test_one", "test_two", "test_three")
SEEDS = [f"s{number}" for number in range(12)]


def expected(made: TwinFiles, name: str) -> str:
    found = re.search(rf'def {name}.*?== "(.*?)"', made.files[PATH].decode(), re.DOTALL)
    assert found is not None
    return found[1]


class BrokenGivesThisValue:
    """A base that gives one value for ``test_one``, and gold that gives what is expected."""

    def __init__(self, mistake: str) -> None:
        self.mistake = mistake

    async def passing(self, made: TwinFiles) -> set[str]:
        return {twin.test for twin in made.twins}

    async def failing(self, side: Side, made: TwinFiles) -> set[str]:
        gives = {"test_one": "red", "test_two": "green", "test_three": "blue"}
        if side == "base":
            gives = {**gives, "test_one": self.mistake}
        return {
            twin.test
            for twin in made.twins
            if twin.kind != "value"
            or expected(made, twin.test.partition("::")[2]) != gives[twin.test.partition("::")[2]]
        }


def prove(seed: str, mistake: str) -> Twins:
    wanted = [Target(test=f"{PATH}::{name}", position=0) for name in TESTS]
    trial = BrokenGivesThisValue(mistake)
    return asyncio.run(prove_twins(wanted, {PATH: TEXT}, seed=seed, trial=trial))


def test_a_second_value_is_tried_before_a_weaker_kind() -> None:
    attempts = set()
    for seed in SEEDS:
        first = twin_files(prove(seed, "nothing").proved, {PATH: TEXT}, seed=seed)
        proved = prove(seed, expected(first, "test_one")).proved
        assert [twin.attempt for twin in proved[1:]] == [0, 0]
        attempts.add((proved[0].kind, proved[0].attempt))
        again = twin_files(proved, {PATH: TEXT}, seed=seed)
        if proved[0].kind == "value":
            assert proved[0].attempt == 1
            assert expected(again, "test_one") not in {"red", expected(first, "test_one")}
            assert expected(again, "test_two") == expected(first, "test_two")
    assert ("value", 1) in attempts


def test_a_row_written_before_there_were_attempts_is_read() -> None:
    assert Twin.model_validate({"test": "a", "kind": "value"}).attempt == 0
