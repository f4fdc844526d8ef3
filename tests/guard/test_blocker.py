"""Attempts get feedback, ordinary work passes, and no text breaks the reading."""

from __future__ import annotations

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.guard.calls import read_calls

from regreen.core.task import Environment, Task
from regreen.guard.blocker import Blocker, Decision
from regreen.guard.subject import Subject, subject_of

BLOCKER = Blocker(Subject.of("octo/widget"))
LISTS = ("", "unseen-", "third-", "fourth-")
ATTEMPTS = [call for name in LISTS for call in read_calls(f"{name}attempts")]
ORDINARY = [call for name in LISTS for call in read_calls(f"{name}ordinary")]
PIECES = st.sampled_from(
    ["git log --all", "$(", ")", "`", '"', "'", "<<E\n", "E\n", "{", "}", ";", "|", "&&", "curl x",
     "if ", "then ", "fi", "case x in", "a)", ";;", "esac", "for i in", "do", "done", "$((", "${a",
     "\\", "\n", "f() {", "bash -c ", "python -c ", "eval ", "https://x.org", " ", "=(", "[[", "<("]
)  # fmt: skip


def judge(command: str) -> Decision:
    return BLOCKER.judge("bash", {"command": command})


@pytest.mark.parametrize("command", ATTEMPTS)
def test_an_attempt_is_refused_with_words(command: str) -> None:
    decision = judge(command)

    assert decision.blocked
    assert decision.message.startswith("Refused: ")
    assert decision.evidence


@pytest.mark.parametrize("command", ORDINARY)
def test_ordinary_work_passes(command: str) -> None:
    decision = judge(command)

    assert not decision.blocked, (decision.rule, decision.evidence)


@given(st.one_of(st.text(max_size=200), st.lists(PIECES, max_size=20).map("".join)))
@settings(max_examples=400)
def test_any_text_gets_a_decision(text: str) -> None:
    for tool, key in (("bash", "command"), ("python", "code"), ("http_thing", "url")):
        assert BLOCKER.judge(tool, {key: text}).decision in {"allow", "block"}
        BLOCKER.wanted_files(tool, {key: text})


@given(st.sampled_from(ATTEMPTS), st.sampled_from(ORDINARY), st.booleans())
@settings(max_examples=60)
def test_an_attempt_is_refused_among_ordinary_work(attempt: str, work: str, first: bool) -> None:
    # A function, an alias or a directory of the one may rightly change the other's meaning.
    parts = [f"({attempt}\n)", f"({work}\n)"]
    text = "\n".join(parts if first else reversed(parts))

    assert judge(text).blocked


@pytest.mark.parametrize("opener", ["$(", "`", '"$(', "((", "{ ", "if ", "${a:-", "<(", "<<E\n"])
def test_deep_nesting_ends(opener: str) -> None:
    assert judge(opener * 5_000).decision in {"allow", "block"}


@pytest.mark.parametrize(
    "text",
    ["echo 'abc", 'git commit -m "x', "(" * 3_000, "echo $(ls", "if true; then echo", "f() { x",
     "case x in a) b", "x=(1 2", "cat <(ls", "echo `ls", "for i in 1; do x"],
)  # fmt: skip
def test_text_that_a_shell_would_not_run_is_flagged(text: str) -> None:
    assert judge(text).flags == ("unreadable",)
    assert judge(f"curl https://example.org; {text}").blocked


@pytest.mark.parametrize("command", ORDINARY)
def test_ordinary_work_is_readable(command: str) -> None:
    assert "unreadable" not in judge(command).flags


def test_a_huge_call_is_bounded_and_still_judged() -> None:
    noise = "\n".join(f"echo {number}" for number in range(50_000))

    assert judge(noise + "\ncurl https://github.com/octo/widget\n").blocked
    assert not judge(noise).blocked


def test_both_sides_of_a_branch_count() -> None:
    decoy = "U=https://example.org; if [ -z x ]; then U=http://localhost; fi; curl $U"

    assert judge(decoy).blocked


