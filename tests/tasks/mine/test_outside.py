"""A history mined with what others know of it: pull requests, issues, and lists to avoid."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from bag import HOLDS, REPO, SIZE, TESTED, journal, mine, refused
from github_server import TOKEN, GitHub, rest_commit, rest_pull
from story import Story

from regreen.core.task import Task
from regreen.store.taskset import load_tasks


def pulls(story: Story) -> list[dict[str, Any]]:
    when = {"merged_at": "2023-11-18T12:00:00Z", "created_at": "2023-11-10T10:00:00Z"}
    one = {"title": "Take the first item", "body": "It took another.", **when}
    two = {"title": "Count the items only", "body": "Sizes were off by one, see below.", **when}
    return [
        rest_pull(REPO, 1, merge_commit_sha=story.names["take"], **one),
        rest_pull(REPO, 2, merge_commit_sha=story.names["tested"], **two),
    ]


@pytest.fixture
def hub(bag: Story) -> Iterator[GitHub]:
    made = GitHub(REPO)
    for pull in pulls(bag):
        made.add_pull(pull["number"])
        made.lists["pulls"][-1] = pull
    made.lists["pulls/2/commits"] = [
        rest_commit(REPO, f"{number:040x}", message)
        for number, message in enumerate((SIZE, TESTED))
    ]
    for number in range(3, 9):
        made.add_pull(number)
    made.closing[1] = [(REPO, 10)]
    issue = {"title": "take() gives the second item", "body": "I called `take([1, 2])` and got 2."}
    made.add_issue(10, ("2023-11-09T08:00:00Z", "Only for lists of two or more."), **issue)
    yield made
    made.close()


@pytest.fixture
def fetched(bag: Story, hub: GitHub, tmp_path: Path) -> tuple[Path, dict[str, Any]]:
    listed = tmp_path / "listed.txt"
    listed.write_text(f"{REPO}@{bag.names['first'][:12]}\n")
    out = tmp_path / "tasks.jsonl"
    flags = ("--github", "--github-url", hub.url, "--decontaminate", str(listed))
    return out, mine(bag, out, *flags, GITHUB_TOKEN=TOKEN)


def by_name(out: Path) -> dict[str, Task]:
    return {task.instance_id: task for task in load_tasks(out)}


def test_texts_are_fetched_for_what_may_be_a_task(
    bag: Story, hub: GitHub, fetched: tuple[Path, dict[str, Any]]
) -> None:
    out, said = fetched
    tasks, entries = by_name(out), journal(out, bag)
    task = tasks["ada__bag-1"]
    assert task.problem_statement.startswith("take() gives the second item\n\nI called `take([1,")
    assert task.hints_text == "Only for lists of two or more."
    assert (entries["take"].told_by, entries["take"].issues) == ("issue", ("ada/bag#10",))
    assert entries["last"].told_by == "commit"
    assert said["verified"] == 3
    parts = [path for path in hub.asked if "/commits" in path]
    assert [path.split("/")[5] for path in parts] == ["1", "2"]

    joined = tasks["ada__bag-2"]
    assert joined.base_commit == bag.names["take"]
    assert joined.FAIL_TO_PASS == ("tests/test_size.py::test_size",)
    assert joined.problem_statement.startswith("Count the items only\n\nSizes were off by one")
    assert {entries[name].reason for name in ("size", "tested")} == {"joined"}
    assert said["dropped"]["joined"] == 2

    assert (entries["first"].reason, entries["first"].rungs) == ("contaminated", ())
    assert "same commit as ada/bag@" in entries["first"].detail


@pytest.mark.slow
def test_a_dump_tells_the_same(
    bag: Story, hub: GitHub, fetched: tuple[Path, dict[str, Any]], tmp_path: Path
) -> None:
    out, _ = fetched
    again = tmp_path / "again.jsonl"
    cache = out.with_name(f"{out.name}.pulls.jsonl")
    flags = ("--prs", str(cache), "--decontaminate", str(tmp_path / "listed.txt"))
    mine(bag, again, *flags, "-j", "1")
    assert again.read_bytes() == out.read_bytes()
    asked = len(hub.asked)
    mine(bag, again, *flags, "-j", "1", "--resume")
    assert again.read_bytes() == out.read_bytes()
    assert len(hub.asked) == asked


@pytest.mark.slow
def test_a_resumed_job_keeps_to_its_texts(bag: Story, tmp_path: Path) -> None:
    dump = tmp_path / "pulls.json"
    dump.write_text(json.dumps(pulls(bag)))
    out, names = tmp_path / "tasks.jsonl", tmp_path / "names.txt"
    names.write_text(bag.names["take"])
    only = ("--commits", str(names), "--prs", str(dump))
    mine(bag, out, *only)
    assert by_name(out)["ada__bag-1"].problem_statement.startswith("Take the first item\n")
    dump.write_text(json.dumps(pulls(bag)[:1]))
    with pytest.raises(AssertionError, match="outside differ"):
        mine(bag, out, *only, "--resume")


@pytest.mark.slow
def test_a_list_may_hold_the_same_words_or_the_same_repair(bag: Story, tmp_path: Path) -> None:
    names = tmp_path / "names.txt"
    names.write_text(f"{bag.names['take']}\n{bag.names['last']}\n")
    mine(bag, tmp_path / "free.jsonl", "--commits", str(names))
    take, last = load_tasks(tmp_path / "free.jsonl")
    rows = [
        {"instance_id": "other__bag-8", "repo": "other/bag", "patch": last.patch},
        {"instance_id": "other__bag-9", "problem_statement": take.problem_statement},
    ]
    known = tmp_path / "rows.jsonl"
    known.write_text("\n".join(map(json.dumps, rows)))
    out = tmp_path / "tasks.jsonl"
    mine(bag, out, "--commits", str(names), "--decontaminate", str(known))
    entries = journal(out, bag)
    assert [entries[name].reason for name in ("take", "last")] == ["contaminated"] * 2
    assert entries["last"].rungs == ()
    assert entries["last"].detail == "same patch as other__bag-8"
    assert entries["take"].detail == "same statement as other__bag-9"


@pytest.mark.parametrize(
    ("flags", "word"),
    [
        (("--prs", "a.json", "--github"), "leave one of them out"),
        (("--github-url", "http://127.0.0.1:1"), "add --github"),
        (("--github", "--repo", "bag"), "OWNER/NAME"),
        (("--prs", "none.json"), "none.json"),
    ],
)
def test_flags_that_cannot_be_used(
    bag: Story, tmp_path: Path, flags: tuple[str, ...], word: str
) -> None:
    assert word in refused(bag, tmp_path / "tasks.jsonl", *flags)


def test_a_resumed_job_knows_copies_of_what_is_listed(tmp_path: Path) -> None:
    story = Story(tmp_path / "twice")
    broken, mended = (
        f'"""Bags."""\n\n\ndef take(items):\n    return items.pop({n})\n' for n in (1, 0)
    )
    test = "import bag\n\n\ndef test_take():\n    assert bag.take([1, 2]) == 1\n"
    story.commit("root", "Begin", {"bag.py": broken, "tests/test_none.py": HOLDS})
    story.commit("listed", "Take the first", {"bag.py": mended, "tests/test_one.py": HOLDS + test})
    story.commit("back", "Take it back", {"bag.py": broken})
    story.commit("copy", "Take it again", {"bag.py": mended, "tests/test_two.py": HOLDS + test})
    known, out = tmp_path / "known.txt", tmp_path / "out.jsonl"
    known.write_text(f"{REPO}@{story.names['listed']}\n")
    mine(story, out, "--decontaminate", str(known))
    kept = out.with_name(f"{out.name}.journal.jsonl")
    lines = kept.read_text().splitlines(keepends=True)
    last = next(place for place, line in enumerate(lines) if story.names["listed"] in line)
    kept.write_text("".join(lines[: last + 1]))

    told = mine(story, out, "--decontaminate", str(known), "--resume")

    assert told["rejected"] == {"contaminated": 1, "duplicate": 1}
    assert out.read_bytes() == b""
