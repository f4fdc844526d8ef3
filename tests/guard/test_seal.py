"""A sealed repository is the tree of a commit, byte for byte, and nothing that leads beyond it."""

from __future__ import annotations

import os
import subprocess
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from regreen.core.errors import UsageError
from regreen.guard.scan import scan_report
from regreen.guard.seal import seal

ENV = {
    **{name: value for name, value in os.environ.items() if not name.startswith("GIT_")},
    "GIT_AUTHOR_NAME": "a",
    "GIT_AUTHOR_EMAIL": "a@b.c",
    "GIT_COMMITTER_NAME": "a",
    "GIT_COMMITTER_EMAIL": "a@b.c",
    "GIT_CONFIG_GLOBAL": "/dev/null",
    "GIT_CONFIG_NOSYSTEM": "1",
}
WHEN = datetime(2020, 5, 17, tzinfo=UTC)


def git(root: Path, *arguments: str, stdin: bytes = b"") -> str:
    done = subprocess.run(
        ["git", "-C", str(root), *arguments], env=ENV, input=stdin, check=True, capture_output=True
    )
    return done.stdout.decode().strip()


def repository(root: Path, files: dict[str, bytes], *options: str) -> Path:
    root.mkdir()
    git(root, "init", "-q", "-b", "main", *options)
    for name, data in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    git(root, "add", "-A", "-f")
    git(root, "commit", "-q", "-m", "first")
    return root


def test_attributes_and_filters_change_nothing(tmp_path: Path) -> None:
    source = repository(tmp_path / "source", {"a.txt": b"one\ntwo\n", "win.txt": b"one\r\n"})
    (source / ".gitattributes").write_text(
        "* text=auto eol=crlf\nsecret.txt export-ignore\na.txt filter=loud ident\n"
    )
    (source / "secret.txt").write_text("$Id$ $Format:%H$\n")
    git(source, "config", "filter.loud.smudge", f"touch {tmp_path}/ran; cat")
    git(source, "-c", "core.autocrlf=false", "add", "-A")
    git(source, "commit", "-q", "-m", "attributes")

    sealed = seal(source, tmp_path / "sealed", when=WHEN)

    assert (sealed.path / "a.txt").read_bytes() == b"one\ntwo\n"
    assert (sealed.path / "secret.txt").read_bytes() == b"$Id$ $Format:%H$\n"
    assert not (tmp_path / "ran").exists()
    assert git(sealed.path, "status", "--porcelain") == ""
    assert sealed.tree == git(source, "rev-parse", "HEAD^{tree}")


def test_links_are_kept_and_not_followed(tmp_path: Path) -> None:
    (tmp_path / "outside").write_text("the answer\n")
    source = repository(tmp_path / "source", {"run.sh": b"#!/bin/sh\n"})
    (source / "out").symlink_to(tmp_path / "outside")
    (source / "run.sh").chmod(0o755)
    git(source, "add", "-A")
    git(source, "commit", "-q", "-m", "links")

    sealed = seal(source, tmp_path / "sealed", when=WHEN)

    assert (sealed.path / "out").readlink() == tmp_path / "outside"
    assert os.access(sealed.path / "run.sh", os.X_OK)
    assert sealed.num_files == 2
    assert git(sealed.path, "status", "--porcelain") == ""


def test_the_commit_is_reproducible_and_dated_as_asked(tmp_path: Path) -> None:
    source = repository(tmp_path / "source", {"a": b"1"})

    first = seal(source, tmp_path / "one", when=WHEN, author="me <me@x>")
    second = seal(source, tmp_path / "two", when=WHEN, author="me <me@x>")

    assert first.commit == second.commit
    said = git(first.path, "log", "--format=%an %ae %ct")
    assert said == f"me me@x {int(WHEN.timestamp())}"


