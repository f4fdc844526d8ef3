"""Edits and patches as text: the exact forms, and what malformed ones become."""

from __future__ import annotations

import pytest
from tests.templates.text_formats import EDIT, EDITOR, PATCH, PATCHER, SHELL, made, message, read

from regreen.templates.registry import tool_format

OLD_NEW = [("edit_file", {"path": "a/b.py", "search": "old", "replace": "new"})]


def edit(search: str, replace: str, path: str = "a.py") -> str:
    """An edit as aider_diff writes it."""
    given = {"path": path, "search": search, "replace": replace}
    return tool_format("aider_diff").completion(message("", ("edit_file", given)), [EDITOR])


def test_an_edit_is_written_as_aider_does() -> None:
    assert edit("old\n", "") == ("a.py\n```\n<<<<<<< SEARCH\nold\n\n=======\n>>>>>>> REPLACE\n```")
    assert edit("```", "x").startswith("a.py\n````\n")


@pytest.mark.parametrize(
    ("search", "replace", "path"),
    [("=======", "", "a"), ("", "x\n>>>>>>> REPLACE", "a"), ("a", "b", "my file"), ("a", "b", "")],
)
def test_what_cannot_stand_in_an_edit_is_written_as_json(
    search: str, replace: str, path: str
) -> None:
    assert edit(search, replace, path).startswith("```bash\nedit_file <<'JSON'\n")


@pytest.mark.parametrize(
    ("before", "after"), [("", ""), ("Here:\n\n", ""), ("", "\nDone"), ("x\n", "\n\nmore\n")]
)
def test_an_edit_between_text(before: str, after: str) -> None:
    parsed = read("aider_diff", before + EDIT.rstrip("\n") + after)
    assert made(parsed) == OLD_NEW
    assert parsed.content == before.rstrip("\n") + after
    assert not parsed.faults


def test_a_decorated_name_is_read() -> None:
    assert made(read("aider_diff", f"**a/b.py**:\n{EDIT.partition(chr(10))[2]}")) == OLD_NEW


def test_several_edits_in_one_block() -> None:
    more = "<<<<<<< SEARCH\na\n=======\n>>>>>>> REPLACE\n```\n"
    parsed = read("aider_diff", EDIT.removesuffix("```\n") + more)
    assert made(parsed) == [
        *OLD_NEW,
        ("edit_file", {**OLD_NEW[0][1], "search": "a", "replace": ""}),
    ]


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (EDIT[:-5], "the block is not closed"),
        (EDIT[:-24], "there is no line >>>>>>> REPLACE"),
        (EDIT.replace("=======\n", ""), "there is no line ======="),
        (
            EDIT.replace(">>>>>>> REPLACE\n", "") + EDIT,
            "another edit begins where >>>>>>> REPLACE should be",
        ),
    ],
)
def test_a_malformed_edit_is_incomplete(text: str, reason: str) -> None:
    parsed = read("aider_diff", text)
    assert [call.reason for call in parsed.incomplete] == [reason]
    assert made(parsed) in ([], OLD_NEW)


def test_an_edit_without_its_closing_fence_is_mended() -> None:
    parsed = read("aider_diff", EDIT.replace("```\n", "That is all."))
    assert made(parsed) == OLD_NEW
    assert parsed.faults


@pytest.mark.parametrize("text", [EDIT.partition("\n")[2], f"````\n{EDIT}````\n"])
def test_an_edit_without_a_name_or_in_an_example_is_text(text: str) -> None:
    parsed = read("aider_diff", text)
    assert parsed.content == text
    assert not parsed.tool_calls


def test_without_an_editor_an_edit_is_text() -> None:
    assert read("aider_diff", EDIT, [SHELL]).content == EDIT
    assert made(read("aider_diff", EDIT, None))[0][0] == "edit"


def test_a_patch_is_written_as_it_is() -> None:
    form = tool_format("apply_patch")
    assert form.completion(message("", ("apply_patch", {"input": PATCH})), [PATCHER]) == PATCH


@pytest.mark.parametrize(
    "patch", ["", "x", PATCH + "\n", f"{PATCH}\n{PATCH}", "*** Begin Patch\n*** End Patch x"]
)
def test_what_is_no_patch_is_written_as_json(patch: str) -> None:
    form = tool_format("apply_patch")
    text = form.completion(message("", ("apply_patch", {"input": patch})), [PATCHER])
    assert text.startswith("```bash\napply_patch <<'JSON'\n")
    assert made(form.parse(text, [PATCHER])) == [("apply_patch", {"input": patch})]


def test_patches_and_text() -> None:
    parsed = read("apply_patch", f"Now:\n{PATCH}\n\n{PATCH}<|im_end|>")
    assert made(parsed) == [("apply_patch", {"input": PATCH})] * 2
    assert parsed.content == "Now:"


@pytest.mark.parametrize("text", [PATCH[:-1], PATCH[:-16], PATCH.replace("End", "Bad")])
def test_a_patch_without_its_end_is_incomplete(text: str) -> None:
    parsed = read("apply_patch", text)
    assert not parsed.tool_calls
    assert parsed.incomplete[0].reason == "there is no end of the patch"


@pytest.mark.parametrize(
    "text",
    [
        "It begins with *** Begin Patch\nand a file.",
        "*** Begin Patch\nis the first line.",
        f"```\n{PATCH}\n```\n",
    ],
)
def test_a_mention_of_a_patch_is_text(text: str) -> None:
    parsed = read("apply_patch", text)
    assert parsed.content == text
    assert not parsed.tool_calls
    assert not parsed.incomplete
