"""``oracle``, ``nop`` and the way agents are found."""

from __future__ import annotations

import asyncio
import json

import pytest

from regreen.agents import AGENTS, agent, agent_class
from regreen.agents.nop import Nop
from regreen.core.errors import TaskError, UsageError

blank = " "
GOLD = f"""\
diff --git a/calc.py b/calc.py
--- a/calc.py
+++ b/calc.py
@@ -1,4 +1,4 @@
 def add(a, b):
-    return a - b
+    return a + b
{blank}
{blank}
"""


def test_oracle_applies_gold(run_agent):
    acted = run_agent("oracle", gold_patch=GOLD)
    assert acted.status == "submitted"
    assert "a + b" in acted.files["calc.py"]


def test_a_gold_patch_that_does_not_apply_is_the_tasks_failure(run_agent):
    with pytest.raises(TaskError, match="does not apply"):
        run_agent("oracle", gold_patch=GOLD.replace("a - b", "a * b"))


def test_nop_changes_nothing(run_agent):
    acted = run_agent("nop")
    assert acted.status == "submitted"
    assert "a - b" in acted.files["calc.py"]
    assert acted.log.turns() == ()


def test_every_built_in_can_be_loaded():
    assert {agent_class(name).name for name in AGENTS} == set(AGENTS)


def test_a_dotted_path_is_an_agent():
    assert isinstance(agent("regreen.agents.nop:Nop", seed=3), Nop)


@pytest.mark.parametrize("name", ["nope", "no.such:Class", "regreen.agents.nop:Missing"])
def test_an_unknown_agent_is_a_usage_error(name):
    with pytest.raises(UsageError) as caught:
        agent_class(name)
    assert len(caught.value.lines()) == 3


def test_the_log_holds_every_message_once(run_agent, tmp_path):
    acted = run_agent("oracle", gold_patch=GOLD)
    header, *rows = [json.loads(line) for line in (tmp_path / "log.jsonl").open()]
    assert (header["schema_name"], header["schema_version"]) == ("regreen.log", 1)
    assert [row["message"] for row in rows] == list(acted.log.messages)
    assert asyncio.iscoroutinefunction(Nop.act)
