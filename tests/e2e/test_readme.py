"""What the README and the reference show is what there is."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from regreen.tasks.inject.operators import OPERATORS
from regreen.tasks.inject.operators.reference import reference_page

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text()
COMMANDS = re.findall(r"^(?:\.venv/bin/)?(regreen .*?)(?:\s+#.*)?$", README, re.MULTILINE)


def test_the_readme_fits() -> None:
    assert README.count("\n") <= 200


def test_the_two_commands_are_targets() -> None:
    targets = re.findall(r"^(\w[\w-]*):", (ROOT / "Makefile").read_text(), re.MULTILINE)

    assert {"quickstart", "test", "check", "bench"} <= set(targets)


@pytest.mark.parametrize("command", COMMANDS)
def test_shown_commands_exist_with_their_flags(command: str) -> None:
    words = command.split()[1:]
    verb = words[:2] if words[0] in {"tasks", "model"} else words[:1]
    shown = subprocess.run(
        [sys.executable, "-m", "regreen", *verb, "--help"],
        capture_output=True,
        text=True,
        check=True,
        env={"COLUMNS": "200", "PATH": "/usr/bin:/bin"},
    ).stdout

    for flag in re.findall(r"(?<= )--?[a-z][\w-]*", command):
        assert re.search(rf"(?<![\w-]){flag}(?![\w-])", shown), flag


@pytest.mark.parametrize("code", re.findall(r"^```python\n(.*?)^```", README, re.M | re.S))
def test_shown_python_runs(code: str) -> None:
    subprocess.run([sys.executable, "-c", code], check=True)


def test_links_lead_somewhere() -> None:
    pages = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
    for page in pages:
        for target in re.findall(r"\]\((?!https?:)([^)#]+)", page.read_text()):
            assert (page.parent / target).exists(), f"{page.name}: {target}"


def test_the_reference_of_fault_classes_is_current() -> None:
    page = (ROOT / "docs" / "reference" / "fault-classes.md").read_text()

    assert page == reference_page(), "run: make docs"
    assert all(f"`{name}`" in page for name in OPERATORS)


def test_versions_of_direct_dependencies_are_pinned() -> None:
    pinned = {
        re.sub(r"[-_.]+", "-", line.partition("==")[0]).lower()
        for line in (ROOT / "constraints.txt").read_text().splitlines()
    }
    project = (ROOT / "pyproject.toml").read_text()
    named = re.findall(r'^    "([A-Za-z0-9_-]+)[><=]', project, re.MULTILINE)

    assert {re.sub(r"[-_.]+", "-", name).lower() for name in named} <= pinned
