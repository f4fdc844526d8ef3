"""Quality codes by rule: each is named where it holds, and a sound task is an A."""

from __future__ import annotations

from typing import Any

import pytest

from regreen.core.task import Environment, Task, Validation
from regreen.tasks.labels.quality import CODES, rate
from regreen.tasks.tell.describe import Symptom, describe

PATCH = """\
diff --git a/bag/core.py b/bag/core.py
--- a/bag/core.py
+++ b/bag/core.py
@@ -1,2 +1,4 @@
 def take(items):
-    return items.pop(1)
+    if not items:
+        raise ValueError("nothing is left")
+    return items.pop(0)
"""
TEST_PATCH = """\
diff --git a/tests/test_bag.py b/tests/test_bag.py
--- a/tests/test_bag.py
+++ b/tests/test_bag.py
@@ -1,1 +1,3 @@
 from bag import take
+def test_take():
+    assert take([1, 2]) == 1
"""
STATEMENT = (
    "take() gives the second item\n\nI called take with a list of two numbers and expected the "
    "first number, as the manual says, but got the second one back.\n"
)
BUILT = Environment(
    source="/x",
    commit="0" * 40,
    repo_layer="a",
    env_layer="b",
    rung="python 3.11: groups",
    as_of="2021-01-01",
)


def task(**changes: Any) -> Task:
    fields: dict[str, Any] = {
        "instance_id": "bag-1",
        "repo": "o/bag",
        "base_commit": "0" * 40,
        "patch": PATCH,
        "test_patch": TEST_PATCH,
        "problem_statement": STATEMENT,
        "FAIL_TO_PASS": ("tests/test_bag.py::test_take",),
        "PASS_TO_PASS": ("tests/test_bag.py::test_leave",),
        "environment": BUILT,
        "created_at": "2020-05-05",
    }
    return Task(**fields | changes)


def test_a_sound_task_is_an_a() -> None:
    quality = rate(task())
    assert (quality.code, quality.codes, quality.reasons, quality.judge) == ("A", (), (), "")
    assert (quality.statement, quality.tests, quality.environment) == (
        "clear",
        "aligned",
        "faithful",
    )


NEW = PATCH + "@@ -9,0 +12,2 @@\n+def leave(items):\n+    return items[-1]\n"
NEW_TESTS = TEST_PATCH + "+    assert leave([1, 2]) == 2\n"
TOLD = TEST_PATCH + '+    with raises(ValueError, match="nothing is left"): take([])\n'
DATA = "diff --git a/tests/out.txt b/tests/out.txt\n--- a/tests/out.txt\n+++ b/tests/out.txt\n"
LOCK = "diff --git a/poetry.lock b/poetry.lock\n--- a/poetry.lock\n+++ b/poetry.lock\n"
HUNK = "@@ -1,1 +1,1 @@\n-a\n+b\n"
OTHERS = tuple(f"tests/test_bag.py::test_other[{i}]" for i in range(5))


@pytest.mark.parametrize(
    ("code", "changes"),
    [
        ("B1", {"FAIL_TO_PASS": ("tests/test_bag.py::test_take", *OTHERS)}),
        ("B2", {"patch": NEW, "test_patch": NEW_TESTS}),
        ("B3", {"problem_statement": "take is wrong, see https://example.org/thread/7\n"}),
        ("B3", {"test_patch": TEST_PATCH + "+    requests.get('https://example.org')\n"}),
        ("B4", {"problem_statement": "Fix take\n"}),
        ("B5", {"patch": PATCH + LOCK + HUNK}),
        ("B5", {"patch": PATCH + "+    breakpoint()\n"}),
        ("B6", {"test_patch": TOLD}),
        ("B7", {"FAIL_TO_PASS": ("bag/core.py::test_take",)}),
        ("B8", {"problem_statement": STATEMENT + "\n![it](https://example.org/a.png)\n"}),
        ("B9", {"problem_statement": "Функция take возвращает второй элемент списка вместо"}),
        (
            "B9",
            {
                "problem_statement": "La fonction take rend le second objet de la liste au lieu du "
                "premier, alors que le manuel dit bien que le premier objet doit revenir chez "
                "celui qui appelle cette fonction avec une liste de deux nombres."
            },
        ),
        ("B10", {"test_patch": TEST_PATCH + DATA + HUNK}),
        ("B11", {"problem_statement": "take loses items; leave keeps items\n\n" + STATEMENT}),
    ],
)
def test_each_code_is_named_with_its_reason(code: str, changes: dict[str, Any]) -> None:
    quality = rate(task(**changes))
    assert code in quality.codes
    assert any(reason.startswith(f"{code} {CODES[code]}: ") for reason in quality.reasons)
    assert quality.code == quality.codes[0]
    assert len(quality.reasons) == len(quality.codes)


def test_what_the_statement_or_the_interface_tells_is_no_hidden_name_or_text() -> None:
    told = STATEMENT + "There is leave() too; the error says: nothing is left.\n"
    assert rate(task(patch=NEW, test_patch=NEW_TESTS, problem_statement=told)).code == "A"
    shown = {"patch": NEW, "test_patch": NEW_TESTS, "interface": "# bag\ndef leave(items): ..."}
    assert rate(task(**shown)).code == "A"
    assert rate(task(test_patch=TOLD, problem_statement=told)).code == "A"


