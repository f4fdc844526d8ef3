"""Bytecode of an environment is taken as it is, by every interpreter, and only if it is right."""

from __future__ import annotations

import importlib.util
import os
import py_compile
import subprocess
import sys
from pathlib import Path

import pytest

from regreen.tasks.build.bytecode import keep_environment
from regreen.tasks.build.settle import SETTLED_TIME, settle_environment

SOURCE = "VALUE = 'the text'\n"


@pytest.fixture
def env(tmp_path: Path) -> Path:
    (tmp_path / "env" / "pkg").mkdir(parents=True)
    for name in ("one.py", "two.py"):
        (tmp_path / "env" / "pkg" / name).write_text(SOURCE)
    return tmp_path / "env"


def compiled(env: Path, upper: Path, name: str, text: str = "VALUE = 'bytecode'\n") -> Path:
    """What a box wrote for a module; its text differs, so that an import shows what was read."""
    assert len(text) == len(SOURCE)
    source = env / "pkg" / f"{name}.py"
    target = upper / importlib.util.cache_from_source(f"pkg/{name}.py")
    before = source.stat()
    source.write_text(text)
    os.utime(source, ns=(before.st_atime_ns, before.st_mtime_ns))
    py_compile.compile(str(source), str(target), doraise=True)
    source.write_text(SOURCE)
    os.utime(source, ns=(before.st_atime_ns, before.st_mtime_ns))
    return target


def imported(env: Path, name: str) -> str:
    code = f"import sys; sys.path[:] = [{str(env)!r}, *sys.path]; import pkg.{name} as m; "
    done = subprocess.run(
        [sys.executable, "-I", "-B", "-c", code + "print(m.VALUE)"],
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout.strip()


def test_what_was_compiled_is_taken_though_times_differ(env: Path, tmp_path: Path) -> None:
    compiled(env, tmp_path / "upper", "one")
    keep_environment(tmp_path / "upper", env, env)
    settle_environment(tmp_path / "nothing")
    os.utime(env / "pkg" / "one.py", (5, 5))

    assert imported(env, "one") == "bytecode"
    assert imported(env, "two") == "the text"


@pytest.mark.parametrize(("later", "longer"), [(60, ""), (0, "#")])
def test_what_was_compiled_of_another_source_is_left_out(
    env: Path, tmp_path: Path, later: int, longer: str
) -> None:
    compiled(env, tmp_path / "upper", "one")
    source = env / "pkg" / "one.py"
    info = source.stat()
    source.write_text(SOURCE + longer)
    os.utime(source, (info.st_atime, int(info.st_mtime) + later))  # installed anew
    keep_environment(tmp_path / "upper", env, tmp_path / "kept")

    assert not (tmp_path / "kept").exists()


def test_what_is_no_file_is_passed_over(env: Path, tmp_path: Path) -> None:
    folder = tmp_path / "upper" / "pkg" / "__pycache__"
    folder.mkdir(parents=True)
    os.mkfifo(folder / "one.cpython-311.pyc")
    (folder / "two.cpython-311.pyc").symlink_to("/etc/passwd")
    keep_environment(tmp_path / "upper", env, tmp_path / "kept")

    assert not (tmp_path / "kept").exists()


@pytest.mark.parametrize(("name", "at"), [("one.pyc", 4), ("one.cpython-36-PYTEST.pyc", 4)])
def test_what_is_checked_by_times_gets_the_settled_one(
    env: Path, tmp_path: Path, name: str, at: int
) -> None:
    source = env / "pkg" / "one.py"
    time = int(source.stat().st_mtime).to_bytes(4, "little")
    folder = env / "pkg" if name == "one.pyc" else env / "pkg" / "__pycache__"
    folder.mkdir(exist_ok=True)
    (folder / name).write_bytes(b"\x03\xf3\r\n" + time + b"the rest")
    (tmp_path / "upper").mkdir()
    keep_environment(tmp_path / "upper", env, tmp_path / "kept")
    settle_environment(env)

    data = (tmp_path / "kept" / folder.relative_to(env) / name).read_bytes()
    assert data[at : at + 4] == SETTLED_TIME.to_bytes(4, "little")
    assert data[at + 4 :] == b"the rest"
    assert int(source.stat().st_mtime) == SETTLED_TIME
    assert not (folder / name).exists()
