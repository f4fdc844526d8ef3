"""The rules are data, their examples are tests, their reference page is current."""

from __future__ import annotations

from pathlib import Path

import pytest

from regreen.guard.blocker import Blocker
from regreen.guard.rules import Example, Rule, load
from regreen.guard.rules.reference import reference_page
from regreen.guard.subject import Subject

PAGE = Path(__file__).parents[2] / "docs" / "reference" / "guard-rules.md"
BLOCKER = Blocker(Subject.of("octo/widget"))
RULES = load().rules


def held(example: str | Example) -> tuple[str, tuple[str, ...]]:
    if isinstance(example, str):
        decision = BLOCKER.judge("bash", {"command": example})
    else:
        decision = BLOCKER.judge(example.tool, example.arguments)
    return decision.rule, decision.flags


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.id)
def test_a_rule_holds_for_its_examples_and_for_nothing_near_them(rule: Rule) -> None:
    for example in rule.block:
        refused, flags = held(example)
        assert rule.id in ((*flags,) if rule.flag else (refused,)), example
    for example in rule.allow:
        refused, flags = held(example)
        assert refused == "", example
        assert rule.id not in flags, example


def test_every_rule_says_why_what_to_do_and_has_examples() -> None:
    assert len({rule.id for rule in RULES}) == len(RULES)
    for rule in RULES:
        assert rule.reason.endswith(".")
        assert rule.match
        assert rule.block
        assert rule.allow
        assert rule.flag or rule.message.startswith("Refused: ")


def test_the_reference_of_rules_is_current() -> None:
    assert PAGE.read_text() == reference_page(), "run: make docs"
