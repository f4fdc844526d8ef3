"""Pythons are found where they are named, on the path and on the shelves of their managers."""

from __future__ import annotations

import platform
import stat
from datetime import UTC, datetime
from pathlib import Path

import pytest

from regreen.core.errors import PrerequisiteError
from regreen.tasks.build.interpreters import Interpreter, as_of, discover, find_interpreter

SAYS = """#!/bin/sh
echo '["{kind}", "{version}", "{prefix}", "{path}"]'
"""


def program(path: Path, version: str, kind: str = "CPython") -> Path:
    """What answers as an interpreter does."""
    path.parent.mkdir(parents=True, exist_ok=True)
    prefix = path.parent.parent
    path.write_text(SAYS.format(kind=kind, version=version, prefix=prefix, path=path))
    path.chmod(path.stat().st_mode | stat.S_IXUSR)
    return path


def found(**environ: str) -> list[str]:
    home = {"PYENV_ROOT": "/absent", "ASDF_DATA_DIR": "/absent", "MISE_DATA_DIR": "/absent"}
    home |= {"UV_PYTHON_INSTALL_DIR": "/absent", "CONDA_ROOT": "/absent"}
    home |= {"RUNNER_TOOL_CACHE": "/absent"}
    return [one.version for one in discover({**home, **environ})]


def test_the_oldest_come_first_and_each_once(tmp_path: Path) -> None:
    old = program(tmp_path / "old/bin/python", "1.5.2")
    program(tmp_path / "newer/bin/python", "1.10.0")
    (tmp_path / "again").symlink_to(tmp_path / "old")
    named = f"{old}:{tmp_path / 'newer'}:{tmp_path / 'again'}:"

    seen = found(REGREEN_PYTHONS=named)
    assert seen[:2] == ["1.5.2", "1.10.0"]
    assert platform.python_version() in seen


def test_the_path_and_the_shelves_are_looked_through(tmp_path: Path) -> None:
    program(tmp_path / "bin/python3.4", "3.4.0")
    program(tmp_path / "bin/python3-config", "3.3.1")
    program(tmp_path / "shims/python3.5", "3.5.9")
    program(tmp_path / "pyenv/versions/3.2/bin/python", "3.2.0")

    seen = found(PATH=f"{tmp_path / 'bin'}:{tmp_path / 'shims'}:/absent:relative",
                 PYENV_ROOT=str(tmp_path / "pyenv"))  # fmt: skip
    assert seen[:2] == ["3.2.0", "3.4.0"]
    assert not {"3.3.1", "3.5.9"} & set(seen)


def test_what_is_broken_or_no_cpython_is_passed_over(tmp_path: Path) -> None:
    silent = tmp_path / "silent/bin/python"
    silent.parent.mkdir(parents=True)
    silent.write_text("#!/bin/sh\nexit 3\n")
    silent.chmod(0o755)
    other = program(tmp_path / "other/bin/python", "1.0.0", kind="PyPy")

    seen = found(REGREEN_PYTHONS=f"{silent}:{other}:{tmp_path / 'absent'}")
    assert "1.0.0" not in seen
    assert platform.python_version() in seen


def test_a_version_or_a_path_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    named = program(tmp_path / "old/bin/python", "1.5.2")
    monkeypatch.setenv("REGREEN_PYTHONS", str(named))
    running = ".".join(platform.python_version_tuple()[:2])

    assert find_interpreter("1.5") == Interpreter("1.5.2", tmp_path / "old", named)
    assert find_interpreter(str(named)).version == "1.5.2"
    assert find_interpreter(running) == find_interpreter()
    with pytest.raises(PrerequisiteError, match=r"no Python 1\.7"):
        find_interpreter("1.7")


@pytest.mark.parametrize(
    ("version", "date", "latest"),
    [
        ("2.7.18", "2009-01-01", "2010-09-01"),
        ("2.7.18", "2014-03-01", "2014-03-02"),
        ("3.6.15", "2014-03-01", "2017-02-21"),
        ("3.7.16", "2018-01-01", "2018-08-26"),
    ],
)
def test_packages_may_be_as_new_as_the_interpreter(version: str, date: str, latest: str) -> None:
    day = datetime.fromisoformat(date).replace(tzinfo=UTC)

    assert f"{as_of(day, Interpreter(version, Path('/x'), Path('/x/bin'))):%Y-%m-%d}" == latest
