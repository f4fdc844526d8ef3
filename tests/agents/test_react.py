"""``react``'s tools in a real box."""

from __future__ import annotations

import pytest

from regreen.inference import Reply, call, calls

EDIT = {"path": "calc.py", "old": "a - b", "new": "a + b"}


def observed(run_agent, *several: Reply, **options) -> list[str]:
    return run_agent("react", [*several, call("submit")], **options).observations


def test_view_search_edit(run_agent):
    acted = run_agent(
        "react",
        [
            calls(("view", {"path": "."}), ("view", {"path": "calc.py", "start": 2, "end": 2})),
            call("search", pattern=r"def (add|sub)\b", glob="*.py"),
            call("edit", **EDIT),
            call("bash", command='python3 -c "import calc; print(calc.add(2, 3))"'),
            call("submit", message="plus"),
        ],
    )
    listing, line, found, edited, ran, _ = acted.observations
    assert ".git/" in listing
    assert "README.md" in listing
    assert line == "     2\t    return a - b"
    assert found == "calc.py:1:def add(a, b):"
    assert "     2\t    return a + b" in edited
    assert ran == "[exit code 0]\n5\n"
    assert "a + b" in acted.files["calc.py"]
    assert acted.status == "submitted"


def test_calls_after_submit_are_refused(run_agent):
    acted = run_agent(
        "react", [calls(("bash", {"command": "true"}), ("submit", {}), ("edit", EDIT))]
    )
    assert acted.status == "submitted"
    assert "already submitted" in acted.observations[2]
    assert "a - b" in acted.files["calc.py"]


def test_writing_calls_of_one_answer_run_in_order(run_agent):
    several = [("bash", {"command": f"sleep 0.{9 - i}; echo {i} >> log"}) for i in range(5, 9)]
    acted = run_agent("react", [calls(*several), call("submit")], read=("log",))
    assert acted.files["log"] == "5\n6\n7\n8\n"


def test_the_answers_of_parallel_calls_keep_the_order_of_the_calls(run_agent):
    acted = run_agent(
        "react",
        [
            calls(*[("search", {"pattern": p}) for p in ("def", "total", "zzz")]),
            call("submit"),
        ],
    )
    assert acted.observations[2] == "[no match]"
    turn = acted.log.turns()[0]
    ids = [m["tool_call_id"] for m in acted.log.messages if m["role"] == "tool"]
    assert [o.call_id for o in turn.observations] == ids[:3]


@pytest.mark.parametrize(
    ("tool", "arguments", "said"),
    [
        ("view", {"path": "nowhere.py"}, "Cannot read"),
        ("view", {"path": "calc.py", "start": 99}, "lines"),
        ("view", {"path": 7}, "not of type string"),
        ("view", {"path": "calc.py", "start": True}, "not of type integer"),
        ("view", {}, "lacks path"),
        ("edit", EDIT | {"old": "result"}, "occurs 4 times"),
        ("edit", EDIT | {"old": "return a  -  b"}, "does not occur"),
        ("edit", EDIT | {"old": "\treturn result"}, "does not occur"),
        ("edit", EDIT | {"path": "new.py"}, "no file"),
        ("edit", EDIT | {"old": ""}, "exists already"),
        ("edit", EDIT | {"path": "."}, "directory"),
        ("edit", {"path": "/proc/new", "old": "", "new": "x"}, "Cannot write"),
        ("search", {"pattern": "("}, "grep"),
        ("search", {"pattern": "x", "depth": 3}, "has no parameter depth"),
    ],
)
def test_a_call_that_fails_is_explained(run_agent, tool, arguments, said):
    acted = run_agent("react", [call(tool, **arguments), call("submit")])
    assert said in acted.observations[0]
    assert acted.log.turns()[0].observations[0].error


def test_a_new_file_and_an_executable_one(run_agent):
    texts = observed(
        run_agent,
        call("edit", path="deep/er/run.sh", old="", new="#!/bin/sh\necho one\n"),
        call("bash", command="chmod 755 deep/er/run.sh; ln -s deep/er/run.sh link"),
        call("edit", path="link", old="one", new="two"),
        call("bash", command="stat -c %a deep/er/run.sh; ./link; test -L link"),
    )
    assert texts[3] == "[exit code 0]\n755\ntwo\n"


def test_an_edit_keeps_bytes_it_does_not_touch(run_agent):
    texts = observed(
        run_agent,
        call("bash", command=r"printf 'caf\351\r\nx = 1\r\n' > latin.txt"),
        call("edit", path="latin.txt", old="x = 1\r\n", new="x = 2\r\n"),
        call("bash", command="od -An -c latin.txt"),
    )
    assert "351" in texts[2]
    assert texts[2].count("\\r") == 2


def test_an_edit_of_strange_text(run_agent):
    texts = observed(
        run_agent,
        call("edit", path="odd.py", old="", new="a = '\ud800\u2028\U0001f600'\n"),
        call("view", path="odd.py"),
    )
    assert "\U0001f600" in texts[1]


def test_a_binary_file_and_an_empty_one(run_agent):
    texts = observed(
        run_agent,
        call("bash", command="head -c 100 /dev/zero > zero; : > empty; mkdir bare"),
        calls(*[("view", {"path": p}) for p in ("zero", "empty", "bare")]),
    )
    assert texts[1:4] == [
        "/testbed/zero is a binary file of 100 bytes.",
        "[empty file]",
        "[empty directory]",
    ]


def test_a_search_with_many_matches_is_capped(run_agent):
    texts = observed(
        run_agent,
        call("bash", command="seq 1000 | sed s/^/needle/ > many"),
        call("search", pattern="needle"),
        call("search", pattern="-e needle", path="many"),
    )
    assert "900 more matches" in texts[1]
    assert texts[2] == "[no match]"
