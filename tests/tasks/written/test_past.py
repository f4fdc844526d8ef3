"""Changes of a real repository's main line that can be undone, and merges that undo them."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from regreen.core.errors import UsageError
from regreen.sandbox.layers import LayerStore
from regreen.tasks.language.python import Python
from regreen.tasks.repo.sources import resolve
from regreen.tasks.written.mirror import regions_of, unmerged
from regreen.tasks.written.past import past_changes

ONE = "def f(a):\n    return a\n\n\ndef g(a):\n    return a + 1\n"
ENV = {
    "GIT_AUTHOR_NAME": "a",
    "GIT_AUTHOR_EMAIL": "a@b",
    "GIT_COMMITTER_NAME": "a",
    "GIT_COMMITTER_EMAIL": "a@b",
    "GIT_CONFIG_GLOBAL": "/dev/null",
    "GIT_CONFIG_NOSYSTEM": "1",
}


def git(root: Path, *words: str) -> str:
    done = subprocess.run(
        ["git", "-C", str(root), *words],
        env={**os.environ, **ENV},
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout.strip()


def commit(root: Path, **files: str | None) -> str:
    for name, text in files.items():
        path = root / f"{name}.py"
        if text is None:
            path.unlink()
        else:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
    git(root, "add", "-A")
    git(root, "commit", "-q", "-m", "step")
    return git(root, "rev-parse", "HEAD")


@pytest.fixture
def repository(tmp_path) -> Path:
    root = tmp_path / "lib"
    root.mkdir()
    git(root, "init", "-q")
    return root


def found(root: Path, tmp_path: Path, source: str = "", **limits: int):
    store = LayerStore(tmp_path / "store")
    checkout = resolve(source or str(root), store=store)
    tree = checkout.tree.path
    texts = {name: (tree / name).read_text() for name in ("lib.py", "more.py")}
    past = past_changes(checkout, texts, url=source or str(root), store=store, **limits)
    return [(one.commit, dict(one.files)) for one in past]


def test_changes_come_newest_first_with_both_sides(repository, tmp_path):
    commit(repository, lib=ONE, more="x = 1\n")
    fixed = commit(repository, lib=ONE.replace("+ 1", "+ 2"))
    commit(repository, readme="no library file\n")
    both = commit(repository, lib=ONE, more="x = 2\n")
    assert found(repository, tmp_path) == [
        (both, {"lib.py": (ONE.replace("+ 1", "+ 2"), ONE), "more.py": ("x = 1\n", "x = 2\n")}),
        (fixed, {"lib.py": (ONE, ONE.replace("+ 1", "+ 2"))}),
    ]


def test_what_came_went_or_is_too_large_is_left_out(repository, tmp_path):
    commit(repository, lib=ONE)
    commit(repository, more="x = 1\n", lib=ONE + "y = 1\n")
    commit(repository, more="".join(f"x{n} = 1\n" for n in range(400)))
    both = commit(repository, more="x = 1\n", lib=ONE)
    assert found(repository, tmp_path, max_lines=5) == []
    assert next(one for one, _ in found(repository, tmp_path, max_lines=500)) == both
    assert both not in [one for one, _ in found(repository, tmp_path, max_lines=500, max_files=1)]


def test_a_clone_and_a_folder_below_the_root_work_as_well(repository, tmp_path):
    commit(repository, **{"part/lib": ONE, "part/more": "x = 1\n"})
    last = commit(repository, **{"part/lib": ONE.replace("+ 1", "+ 2")})
    commit(repository, lib="another file of that name\n")
    below = found(repository / "part", tmp_path)
    assert below == [(last, {"lib.py": (ONE, ONE.replace("+ 1", "+ 2"))})]
    git(repository, "mv", "-f", "part/lib.py", "lib.py")
    git(repository, "mv", "part/more.py", "more.py")
    git(repository, "commit", "-q", "-m", "move")
    newest = commit(repository, lib=ONE)
    assert found(repository, tmp_path, f"file://{repository}")[0][0] == newest


def test_a_source_without_history_is_refused(tmp_path):
    (tmp_path / "lib").mkdir()
    (tmp_path / "lib" / "lib.py").write_text(ONE)
    store = LayerStore(tmp_path / "store")
    checkout = resolve(str(tmp_path / "lib"), store=store)
    with pytest.raises(UsageError, match="a history is needed") as caught:
        list(past_changes(checkout, {"lib.py": ONE}, url=checkout.spec, store=store))
    assert "git" in caught.value.mend


def test_a_merge_undoes_a_change_that_others_followed():
    before, after = ONE, ONE.replace("+ 1", "+ 2")
    today = "import os\n\n\n" + after.replace("return a\n", "return a or 0\n")
    assert unmerged(today, before=before, after=after) == today.replace("+ 2", "+ 1")
    assert unmerged(today.replace("+ 2", "+ 3"), before=before, after=after) is None


def test_regions_are_bodies_and_what_stands_outside_concerns_the_whole_file():
    region = regions_of(Python(), "lib.py", ONE, ONE.replace("+ 1", "+ 2"))
    assert (region.lines, region.whole) == ((6,), False)
    region = regions_of(Python(), "lib.py", ONE, ONE.replace("def f(a)", "def f(a=1)"))
    assert (region.lines, region.whole) == ((), True)
    region = regions_of(
        Python(), "lib.py", ONE, ONE.replace("    return a\n\n", "    return a\n    1\n\n")
    )
    assert region.lines[:1] == (2,)
