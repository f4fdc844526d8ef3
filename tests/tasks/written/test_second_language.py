"""A second language is one file: a model-written bug in shell goes through the whole validation."""

from __future__ import annotations

import asyncio
import re

import pytest
import shell_language

from regreen.grading.patch import FileState, apply_patch
from regreen.grading.place import Place
from regreen.inference import Reply, say
from regreen.sandbox import provider
from regreen.tasks.build.repository import Repository
from regreen.tasks.language import language
from regreen.tasks.prove.baseline import measure_blind
from regreen.tasks.repo.discovery import Suite, TestCommand
from regreen.tasks.repo.sources import resolve
from regreen.tasks.written.job import Written, WrittenSettings, library_texts, write

LIB = """\
clamp() {
    # Keep the first number within the second and the third.
    if [ "$1" -lt "$2" ]; then echo "$2"; return; fi
    if [ "$1" -gt "$3" ]; then echo "$3"; return; fi
    echo "$1"
}

repeat() {
    # Say a word some times.
    count=0
    while [ "$count" -lt "$2" ]; do printf %s "$1"; count=$((count + 1)); done
}
"""
TESTS = """\
. ./lib/numbers.sh

equal() {
    [ "$1" = "$2" ] || { echo "expected $2 and got $1"; return 1; }
}

test_clamp_low() {
    equal "$(clamp -1 0 9)" 0
}

test_clamp_high() {
    equal "$(clamp 10 0 9)" 9
}

test_clamp_inside() {
    equal "$(clamp 5 0 9)" 5
}

test_repeat() {
    equal "$(repeat ab 2)" abab
}
"""


def answer(messages) -> Reply:
    """A wrong upper bound for ``clamp``, one time too many for ``repeat``."""
    kind = re.search(r"^- (\w+):", messages[-1]["content"], re.MULTILINE)
    assert kind is not None
    name = re.search(r"The function `(\w+)`", messages[-1]["content"])
    assert name is not None
    function = next(one for one in shell_language._FUNCTION.finditer(LIB) if one[1] == name[1])
    code = function[0].replace('echo "$3"', 'echo "$2"').replace('-lt "$2" ]; do', '-le "$2" ]; do')
    return say(f"Kind: {kind[1]}\n```shell\n{code}\n```")


@pytest.fixture(scope="module")
def made(workroom, asking, tmp_path_factory) -> Written:
    root = tmp_path_factory.mktemp("shell") / "numbers"
    for name, text in {"lib/numbers.sh": LIB, "tests/numbers.sh": TESTS}.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)

    async def go() -> Written:
        shell, boxes = language("shell_language:Shell"), provider()
        try:
            checkout = resolve(str(root), store=workroom.store)
            tree = checkout.tree.path
            sources = shell.sources(tree)
            place = Place(tree=(tree,), env=workroom.env, paths=sources.paths)
            repository = Repository(
                checkout=checkout,
                built=workroom.built,
                suite=Suite(TestCommand(sources.paths, "layout"), ("*.sh",), ("tests",)),
                place=place,
            )
            baseline = await measure_blind(
                place,
                shell.runner(place, provider=boxes),
                texts=library_texts(tree, shell, where="numbers"),
                where="numbers",
            )
            async with asking(answer) as model:
                return await write(
                    repository,
                    baseline,
                    provider=boxes,
                    store=workroom.store,
                    settings=WrittenSettings(by="modify", limit=2, min_complexity=2, attempts=1),
                    answers=model.answers,
                    language=shell,
                )
        finally:
            await boxes.close()

    return asyncio.run(go())


def test_both_bugs_are_proved_by_the_suite(made):
    failing = {task.FAIL_TO_PASS for task in made.tasks}
    name = "tests/numbers.sh::test_"
    assert failing == {(f"{name}clamp_high",), (f"{name}repeat",)}
    for task in made.tasks:
        assert task.language == "shell"
        assert f"{name}clamp_inside" in task.PASS_TO_PASS
        assert task.operators[0].startswith("lm_modify:")
        assert task.validation is not None
        assert [c.score == c.expected for c in task.validation.controls] == [True] * 5


def test_the_gold_patch_leads_back_to_the_healthy_text(made):
    for task in made.tasks:
        undone = apply_patch(
            task.patch, {"lib/numbers.sh": FileState(LIB.encode())}.get, reverse=True
        )
        (broken,) = undone.values()
        assert broken is not None
        assert apply_patch(task.patch, {"lib/numbers.sh": broken}.get) == {
            "lib/numbers.sh": FileState(LIB.encode())
        }


def test_the_row_s_own_script_runs_its_files_with_the_shell(made):
    assert all(
        "sh ./$file" in task.eval_script and "'tests/numbers.sh'" in task.eval_script
        for task in made.tasks
    )


def test_the_writer_of_an_issue_is_shown_the_failing_test(made):
    for task in made.tasks:
        evidence = made.evidence[task.instance_id]
        assert evidence.tests[0].startswith(task.FAIL_TO_PASS[0].partition("::")[2])
        assert "expected" in "".join(evidence.output)
        assert "+++ b/lib/numbers.sh" in evidence.bug


def test_blanking_keeps_the_documentation():
    shell = shell_language.Shell()
    clamp = shell.functions("lib/numbers.sh", LIB)[0]
    blanked = shell.blank(LIB, clamp)
    assert blanked.startswith("clamp() {\n    # Keep the first number")
    assert "-gt" not in blanked
    assert blanked.endswith(LIB[clamp.end :])
