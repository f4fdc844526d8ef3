"""A main line and its changes: what git says they are, whatever the repository suggests."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from raw_objects import BEGIN, FIX, TREES, put_commit, put_tree
from story import Story

from regreen.core.errors import UsageError
from regreen.tasks.history.line import History, read_list
from regreen.tasks.history.objects import Missing, Objects


@pytest.fixture
def story(tmp_path: Path) -> Story:
    made = Story(tmp_path / "repository")
    made.commit("begin", "Begin", BEGIN)
    made.commit("fix", "Fix", FIX)
    made.commit("more", "More", {"README": "more\n"})
    return made


@pytest.fixture
def history(story: Story) -> Iterator[History]:
    objects = Objects(story.root)
    yield History(objects, where="here")
    objects.close()


def raw(story: Story, before: str, after: str) -> set[tuple[str, ...]]:
    """What ``git diff-tree`` says: path, modes, ids."""
    words = story.git("diff-tree", "-r", "-z", "--no-renames", before, after).split("\0")
    rows = zip(words[0::2], words[1::2], strict=False)
    return {(path, *head.lstrip(":").split()[:4]) for head, path in rows}


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(before=TREES, after=TREES, programs=st.booleans())
def test_what_differs_is_what_git_says(tmp_path_factory, before, after, programs):
    story = Story(tmp_path_factory.mktemp("differing") / "repository")
    story.commit("before", "Before", before)
    story.git("rm", "-rfq", ".")
    story.write(after)
    for name in after if programs else ():
        (story.root / name).chmod(0o755)
    story.commit("after", "After", {})
    objects = Objects(story.root)
    try:
        files = History(objects, where="here").change(story.names["after"]).files
    finally:
        objects.close()
    found = {(one.path, one.old_mode, one.new_mode, one.old_blob, one.new_blob) for one in files}
    assert found == raw(story, story.names["before"], story.names["after"])
    assert [one.path for one in files] == sorted(one.path for one in files)


def test_folders_nested_without_end_are_compared(story, history):
    blob = story.git("rev-parse", "HEAD:README")
    tree = put_tree(story, [(b"100644", b"a.py", blob)])
    for _ in range(1100):
        tree = put_tree(story, [(b"40000", b"d", tree)])
    change = history.change(put_commit(story, tree, [story.names["fix"]]))
    assert max(one.path.count("/") for one in change.files) == 1100


def test_grafts_and_replacements_are_not_history(story):
    line = [story.names[one] for one in ("begin", "fix", "more")]
    (story.root / ".git/info").mkdir(exist_ok=True)
    grafts = f"{story.names['more']} {story.names['begin']}\n"
    (story.root / ".git/info/grafts").write_text(grafts)
    story.git("replace", story.names["fix"], story.names["begin"])
    objects = Objects(story.root)
    try:
        history = History(objects, where="here")
        assert history.line() == line
        assert history.change(line[1]).subject == "Fix"
    finally:
        objects.close()


@pytest.mark.parametrize("seconds", [b"99999999999999999999", b"253402300800", b"-99999999999"])
def test_a_date_that_no_calendar_holds_is_a_reason(story, history, seconds):
    tree = story.git("rev-parse", "HEAD^{tree}")
    person = b"Ada <a@b> " + seconds + b" +0000"
    with pytest.raises(Missing, match="out of range"):
        history.change(put_commit(story, tree, [story.names["fix"]], person=person))


@pytest.mark.parametrize(("seconds", "year"), [(b"0", 1970), (b"4102444800", 2100)])
def test_strange_dates_and_zones_are_taken(story, history, seconds, year):
    tree = story.git("rev-parse", "HEAD^{tree}")
    person = b"Ada <a@b> " + seconds + b" +9999"
    found = history.change(put_commit(story, tree, [story.names["fix"]], person=person))
    assert found.date.year == year


def test_the_first_commit_says_that_it_is_first(story, history):
    with pytest.raises(Missing) as caught:
        history.change(story.names["begin"])
    assert caught.value.first


def test_what_cannot_be_read_does_not_stop_the_others(story, history):
    names = ["0" * 40, story.names["fix"]]
    (absent, reason), change = history.changes(names)
    assert absent == names[0]
    assert not reason.first
    assert change.commit == names[1]


def test_an_octopus_is_one_change_against_its_first_parent(story, history):
    for name in "ab":
        story.git("checkout", "-q", "-b", name, story.names["more"])
        story.commit(name, name, {f"{name}.py": "x = 1\n"})
    story.git("checkout", "-q", "main")
    story.git("merge", "-q", "--no-ff", "-m", "Merge both", "a", "b")
    change = history.with_messages(history.change(story.git("rev-parse", "HEAD")))
    assert (change.kind, change.base) == ("merge", story.names["more"])
    assert [one.path for one in change.files] == ["a.py", "b.py"]
    assert sorted(change.messages) == ["a\n", "b\n"]


def test_a_merge_of_one_tree_with_itself_changes_nothing(story, history):
    tree = story.git("rev-parse", "HEAD^{tree}")
    parents = [story.names["more"]] * 2
    assert history.change(put_commit(story, tree, parents)).files == ()


def test_another_root_that_is_merged_in_is_one_change(story, history):
    story.git("checkout", "-q", "--orphan", "other")
    story.git("rm", "-rfq", ".")
    story.commit("other", "Other", {"other.py": "x = 1\n"})
    story.git("checkout", "-q", "main")
    options = ("--no-ff", "--allow-unrelated-histories")
    story.git("merge", "-q", *options, "-m", "Join", "other")
    head = story.git("rev-parse", "HEAD")
    assert [one.path for one in history.change(head).files] == ["other.py"]
    assert story.names["other"] not in history.line()


def test_a_line_may_begin_at_a_date(story, history):
    newest = history.objects.commit(story.names["more"])
    since = history.change(story.names["more"]).date
    assert newest.time == int(since.timestamp())
    assert history.line(since=since) == [story.names["more"]]


@pytest.mark.parametrize("text", ["", "# none\n", "--all\n", "a b\n"])
def test_a_list_that_names_no_commits_is_refused(tmp_path, text):
    (tmp_path / "list").write_text(text)
    with pytest.raises(UsageError, match="no list of commits"):
        read_list(tmp_path / "list")


def test_a_list_names_each_commit_once(tmp_path):
    (tmp_path / "list").write_text("a # first\nb..c\n\na\n")
    assert read_list(tmp_path / "list") == ["a", "b..c"]


@pytest.mark.parametrize("content", [None, b"\xff\xfe"])
def test_a_list_that_cannot_be_read_says_so(tmp_path, content):
    if content:
        (tmp_path / "list").write_bytes(content)
    with pytest.raises(UsageError, match="cannot be read"):
        read_list(tmp_path / "list")


def test_a_damaged_commit_ends_the_line_and_nothing_else(tmp_path):
    story = Story(tmp_path / "repository")
    names = [story.commit(str(n), f"Step {n}", {"a.py": f"x = {n}\n"}) for n in range(4)]
    place = story.root / ".git" / "objects" / names[1][:2] / names[1][2:]
    place.chmod(0o644)
    place.write_bytes(b"no object")
    objects = Objects(story.root)
    history = History(objects, where="here")
    assert history.line() == names[1:]
    found = list(history.changes(history.line()))
    objects.close()
    assert [isinstance(one, tuple) for one in found] == [True, True, False]


def diverged(story: Story) -> None:
    """``main`` goes on with two steps, ``dev`` with one."""
    story.git("branch", "dev")
    story.commit("one", "One (#1)", {"one.py": "x = 1\n"})
    story.git("checkout", "-q", "-b", "topic")
    story.commit("part", "Part", {"two.py": "x = 1\n"})
    story.merge("two", "Merge pull request #2 from ada/topic", "topic")
    story.git("checkout", "-q", "dev")
    story.commit("own", "Own", {"own.py": "x = 1\n"})


def joined(story: Story, label: str, message: str, *others: str) -> None:
    story.days += 1
    story.git("merge", "-q", "--no-ff", "-m", message, *others)
    story.names[label] = story.git("rev-parse", "HEAD")


def labels(story: Story, line: list[str]) -> str:
    names = {commit: label for label, commit in story.names.items()}
    return " ".join(names[one] for one in line)


def test_a_main_line_that_was_merged_into_another_is_part_of_the_line(story, history):
    diverged(story)
    joined(story, "foxtrot", "Merge branch 'main' into dev", "main")
    story.commit("after", "After", {"after.py": "x = 1\n"})
    moved = History(history.objects, head="dev", where="here")
    assert labels(story, moved.line()) == "begin fix more own one two foxtrot after"
    since = moved.change(story.names["two"]).date
    assert labels(story, moved.line(since=since)) == "own two foxtrot after"
    assert moved.line() == moved.line()


def test_a_branch_that_is_no_main_line_is_not_part_of_the_line(story, history):
    diverged(story)
    joined(story, "merge", "Merge branch 'feature' into dev", "main")
    moved = History(history.objects, head="dev", where="here")
    assert labels(story, moved.line()) == "begin fix more own merge"


def test_main_lines_merged_into_each_other_are_counted_once(story, history):
    diverged(story)
    joined(story, "there", "Merge branch 'main' into dev", "main")
    story.commit("next", "Next", {"next.py": "x = 1\n"})
    story.git("checkout", "-q", "main")
    story.commit("three", "Three", {"three.py": "x = 1\n"})
    joined(story, "back", "Merge branch 'dev'", "dev")
    story.commit("four", "Four", {"four.py": "x = 1\n"})
    story.git("checkout", "-q", "dev")
    joined(story, "again", "Merge branch 'main' into dev", "main")
    head = History(history.objects, head="dev", where="here")
    told = "begin fix more own one two there next three back four again"
    assert labels(story, head.line()) == told
    other = History(history.objects, head="main", where="here")
    assert labels(story, other.line()) == "begin fix more one two three own there next back four"


def test_lines_merged_into_a_merged_line_are_found(story, history):
    diverged(story)
    story.git("checkout", "-q", "-b", "stable", story.names["begin"])
    story.commit("cure", "Cure", {"cure.py": "x = 1\n"})
    story.git("checkout", "-q", "main")
    joined(story, "inner", "Merge branch 'stable'", "stable")
    story.git("checkout", "-q", "dev")
    joined(story, "outer", "Merge branch 'main' into dev", "main")
    moved = History(history.objects, head="dev", where="here")
    assert labels(story, moved.line()) == "begin fix more own one two cure inner outer"


def test_lines_merged_at_once_are_all_part_of_the_line(story, history):
    diverged(story)
    story.git("checkout", "-q", "-b", "stable", story.names["one"])
    story.commit("cure", "Cure", {"cure.py": "x = 1\n"})
    story.git("checkout", "-q", "dev")
    joined(story, "octopus", "Merge branch 'main' into dev", "main", "stable")
    moved = History(history.objects, head="dev", where="here")
    assert labels(story, moved.line()) == "begin fix more own one two cure octopus"


def test_a_merged_line_that_is_damaged_is_told(story):
    diverged(story)
    joined(story, "foxtrot", "Merge branch 'main' into dev", "main")
    place = story.root / ".git" / "objects" / story.names["two"][:2] / story.names["two"][2:]
    place.unlink()
    objects = Objects(story.root)
    moved = History(objects, head="dev", where="here")
    assert labels(story, moved.line()) == "begin fix more own two foxtrot"
    objects.close()