def test_old_tests_that_fail_for_a_name_the_interface_tells_are_broad_not_coupled() -> None:
    failing = ("tests/test_bag.py::test_take", *OTHERS)
    quality = rate(task(FAIL_TO_PASS=failing, interface="# bag\ndef leave(items): ..."))
    assert (quality.code, quality.tests) == ("A", "broad")
    assert rate(task(FAIL_TO_PASS=failing)).tests == "coupled"


def test_several_quoted_issues_are_told_by_the_caller() -> None:
    assert rate(task(), issues=2).codes == ("B11",)


@pytest.mark.parametrize(
    ("label", "changes"),
    [
        (("clear", "broad", "faithful"), {"FAIL_TO_PASS": OTHERS * 5, "test_patch": "other"}),
        (("thin", "aligned", "faithful"), {"problem_statement": "take skips one"}),
        (
            ("empty", "aligned", "faithful"),
            {"problem_statement": "A part of the library's documented behaviour no longer holds."},
        ),
        (("clear", "aligned", "partial"), {"PASS_TO_PASS": ()}),
        (
            ("clear", "aligned", "partial"),
            {"validation": Validation(repeats_before=3, repeats_after=3, flaky=("a", "b"))},
        ),
        (
            ("clear", "aligned", "adapted"),
            {"environment": BUILT.model_copy(update={"rung": "python 3.8, adapted: groups"})},
        ),
        (
            ("clear", "aligned", "adapted"),
            {"environment": BUILT.model_copy(update={"options": ("-c", "/dev/null")})},
        ),
        (("clear", "aligned", "adapted"), {"created_at": "2013-01-01"}),
        (("clear", "aligned", "faithful"), {"environment": None}),
    ],
)
def test_labels(label: tuple[str, str, str], changes: dict[str, Any]) -> None:
    if changes.get("test_patch") == "other":
        tests = [f"test_{i}" for i in range(21)]
        lines = "".join(f"+def {name}(): assert 0\n" for name in tests)
        changes = {
            "test_patch": TEST_PATCH + lines,
            "FAIL_TO_PASS": tuple(f"tests/test_bag.py::{name}" for name in tests),
        }
    quality = rate(task(**changes))
    assert (quality.statement, quality.tests, quality.environment) == label


def test_a_test_changed_inside_a_class_counts_as_changed() -> None:
    patch = TEST_PATCH.replace("+def test_take():\n", " def test_take(self):\n")
    two = ("tests/test_bag.py::TestBag::test_take[a]", "tests/test_bag.py::TestBag::test_take[b]")
    assert rate(task(test_patch=patch, FAIL_TO_PASS=two)).tests == "aligned"


@pytest.mark.parametrize(
    ("created", "as_of", "label"),
    [
        ("2018-12-31", "2021-01-01", "adapted"),
        ("2018-12-31T23:00:00Z", "2020-12-30", "faithful"),
        ("2018-01-01", "2020-12-31", "adapted"),
        ("2018-12-31", "2020-01-01", "faithful"),
        ("some day", "2021-01-01", "faithful"),
    ],
)
def test_two_years_are_counted_in_days(created: str, as_of: str, label: str) -> None:
    built = BUILT.model_copy(update={"as_of": as_of})
    assert rate(task(created_at=created, environment=built)).environment == label


ERROR = ("KeyError: 'it is not there, and nobody can tell why'",)


@pytest.mark.parametrize(
    ("item", "label"),
    [
        (Symptom(failing="", observed=("assert 'a' == 'A'",)), "thin"),
        (Symptom(failing="", observed=("'a' == 'A'", "- A", "+ a", "+ b", "+ c")), "thin"),
        (Symptom(failing="'a' == 'A'", condition=True, observed=("'a' == 'A'",)), "thin"),
        (Symptom(failing="", observed=ERROR, error="KeyError"), "thin"),
    ],
)
def test_a_statement_that_names_nothing_is_ambiguous(item: Symptom, label: str) -> None:
    quality = rate(task(problem_statement=describe([item], name="bag", key="1")))
    assert "B4" in quality.codes
    assert quality.statement == label


@pytest.mark.parametrize(
    "item",
    [
        Symptom(failing="take([1]) == 2", condition=True, observed=("1 == 2",)),
        Symptom(failing="", observed=("1 == 2", "where 1 = take([1])")),
        Symptom(failing="", observed=("BadBag: it is full",), error="BadBag"),
        Symptom(failing="", observed=("AttributeError: 'Bag' object has no attribute 'a'",)),
    ],
)
def test_a_statement_that_names_what_misbehaves_is_not(item: Symptom) -> None:
    quality = rate(task(problem_statement=describe([item], name="bag", key="1")))
    assert (quality.codes, quality.statement) == ((), "clear")


def test_an_opening_with_nothing_after_it_is_empty() -> None:
    for text in ("bag: I get a wrong result here:\n", "I get a wrong result here:\n"):
        quality = rate(task(problem_statement=text))
        assert (quality.code, quality.statement) == ("B4", "empty")
    assert rate(task(problem_statement="assert 'a' == 'A'\n" * 9)).code == "B4"
