"""Late ideas against the whole defence, audit and all, as the command line has it."""

from __future__ import annotations

from typing import Any

import pytest
from attack import DiffAttack, parametrized
from ground import GROUNDS
from late_ideas import FIRST_TRY
from later_ideas import SECOND


@pytest.mark.parametrize("attack", parametrized((*FIRST_TRY, *SECOND)))
def test_a_late_idea_does_not_score(attack: DiffAttack, field: Any) -> None:
    verdict = field.judge(attack.on, attack.patch, audited=True)

    assert not verdict.resolved
    assert verdict.reason.encode()
    assert len(verdict.reason) < 10_000


@pytest.mark.parametrize("name", GROUNDS)
def test_gold_is_clean_under_the_whole_defence(name: str, field: Any) -> None:
    ground = GROUNDS[name]
    verdict = field.judge(name, ground.rewritten(ground.gold), audited=True)
    assert verdict.resolved, verdict.reason
    assert verdict.tamper == verdict.suspicions == ()
