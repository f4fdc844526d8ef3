from __future__ import annotations

import json

import pytest
from pydantic import ValidationError

from regreen.core.verdict import Outcome, Verdict


def test_only_a_plain_pass_counts():
    assert [outcome for outcome in Outcome if outcome.passed] == [Outcome.PASSED]


def test_an_outcome_is_its_word():
    assert json.dumps(Outcome.XPASSED) == '"xpassed"'
    assert Outcome("missing") is Outcome.MISSING


def test_a_verdict_comes_back_from_json():
    verdict = Verdict(
        resolved=False,
        fail_to_pass={"a b": Outcome.CRASHED},
        pass_to_pass={},
        reason="1 of 1 FAIL_TO_PASS tests did not pass",
    )
    assert Verdict.model_validate_json(verdict.model_dump_json()) == verdict


@pytest.mark.parametrize("outcome", ["PASSED", "ok", "", 1])
def test_an_unknown_outcome_is_refused(outcome):
    with pytest.raises(ValidationError):
        Verdict(resolved=True, fail_to_pass={"a": outcome}, pass_to_pass={})
