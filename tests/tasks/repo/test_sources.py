"""Sources: paths and git repositories made on the spot."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from regreen.core.errors import PrerequisiteError, RegreenError, UsageError
from regreen.sandbox.layers import LayerStore
from regreen.tasks.repo.sources import resolve
from regreen.tasks.repo.tree import (
    EPOCH,
    EXECUTABLE,
    FILE,
    LINK,
    Entry,
    commit_id,
    scan,
    write_tree,
)

WHEN = {"GIT_AUTHOR_DATE": "1700000000 +0000", "GIT_COMMITTER_DATE": "1700000000 +0000"}


def git(folder: Path, *arguments: str, **more: str) -> str:
    """Run git with a fixed author and no configuration of this machine."""
    alone = {"GIT_CONFIG_GLOBAL": "/dev/null", "GIT_CONFIG_NOSYSTEM": "1"}
    who = ("-c", "user.name=a", "-c", "user.email=a@b", "-c", "init.defaultBranch=main")
    done = subprocess.run(
        ["git", "-C", str(folder), *who, *arguments],
        check=True,
        capture_output=True,
        text=True,
        env=dict(os.environ) | alone | WHEN | more,
    )
    return done.stdout.strip()


@pytest.fixture
def store(tmp_path: Path) -> LayerStore:
    return LayerStore(tmp_path / "store")


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    """Two commits: the first tagged v1.2, the second with a link, a program and attributes."""
    root = tmp_path / "work" / "demo.py repo"
    root.mkdir(parents=True)
    git(root, "init", "--quiet")
    (root / "pyproject.toml").write_text('[project]\nname = "demo"\nlicense = "MIT"\n')
    (root / "demo.py").write_text("x = 1\n")
    git(root, "add", "-A")
    git(root, "commit", "-qm", "first")
    git(root, "tag", "v1.2")
    (root / "run.sh").write_text("#!/bin/sh\n")
    (root / "run.sh").chmod(0o755)
    (root / "link").symlink_to("demo.py")
    (root / ".gitattributes").write_text("*.py export-ignore filter=evil eol=crlf\n")
    git(root, "add", "-A")
    git(root, "commit", "-qm", "second")
    return root


def test_a_work_tree_gives_the_commit_and_not_what_lies_about(
    repository: Path, store: LayerStore
) -> None:
    (repository / "demo.py").write_text("x = 'changed, not committed'\n")
    (repository / "new.py").write_text("")
    found = resolve(str(repository), store=store)
    tree = found.tree.path
    assert found.commit == git(repository, "rev-parse", "HEAD")
    assert (found.name, found.repo, found.license) == ("demo", "demo", "MIT")
    assert found.version == "1.2.1.dev1"
    assert found.date == datetime.fromtimestamp(1_700_000_000, UTC)
    assert "1 files differ" in found.notes[0]
    names = sorted(one.name for one in tree.iterdir())
    assert names == [".gitattributes", "demo.py", "link", "pyproject.toml", "run.sh"]
    assert (tree / "demo.py").read_bytes() == b"x = 1\n"
    assert os.readlink(tree / "link") == "demo.py"  # noqa: PTH115
    assert os.access(tree / "run.sh", os.X_OK)
    assert {int(one.lstat().st_mtime) for one in tree.iterdir()} == {EPOCH}


def test_path_url_and_bare_clone_give_the_same_tree(
    repository: Path, store: LayerStore, tmp_path: Path
) -> None:
    git(repository, "clone", "-q", "--bare", str(repository), str(tmp_path / "bare.git"))
    sources = [str(repository), f"file://{repository}", str(tmp_path / "bare.git")]
    found = [resolve(one, store=store) for one in sources]
    assert len({(one.commit, one.tree, one.version) for one in found}) == 1


def test_an_earlier_commit_by_tag_or_id(repository: Path, store: LayerStore) -> None:
    tagged = resolve(str(repository), store=store, commit="v1.2")
    assert resolve(str(repository), store=store, commit=tagged.commit[:10]) == tagged
    assert tagged.version == "1.2"
    assert not (tagged.tree.path / "run.sh").exists()


def test_a_clone_is_kept_and_brought_up_to_date(repository: Path, store: LayerStore) -> None:
    url = f"file://{repository}"
    first = resolve(url, store=store)
    git(repository, "commit", "-q", "--allow-empty", "-m", "third")
    second = resolve(url, store=store)
    assert second.commit == git(repository, "rev-parse", "HEAD") != first.commit
    shutil.rmtree(repository)
    assert resolve(url, store=store, commit=first.commit).notes == ()
    assert "last fetched" in resolve(url, store=store).notes[0]


def test_owner_and_name_come_from_the_remote(repository: Path, store: LayerStore) -> None:
    for remote in ("https://me:pw@host.example/owner/name.git", "git@host.example:owner/name"):
        git(repository, "config", "remote.origin.url", remote)
        assert resolve(str(repository), store=store).repo == "owner/name"


def test_a_folder_of_a_repository_stands_for_itself(repository: Path, store: LayerStore) -> None:
    (repository / "sub").mkdir()
    (repository / "sub" / "inner.py").write_text("")
    git(repository, "add", "-A")
    git(repository, "commit", "-qm", "folder")
    found = resolve(str(repository / "sub"), store=store)
    assert [one.name for one in found.tree.path.iterdir()] == ["inner.py"]
    assert found.commit == git(repository, "rev-parse", "HEAD")


def test_nothing_of_the_repository_runs(
    repository: Path, store: LayerStore, tmp_path: Path
) -> None:
    proof = tmp_path / "ran"
    for key in ("core.fsmonitor", "filter.evil.smudge", "filter.evil.clean", "core.sshCommand"):
        git(repository, "config", key, f"touch '{proof}'")
    for hook in ("post-checkout", "post-index-change", "reference-transaction"):
        script = repository / ".git" / "hooks" / hook
        script.write_text(f"#!/bin/sh\ntouch '{proof}'\n")
        script.chmod(0o755)
    (repository / "demo.py").write_text("touched\n")
    resolve(str(repository), store=store)
    resolve(f"file://{repository}", store=store)
    assert not proof.exists()


def test_submodules_and_lfs_pointers_are_told(repository: Path, store: LayerStore) -> None:
    head = git(repository, "rev-parse", "HEAD")
    git(repository, "update-index", "--add", "--cacheinfo", f"160000,{head},vendor/lib")
    (repository / "big.bin").write_text("version https://git-lfs.github.com/spec/v1\noid x\n")
    git(repository, "add", "big.bin")
    git(repository, "commit", "-qm", "both")
    notes = " ".join(resolve(str(repository), store=store).notes)
    assert "vendor/lib" in notes
    assert "1 files are Git LFS pointers" in notes


def test_a_tree_that_hides_a_git_directory_is_refused(repository: Path, store: LayerStore) -> None:
    blob = git(repository, "rev-parse", "HEAD:demo.py")
    inner = subprocess.run(
        ["git", "-C", str(repository), "mktree"],
        input=f"100644 blob {blob}\tconfig\n",
        capture_output=True,
        text=True,
        check=True,
    ).stdout.strip()
    outer = subprocess.run(
        ["git", "-C", str(repository), "mktree"],
        input=f"040000 tree {inner}\t.GIT\n",
        capture_output=True,
        text=True,
        check=True,
    ).stdout.strip()
    commit = git(repository, "commit-tree", outer, "-m", "bad")
    with pytest.raises(UsageError, match="unsafe path"):
        resolve(str(repository), store=store, commit=commit)


def test_a_plain_directory_becomes_one_commit_that_git_agrees_with(
    tmp_path: Path, store: LayerStore
) -> None:
    plain = tmp_path / "plain"
    (plain / "a" / "b").mkdir(parents=True)
    (plain / "a.py").write_text("1\n")
    (plain / "a" / "b" / "c.py").write_text("2\n")
    (plain / "a-b").write_text("sorts between a and a.py\n")
    (plain / "run").write_text("")
    (plain / "run").chmod(0o755)
    (plain / "link").symlink_to("a/b/c.py")
    (plain / "__pycache__").mkdir()
    (plain / "__pycache__" / "x.pyc").write_text("")
    found = resolve(str(plain), store=store)
    copied = tmp_path / "elsewhere"
    shutil.copytree(found.tree.path, copied, symlinks=True)
    git(copied, "init", "--quiet")
    git(copied, "add", "-A")
    stamp = {"GIT_AUTHOR_DATE": f"{EPOCH} +0000", "GIT_COMMITTER_DATE": f"{EPOCH} +0000"}
    who = ("-c", "user.name=regreen", "-c", "user.email=regreen@localhost")
    git(copied, *who, "commit", "-qm", "plain", **stamp)
    assert git(copied, "rev-parse", "HEAD") == found.commit
    assert not (found.tree.path / "__pycache__").exists()


@pytest.mark.parametrize(
    ("spec", "commit", "error", "mend"),
    [
        ("{tmp}/absent", None, UsageError, "git URL"),
        ("{repo}", "nosuchtag", UsageError, "git log"),
        ("{repo}", "--output=x", UsageError, "git log"),
        ("{tmp}/empty", None, UsageError, "Python files"),
        ("{tmp}/unborn", None, UsageError, "commit something"),
        ("file://{tmp}/absent", None, PrerequisiteError, "check the URL"),
        ("pypi:", None, UsageError, "pypi:NAME"),
        ("pypi:../x", None, UsageError, "pypi:NAME"),
        ("{tmp}/plain", "0123abc", UsageError, "leave the commit out"),
    ],
)
def test_a_source_that_is_not_there_gets_three_lines(
    repository: Path,
    tmp_path: Path,
    store: LayerStore,
    spec: str,
    commit: str | None,
    error: type[RegreenError],
    mend: str,
) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "plain").mkdir()
    (tmp_path / "plain" / "x.py").write_text("")
    (tmp_path / "unborn").mkdir()
    git(tmp_path / "unborn", "init", "--quiet")
    with pytest.raises(error) as caught:
        resolve(spec.format(tmp=tmp_path, repo=repository), store=store, commit=commit)
    assert mend in caught.value.mend
    assert list((store.root / "staging").iterdir()) == []


NAMES = st.text(st.characters(codec="utf-8", exclude_characters="/\\\0"), min_size=1, max_size=8)
PATHS = st.lists(NAMES.filter(lambda one: one not in {".", ".."}), min_size=1, max_size=3)


@settings(max_examples=60, deadline=None)
@given(st.dictionaries(PATHS.map("/".join), st.tuples(st.booleans(), st.binary(max_size=40))))
def test_a_written_tree_scans_back(files: dict[str, tuple[bool, bytes]]) -> None:
    unsafe = {".git", ".hg", ".svn", ".tox", ".nox", ".venv", "venv"}
    kept = {
        path: Entry(path, EXECUTABLE if run else FILE, data)
        for path, (run, data) in files.items()
        if not path.lower().endswith(".pyc")
        and not unsafe & set(path.lower().split("/"))
        and not any(other.startswith(f"{path}/") for other in files)
    }
    with tempfile.TemporaryDirectory() as folder:
        written = write_tree(kept.values(), Path(folder), where="here")
        assert {one.path: one for one in scan(Path(folder))} == kept
    assert written.keys() == kept.keys()


def test_the_commit_id_depends_on_each_part() -> None:
    when = datetime(2024, 1, 1, tzinfo=UTC)
    blob = "e69de29bb2d1d6434b8b29ae775ad8c2e48c5391"
    trees = [{"a": (mode, blob)} for mode in (FILE, EXECUTABLE, LINK)] + [{"b": (FILE, blob)}]
    ids = {commit_id(one, date=when, message="m") for one in trees}
    ids |= {commit_id(trees[0], date=when, message="n")}
    assert len(ids) == 5
