"""A task that a list names goes, by any of five signs; one that it does not name stays."""

from __future__ import annotations

import random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from regreen.core.task import Task
from regreen.tasks.labels.decontaminate import SIMILAR, Known, decontaminated
from regreen.tasks.labels.known import Entry
from regreen.tasks.tell.specified import specified

SHA = "0123456789abcdef0123456789abcdef01234567"
PATCH = """\
diff --git a/bag/core.py b/bag/core.py
--- a/bag/core.py
+++ b/bag/core.py
@@ -1,2 +1,3 @@
 def take(items):
-    return items.pop(1)
+    copied = list(items)
+    return copied.pop(0)
"""
DOCS = """\
diff --git a/CHANGES.rst b/CHANGES.rst
--- a/CHANGES.rst
+++ b/CHANGES.rst
@@ -1,1 +1,2 @@
+take copies
 old
"""
STATEMENT = (
    "Calling take with a tuple raises an attribute error although the manual promises that every "
    "ordered collection is accepted and its first element comes back to the caller unharmed."
)


def task(**changes: Any) -> Task:
    fields: dict[str, Any] = {
        "instance_id": "owner__bag-12",
        "repo": "Owner/bag",
        "base_commit": SHA,
        "patch": PATCH,
        "test_patch": "",
        "problem_statement": STATEMENT,
        "FAIL_TO_PASS": ("t.py::a",),
        "PASS_TO_PASS": (),
    }
    return Task(**fields | changes)


def known(*entries: Entry) -> Known:
    made = Known()
    for entry in entries:
        made.add(entry)
    return made


SHIFTED = PATCH.replace("list(items)", "list( items )").replace("@@ -1,2 +1,3", "@@ -9,2 +9,3")


@pytest.mark.parametrize(
    ("entry", "kind"),
    [
        (Entry(name="x", instance_id="OWNER__bag-12"), "instance_id"),
        (Entry(name="x", repo="owner/bag", number=12), "number"),
        (Entry(name="x", repo="bag", number=12), "number"),
        (Entry(name="x", commits=(SHA,)), "commit"),
        (Entry(name="x", commits=(SHA[:8],)), "commit"),
        (Entry(name="x", patch=PATCH), "patch"),
        (Entry(name="x", patch=DOCS + SHIFTED), "patch"),
        (Entry(name="x", statement=STATEMENT), "statement"),
        (Entry(name="x", statement=STATEMENT.upper().replace(" ", "\n") + "!"), "statement"),
        (Entry(name="x", statement=f"Title. {STATEMENT}"), "statement"),
    ],
)
def test_each_sign_is_enough(entry: Entry, kind: str) -> None:
    found = known(entry).of_task(task())
    assert found is not None
    assert (found.kind, found.entry) == (kind, "x")
    assert found.reason.endswith("as x")


@pytest.mark.parametrize(
    "entry",
    [
        Entry(name="x", instance_id="owner__bag-120"),
        Entry(name="x", repo="other/bag", number=12),
        Entry(name="x", repo="owner/bag", number=13),
        Entry(name="x", commits=(SHA[:7] + "f" * 33,)),
        Entry(name="x", patch=PATCH.replace("pop(0)", "pop(2)")),
        Entry(name="x", patch=PATCH.replace("+    copied = list(items)\n", "")),
        Entry(name="x", statement="Calling take with a tuple raises an attribute error."),
        Entry(name="x", statement=" ".join(reversed(STATEMENT.split()))),
    ],
)
def test_what_only_looks_alike_stays(entry: Entry) -> None:
    assert known(entry).of_task(task()) is None


def test_a_fix_commit_in_an_id_counts() -> None:
    found = known(Entry(name="x", commits=("abcdef0123" * 4,)))
    assert found.of_task(task(instance_id="owner__bag-abcdef0123")) is not None


def test_a_repository_without_owner_agrees_with_any() -> None:
    lists = known(Entry(name="x", repo="owner/bag", number=12))
    assert lists.of_change(repo="bag", number=12, commits=()) is not None
    assert lists.of_change(repo="box", number=12, commits=()) is None
    assert lists.of_change(repo="owner/bag", number=None, commits=()) is None


def test_tiny_patches_and_tiny_statements_tell_nothing() -> None:
    small = "diff --git a/b.py b/b.py\n--- a/b.py\n+++ b/b.py\n@@ -1 +1 @@\n-a\n+return None\n"
    lists = known(Entry(name="x", patch=small, statement="Fix it"))
    assert lists.of_task(task(patch=small, problem_statement="Fix it")) is None
    short = known(Entry(name="x", statement="Curry drops keyword arguments"))
    assert short.of_task(task(problem_statement="curry drops keyword arguments!")) is not None


def test_the_interface_paragraph_is_no_part_of_the_words() -> None:
    text = specified(STATEMENT, "def take(items): ...\n" * 20)
    assert known(Entry(name="x", statement=STATEMENT)).of_task(task(problem_statement=text))


def test_a_stream_comes_out_one_by_one_in_its_order() -> None:
    lists = known(Entry(name="x", instance_id="owner__bag-3"))
    rows = (
        task(instance_id=f"owner__bag-{i}", patch="", problem_statement=f"{i}") for i in range(6)
    )
    stream = decontaminated(rows, lists)
    assert next(stream)[1] is None
    assert [(row.instance_id, bool(why)) for row, why in stream] == [
        (f"owner__bag-{i}", i == 3) for i in range(1, 6)
    ]


@given(st.integers(0, 10_000), st.floats(0, 1))
def test_similar_statements_are_found_as_a_plain_comparison_finds_them(
    seed: int, share: float
) -> None:
    draw = random.Random(seed)
    words = [f"w{draw.randrange(50)}" for _ in range(draw.randrange(12, 60))]
    other = [w if draw.random() > share * 0.2 else "new" for w in words]

    def groups(row: list[str]) -> set[tuple[str, ...]]:
        return {tuple(row[i : i + 5]) for i in range(max(1, len(row) - 4))}

    mine, theirs = groups(words), groups(other)
    same = len(mine & theirs) >= SIMILAR * len(mine | theirs)
    lists = known(Entry(name="x", statement=" ".join(words)))
    assert bool(lists.of_content(patch="", statement=" ".join(other))) == same
