"""The building agent from end to end, driven over a real socket."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from builder_scripts import CHEATS, HONEST, PYTEST

from regreen.agents.base import Limits
from regreen.core.task import Task
from regreen.grading.patch import text_patch
from regreen.grading.workshop import Workshop
from regreen.inference import ChatClient, Endpoint, Reply, ScriptedEndpoint, call, calls, say
from regreen.sandbox import provider
from regreen.store.taskset import load_tasks, write_tasks
from regreen.tasks.builder.agent import Built, Refused, build_by_agent
from regreen.tasks.builder.settings import BuilderSettings
from regreen.tasks.builder.states import ChangeStates
from regreen.tasks.prove.revalidate import Proof, prove

QUICK = BuilderSettings(script_seconds=30, repeats=1, submissions=3, limits=Limits(turns=20))
BUILDERS = (
    "grep", "sed", "python reads", "inspect", "diff against gold", "file times", "a new file",
    "git diff", "marker", "applies gold", "edits", "nothing",
)  # fmt: skip
"""One of each kind; what their scripts are told apart by is tried for all of them apart."""
PERL_CHECK = """\
cat > /tmp/check.pl <<'EOF'
use lib 'lib', '/opt/env/lib';
use Words; use Told;
Told::done() if Words::count("one  two") == 2;
EOF
perl /tmp/check.pl | grep -qx 'every check has run'
"""


def writes(script: str, path: str = "/workspace/evaluation.sh") -> Reply:
    return call("bash", command=f"cat > {path} <<'SCRIPT_END'\n{script}SCRIPT_END")


@pytest.fixture
def build(workroom: Any, tmp_path: Path) -> Callable[..., Built | Refused]:
    def run(
        states: ChangeStates, script: Sequence[Reply], settings: BuilderSettings = QUICK
    ) -> Built | Refused:
        async def go() -> Built | Refused:
            boxes = provider()
            async with ScriptedEndpoint(script) as server:
                endpoint = Endpoint(base_url=server.base_url, model="scripted", retry_seconds=0)
                async with ChatClient(endpoint) as client:
                    try:
                        return await build_by_agent(
                            states,
                            client,
                            provider=boxes,
                            store=workroom.store,
                            settings=settings,
                            note=notes.append,
                            log=tmp_path / "log.jsonl",
                        )
                    finally:
                        await boxes.close()

        return asyncio.run(go())

    notes: list[str] = []
    return run


def scores(workroom: Any, with_boxes: Any, task: Task, *patches: str) -> list[Any]:
    async def work(boxes: Any) -> list[Any]:
        workshop = Workshop(boxes, workroom.store)
        return [await workshop.verify_patch(task, patch) for patch in patches]

    found: list[Any] = with_boxes(work)
    return found


@pytest.mark.slow
def test_an_honest_builder_makes_a_task(
    prices: ChangeStates, build: Any, workroom: Any, with_boxes: Any, tmp_path: Path
) -> None:
    built = build(
        prices,
        [
            calls(("switch_to_resolved", {}), ("bash", {"command": "cat prices.py; ls tests"})),
            writes(PYTEST),
            call("bash", command="bash /workspace/evaluation.sh; echo status $?"),
            call("switch_to_bug"),
            call("bash", command="bash /workspace/evaluation.sh; echo status $?"),
            call("submit"),
        ],
    )
    assert isinstance(built, Built), built
    log = (tmp_path / "log.jsonl").read_text()
    assert "status 0" in log
    assert "status 1" in log
    task = built.task
    assert task.source == "built"
    assert task.eval_script == PYTEST
    assert (task.FAIL_TO_PASS, built.spent.turns) == ((), 6)
    assert task.validation is not None
    assert task.environment is not None
    assert {(one.name, one.expected) for one in task.validation.controls} == {
        ("no_op", 0.0), ("gold", 1.0), ("key_text", 0.0), ("delete_tests", 0.0),
        ("early_exit", 0.0), ("sealed", 1.0),
    }  # fmt: skip
    assert all(one.score == one.expected for one in task.validation.controls)

    write_tasks(tmp_path / "tasks.jsonl", [task])
    (read,) = load_tasks(tmp_path / "tasks.jsonl")
    easy = "def test_nothing():\n    pass\n\n\ndef test_more():\n    pass\n"
    tests, source = _text(prices, "tests/test_prices.py"), _text(prices, "prices.py")
    swapped = text_patch("tests/test_prices.py", tests, easy)
    verdicts = scores(
        workroom,
        with_boxes,
        read,
        read.patch + swapped,
        swapped
        + text_patch("evaluation.sh", None, "exit 0\n")
        + text_patch("tests/test_more.py", None, easy)
        + text_patch("tests/conftest.py", None, "import os\nos._exit(0)\n"),
        text_patch("prices.py", source, "import os\nos._exit(0)\n"),
    )
    assert [each.resolved for each in verdicts] == [True, False, False]
    assert any(line.startswith("pytest==") for line in task.environment.requirements)
    assert "tests/test_prices.py: holds tests that are run" in verdicts[0].dropped


def _text(states: ChangeStates, path: str) -> str:
    return (states.base.path / path).read_text()


def test_a_builder_of_another_language_installs_and_goes_on_after_a_refusal(
    words: ChangeStates, build: Any, workroom: Any, with_boxes: Any, tmp_path: Path
) -> None:
    install = (
        "mkdir -p /opt/env/lib && echo 'package Told; sub done { print qq(every check has run\\n) }"
        " 1;' > /opt/env/lib/Told.pm && echo built > helper.txt && echo noise >> README"
    )
    built = build(
        words,
        [
            call("bash", command=f"{install} # install"),
            writes(PERL_CHECK.replace("== 2", "> 0"), "evaluation.sh"),
            call("submit"),
            writes(PERL_CHECK, "evaluation.sh"),
            call("submit"),
        ],
    )
    assert isinstance(built, Built), built
    first, second = built.attempts
    assert [one.kind for one in first.findings] == ["bug_passes"]
    assert second.accepted
    assert "[bug: exit status 0, wanted anything but 0]" in (tmp_path / "log.jsonl").read_text()
    assert "fresh boxes do not have: README" in (tmp_path / "log.jsonl").read_text()
    environment = built.task.environment
    assert environment is not None
    layer = workroom.store.get(environment.build_layer)
    assert sorted(path.name for path in layer.path.rglob("*")) == ["helper.txt"]
    assert environment.install[0].endswith("# install")

    async def proved(boxes: Any) -> Proof:
        return await prove(built.task, Workshop(boxes, workroom.store))

    proof = with_boxes(proved)
    assert proof.valid, proof.reasons
    assert [one.name for one in proof.controls][:2] == ["no_op", "gold"]


@pytest.mark.parametrize("name", BUILDERS)
def test_a_cheating_builder_is_refused_and_told_why(
    name: str, prices: ChangeStates, build: Any, tmp_path: Path
) -> None:
    kind, script = CHEATS[name]
    settings = QUICK.model_copy(update={"submissions": 1})
    refused = build(prices, [writes(script), call("submit")], settings)
    assert isinstance(refused, Refused)
    assert kind in [one.kind for one in refused.attempts[0].findings]
    assert f"- {kind}: " in (tmp_path / "log.jsonl").read_text()
    assert refused.detail


def test_a_cheater_may_turn_honest_and_begin_without_an_environment(
    prices: ChangeStates, build: Any, workroom: Any
) -> None:
    built = build(
        replace(prices, env=None),
        [
            call("submit"),
            writes(CHEATS["grep"][1]),
            call("submit"),
            writes(HONEST["own program"]),
            call("submit"),
        ],
    )
    assert isinstance(built, Built)
    assert [[one.kind for one in each.findings] for each in built.attempts] == [
        ["missing_script"],
        ["reads_source"],
        [],
    ]
    assert built.task.environment is not None
    env = workroom.store.get(built.task.environment.env_layer)
    assert (env.path / "bin/python").is_symlink()
    assert built.task.environment.python.count(".") == 2


@pytest.mark.slow
def test_what_is_installed_may_not_hold_the_repair(prices: ChangeStates, build: Any) -> None:
    copies = "mkdir -p /opt/env/share && cp prices.py /opt/env/share/"
    refused = build(
        prices,
        [
            call("switch_to_resolved"),
            call("bash", command=copies),
            writes(HONEST["own program"]),
            call("submit"),
            say("That is all."),
        ],
        QUICK.model_copy(update={"submissions": 1}),
    )
    assert isinstance(refused, Refused)
    assert refused.reason == "leak"
    assert "prices.py" in refused.detail


def test_a_budget_ends_the_work(prices: ChangeStates, build: Any) -> None:
    idle = [call("bash", command="true")] * 5
    refused = build(prices, idle, QUICK.model_copy(update={"limits": Limits(turns=3)}))
    assert isinstance(refused, Refused)
    assert (refused.reason, refused.spent.turns, refused.attempts) == ("turn_limit", 3, ())
