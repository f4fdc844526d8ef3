"""Templates, checklists, trailers, badges and diffs go; what a person reported stays."""

from __future__ import annotations

import pytest

from regreen.tasks.words.cleaning import Origin, Removal, clean, clean_title


def cleaned(text: str, origin: Origin = "pull") -> tuple[str, list[str]]:
    removed: list[Removal] = []
    return clean(text, origin, removed), [one.kind for one in removed]


@pytest.mark.parametrize(
    ("line", "kind"),
    [
        ("Signed-off-by: A <a@b>", "trailer"),
        ("Co-authored-by: A <a@b>", "trailer"),
        ("git-svn-id: svn://x/trunk@12 abc", "trailer"),
        ("(cherry picked from commit 1234567)", "trailer"),
        ("Thanks to @someone for the report!", "trailer"),
        ("- [x] I have added tests", "checklist"),
        ("- [ ] Docs updated", "checklist"),
        ("Checklist:", "checklist"),
        ("- fixes #<issue number>", "checklist"),
        ("_No response_", "checklist"),
        ("<!-- Describe\nyour change -->", "comment"),
        ("[![build](https://travis-ci.org/a.svg)](https://travis-ci.org/a)", "badge"),
    ],
)
@pytest.mark.parametrize("origin", ["pull", "commit"])
def test_a_line_that_is_no_report_goes(line: str, kind: str, origin: Origin) -> None:
    assert cleaned(f"It fails on empty input.\n\n{line}\n", origin) == (
        "It fails on empty input.",
        [kind],
    )


def test_conflicts_of_a_merge_go_with_their_files() -> None:
    text, kinds = cleaned("Fold is lazy.\n\nConflicts:\n\ta/b.py\n\tc.py\n", "commit")
    assert (text, kinds) == ("Fold is lazy.", ["boilerplate"])


@pytest.mark.parametrize(
    "diff",
    [
        "```diff\n-a = 1\n+a = 2\n```",
        "```\n@@ -1 +1 @@\n--- a/x.py\n-a = 1\n+a = 2\n```",
        "diff --git a/x.py b/x.py\n--- a/x.py\n+++ b/x.py\n@@ -1 +1 @@\n-a = 1\n+a = 2",
    ],
)
def test_quoted_diffs_go(diff: str) -> None:
    text, kinds = cleaned(f"It gives 1.\n\n{diff}\n\nIt should give 2.", "issue")
    assert text == "It gives 1.\n\nIt should give 2."
    assert set(kinds) == {"diff"}


def test_sections_that_tell_of_the_change_go_from_pull_requests_only() -> None:
    body = "## Problem\n\nIt is slow.\n\n## Solution\n\nA cache.\n\n```py\nx\n```\n\n"
    body += "## Notes\n\nSo it is."
    assert cleaned(body)[0] == "## Problem\n\nIt is slow.\n\n## Notes\n\nSo it is."
    assert "A cache." in cleaned(body, "issue")[0]


def test_a_suggested_fix_goes_from_an_issue() -> None:
    body = "It is slow.\n\n### Suggested fix\n\nA cache.\n\n### Version\n\n1.2"
    assert cleaned(body, "issue")[0] == "It is slow.\n\n### Version\n\n1.2"


def test_code_and_tracebacks_stay_as_they_are() -> None:
    body = (
        "Run this:\n\n```python\nimport a  # - [x] not a box\na.f('Signed-off-by: x')\n```\n\n"
        'Traceback (most recent call last):\n  File "a/core.py", line 3, in f\nKeyError: 1'
    )
    assert cleaned(body, "issue") == (body, [])


def test_line_ends_and_control_characters_are_made_plain() -> None:
    assert cleaned("a\r\nb\x00\u200bc\ufeff")[0] == "a\nbc"


@pytest.mark.parametrize(
    ("title", "shown"),
    [
        ("Raise on bad length (#603)", "Raise on bad length"),
        ("fix(core): handle empty input", "Handle empty input"),
        ("[WIP] ENH: add start [skip ci]", "Add start"),
        ("TypeError: 'x' is not callable", "TypeError: 'x' is not callable"),
        ("curry: keep keywords", "curry: keep keywords"),
        ("iPython breaks", "iPython breaks"),
        ("  two\n lines ", "Two lines"),
    ],
)
def test_titles(title: str, shown: str) -> None:
    assert clean_title(title, []) == shown
