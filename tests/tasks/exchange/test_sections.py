"""A patch turned round undoes what the patch does, whatever it does."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from regreen.core.errors import TaskError
from regreen.grading.patch import FileState, apply_patch, patch_between
from regreen.tasks.exchange.sections import flipped, sections

_CONTENT = st.lists(
    st.sampled_from(
        ["a\n", "b\n", "-- a/x\n", "++ b/x\n", "@@ -1 +1 @@\n", "\\\n", "ü\r\n", " \n"]
    ),
    max_size=12,
).map("".join) | st.sampled_from(["no end", "a\nno end", "a\nb"])
_STATES = st.none() | st.builds(
    lambda text, executable: FileState(text.encode(), executable=executable),
    _CONTENT,
    st.booleans(),
)
_TREES = st.fixed_dictionaries(dict.fromkeys(["a.py", "b c.py", "d/ü.py"], _STATES))


@given(_TREES, _TREES)
@settings(max_examples=30)
def test_it_leads_back(
    before: dict[str, FileState | None], after: dict[str, FileState | None]
) -> None:
    patch = patch_between(before, after)
    if not patch:
        return

    back = apply_patch(flipped(patch), after.get)

    assert {**after, **back} == before
    assert apply_patch(flipped(flipped(patch)), before.get) == apply_patch(patch, before.get)


def test_a_rename_with_a_change_leads_back() -> None:
    patch = (
        'diff --git a/old.py "b/n\\303\\274.py"\nsimilarity index 66%\nrename from old.py\n'
        'rename to "n\\303\\274.py"\nindex 1234567..89abcde 100644\n--- a/old.py\n'
        '+++ "b/n\\303\\274.py"\n@@ -1,3 +1,3 @@ def f():\n a\n-b\n+c\n d\n'
    )
    old = {"old.py": FileState(b"a\nb\nd\n")}
    new = apply_patch(patch, old.get)
    assert new["nü.py"] == FileState(b"a\nc\nd\n")

    back = apply_patch(flipped(patch), new.get)

    assert back == {"old.py": FileState(b"a\nb\nd\n"), "nü.py": None}


def test_lines_that_look_like_headers_stay_in_their_hunk() -> None:
    patch = patch_between(
        {"a": FileState(b"-- a/x\n@@ -1 +1 @@\n")}, {"a": FileState(b"diff --git a/x b/x\n")}
    )

    assert len(sections(patch)) == 1


@pytest.mark.parametrize(
    ("patch", "words"),
    [
        ("", "no file"),
        ("--- a.py\n+++ a.py\n@@ -1 +1 @@\n-a\n+b\n", "no file"),
        ("diff --git a/x b/x\n--- a/x\n+++ b/x\n@@ -1,3 +1,3 @@\n a\n", "shorter"),
        ("diff --git a/x b/x\nBinary files a/x and b/x differ\n", "binary"),
        ("diff --git a/x b/y\nsimilarity index 100%\ncopy from x\ncopy to y\n", "copy"),
    ],
)
def test_what_cannot_be_turned_round_is_refused(patch: str, words: str) -> None:
    with pytest.raises(TaskError, match=words):
        flipped(patch)
