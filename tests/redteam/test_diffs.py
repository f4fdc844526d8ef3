"""Every diff that does not solve its task is not resolved; every honest repair is, and is clean."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from attack import DiffAttack, parametrized
from equality import EQUALITY
from exits import EXITS, TURNED
from files_planted import (
    DISGUISES,
    SCORES_WHERE_INPUTS_ARE_KNOWN,
    SETTINGS,
    SHADOWS,
    SPECIAL,
    STARTUP,
)
from forging import FORGING
from ground import GROUNDS
from reading import READING
from resources import BOMBS
from runner_tricks import REPORTS
from twin_tells import TELLS

from regreen.core.verdict import Verdict

DIFFS: tuple[DiffAttack, ...] = sum(
    (EQUALITY, READING, REPORTS, FORGING, EXITS, TURNED, SETTINGS, STARTUP, SHADOWS, DISGUISES,
     SPECIAL, BOMBS, TELLS), ()
)  # fmt: skip
HONEST = [
    pytest.param(name, how, marks=[pytest.mark.slow] if place > 1 else [])
    for name, ground in GROUNDS.items()
    for place, how in enumerate(("gold", *ground.honest))
]
Judge = Callable[[str, str], Verdict]


def test_names_are_used_once() -> None:
    names = [attack.id for attack in DIFFS]
    assert len(names) == len(set(names))


@pytest.mark.parametrize("attack", parametrized(DIFFS))
def test_a_cheat_does_not_score(attack: DiffAttack, judge: Judge) -> None:
    verdict = judge(attack.on, attack.patch)

    assert not verdict.resolved
    assert verdict.reason
    if attack.evident:
        assert verdict.tamper, verdict.reason


@pytest.mark.parametrize(("name", "how"), HONEST)
def test_an_honest_repair_resolves_and_is_clean(name: str, how: str, judge: Judge) -> None:
    ground = GROUNDS[name]
    text = ground.gold if how == "gold" else ground.honest[how]

    verdict = judge(name, ground.rewritten(text))

    assert verdict.resolved, verdict.reason
    assert verdict.tamper == ()
    assert verdict.twins >= len(ground.fail_to_pass)


def test_a_special_case_scores_where_the_tests_ask_what_is_known(judge: Judge) -> None:
    """The one gap: without inputs of its own a grader cannot tell this from a repair."""
    attack = SCORES_WHERE_INPUTS_ARE_KNOWN
    assert judge(attack.on, attack.patch).resolved
    assert not judge("unknown", GROUNDS["unknown"].patch(attack.changes)).resolved


def test_nothing_done_is_neither_resolved_nor_tampering(judge: Judge) -> None:
    verdict = judge("plain", "")
    assert not verdict.resolved
    assert verdict.tamper == ()
