"""The pages about mining: their reasons are the miner's, and what they show runs.

Where reasons changed, REGREEN_WRITE_GOLDEN=1 writes the page's table anew.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from regreen.core.task import Environment, Task, Validation
from regreen.tasks.mine.reasons import REASONS, Reason
from regreen.tasks.mine.settings import MineSettings

PATH = Path(__file__).parents[3] / "docs" / "explanation" / "mining.md"
PAGE = PATH.read_text(encoding="utf-8")
PLAN = PATH.with_name("mining-at-scale.md").read_text(encoding="utf-8")
_TABLE = re.compile(r"(?<=<!-- reasons: begin -->\n).*?(?=<!-- reasons: end -->)", re.DOTALL)


def table() -> str:
    rows = "".join(f"| `{reason}` | {REASONS[reason]} |\n" for reason in Reason)
    return f"| reason | a change is left out because |\n|---|---|\n{rows}"


def test_its_reasons_are_those_of_the_miner() -> None:
    if os.environ.get("REGREEN_WRITE_GOLDEN"):
        PATH.write_text(_TABLE.sub(lambda _: table(), PAGE), encoding="utf-8")
        return
    assert _TABLE.findall(PAGE) == [table()], "if meant: REGREEN_WRITE_GOLDEN=1"


@pytest.mark.parametrize("command", re.findall(r"^regreen (.*)$", PAGE, re.MULTILINE))
def test_its_commands_are_there_with_their_flags(command: str) -> None:
    shown = subprocess.run(
        [sys.executable, "-m", "regreen", *command.split()[:2], "--help"],
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, "COLUMNS": "200"},
    ).stdout
    for flag in re.findall(r"(?<= )--?[a-z][\w-]*", command):
        assert re.search(rf"(?<![\w-]){flag}(?![\w-])", shown), flag


def test_the_fields_it_names_are_there() -> None:
    section = PAGE.partition("## 6. ")[2].partition("\n## ")[0]
    named = re.findall(r"^\| (`.*?) \|", section, re.MULTILINE)
    for name in re.findall(r"`([\w.]+)`", " ".join(named)):
        first, _, rest = name.partition(".")
        held = Environment if not first or first == "environment" else Task
        assert (rest or first) in held.model_fields, name
    assert set(re.findall(r"validation\.(\w+)", PAGE)) <= set(Validation.model_fields)


def test_its_limits_are_the_settings() -> None:
    limits = MineSettings()
    assert f"`--max-files` ({limits.max_files})" in PAGE
    assert f"`max_lines` ({limits.max_lines:,})" in PAGE
    assert f"`row_bytes` ({limits.row_bytes:,})" in PAGE
    assert f"PASS_TO_PASS ends at {limits.pass_to_pass} tests" in PAGE


def test_the_arithmetic_of_the_plan_holds() -> None:
    (program,) = re.findall(r"^```python\n(.*?)^```", PLAN, re.MULTILINE | re.DOTALL)

    exec(compile(program, "mining-at-scale.md", "exec"), {})


def test_every_input_of_the_plan_says_where_it_is_from() -> None:
    rows = re.findall(r"^\| (?!-|input)(.*) \|$", PLAN, re.MULTILINE)
    origins = [row.split(" | ")[2].partition(":")[0].split()[0].rstrip(";,") for row in rows]
    assert len(rows) > 10
    assert set(origins) <= {"the", "measured", "counted", "sourced", "assumed"}
