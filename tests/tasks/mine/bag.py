"""A small library with pull requests: one squashed, one rebased, and plain changes."""

from __future__ import annotations

import contextlib
import io
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

from story import Story

from regreen.cli.main import main
from regreen.tasks.mine.journal import Entry

REPO = "ada/bag"
CORE = '''\
"""Bags."""


def take(items):
    return items.pop(1)


def size(items):
    return len(items) + 1


def last(items):
    return items[0]


def first(items):
    return items[-1]
'''
HOLDS = "import bag\n\n\ndef test_holds():\n    assert bag.__doc__\n\n\n"
SIZE, TESTED = "Count without the bag", "Show what a count is\n\nThe bag itself is no item."


def tell_bag(root: Path) -> Story:
    """Write the history."""
    story = Story(root)
    core = CORE
    story.commit("root", "Begin", {"bag.py": core, "tests/test_none.py": HOLDS})

    def change(label: str, message: str, old: str, new: str, test: str) -> None:
        nonlocal core
        assert old in core
        core = core.replace(old, new)
        files = {"bag.py": core}
        if test:
            files[f"tests/test_{label}.py"] = HOLDS + test
        story.commit(label, message, files)

    take = "def test_take():\n    assert bag.take([1, 2]) == 1\n"
    change("take", "take: index (#1)", "pop(1)", "pop(0)", take)
    change("size", SIZE, "len(items) + 1", "len(items)", "")
    size = "def test_size():\n    assert bag.size([5, 6]) == 2\n"
    story.commit("tested", TESTED, {"tests/test_size.py": HOLDS + size})
    last = "def test_last():\n    assert bag.last([7, 8]) == 8\n"
    change(
        "last",
        "Give the last item, not the first",
        "items[0]",
        "items[len(items) - 1 if items else -1]",
        last,
    )
    first = "def test_first():\n    assert bag.first([7, 8, 9]) == 7\n"
    change("first", "Give the first item", "first(items):\n    return items[-1]",
           "first(items):\n    return items[0]", first)  # fmt: skip
    return story


def mine(story: Story, out: Path, *flags: str, **env: str) -> dict[str, Any]:
    words = ["regreen", "tasks", "mine", str(story.root), "-o", str(out), "--installed", "--json"]
    done = subprocess.run(
        [sys.executable, "-m", *words, *(() if "--repo" in flags else ("--repo", REPO)), *flags],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, **env},
    )
    assert done.returncode == 0, done.stderr
    return {**json.loads(done.stdout), "notes": done.stderr}


def refused(story: Story, out: Path, *flags: str) -> str:
    """What the verb says to flags that it cannot use."""
    said = io.StringIO()
    with contextlib.redirect_stderr(said), contextlib.suppress(SystemExit):
        main(["tasks", "mine", str(story.root), "-o", str(out), "--installed", *flags])
    assert not out.exists()
    assert "Traceback" not in said.getvalue()
    return said.getvalue()


def journal(out: Path, story: Story) -> dict[str, Entry]:
    labels = {commit: label for label, commit in story.names.items()}
    lines = out.with_name(f"{out.name}.journal.jsonl").read_text().splitlines()[1:]
    found = [Entry.model_validate_json(line) for line in lines]
    return {labels.get(one.commit, one.commit): one for one in found}
