"""A real run, made here and now, through every format and back to the same conversation."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

from regreen.store.trajectory_sets import read_trajectories
from regreen.templates import FORMATS, tool_format
from regreen.templates.conversion.convert import as_openai, as_prompt, read_conversation
from regreen.templates.conversion.steps import sequential
from regreen.templates.tools import tool_table

if TYPE_CHECKING:
    from tests.e2e.conftest import Command, Made


def test_a_run_goes_through_every_format(regreen: Command, made: Made, tmp_path: Path) -> None:
    run, out = tmp_path / "run", tmp_path / "text.jsonl"
    done = regreen("rollout", made.tasks, "--agent", "scripted", "--run", run, "-n", "2", "-j", "1")
    assert done.returncode == 0, done.stderr
    rows = list(read_trajectories(run))
    assert len(rows) == 2
    for row in rows:
        tools = tool_table(row.tools)
        assert {tool.name for tool in tools.tools} == {"bash", "view", "edit", "search", "submit"}
        whole = read_conversation(row.messages, None, tools)
        for name in FORMATS:
            form = tool_format(name)
            told = as_openai(whole if form.parallel else sequential(whole))
            prompt = as_prompt(whole, form, tools)
            back = as_openai(read_conversation(prompt.messages, form, tools))
            assert len(back.messages) == len(told.messages), name
            for old, new in zip(told.messages, back.messages, strict=True):
                assert new["role"] == old["role"], name
                assert (new["content"] or "").strip() == (old["content"] or "").strip(), name
                for one, other in zip(
                    old.get("tool_calls") or (), new.get("tool_calls") or (), strict=True
                ):
                    assert other["function"]["name"] == one["function"]["name"], name
                    given = json.loads(one["function"]["arguments"])
                    assert json.loads(other["function"]["arguments"]) == given, name

    done = regreen("convert", run, "--diverse", "--as", "text", "-o", out)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1] == str(out)
    assert len(out.read_text().splitlines()) == 2
