"""What messages say, in the forms that forges write, and in forms that nobody should."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from regreen.tasks.history.messages import is_sync, read_message


@pytest.mark.parametrize(
    ("message", "told"),
    [
        ("Merge pull request #7 from a/b\n\nTitle\n\nBody", (7, "Title", "Body")),
        ("Merge pull request #7 from a/b", (7, "Merge pull request #7 from a/b", "")),
        ("Merged in a/b (pull request #8)\n\nTitle\n", (8, "Title", "")),
        ("Merge PR #9: Title\n\nBody", (9, "Title", "Body")),
        ("Auto merge of #10 - a:b, r=c\n\nTitle", (10, "Title", "")),
        ("Merge branch 'a' into 'b'\n\nTitle\n\nSee merge request x/y!11", (11, "Title", "")),
        ("Title (#12)\n\nBody", (12, "Title", "Body")),
        ("Merge branch 'topic'", (None, "Merge branch 'topic'", "")),
        ("", (None, "", "")),
    ],
)
def test_merges_name_their_request_and_title(message, told):
    found = read_message(message, merge=True)
    assert (found.number, found.subject, found.body) == told


def test_a_plain_commit_is_no_merge_whatever_it_quotes():
    found = read_message("Merge pull request #7 from a/b\n\nTitle", merge=False)
    assert found.number is None
    assert found.subject == "Merge pull request #7 from a/b"


@pytest.mark.parametrize(
    ("subject", "number", "title"),
    [
        ("Fix (#12)", 12, "Fix"),
        ("Fix (PR #12)  ", 12, "Fix"),
        ("Fix (#1) (#2)", 2, "Fix (#1)"),
        ("Fix #12", None, "Fix #12"),
        ("Fix (#12) again", None, "Fix (#12) again"),
        ("Fix (#\u0663)", None, "Fix (#\u0663)"),
        (f"Fix (#{'9' * 6000})", None, f"Fix (#{'9' * 6000})"),
    ],
)
def test_a_squash_ends_in_its_number(subject, number, title):
    found = read_message(subject, merge=False)
    assert (found.number, found.subject) == (number, title)


def test_a_number_too_long_for_a_request_is_none():
    first = f"Merge pull request #{'9' * 6000} from a/b"
    assert read_message(first, merge=True).number is None


@pytest.mark.parametrize("filler", [" ", "(#1) ", "!1", "\t", "Merge branch ", "1.x.", "release-"])
@pytest.mark.parametrize("start", ["Fix ", "Merge branch '", "See merge request ", "Merge v1"])
def test_long_messages_are_read_in_time(start, filler):
    first = f"{start}{filler * 100_000}!"
    found = read_message(f"{first}\n\n{first}", merge=True)
    assert found.number is None
    assert not is_sync(found.subject)


@given(message=st.text(), merge=st.booleans())
def test_every_text_is_read(message, merge):
    found = read_message(message, merge=merge)
    assert found.subject.strip() == found.subject
    assert "\n" not in found.subject


@pytest.mark.parametrize(
    "subject",
    [
        "Merge branch 'main' into topic",
        "Merge remote-tracking branch 'origin/master'",
        "Merge branch 'master' of https://example.org/a/b",
        "Merge branch '1.2.x'",
        "Merge branch 'release/2.0' into main",
        "Merge main into release-1.0",
        "Sync with upstream/main",
    ],
)
def test_main_lines_merged_into_others_are_syncs(subject):
    assert is_sync(subject)


@pytest.mark.parametrize(
    "subject", ["Merge branch 'topic'", "Merge branch 'fix-main-loop'", "Fix merge of main"]
)
def test_topics_are_no_syncs(subject):
    assert not is_sync(subject)
