"""A history mined for real: every pitfall has its commit, its outcome and its reason."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from story import Story

from regreen.core.task import Task
from regreen.grading.patch import patch_paths
from regreen.store.taskset import load_tasks
from regreen.tasks.mine.journal import Entry

VERIFIED = ("plain", "hang", "testing", "hash", "ids", "imports")


def command(source: Path, out: Path, *flags: str) -> list[str]:
    return [
        *(sys.executable, "-m", "regreen", "tasks", "mine", str(source), "-o", str(out)),
        *("--installed", "--repo", "ada/abacus", "--json", "-c", str(out.parent / "mine.toml")),
        *flags,
    ]


def mine(source: Path, out: Path, *flags: str) -> dict:
    (out.parent / "mine.toml").write_text("[mine]\ntest_seconds = 1.0\n")
    done = subprocess.run(command(source, out, *flags), capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.fixture(scope="session")
def mined(history: Story, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("mined") / "tasks.jsonl"
    told = mine(history.root, out)
    (out.parent / "told.json").write_text(json.dumps(told))
    return out


@pytest.fixture(scope="session")
def entries(history: Story, mined: Path) -> dict[str, Entry]:
    lines = (mined.parent / "tasks.jsonl.journal.jsonl").read_text().splitlines()[1:]
    labels = {commit: label for label, commit in history.names.items()}
    found = [Entry.model_validate_json(line) for line in lines]
    assert len(found) == len({one.commit for one in found})
    return {labels[one.commit]: one for one in found}


@pytest.fixture(scope="session")
def tasks(history: Story, mined: Path) -> dict[str, Task]:
    by_base = {task.base_commit: task for task in load_tasks(mined)}
    return {name: by_base[history.git("rev-parse", f"{history.names[name]}^")] for name in VERIFIED}


REASONS = {
    "docs": "no_source",
    "version": "version_only",
    "format": "formatting_only",
    "sync": "sync_merge",
    "gone": "no_tests",
    "binary": "binary",
    "latin": "not_utf8",
    "lfs": "lfs",
    "link": "link",
    "submodule": "submodule",
    "network": "environment_fails",
    "again": "duplicate",
    "chance": "unstable",
    "nothing": "no_fail_to_pass",
    "endless": "too_slow",
    "root": "first_commit",
}


@pytest.mark.parametrize(("label", "reason"), REASONS.items())
def test_what_is_no_task_has_its_reason(entries, label, reason):
    assert (entries[label].status != "verified", entries[label].reason) == (True, reason)


def test_what_luck_decides_is_no_task(entries):
    """By its first three draws it fails; if it does not, seven more are made."""
    assert entries["lottery"].reason in ("environment_fails", "unstable")


@pytest.mark.parametrize("label", VERIFIED)
def test_what_tests_decide_is_a_task(entries, tasks, label):
    assert entries[label].status == "verified", entries[label]
    assert tasks[label].FAIL_TO_PASS
    assert tasks[label].PASS_TO_PASS


def test_nothing_else_is_a_task(entries):
    assert {label for label, one in entries.items() if one.status == "verified"} == set(VERIFIED)


def test_one_object_says_how_many(mined, entries):
    told = json.loads((mined.parent / "told.json").read_text())
    candidates = [one for one in entries.values() if one.status != "dropped"]
    assert told["candidates"] == len(candidates)
    assert told["verified"] == len(VERIFIED)
    assert sum(told["rejected"].values()) == told["candidates"] - told["verified"]
    assert told["candidates"] >= told["built"] >= told["validated"] >= told["verified"]
    assert told["cpu_seconds"] > sum(one.cpu_seconds for one in candidates)


def test_documentation_leaves_gold(tasks):
    assert patch_paths(tasks["plain"].patch) == {"abacus/core.py"}
    assert patch_paths(tasks["plain"].test_patch) == {"tests/test_core.py"}


def test_a_source_file_with_test_in_its_name_is_source(tasks):
    assert patch_paths(tasks["testing"].patch) == {"abacus/testing.py"}
    assert patch_paths(tasks["testing"].test_patch) == {"tests/test_testing.py"}
    assert tasks["testing"].instance_id == "ada__abacus-8"


def test_a_merge_is_one_task_named_by_its_pull_request(tasks):
    task = tasks["hang"]
    assert task.instance_id == "ada__abacus-7"
    assert task.FAIL_TO_PASS == ("tests/test_halve.py::test_halve",)
    assert "tests/test_halve.py::test_loopback" in task.PASS_TO_PASS


def test_a_repair_of_chance_keeps_the_seed_that_shows_it(tasks):
    task = tasks["hash"]
    assert task.FAIL_TO_PASS == ("tests/test_first.py::test_first",)
    assert task.validation
    assert task.validation.hash_seed == 1


def test_ids_stay_byte_for_byte(tasks):
    names = ["a b", "c [d]", "e\\nf", "g::h", "\\xfc", "PASSED [100%]"]
    wanted = {f"tests/test_ids.py::test_join_upper[{name}]" for name in names}
    assert set(tasks["ids"].FAIL_TO_PASS) == wanted


def test_tests_that_cannot_be_imported_before_are_green_after(tasks):
    assert tasks["imports"].FAIL_TO_PASS == ("tests/test_triple.py::test_triple",)


def test_a_task_tells_its_change_and_the_names_that_its_tests_need(tasks, entries):
    plain = tasks["plain"].problem_statement
    assert plain.startswith("Add numbers instead of subtracting them\n\nadd(2, 3) gave -1.\n")
    assert "    -1 == 5\n" in plain
    assert tasks["imports"].interface == "# abacus.core\ndef triple(number): ..."
    assert tasks["imports"].interface in tasks["imports"].problem_statement
    assert {entries[name].told_by for name in VERIFIED} == {"commit"}
    assert tasks["hang"].problem_statement.startswith("Stop when halving\n\nIt hung.")


def test_a_task_has_its_labels(tasks):
    for task in tasks.values():
        assert task.quality
        assert task.quality.environment == "adapted"  # years younger than the change
        assert task.difficulty
        assert task.difficulty.level == ("medium" if len(task.FAIL_TO_PASS) > 5 else "easy")
        assert task.license == "MIT"


def test_controls_scored_as_they_must(tasks):
    for task in tasks.values():
        assert task.validation
        scores = {one.name: (one.expected, one.score) for one in task.validation.controls}
        assert scores["key_string"] == scores["print_passed"] == scores["no_op"] == (0.0, 0.0)
        assert scores["gold"] == (1.0, 1.0)


def test_the_same_history_gives_the_same_bytes(history, mined, tmp_path):
    other = tmp_path / "other.jsonl"
    mine(history.root, other, "-j", "1")
    assert other.read_bytes() == mined.read_bytes()


def test_a_killed_job_goes_on(history, mined, tmp_path):
    out = tmp_path / "killed.jsonl"
    journal = tmp_path / "killed.jsonl.journal.jsonl"
    (tmp_path / "mine.toml").write_text("[mine]\ntest_seconds = 1.0\n")
    job = subprocess.Popen(
        command(history.root, out, "-j", "1"),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    while job.poll() is None and not (journal.exists() and b'"verified"' in journal.read_bytes()):
        time.sleep(0.02)
    os.kill(job.pid, signal.SIGKILL)
    job.wait()
    assert not out.exists()
    done = journal.read_bytes().splitlines()
    plan = tmp_path / "killed.jsonl.plan.jsonl"
    read = plan.read_bytes()
    mine(history.root, out, "-j", "1", "--resume")
    assert plan.read_bytes() == read
    assert out.read_bytes() == mined.read_bytes()
    lines = journal.read_bytes().splitlines()
    assert lines[: len(done) - 1] == done[: len(done) - 1]
    assert (
        len(lines)
        == len(set(lines))
        == len((mined.parent / "tasks.jsonl.journal.jsonl").read_bytes().splitlines())
    )


def test_listed_commits_are_all_candidates(history, mined, tmp_path):
    names = [history.names[label] for label in ("docs", "plain", "sync")]
    (tmp_path / "picked.txt").write_text("\n".join([*names, "0" * 40]) + "\n# done\n")
    told = mine(history.root, tmp_path / "picked.jsonl", "--commits", str(tmp_path / "picked.txt"))
    assert told["candidates"] == 4
    assert told["verified"] == 1
    assert told["rejected"]["unreadable"] == 1


def test_a_range_is_one_change(history, tmp_path):
    names = f"{history.names['work']}~1..{history.names['work2']}"
    (tmp_path / "picked.txt").write_text(names + "\n")
    mine(history.root, tmp_path / "range.jsonl", "--commits", str(tmp_path / "picked.txt"))
    (task,) = load_tasks(tmp_path / "range.jsonl")
    assert task.base_commit == history.git("rev-parse", f"{history.names['work']}~1")
    assert task.FAIL_TO_PASS == ("tests/test_halve.py::test_halve",)


def test_what_was_verified_is_not_lost_to_another_history(history, mined, tmp_path):
    out = tmp_path / "other.jsonl"
    journal = tmp_path / "other.jsonl.journal.jsonl"
    journal.write_bytes((mined.parent / "tasks.jsonl.journal.jsonl").read_bytes())
    (tmp_path / "mine.toml").write_text("[mine]\ntest_seconds = 1.0\n")
    done = subprocess.run(
        command(history.root, out, "--head", history.names["docs"], "--resume"),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 2
    assert "no longer" in done.stderr or "not among those asked for" in done.stderr
    assert not out.exists()


def test_the_script_for_other_harnesses_quotes_names(tasks):
    script = tasks["ids"].eval_script
    assert script.endswith(" ./tests/test_ids.py\n") or " ./tests/test_ids.py " in script
