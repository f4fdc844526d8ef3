"""The leak rule: what gives the fix away goes, what is evidence stays."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from regreen.tasks.tell.fixlines import fix_lines
from regreen.tasks.words.cleaning import Origin, Removal
from regreen.tasks.words.redact import Hidden, redact
from regreen.tasks.words.telling import information, without_telling

PATCH = '''\
diff --git a/src/bag/core.py b/src/bag/core.py
--- a/src/bag/core.py
+++ b/src/bag/core.py
@@ -1,6 +1,9 @@
 def take(items):
-    return items.pop(1)
+    """Take the first item of all.
+
+    >>> take([1, 2, 3, 4])
+    """
+    if not hasattr(items, "pop"):
+        items = list(items)
+    return items.pop(0) if items else None
@@ -8,2 +11,2 @@
 def leave(items):
     return sorted(items)
diff --git a/CHANGES.rst b/CHANGES.rst
--- a/CHANGES.rst
+++ b/CHANGES.rst
@@ -1,1 +1,2 @@
+take() works with tuples, and gives None when there is nothing.
 Older.
'''
COMMIT = "deadbeef0123456789deadbeef0123456789abcd"
HIDDEN = Hidden(
    fix=fix_lines(PATCH),
    commits=(COMMIT,),
    number=12,
    tests=("test_take_first", "TestTake"),
    test_paths=("tests/test_bag.py",),
    source_paths=("src/bag/core.py",),
)


def cut(text: str, origin: Origin = "issue") -> tuple[str, list[str]]:
    removed: list[Removal] = []
    return redact(text, HIDDEN, origin, removed), [one.kind for one in removed]


def test_the_fix_is_its_new_code_without_prose_and_what_stood_before() -> None:
    assert HIDDEN.fix.added == {
        'ifnothasattr(items,"pop"):',
        "items=list(items)",
        "returnitems.pop(0)ifitemselseNone",
    }


@pytest.mark.parametrize(
    "quote",
    [
        "Write return items.pop(0) if items else None there.",
        "Write `return  items.pop(0)  if items else None` there.",
        "Perhaps `items.pop(0) if items` would do.",
        "```python\nreturn items.pop(0) if items else None\n```",
        "    items = list(\n        items)",
        "It needs `items =\nlist(items)` first.",
    ],
)
def test_lines_and_pieces_of_the_fix_go(quote: str) -> None:
    text, kinds = cut(f"It takes the second item.\n\n{quote}\n\nPlease help.")
    assert text == "It takes the second item.\n\nPlease help."
    assert "fix line" in kinds


@pytest.mark.parametrize(
    "text",
    [
        "Take the first item of all.",
        "take() works with tuples, and gives None when there is nothing.",
        "The code says `return items.pop(1)` today.",
        "```python\n>>> take([1, 2, 3, 4])\n2\n```",
        "The colour is #deadbeef, the number 12345678, the word defaced, at 0x7f3c2a1b.",
        "Pinned at 550e8400-e29b-41d4-a716-446655440000.",
        'Traceback (most recent call last):\n  File "/x/bag/core.py", line 2, in take\nKeyError: 1',
        "```\nsha1 = 'da39a3ee5e6b4b0d3255bfef95601890afd80709'\n```",
        "See https://docs.python.org/3/library/stdtypes.html and #3.",
        "```python\nfrom bag import take\nprint(take((1, 2)))\n```",
    ],
)
def test_what_gives_nothing_away_stays(text: str) -> None:
    assert cut(text) == (text, [])


@pytest.mark.parametrize(
    ("text", "shown", "kind"),
    [
        ("Broken since 1a2b3c4d5e.", "Broken since.", "hash"),
        (f"Broken by {COMMIT}.", "Broken.", "hash"),
        ("It fails, see https://github.com/o/bag/pull/12/files.", "It fails", "link"),
        ("It [fails](https://github.com/o/bag/blob/main/a.py#L3) here", "It fails here", ""),
        ("It fails (fixed in #12). Really.", "It fails. Really.", "reference"),
        ("It fails. This was fixed by 1a2b3c4d5e.", "It fails.", "reference"),
        ("It fails in `src/bag/core.py:3` for tuples.", "It fails for tuples.", "path"),
        ("core.py is wrong", "the module is wrong", "path"),
        ("Shown by test_take_first today", "Shown by a test today", "test name"),
        ("Run tests/test_bag.py::TestTake now", "Run the tests::a test now", "test name"),
        ("As PR #12 says, it fails.", "As says, it fails.", "reference"),
    ],
)
def test_pointers_go_from_prose(text: str, shown: str, kind: str) -> None:
    found, kinds = cut(text)
    assert found == shown
    assert kind == "" or kind in kinds


def test_names_of_hidden_tests_go_from_code_too() -> None:
    text, _ = cut("```python\ndef test_take_first():\n    assert take([1, 2]) == 1\n```")
    assert text == "```python\ndef check():\n    assert take([1, 2]) == 1\n```"


@pytest.mark.parametrize("phrase", ["Fixes #3.", "Closes: #3, #4", "(fixes o/bag#7)", "refs GH-9"])
def test_closing_words_go_from_what_made_the_change(phrase: str) -> None:
    assert cut(f"It fails. {phrase}", "commit")[0] == "It fails."
    assert "3" in cut("It fails. See #3 for more.")[0]


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("It fails. This PR changes take to use a list.", "It fails."),
        ("It fails. The fix is to copy first.", "It fails."),
        ("It fails. I replaced the loop.", "It fails."),
        ("Use a list instead of a tuple", ""),
        ("Repair slow start by caching imports.", "Repair slow start."),
        ("This patch wraps the call in a try.", ""),
        ("Users of this see nothing.", "Users of this see nothing."),
        ("We now raise an exception for bad input.", "We now raise an exception for bad input."),
        ("This allows a cache to be given.", "This allows a cache to be given."),
        ("This change makes f keep its name.", "This change makes f keep its name."),
    ],
)
def test_sentences_that_tell_how_go_and_those_that_tell_what_stay(text: str, shown: str) -> None:
    assert without_telling(text, []) == shown
    assert cut(text, "issue")[0] == text


@pytest.mark.parametrize(
    ("text", "least", "most"),
    [
        ("fix tests", 0, 0),
        ("WIP #12", 0, 0),
        ("add fold", 1, 1),
        ("Added `partition` and `partition_all`", 4, 4),
        ("```\nf(1)\ng(2)\n```", 6, 6),
        ("curry keeps keywords of partial calls", 5, 5),
    ],
)
def test_how_much_a_text_says(text: str, least: int, most: int) -> None:
    assert least <= information(text) <= most


WORDS = st.sampled_from(
    ["It fails.", "Why?", "`x = 1`", "\n\n", "\n", "- ", "    ", "```\n", ">>> "]
)
QUOTES = st.sampled_from(
    [
        "items = list(items)",
        "return items.pop(0) if items else None",
        'if not hasattr(items, "pop"):',
    ]
)


@given(st.lists(WORDS | QUOTES | QUOTES.map(lambda line: line.replace(" ", "\n")), max_size=8))
def test_no_text_keeps_a_line_of_the_fix(parts: list[str]) -> None:
    text, _ = cut(" ".join(parts))
    squeezed = re.sub(r"\s", "", text)
    assert not [line for line in HIDDEN.fix.added if line in squeezed]


SHORT = """\
diff --git a/bag/core.py b/bag/core.py
--- a/bag/core.py
+++ b/bag/core.py
@@ -1,2 +1,6 @@
 def turn(x):
-    return x
+    else:
+        return -x
+        x
+        -1
"""


@pytest.mark.parametrize(
    "quote",
    ["`return -x` is all.", "``return  -x`` is all.", "```python\nreturn -x\n```", "    return -x"],
)
def test_a_short_line_of_the_fix_goes_when_it_is_quoted_alone(quote: str) -> None:
    hidden = Hidden(fix=fix_lines(SHORT))
    removed: list[Removal] = []
    assert redact(f"It has the wrong sign.\n\n{quote}", hidden, "issue", removed) == (
        "It has the wrong sign."
    )
    assert [one.kind for one in removed] == ["fix line"]


@pytest.mark.parametrize(
    "text",
    [
        "The `x` comes back with `-1`, and `else:` too.",
        "`return x` is what stands there.",
        "```python\nx\n```",
        "A return -x is one of many.",
        "```python\nprint(turn(1))\nreturn -x\n```",
    ],
)
def test_names_and_values_and_longer_code_stay(text: str) -> None:
    assert redact(text, Hidden(fix=fix_lines(SHORT)), "issue", []) == text
