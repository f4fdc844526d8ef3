"""Files put into a run's tree: deletions first, links last, modes as git has them."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest

from regreen.grading.box.zygote import place_files


@pytest.fixture
def tree(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "pack" / "inner").mkdir(parents=True)
    (tmp_path / "pack" / "inner" / "one.py").write_text("1")
    (tmp_path / "tool").write_text("old")
    return tmp_path


def test_a_directory_that_loses_its_last_file_is_gone(tree):
    place_files({"pack/inner/one.py": None}, {})
    assert not (tree / "pack").exists()


def test_a_directory_becomes_a_file_and_a_file_a_directory(tree):
    place_files({"pack": "text", "pack/inner/one.py": None, "tool": None, "tool/x": "y"}, {})
    assert (tree / "pack").read_text() == "text"
    assert (tree / "tool" / "x").read_text() == "y"


def test_modes_are_as_git_has_them(tree):
    place_files({"tool": "new", "link": "tool"}, {"tool": "100755", "link": "120000"})
    assert (tree / "tool").stat().st_mode & stat.S_IXUSR
    assert Path("link").readlink() == Path("tool")
    place_files({"tool": "again", "link": "plain"}, {"tool": "100644"})
    assert not (tree / "tool").stat().st_mode & stat.S_IXUSR
    assert (tree / "link").read_text() == "plain"
    assert not (tree / "link").is_symlink()
    assert (tree / "tool").read_text() == "again"


def test_nothing_is_written_through_a_link(tree):
    (tree / "away").symlink_to("/tmp")
    with pytest.raises(OSError, match="link"):
        place_files({"away/x": "y"}, {})
