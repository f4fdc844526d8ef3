"""What a statement must not give away."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from regreen.tasks.tell.leaks import changed_lines, changed_paths, fragments, leaks

TESTS = ("tests/test_bag.py::TestBag::test_take[a::b]", "tests/test_bag.py::test_put")
PATHS = ("src/bag/core.py", "tests/test_bag.py")
PATCH = """\
diff --git a/src/bag/core.py b/src/bag/core.py
--- a/src/bag/core.py
+++ b/src/bag/core.py
@@ -1,3 +1,3 @@
 def take(items):
-    return items.pop(1)
+    return items.pop(0)
--- a line that began with two dashes
"""


def found(text: str) -> list[str]:
    return leaks(text, tests=TESTS, paths=PATHS, secrets=changed_lines(PATCH))


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("test_take fails", "test name test_take"),
        ("see TestBag", "test name TestBag"),
        ("`test_put`", "test name test_put"),
        ("in src/bag/core.py line 3", "path src/bag/core.py"),
        ("in core.py", "path src/bag/core.py"),
        ("in other/place/thing.py", "path other/place/thing.py"),
        ("use `return  items.pop( 0 )`", "a line of the fix"),
        ("it says\nreturn items\n.pop(1)", "a line of the fix"),
    ],
)
def test_leaks_are_named(text, what):
    assert what in found(text)


@pytest.mark.parametrize(
    "text",
    [
        "take(['a', 'b']) gives 'b', expected 'a'",
        "my_test_takes and TestBagged and test_puts are other words",
        "bag.core.take misbehaves",
        "open('hardcore.py')",
        "items.pop(0)",
        "see https://example.org/a/b.py",
    ],
)
def test_behaviour_leaks_nothing(text):
    assert found(text) == []


def test_a_test_called_test_forbids_no_word():
    assert leaks("a test of it", tests=["t.py::test"], paths=[], secrets=[]) == []


def test_a_patch_is_read_from_its_hunks():
    assert changed_lines(PATCH) == [
        "    return items.pop(1)",
        "    return items.pop(0)",
        "-- a line that began with two dashes",
    ]
    assert changed_paths(PATCH) == ["src/bag/core.py"]


@given(
    st.text(max_size=80),
    st.text(alphabet=st.characters(categories=["L", "N", "P"]), min_size=12, max_size=30),
    st.text(max_size=80),
)
def test_a_line_of_the_fix_is_found_wherever_it_stands(before, line, after):
    spread = " \n".join(line)
    text = f"{before} {spread}\t{after}"
    assert "a line of the fix" in leaks(text, tests=[], paths=[], secrets=[f"  {line} "])


@given(st.text(max_size=200))
def test_nothing_secret_nothing_found_but_paths(text):
    assert all(one.startswith("path ") for one in leaks(text, tests=[], paths=[], secrets=[]))


@pytest.mark.parametrize(
    ("line", "text", "found"),
    [
        (
            "    return items.pop(0) if items else None",
            "it says items.pop(0) if items else None",
            1,
        ),
        ("    if len(values) > self.limit:", "when len(values)>self.limit holds", 1),
        ("    total = sum(values) * rate  # all", "total is sum(values) * rate", 1),
        ("    self.total += sum(values) * rate", "total is sum(values) * rate", 1),
        ("    return items.pop(0) if items else None", "items.pop gives the second one", 0),
        ("    return items", "it returns items", 0),
        ("", "anything", 0),
    ],
)
def test_expressions_of_the_fix_are_found_without_their_lines(line, text, found):
    assert len(fragments(text, [line])) == found