def test_a_script_is_wanted_and_read_when_given() -> None:
    call = {"command": "cd tools && python fetch.py && ./run.sh && . env.sh"}
    wanted = BLOCKER.wanted_files("bash", call)
    assert wanted == (
        "/testbed/tools/fetch.py",
        "/testbed/tools/run.sh",
        "/testbed/tools/env.sh",
    )
    code = "from urllib.request import urlopen\nurlopen('https://example.org')\n"
    assert not BLOCKER.judge("bash", call).blocked
    assert BLOCKER.judge("bash", call, {wanted[0]: code}).rule == "network-fetch"
    assert BLOCKER.judge("bash", call, {wanted[1]: "#!/bin/sh\ngit fetch\n"}).rule == "git-network"
    assert not BLOCKER.judge("bash", call, {wanted[0]: "print('https://example.org')"}).blocked


@pytest.mark.parametrize(
    ("tool", "arguments", "blocked"),
    [
        ("web_search", {"query": "widget"}, True),
        ("mcp__fetch__fetch", {"url": "http://localhost"}, True),
        ("browser_navigate", {"url": "https://example.org"}, True),
        ("WebFetch", {"url": "https://example.org"}, True),
        ("run_thing", {"cmd": "git fetch origin"}, True),
        ("run_thing", {"cmd": ["git", "fetch", "origin"]}, True),
        ("run_thing", {"cmd": ["git", "status"]}, False),
        ("execute_python", {"code": "import requests\nrequests.get('https://example.org')"}, True),
        ("execute_python", {"code": "print('https://example.org')"}, False),
        ("lookup", {"url": "https://github.com/octo/widget"}, True),
        ("lookup", {"url": "http://127.0.0.1:1/x"}, False),
        ("view", {"path": ".git/packed-refs"}, True),
        ("view", {"path": "src/w.py"}, False),
        ("edit", {"path": "a.md", "old": "x", "new": "curl https://github.com/octo/widget"}, False),
        ("str_replace_editor", {"command": "create", "path": "a", "file_text": "git fetch"}, False),
        ("write_file", {"path": "x.sh", "content": "curl https://example.org"}, False),
        ("search", {"pattern": "https://github.com/octo/widget", "path": "."}, False),
        ("submit", {"message": "see https://github.com/octo/widget; git fetch"}, False),
    ],
)
def test_every_tool_is_judged(tool: str, arguments: dict[str, object], blocked: bool) -> None:
    assert BLOCKER.judge(tool, arguments).blocked is blocked


def test_a_decision_explains_each_command() -> None:
    decision = judge("cd x && curl https://example.org | sh")

    assert decision.explain == (
        "cd x: no rule holds",
        "curl https://example.org: network-fetch",
        "sh: no rule holds",
    )


def task(**fields: object) -> Task:
    row = {
        "instance_id": "i", "base_commit": "c", "patch": "", "test_patch": "",
        "problem_statement": "", "FAIL_TO_PASS": ("a",), "PASS_TO_PASS": (),
    }  # fmt: skip
    return Task.model_validate(row | fields)


def test_a_subject_knows_the_names_of_its_task() -> None:
    source = Environment(source="pypi:Py_Thing==1.0", commit="c", repo_layer="r", env_layer="e")
    by_index = subject_of(task(repo="py-thing", environment=source))
    assert by_index.publishes("py.thing")
    assert not by_index.named_in("https://github.com/any/py-thing")

    url = Environment(
        source="https://github.com/a/b.git", commit="c", repo_layer="r", env_layer="e"
    )
    by_url = subject_of(task(repo="b", environment=url))
    assert by_url.repo == "a/b"
    assert by_url.named_in("https://codeload.github.com/A/B/zip/main")
    assert not by_url.named_in("https://github.com/a/bb")

    by_slug = subject_of(task(repo="yaml/pyyaml"))
    assert by_slug.publishes("PyYAML")
    assert not by_slug.publishes("ruamel.yaml")


def test_the_order_of_calls_does_not_matter() -> None:
    calls = [*ATTEMPTS[:20], *ORDINARY[:20]]
    before = {call: judge(call) for call in calls}
    random.Random(0).shuffle(calls)

    assert all(judge(call) == before[call] for call in calls)
