"""Mining with a model behind a real socket: it tells, judges, and builds what rules cannot."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from bag import journal, mine, refused
from story import Story

from regreen.inference import Reply, ScriptedEndpoint, call, say
from regreen.sandbox.layers import LayerStore
from regreen.store.taskset import load_tasks

STATEMENT = "The last item is the first one\n\n`bag.last([7, 8])` gives 7, and I expected 8.\n"
OPINION = {
    "codes": ["B4"],
    "statement": "thin",
    "tests": "aligned",
    "environment": "adapted",
    "reasons": {"B4": "It leaves the empty bag open."},
}
HONEST = """\
cat > /tmp/check_bag.py <<'EOF'
import bag

assert bag.size([5, 6]) == 2
assert bag.size([]) == 0
print("every check has run")
EOF
PYTHONPATH=. python /tmp/check_bag.py | grep -qx 'every check has run'
"""


def answers(messages: list[Any]) -> Reply:
    judging = str(messages[0]["content"]).startswith("You review tasks")
    return say(json.dumps(OPINION) if judging else STATEMENT)


def build(script: str) -> list[Reply]:
    written = f"cat > /workspace/evaluation.sh <<'SCRIPT_END'\n{script}SCRIPT_END"
    return [call("bash", command=written), call("submit")]


def with_model(
    script: Any, story: Story, out: Path, *flags: str, **env: str
) -> tuple[dict[str, Any], int]:
    """What mining said, and how often the model was asked."""

    async def go() -> tuple[dict[str, Any], int]:
        async with ScriptedEndpoint(script) as server:
            named = ("--base-url", server.base_url, "--model", "scripted")
            told = await asyncio.to_thread(mine, story, out, *named, *flags, **env)
            return told, server.requests

    return asyncio.run(go())


def only(story: Story, place: Path, *labels: str) -> tuple[str, str]:
    names = place / "names.txt"
    names.write_text("\n".join(story.names[label] for label in labels))
    return "--commits", str(names)


def test_a_model_tells_and_judges_and_is_asked_once(bag: Story, tmp_path: Path) -> None:
    out, flags = tmp_path / "tasks.jsonl", only(bag, tmp_path, "last")
    said, asked = with_model(answers, bag, out, *flags)
    (task,) = load_tasks(out)
    assert task.problem_statement == STATEMENT
    assert task.quality
    assert (task.quality.judge, task.quality.code) == ("scripted", "B4")
    assert journal(out, bag)["last"].model == "scripted"
    assert "1 of 1 statements written and 1 tasks judged by scripted" in said["notes"]
    assert asked == 2
    _, asked = with_model(answers, bag, out, *flags, "--resume")
    assert (load_tasks(out), asked) == ([task], 0)


@pytest.mark.slow
def test_an_endpoint_that_fails_leaves_the_rules_words_and_is_asked_again(
    bag: Story, tmp_path: Path
) -> None:
    out, flags = tmp_path / "tasks.jsonl", only(bag, tmp_path, "last")
    said, _ = with_model([Reply(status=400, content="out of order")], bag, out, *flags)
    (task,) = load_tasks(out)
    assert task.problem_statement.startswith("Give the last item, not the first\n")
    assert task.quality
    assert task.quality.judge == ""
    assert "1 were not answered" in said["notes"]
    with_model(answers, bag, out, *flags, "--resume")
    assert load_tasks(out)[0].problem_statement == STATEMENT


def quick(place: Path) -> tuple[str, str]:
    (place / "quick.toml").write_text(
        "[builder]\nrepeats = 1\nscript_seconds = 30.0\nsubmissions = 1\n"
    )
    return "-c", str(place / "quick.toml")


@pytest.mark.slow
def test_the_agent_builds_what_came_without_tests(bag: Story, tmp_path: Path) -> None:
    out = tmp_path / "tasks.jsonl"
    flags = (*only(bag, tmp_path, "size"), *quick(tmp_path), "--agent")
    steps = build(HONEST)

    def script(messages: list[Any]) -> Reply:
        if "box with" in str(messages[0]["content"]):
            return steps[sum(one["role"] == "assistant" for one in messages)]
        return answers(messages)

    home = {"REGREEN_HOME": str(tmp_path / "home")}
    said, asked = with_model(script, bag, out, *flags, **home)
    (task,) = load_tasks(out)
    assert (task.source, task.eval_script) == ("built", HONEST)
    assert task.environment
    store = LayerStore(tmp_path / "home" / "store")
    assert store.get(task.environment.env_layer)
    assert store.get(task.environment.repo_layer) is None
    assert not list((tmp_path / "home").glob("store/layers/*/bag.py"))
    assert task.problem_statement == STATEMENT
    assert task.difficulty
    assert task.difficulty.level == "easy"
    entry = journal(out, bag)["size"]
    assert entry.rungs == ("agent: accepted (1 scripts, 2 turns)",)
    assert 0 < entry.cpu_seconds <= said["cpu_seconds"]
    assert (said["verified"], asked) == (1, 4)
    (log,) = (tmp_path / "tasks.jsonl.agent").iterdir()
    assert "Accepted." in log.read_text()
    _, asked = with_model(script, bag, out, *flags, "--resume", **home)
    assert (load_tasks(out), asked) == ([task], 0)
    words = [sys.executable, "-m", "regreen", "tasks", "validate", str(out), "--json"]
    proved = subprocess.run(words, env=os.environ | home, capture_output=True, check=False)
    assert proved.returncode == 0, proved.stderr


def test_a_cheating_agent_is_refused_and_its_reason_kept(bag: Story, tmp_path: Path) -> None:
    out = tmp_path / "tasks.jsonl"
    flags = (*only(bag, tmp_path, "size"), *quick(tmp_path), "--agent", "--agent-changes", "1")
    cheat = "grep -q 'return len(items)$' bag.py\n"
    said, _ = with_model(build(cheat), bag, out, *flags)
    entry = journal(out, bag)["size"]
    assert (entry.status, entry.reason) == ("rejected", "no_tests")
    assert entry.rungs[0].startswith("agent: reads_source: ")
    assert (said["verified"], said["rejected"]) == (0, {"no_tests": 1})


@pytest.mark.slow
def test_the_agent_begins_with_the_environment_that_was_built(
    history: Story, tmp_path: Path
) -> None:
    out = tmp_path / "tasks.jsonl"
    flags = (*only(history, tmp_path, "network"), *quick(tmp_path), "--agent")
    steps = [call("bash", command="python -c 'import pytest; print(pytest)'"), call("submit")]
    with_model(steps, history, out, *flags)
    entry = journal(out, history)["network"]
    assert entry.reason == "environment_fails"
    assert entry.rungs[-1].startswith("agent: missing_script: ")
    (log,) = (tmp_path / "tasks.jsonl.agent").iterdir()
    assert "<module 'pytest' from '/opt/env" in log.read_text()


@pytest.mark.parametrize(
    ("flags", "word"),
    [
        (("--agent",), "add --base-url and --model"),
        (("--agent-changes", "2"), "add --agent"),
        (("--base-url", "http://127.0.0.1:1/v1"), "give both"),
    ],
)
def test_flags_of_the_model_that_cannot_be_used(
    bag: Story, tmp_path: Path, flags: tuple[str, ...], word: str
) -> None:
    assert word in refused(bag, tmp_path / "tasks.jsonl", *flags)
