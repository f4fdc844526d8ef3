"""Objects as git reads them, and what is answered where they are absent or say nothing."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from raw_objects import BEGIN, FIX, PERSON, TREES, put, put_commit, put_tree
from story import Story

from regreen.tasks.history.objects import Missing, Objects


@pytest.fixture
def story(tmp_path: Path) -> Story:
    made = Story(tmp_path / "repository")
    made.commit("begin", "Begin", BEGIN)
    made.commit("fix", "Fix", FIX)
    return made


@pytest.fixture
def objects(story: Story) -> Iterator[Objects]:
    made = Objects(story.root)
    yield made
    made.close()


def listed(story: Story, commit: str) -> dict[str, tuple[str, str]]:
    """What ``git ls-tree -r`` says."""
    rows = filter(None, story.git("ls-tree", "-r", "-z", commit).split("\0"))
    split = (row.partition("\t") for row in rows)
    return {path: (head.split()[0], head.split()[2]) for head, _, path in split}


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(files=TREES)
def test_a_tree_is_what_git_lists(tmp_path_factory, files):
    story = Story(tmp_path_factory.mktemp("listed") / "repository")
    commit = story.commit("all", "All", files)
    objects = Objects(story.root)
    try:
        assert objects.tree(commit) == listed(story, commit)
        assert list(objects.tree(commit)) == sorted(files)
    finally:
        objects.close()


def test_links_programs_and_submodules_are_listed(story, objects):
    (story.root / "p/link").symlink_to("core.py")
    (story.root / "p/core.py").chmod(0o755)
    story.git("update-index", "--add", "--cacheinfo", f"160000,{story.names['fix']},vendored")
    commit = story.commit("kinds", "Kinds", {})
    story.git("update-index", "--add", "--cacheinfo", f"160000,{story.names['fix']},vendored")
    story.git("commit", "-q", "--amend", "-m", "Kinds")
    commit = story.git("rev-parse", "HEAD")
    found = objects.tree(commit)
    assert found == listed(story, commit)
    assert {mode for mode, _ in found.values()} == {"100644", "100755", "120000", "160000"}


def test_modes_of_old_tools_are_those_that_git_takes_them_for(story, objects):
    blob = story.git("rev-parse", "HEAD:p/core.py")
    inner = put_tree(story, [(b"100664", b"a.py", blob), (b"100775", b"b.py", blob)])
    commit = put_commit(story, put_tree(story, [(b"040000", b"p", inner)]), [])
    assert objects.tree(commit) == listed(story, commit)
    assert objects.tree(commit)["p/a.py"][0] == "100644"


@pytest.mark.parametrize("damage", ["truncated", "flipped", "emptied", "gone"])
@pytest.mark.parametrize("what", ["HEAD", "HEAD^{tree}", "HEAD:p/core.py"])
def test_damaged_objects_are_missing_and_the_others_are_read(story, objects, damage, what):
    name = story.git("rev-parse", what)
    place = story.root / ".git/objects" / name[:2] / name[2:]
    data = place.read_bytes()
    place.unlink()
    half = len(data) // 2
    flipped = data[:half] + bytes([data[half] ^ 255]) + data[half + 1 :]
    if damage != "gone":
        place.write_bytes({"truncated": data[:half], "flipped": flipped, "emptied": b""}[damage])
    with pytest.raises(Missing, match=name[:12]):
        objects.read(name)
    assert objects.commit(story.names["begin"]).message == "Begin\n"


@pytest.mark.parametrize(
    "content", [b"garbage", b"100644 a", b"100644 a\0short", b"9 a\0" + b"x" * 20]
)
def test_a_malformed_tree_is_missing(story, objects, content):
    with pytest.raises(Missing, match="malformed"):
        objects.folder(put(story, "tree", content))


def test_a_file_in_the_place_of_a_folder_is_missing(story, objects):
    blob = story.git("rev-parse", "HEAD:p/core.py")
    commit = put_commit(story, put_tree(story, [(b"40000", b"p", blob)]), [])
    with pytest.raises(Missing, match="malformed"):
        objects.tree(commit)


@pytest.mark.parametrize(
    "person", [b"", b"Ada", b"Ada <a@b> 1700000000", b"Ada <a@b> x +0000", b"Ada <a@b> 1.5 +0000"]
)
def test_a_commit_without_a_time_is_missing(story, objects, person):
    tree = story.git("rev-parse", "HEAD^{tree}")
    with pytest.raises(Missing, match="malformed"):
        objects.commit(put_commit(story, tree, [], person=person))


def test_a_commit_without_a_tree_is_missing(story, objects):
    name = put(story, "commit", b"author %s\ncommitter %s\n\nFix\n" % (PERSON, PERSON))
    with pytest.raises(Missing, match="malformed"):
        objects.commit(name)


def test_a_blob_is_no_commit(story, objects):
    with pytest.raises(Missing, match="a blob, not a commit"):
        objects.commit(story.git("rev-parse", "HEAD:p/core.py"))


MESSAGE = b"Caf\xe9 \\ud800 +2AA-\n"


@pytest.mark.parametrize(
    ("encoding", "text"),
    [
        (b"ISO-8859-1", "Café \\ud800 +2AA-\n"),
        (b"unicode_escape", "Café ? +2AA-\n"),
        *((one, "Caf\ufffd \\ud800 +2AA-\n") for one in (b"utf-8", b"utf-7", b"undefined", b"hex")),
        *((one, "Caf\ufffd \\ud800 +2AA-\n") for one in (b"", b"\xff\xfe", b"a\0b", b"no-such")),
    ],
)
def test_messages_are_text_whatever_their_encoding_says(story, objects, encoding, text):
    tree = story.git("rev-parse", "HEAD^{tree}")
    more = b"encoding " + encoding + b"\n"
    found = objects.commit(put_commit(story, tree, [], message=MESSAGE, more=more))
    assert found.message == text
    assert found.message.encode()


def test_signatures_and_merged_tags_are_no_fields(story, objects):
    tree, parent = story.git("rev-parse", "HEAD^{tree}"), story.names["begin"]
    more = b"mergetag object 1\n tree 2\n parent 3\n committer x\ngpgsig -----\n \n tree 4\n"
    found = objects.commit(put_commit(story, tree, [parent], more=more))
    assert (found.tree, found.parents, found.time) == (tree, (parent,), 1_700_000_000)


def test_folders_that_multiply_without_end_are_refused(story, objects):
    blob = story.git("rev-parse", "HEAD:p/core.py")
    tree = put_tree(story, [(b"100644", b"%d" % one, blob) for one in range(10)])
    for _ in range(9):
        tree = put_tree(story, [(b"40000", b"%d" % one, tree) for one in range(10)])
    with pytest.raises(Missing, match="more than 200000 files"):
        objects.tree(put_commit(story, tree, []))


def test_reading_goes_on_after_the_process_was_lost(story, objects):
    objects.commit(story.names["fix"])
    objects.close()
    assert objects.commit(story.names["begin"]).parents == ()
