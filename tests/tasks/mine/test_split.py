"""A change divided: nothing lost, nothing invented, and refused where no patch can say it."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from raw_objects import BEGIN, FIX
from story import Story

from regreen.grading.patch import FileState, apply_patch
from regreen.sandbox.layers import LayerStore
from regreen.tasks.history.line import History
from regreen.tasks.history.objects import Objects
from regreen.tasks.mine.reasons import Reason, Rejected
from regreen.tasks.mine.split import Limits, Split, screened
from regreen.tasks.mine.states import repaired_tree
from regreen.tasks.mine.survey import Surveyor

LIMITS = Limits()


def read(story: Story, store: Path) -> tuple[Split, dict, dict]:
    """The newest change of a story, divided, with the trees of its base and after it."""
    objects = Objects(story.root)
    try:
        change = History(objects, where="here").change(story.git("rev-parse", "HEAD"))
        screened(change, objects, limits=LIMITS)
        survey = Surveyor(objects, LayerStore(store), LIMITS, 250, "here").read(change)
        base, after = (objects.tree(one) for one in (change.base, change.commit))
        made = survey.split
        assert {*made.source, *made.tests, *made.aside} == {one.path for one in change.files}
        assert not made.source.keys() & made.tests.keys()
        return made, _states(base, objects), _states(repaired_tree(base, after, made), objects)
    finally:
        objects.close()


def _states(tree: Mapping[str, tuple[str, str]], objects: Objects) -> dict[str, FileState]:
    return {
        path: FileState(objects.read(blob), executable=mode == "100755", symlink=mode == "120000")
        for path, (mode, blob) in tree.items()
    }


def patched(tree: Mapping[str, FileState], *patches: str) -> dict[str, FileState]:
    found = dict(tree)
    for patch in patches:
        for path, state in apply_patch(patch, found.get).items():
            found.pop(path, None)
            if state:
                found[path] = state
    return dict(sorted(found.items()))


def told(tmp_path: Path, files: Mapping, base: Mapping | None = None) -> Story:
    story = Story(tmp_path / "repository")
    story.commit("begin", "Begin", {**BEGIN, **(base or {})})
    story.commit("fix", "Fix", {**FIX, **files})
    return story


def reason(tmp_path: Path, story: Story) -> Reason:
    with pytest.raises(Rejected) as caught:
        read(story, tmp_path / "store")
    return caught.value.reason


contents = st.none() | st.lists(
    st.sampled_from(
        [b"x = 1\n", b"y\r\n", b"\n", b"++ a\n", b"-- b\n", b"diff --git a b\n", b"end"]
    ),
    max_size=5,
).map(b"".join)
places = st.sampled_from(
    (
        *(
            "p/a b.txt",
            "p/q\"uo'te.txt",
            "p/-dash.cfg",
            "p/Core.py",
            "tests/ü.dat",
            "tests/n\nl.dat",
        ),
        *("tests/deep/er/x", "README.md", "docs/a.rst", "p/empty", "tests/.gitattributes"),
    )
)
sides = st.dictionaries(places, contents, max_size=5)


@settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(before=sides, after=sides, run=st.booleans())
def test_both_patches_on_the_base_give_the_repaired_tree(tmp_path_factory, before, after, run):
    story = Story(tmp_path_factory.mktemp("split") / "repository")
    there = {path: data for path, data in before.items() if data is not None}
    gone = {path: None for path in there if after.get(path, b"") is None}
    story.commit("begin", "Begin", {**BEGIN, **there})
    new = {path: data for path, data in after.items() if data is not None}
    story.write({**FIX, **new, **gone})
    (story.root / "p/core.py").chmod(0o755 if run else 0o644)
    story.commit("fix", "Fix", {})
    made, base, repaired = read(story, story.root.parent / "store")
    assert patched(base, made.patch, made.test_patch) == repaired
    assert patched(base, made.test_patch, made.patch) == repaired
    assert patched(base, made.test_patch).keys() >= set(made.test_files)


def test_a_file_that_becomes_a_folder_is_patched(tmp_path):
    story = told(tmp_path, {}, {"p/mod.py": "x = 1\n"})
    story.write({"p/mod.py": None})
    story.commit("folder", "Fix", {**BEGIN, "p/mod.py/__init__.py": "x = 2\n"})
    made, base, repaired = read(story, tmp_path / "store")
    assert "p/mod.py/__init__.py" in repaired
    assert patched(base, made.patch, made.test_patch) == repaired


def test_a_rename_by_case_alone_is_two_files(tmp_path):
    story = told(tmp_path, {})
    story.write({"p/core.py": None})
    tests = "from p.Core import f\n\n\ndef test_f():\n    assert f() == 3\n"
    new = {"p/Core.py": "def f():\n    return 3\n", "tests/test_core.py": tests}
    story.commit("case", "Rename", new)
    made, base, repaired = read(story, tmp_path / "store")
    assert set(made.source) == {"p/core.py", "p/Core.py"}
    assert patched(base, made.patch, made.test_patch) == repaired


def test_attributes_of_the_repository_have_no_say(tmp_path):
    rules = "* -diff\n*.py binary\n"
    base = {".gitattributes": rules, "p/.gitattributes": rules, "tests/.gitattributes": rules}
    made, tree, repaired = read(told(tmp_path, {}, base), tmp_path / "store")
    assert "-    return 1\n+    return 2" in made.patch
    assert patched(tree, made.patch, made.test_patch) == repaired


def test_a_link_among_the_tests_is_patched_as_a_link(tmp_path):
    story = told(tmp_path, {})
    (story.root / "tests/data").symlink_to("../p")
    story.commit("link", "Fix", {**BEGIN})
    made, base, repaired = read(story, tmp_path / "store")
    assert made.tests["tests/data"][1] == FileState(b"../p", symlink=True)
    assert patched(base, made.patch, made.test_patch) == repaired


@pytest.mark.parametrize(
    ("before", "after"),
    [(None, b"\xff\xfe\xe9"), (b"text\n", b"\xe9\n"), (b"\xe9\n", b"text\n"), (b"\xe9", None)],
)
def test_data_of_the_tests_that_is_no_text_is_patched_as_a_literal(tmp_path, before, after):
    files = {"tests/.gitattributes": "* text diff\n", "tests/b.txt": "é\n"}
    base = {} if before is None else {"tests/a b*.txt": before}
    story = told(tmp_path, {**files, "tests/a b*.txt": after} if after or before else files, base)
    made, there, repaired = read(story, tmp_path / "store")
    assert "GIT binary patch" in made.test_patch
    assert "+é" in made.test_patch
    made.test_patch.encode()
    assert patched(there, made.patch, made.test_patch) == repaired
    assert (state.data if (state := repaired.get("tests/a b*.txt")) else None) == after


@pytest.mark.parametrize("target", ["test_link.py", "nowhere", "/dev/zero", "/proc/kcore", "/"])
@pytest.mark.parametrize("name", ["p/link.py", "tests/test_link.py", "p/link.c", "setup.py", "src"])
def test_links_that_lead_out_or_nowhere_are_not_followed(tmp_path, name, target):
    story = Story(tmp_path / "repository")
    story.commit("begin", "Begin", BEGIN)
    (story.root / name).symlink_to(target)
    story.commit("link", "Link", {})
    story.commit("fix", "Fix", FIX)
    made, _, _ = read(story, tmp_path / "store")
    assert set(made.source) == {"p/core.py"}


@pytest.mark.parametrize(
    ("files", "why"),
    [
        ({"p/a.bin": b"\0"}, Reason.BINARY),
        ({"p/a.txt": b"\xff"}, Reason.NOT_UTF8),
        ({"tests/helper.py": b"# coding: latin-1\nX = '\xe9'\n"}, Reason.NOT_UTF8),
        ({"tests/a.txt": b"version https://git-lfs.github.com/spec/v1\n"}, Reason.LFS),
        ({os.fsdecode(b"p/\xff.py"): b"x = 1\n"}, Reason.NOT_UTF8),
        ({"p/big.py": b"x = 1\n" * 1100}, Reason.TOO_LARGE),
        ({"tests/big.txt": b"x = 1\n" * 100_000}, Reason.TOO_LARGE),
        ({"tests/big.bin": b"\0" * 9_000_000}, Reason.TOO_LARGE),
        ({f"p/m{one}.py": b"x = 1\n" for one in range(20)}, Reason.TOO_MANY_FILES),
        ({f"p/m{one}.py": b"x = 1\n" for one in range(80)}, Reason.TOO_MANY_FILES),
    ],
)
def test_what_no_row_can_hold_has_its_reason(tmp_path, files, why):
    assert reason(tmp_path, told(tmp_path, files)) is why


def test_a_huge_file_is_refused_before_it_is_compared(tmp_path):
    lines = b"".join(b"x%d = 1\n" % one for one in range(400_000))
    story = told(tmp_path, {"p/table.py": lines[::-1]}, {"p/table.py": lines})
    with pytest.raises(Rejected, match="the files that differ hold"):
        read(story, tmp_path / "store")


def test_modes_alone_are_no_program(tmp_path):
    story = told(tmp_path, {})
    (story.root / "p/core.py").chmod(0o755)
    story.commit("mode", "Let it run", {"tests/test_core.py": BEGIN["tests/test_core.py"]})
    assert reason(tmp_path, story) is Reason.FORMATTING_ONLY


def test_tests_that_are_only_removed_decide_nothing(tmp_path):
    story = told(tmp_path, {})
    story.commit("gone", "Drop", {"tests/test_core.py": None, "p/core.py": "def f(): return 3\n"})
    assert reason(tmp_path, story) is Reason.NO_TESTS


def test_a_change_that_nobody_asked_for_by_name_may_be_a_sync(tmp_path):
    objects = Objects(told(tmp_path, {}).root)
    try:
        change = History(objects, where="here").change("HEAD")
        merged = replace(change, kind="merge", subject="Merge branch 'main' into topic")
        with pytest.raises(Rejected) as caught:
            screened(merged, objects, limits=LIMITS)
        assert caught.value.reason is Reason.SYNC_MERGE
        screened(merged, objects, limits=LIMITS, all_kinds=True)
    finally:
        objects.close()


def test_a_repair_of_what_is_compiled_is_a_source(tmp_path):
    story = Story(tmp_path / "repository")
    story.commit("begin", "Begin", {**BEGIN, "p/fast.pyx": "def f(): return 1\n"})
    tests = {"tests/test_a.py": "def test_a():\n    import p.fast\n"}
    story.commit("fix", "Fix", {"p/fast.pyx": "def f(): return 2\n", **tests})

    made, _, _ = read(story, tmp_path / "store")

    assert list(made.source) == ["p/fast.pyx"]


NAMED = '[tool.pytest.ini_options]\npython_files = ["test_*.py", "extra.py"]\n'
MIXED = "def g():\n    return 1\n\n\ndef test_g():\n    assert g() == 1\n"


@pytest.mark.parametrize(
    ("files", "why"),
    [
        ({"p/extra.py": MIXED.replace("1", "2")}, Reason.TESTS_IN_SOURCE),
        ({"p/extra.py": "def (\n"}, Reason.NO_SOURCE),
        ({"p/extra.py": "def g():\n    return 2\n"}, Reason.NO_TESTS),
        ({"p/extra.py": None, "p/core.py": "def f():\n    return 2\n"}, Reason.NO_TESTS),
        ({"p/other.py": MIXED}, Reason.NO_TESTS),
        ({"pytest.ini": "[pytest]\n", "p/extra.py": MIXED.replace("1", "2")}, Reason.NO_TESTS),
        ({"README": "read\n"}, Reason.NO_SOURCE),
    ],
)
def test_a_file_of_the_library_that_settings_name_may_hold_tests(tmp_path, files, why):
    story = Story(tmp_path / "repository")
    story.commit("begin", "Begin", {**BEGIN, "pyproject.toml": NAMED, "p/extra.py": MIXED})
    story.commit("fix", "Fix", files)
    assert reason(tmp_path, story) is why