def test_replaced_objects_are_not_followed(tmp_path: Path) -> None:
    source = repository(tmp_path / "source", {"a": b"broken\n"})
    other = git(source, "hash-object", "-w", "--stdin", stdin=b"repaired\n")
    git(source, "replace", git(source, "rev-parse", "HEAD:a"), other)

    sealed = seal(source, tmp_path / "sealed")

    assert (sealed.path / "a").read_bytes() == b"broken\n"


def test_history_keeps_ancestors_only(tmp_path: Path) -> None:
    source = repository(tmp_path / "source", {"a": b"1"})
    for number in (2, 3):
        (source / "a").write_text(str(number))
        git(source, "commit", "-q", "-a", "-m", str(number))

    sealed = seal(
        source, tmp_path / "sealed", commit=git(source, "rev-parse", "HEAD~1"), history=True
    )

    assert git(sealed.path, "log", "--all", "--format=%s").split() == ["2", "first"]
    assert scan_report(sealed.path, "").leaks == ()


def test_other_object_formats_worktrees_and_submodules(tmp_path: Path) -> None:
    source = repository(tmp_path / "source", {"a": b"1"}, "--object-format=sha256")
    git(source, "update-index", "--add", "--cacheinfo", f"160000,{'1' * 64},lib/sub")
    git(source, "commit", "-q", "-m", "submodule")
    git(source, "worktree", "add", "-q", str(tmp_path / "tree"))

    sealed = seal(tmp_path / "tree", tmp_path / "sealed")

    assert len(sealed.commit) == 64
    assert sealed.submodules == ("lib/sub",)
    assert git(sealed.path, "status", "--porcelain") == ""
    assert scan_report(sealed.path, "").leaks == ()


def test_trees_that_would_be_written_elsewhere_are_refused(tmp_path: Path) -> None:
    source = repository(tmp_path / "source", {"a": b"1"})
    blob = git(source, "rev-parse", "HEAD:a")
    inner = git(source, "mktree", stdin=f"100644 blob {blob}\tconfig\n".encode())
    raw = b"40000 .git\0" + bytes.fromhex(inner)
    tree = git(source, "hash-object", "-t", "tree", "-w", "--literally", "--stdin", stdin=raw)
    commit = git(source, "commit-tree", "-m", "trap", tree)

    with pytest.raises(UsageError, match="unsafe path"):
        seal(source, tmp_path / "sealed", commit=commit)

    assert not (tmp_path / "sealed").exists()


@pytest.mark.parametrize("name", ["absent", "../HEAD", "-x", "0123456"])
def test_unknown_commits_are_refused(tmp_path: Path, name: str) -> None:
    source = repository(tmp_path / "source", {"a": b"1"})

    with pytest.raises(UsageError, match="no commit"):
        seal(source, tmp_path / "sealed", commit=name)


def test_places_that_cannot_be_used_are_refused(tmp_path: Path) -> None:
    source = repository(tmp_path / "source", {"a": b"1"})
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "x").write_text("")

    with pytest.raises(UsageError, match="empty"):
        seal(source, tmp_path / "full")
    with pytest.raises(UsageError, match="no git repository"):
        seal(tmp_path / "full", tmp_path / "sealed")


@settings(max_examples=10)
@given(
    files=st.dictionaries(
        st.text("abcXYZ é$", min_size=1, max_size=6).map(lambda name: f"d/{name.strip() or 'x'}"),
        st.binary(max_size=40),
        min_size=1,
        max_size=5,
    )
)
def test_whatever_a_commit_holds_is_exported(
    files: dict[str, bytes], tmp_path_factory: pytest.TempPathFactory
) -> None:
    here = tmp_path_factory.mktemp("seal")
    source = repository(here / "source", files)

    sealed = seal(source, here / "sealed")

    found = {
        path.relative_to(sealed.path).as_posix(): path.read_bytes()
        for path in (sealed.path / "d").rglob("*")
    }
    assert found == files
    assert git(sealed.path, "write-tree") == git(source, "rev-parse", "HEAD^{tree}")
