"""Forms of a repository in which text and behaviour come apart, run where their language runs."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from regreen.grading.patch import FileState
from regreen.tasks.builder.states import ChangeStates, Files
from regreen.tasks.builder.variants import decoy, early_exit, sealed, without_tests

OLD = '''\
#!/usr/bin/env python3
"""Says hello."""
from __future__ import annotations


class Greeter:
    """Greets."""

    __slots__ = ("name",)

    def __init__(self, name: str) -> None:
        self.name = name

    def greet(self) -> str:
        text = r\'\'\'Hello\'\'\'
        return text + ", " + self.name


if __name__ == "__main__":
    print(Greeter("you").greet(), Greeter.__module__, Greeter.__doc__)
'''
NEW = OLD.replace('", " + self.name', '", dear " + self.name')
LANGUAGES = {
    "tool": (OLD, NEW, [sys.executable]),
    "greet.py": (OLD, NEW, [sys.executable]),
    "greet.sh": ("say() { echo old; }\nsay\n", "say() { echo new; }\nsay\n", ["bash"]),
    "greet.pl": (
        "sub say { 'old' }\nprint say();\n",
        "sub say { 'new' }\nprint say();\n",
        ["perl"],
    ),
}


def change(make_states: Any, name: str) -> ChangeStates:
    old, new, _ = LANGUAGES[name]
    states: ChangeStates = make_states(name.replace(".", "-"), {name: old}, {name: new})
    return states


def printed(root: Path, name: str, files: Files) -> tuple[str, int]:
    state = files[name]
    assert state is not None
    root.mkdir(exist_ok=True)
    state.write(root / name)
    command = [*LANGUAGES[name][2], str(root / name)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.stderr == ""
    return done.stdout, done.returncode


@pytest.mark.parametrize("name", LANGUAGES)
def test_behaviour_stays_and_text_is_there(name: str, make_states: Any, tmp_path: Path) -> None:
    states = change(make_states, name)
    old, new = printed(tmp_path, name, states.bug), printed(tmp_path, name, states.resolved)
    assert old != new
    assert printed(tmp_path, name, decoy(states)) == old
    assert printed(tmp_path, name, sealed(states)) == new
    early = early_exit(states)
    assert early is not None
    assert printed(tmp_path, name, early)[1] == 0
    for line in LANGUAGES[name][1].splitlines():
        assert line in _text(decoy(states)[name])
    for line in LANGUAGES[name][0].splitlines():
        assert line in _text(sealed(states)[name])


def test_a_sealed_module_cannot_be_read(make_states: Any) -> None:
    text = _text(sealed(change(make_states, "greet.py"))["greet.py"])
    assert "dear" not in text
    assert "eval(" not in text


def test_python_of_another_age_gets_comments_alone(make_states: Any) -> None:
    old = "def f():\n    print 'old'\n"
    states = make_states("age", {"a.py": old}, {"a.py": old.replace("old", "new")})
    text = _text(decoy(states)["a.py"])
    assert text.startswith(old)
    assert text.splitlines()[2:] == ["# def f():", "#     print 'new'"]


def test_unknown_notations_stay_as_they_are(make_states: Any) -> None:
    states = make_states("data", {"a.json": "{}\n"}, {"a.json": "[]\n", "b.bin": "x\n"})
    assert decoy(states) == states.bug
    assert sealed(states) == states.resolved
    assert early_exit(states) is None


def test_tests_are_gone_and_the_repaired_file_is_not(make_states: Any) -> None:
    states = make_states(
        "gone",
        {"a.py": "x = 1\n", "tests/test_old.py": "", "tests/data.txt": ""},
        {"a.py": "x = 2\n", "test_new.py": "import a\n"},
        tests=("test_new.py",),
    )
    found = without_tests(states, ["a.py", "tests/test_old.py", "tests/data.txt"])
    assert [path for path, state in found.items() if state is None] == [
        "test_new.py",
        "tests/data.txt",
        "tests/test_old.py",
    ]
    assert found["a.py"] == FileState(b"x = 1\n")


def _text(state: FileState | None) -> str:
    assert state is not None
    return state.data.decode()
