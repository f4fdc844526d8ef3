"""A tree with patches applied is the tree git would make, shares what it can, and stays inside."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from regreen.core.errors import TaskError
from regreen.core.task import Environment, Task
from regreen.grading.patch import text_patch
from regreen.sandbox.layers import Layer, LayerStore
from regreen.tasks.build.repaired import healthy_checkout, repaired_tree
from regreen.tasks.repo.sources import resolve

CALC = "def add(a, b):\n    return a - b\n"
FILES = {
    "calc.py": CALC,
    "docs/old.txt": "gone soon\n",
    "run.sh": "#!/bin/sh\n",
    "tests/test_calc.py": "import calc\n",
}
GOLD = text_patch("calc.py", CALC, CALC.replace("-", "+")) + text_patch(
    "docs/old.txt", "gone soon\n", None
)
TESTS = "import calc\n\n\ndef test_add():\n    assert calc.add(1, 2) == 3\n"
TEST_PATCH = text_patch("tests/test_calc.py", "import calc\n", TESTS)


def git(repository: Path, *arguments: str) -> str:
    command = ["git", "-C", str(repository), "-c", "user.name=me", "-c", "user.email=me@here"]
    done = subprocess.run([*command, *arguments], check=True, capture_output=True, text=True)
    return done.stdout.strip()


@pytest.fixture
def history(tmp_path: Path) -> Path:
    """A commit with a bug, and the commit that mends it."""
    root = tmp_path / "calc"
    for name, text in FILES.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)
    (root / "run.sh").chmod(0o755)
    (root / "link").symlink_to("docs")
    git(tmp_path, "init", "-q", "calc")
    git(root, "add", "-A")
    git(root, "commit", "-qm", "wrong")
    for patch in (GOLD, TEST_PATCH):
        subprocess.run(["git", "apply"], cwd=root, input=patch, text=True, check=True)
    git(root, "add", "-A")
    git(root, "commit", "-qm", "right")
    return root


def test_it_is_the_tree_of_the_commit_that_made_both_changes(history: Path, tmp_path: Path) -> None:
    store = LayerStore(tmp_path / "store")
    before = resolve(str(history), store=store, commit="HEAD~1")
    after = resolve(str(history), store=store, commit="HEAD")

    made = repaired_tree(before.tree, GOLD, TEST_PATCH, store=store)

    assert made.digest == after.tree.digest
    assert not (made.path / "docs").exists()


def test_files_no_patch_touches_take_no_room(history: Path, tmp_path: Path) -> None:
    store = LayerStore(tmp_path / "store")
    base = resolve(str(history), store=store, commit="HEAD~1").tree

    made = repaired_tree(base, text_patch("calc.py", CALC, "new\n"), "", store=store)

    assert (made.path / "run.sh").samefile(base.path / "run.sh")
    assert (made.path / "calc.py").read_text() == "new\n"
    assert (base.path / "calc.py").read_text() == CALC


def test_the_same_patches_are_applied_once(history: Path, tmp_path: Path) -> None:
    store = LayerStore(tmp_path / "store")
    base = resolve(str(history), store=store, commit="HEAD~1").tree
    first = repaired_tree(base, GOLD, TEST_PATCH, store=store)
    made = (first.path / "calc.py").stat().st_ino

    again = repaired_tree(base, GOLD, TEST_PATCH, store=store)

    assert (again.path / "calc.py").stat().st_ino == made


@pytest.mark.parametrize(
    ("patch", "words"),
    [
        (text_patch("calc.py", "something else\n", "x\n"), "does not apply"),
        (text_patch("link/inside.txt", None, "x\n"), "directory and something else"),
        (text_patch("calc.py/inside.txt", None, "x\n"), "directory and something else"),
        (text_patch("docs", None, "x\n"), "directory and something else"),
    ],
)
def test_a_patch_that_does_not_fit_is_refused(
    history: Path, tmp_path: Path, patch: str, words: str
) -> None:
    store = LayerStore(tmp_path / "store")
    base = resolve(str(history), store=store, commit="HEAD~1").tree

    with pytest.raises(TaskError, match=words):
        repaired_tree(base, patch, "", store=store)
    assert not list((store.root / "staging").iterdir())


def test_nothing_is_written_through_a_link_that_leaves_the_tree(tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    store = LayerStore(tmp_path / "store")
    staged = store.stage()
    (staged / "away").symlink_to(outside)
    base = store.commit(staged)

    with pytest.raises(TaskError):
        repaired_tree(base, text_patch("away/x.txt", None, "x\n"), "", store=store)
    assert not list(outside.iterdir())


def task_of(history: Path, tree: Layer, *, patched: bool) -> Task:
    return Task(
        instance_id="calc-1",
        repo="me/calc",
        base_commit=git(history, "rev-parse", "HEAD~1"),
        patch=GOLD,
        test_patch=TEST_PATCH,
        problem_statement="add(1, 2) should be 3",
        FAIL_TO_PASS=("tests/test_calc.py::test_add",),
        PASS_TO_PASS=(),
        environment=Environment(
            source=str(history),
            commit=git(history, "rev-parse", "HEAD~1" if patched else "HEAD"),
            repo_layer=tree.digest,
            env_layer="0" * 64,
            patched=patched,
        ),
    )


@pytest.mark.parametrize("patched", [True, False])
def test_a_lost_layer_is_made_again_from_the_source(
    history: Path, tmp_path: Path, patched: bool
) -> None:
    healthy = resolve(str(history), store=LayerStore(tmp_path / "lost"), commit="HEAD").tree
    store = LayerStore(tmp_path / "store")

    made = healthy_checkout(task_of(history, healthy, patched=patched), store=store)

    assert made.tree.digest == healthy.digest
    assert store.get(healthy.digest) is not None
