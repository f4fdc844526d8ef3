"""Patches round trip through git, byte for byte, whatever the bytes are."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from regreen.core.errors import TaskError
from regreen.grading.patch import (
    FileState,
    apply_patch,
    patch_between,
    patch_paths,
    text_patch,
)

lines = st.lists(st.text("ab\r\t é\x0c+-@\\ ", max_size=6), max_size=30)
texts = st.builds(lambda rows, end: "\n".join(rows) + end, lines, st.sampled_from(["", "\n"]))


@settings(max_examples=60, deadline=None)
@given(old=texts, new=texts)
def test_text_patch_is_what_git_understands(old: str, new: str) -> None:
    before, after = FileState(old.encode()), FileState(new.encode())
    patch = text_patch("pkg/a b.py", old, new)

    assert apply_patch(patch, {"pkg/a b.py": before}.get) == (
        {} if old == new else {"pkg/a b.py": after}
    )
    assert apply_patch(patch, {"pkg/a b.py": after}.get, reverse=True) == (
        {} if old == new else {"pkg/a b.py": before}
    )


@settings(max_examples=25, deadline=None)
@given(
    before=st.dictionaries(st.sampled_from(["a.py", "d/b.py", "ü x"]), st.binary(max_size=80)),
    after=st.dictionaries(st.sampled_from(["a.py", "d/b.py", "new/c"]), st.binary(max_size=80)),
)
def test_patch_between_restores_any_bytes(
    before: dict[str, bytes], after: dict[str, bytes]
) -> None:
    old = {name: FileState(data) for name, data in before.items()}
    new = {name: FileState(data, executable=True) for name, data in after.items()}
    patch = patch_between(old, new)

    changed = apply_patch(patch, old.get)

    assert {**old, **changed} == {**dict.fromkeys(old), **new}
    assert patch_paths(patch) == set(changed)


def test_links_and_modes_survive() -> None:
    old = {"run": FileState(b"x\n"), "link": FileState(b"run", symlink=True)}
    new = {"run": FileState(b"x\n", executable=True), "link": FileState(b"else", symlink=True)}

    assert apply_patch(patch_between(old, new), old.get) == new


def test_far_apart_hunks_have_right_line_numbers() -> None:
    old = "".join(f"{n}\n" for n in range(200))
    new = old.replace("\n50\n", "\nfifty\n").replace("\n150\n", "\n")

    patch = text_patch("f", old, new)

    assert "@@ -48,7 +48,7 @@" in patch
    assert "@@ -148,7 +148,6 @@" in patch


@pytest.mark.parametrize("name", ["../out", "/etc/passwd", "a/../../b", ".git/config"])
def test_a_patch_cannot_leave_the_tree(name: str) -> None:
    patch = f"--- /dev/null\n+++ b/{name}\n@@ -0,0 +1 @@\n+x\n"

    with pytest.raises(TaskError, match="leaves the repository"):
        apply_patch(patch, lambda _: None)


@pytest.mark.parametrize("patch", ["not a patch", "--- a/f\n+++ b/f\n@@ -1 +1 @@\n-absent\n+new\n"])
def test_what_does_not_apply_is_a_task_error(patch: str) -> None:
    with pytest.raises(TaskError) as error:
        apply_patch(patch, {"f": FileState(b"other\n")}.get)

    assert error.value.what


def test_deleted_lines_that_look_like_headers_are_no_paths() -> None:
    patch = text_patch("q.sql", "-- a/comment\nx\n", "x\n")

    assert patch_paths(patch) == {"q.sql"}


def _link(path: str, target: str) -> str:
    return (
        f"diff --git a/{path} b/{path}\nnew file mode 120000\n--- /dev/null\n+++ b/{path}\n"
        f"@@ -0,0 +1 @@\n+{target}\n\\ No newline at end of file\n"
    )


def test_a_patch_cannot_read_this_machine_through_links_it_makes() -> None:
    names = "rename from z/etc/hostname\nrename from z/etc/passwd\n\n"
    links = _link("d/e/f/g", "../../..") + _link("z", "d/e/f/g/../..")

    with pytest.raises(TaskError, match="below a link"):
        apply_patch(names + links, lambda _: None)
