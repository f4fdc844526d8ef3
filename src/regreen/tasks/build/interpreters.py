"""Which Python a repository is built for, and how early its packages may be dated.

The interpreter is this machine's, shown to boxes at its own path; nothing is downloaded, and an old
one is used where one is found, never asked for. A package older than the interpreter cannot be
expected to run on it, so no date is earlier than the interpreter's release, whatever the commit's.
"""

from __future__ import annotations

import functools
import json
import os
import platform
import re
import subprocess
import sys
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import uv

from regreen.core.errors import PrerequisiteError
from regreen.grading.interpreter import own_python, shown, version_of

__all__ = ["Interpreter", "as_of", "discover", "find_interpreter", "released"]

_RELEASED = {
    (2, 7): datetime(2010, 7, 3, tzinfo=UTC),
    (3, 3): datetime(2012, 9, 29, tzinfo=UTC),
    (3, 4): datetime(2014, 3, 16, tzinfo=UTC),
    (3, 5): datetime(2015, 9, 13, tzinfo=UTC),
    (3, 6): datetime(2016, 12, 23, tzinfo=UTC),
    (3, 7): datetime(2018, 6, 27, tzinfo=UTC),
    (3, 8): datetime(2019, 10, 14, tzinfo=UTC),
    (3, 9): datetime(2020, 10, 5, tzinfo=UTC),
    (3, 10): datetime(2021, 10, 4, tzinfo=UTC),
    (3, 11): datetime(2022, 10, 24, tzinfo=UTC),
    (3, 12): datetime(2023, 10, 2, tzinfo=UTC),
    (3, 13): datetime(2024, 10, 7, tzinfo=UTC),
    (3, 14): datetime(2025, 10, 7, tzinfo=UTC),
}
_SETTLING = timedelta(days=60)
_ASK = (
    "import json, platform, sys; "
    "base = getattr(sys, 'real_prefix', getattr(sys, 'base_prefix', sys.prefix)); "
    "print(json.dumps([platform.python_implementation(), platform.python_version(), base, "
    "getattr(sys, '_base_executable', sys.executable)]))"
)
_NAME = re.compile(r"python(2\.7|3\.\d+)")
_SHELVES = (
    ("PYENV_ROOT", "~/.pyenv", "versions/*"),
    ("ASDF_DATA_DIR", "~/.asdf", "installs/python/*"),
    ("MISE_DATA_DIR", "~/.local/share/mise", "installs/python/*"),
    ("UV_PYTHON_INSTALL_DIR", "~/.local/share/uv/python", "*"),
    ("CONDA_ROOT", "~/miniconda3", "envs/*"),
    ("RUNNER_TOOL_CACHE", "/opt/hostedtoolcache", "Python/*/*"),
    ("", "/opt/python", "*"),
)
"""Where version managers keep interpreters: a variable, the usual place, and a pattern below it."""


@dataclass(frozen=True, slots=True)
class Interpreter:
    """A Python of this machine."""

    version: str
    """For example ``3.11.7``."""
    prefix: Path
    """Directory it is installed in."""
    path: Path
    """The program."""

    @property
    def binds(self) -> tuple[tuple[Path, str], ...]:
        """What a box must show besides the running interpreter and the system's directories."""
        return shown(self.prefix)

    @property
    def numbers(self) -> tuple[int, ...]:
        """The version as numbers: ``(3, 11, 7)``."""
        return version_of(self.version)


def find_interpreter(python: str | None = None) -> Interpreter:
    """The running Python, or the one a version or path names.

    Raises:
        PrerequisiteError: this machine has no such Python.
    """
    if python is None:
        return Interpreter(platform.python_version(), Path(sys.base_prefix), Path(own_python()))
    found = _asked(python) if "/" in python else _of_version(python) or _asked(_from_uv(python))
    if found is None:
        what = f"there is no Python {python} on this machine"
        mend = "install it, name it in REGREEN_PYTHONS, or give the path of its program"
        raise PrerequisiteError(what, where=python, mend=mend)
    return found


def discover(environ: Mapping[str, str] = os.environ) -> tuple[Interpreter, ...]:
    """Every CPython of this machine that answers, once each, the oldest first.

    Looked for in ``REGREEN_PYTHONS`` (programs or installation directories, separated like
    ``PATH``), on ``PATH``, and where version managers keep them.
    """
    return _discover(tuple(dict.fromkeys([Path(own_python()), *_candidates(environ)])))


@functools.cache
def _discover(candidates: tuple[Path, ...]) -> tuple[Interpreter, ...]:
    with ThreadPoolExecutor(max_workers=4) as pool:
        answers = [one for one in pool.map(_asked, map(str, candidates)) if one is not None]
    found = {(one.version, one.prefix.resolve()): one for one in reversed(answers)}
    return tuple(sorted(found.values(), key=lambda one: (one.numbers, str(one.path))))


def _candidates(environ: Mapping[str, str]) -> Iterator[Path]:
    """Programs that may be interpreters."""
    for named in filter(None, environ.get("REGREEN_PYTHONS", "").split(os.pathsep)):
        path = Path(named)
        yield from (path / "bin/python",) if path.is_dir() else (path,)
    for entry in filter(None, environ.get("PATH", "").split(os.pathsep)):
        folder = Path(entry)
        if folder.name == "shims" or not folder.is_absolute() or not folder.is_dir():
            continue  # a shim answers for whatever is selected, and its manager's shelf is read
        yield from sorted(one for one in folder.iterdir() if _NAME.fullmatch(one.name))
    for variable, usual, pattern in _SHELVES:
        root = Path(environ.get(variable) or usual).expanduser()
        yield from sorted(one / "bin/python" for one in root.glob(pattern))


def _of_version(python: str) -> Interpreter | None:
    """The running interpreter when it is of that version, else the newest found that is."""
    numbers = version_of(python)
    if not re.fullmatch(r"\d+(\.\d+)*", python):
        return None
    fitting = [one for one in discover() if one.numbers[: len(numbers)] == numbers]
    running = [one for one in fitting if one == find_interpreter()]
    return next(iter(running or fitting[::-1]), None)


def _from_uv(python: str) -> str:
    asked = [uv.find_uv_bin(), "python", "find", "--system", "--no-python-downloads", python]
    return _output([*asked, "--no-project", "--no-config"])


def _asked(program: str) -> Interpreter | None:
    """What a program says of itself; None when it is no CPython that runs."""
    answer = _output([program, "-E", "-s", "-c", _ASK], cwd="/") if program else ""
    try:
        kind, version, prefix, path = json.loads(answer)
    except ValueError:
        return None
    return Interpreter(version, Path(prefix), Path(path)) if kind == "CPython" else None


def _output(command: list[str], cwd: str | None = None) -> str:
    try:
        done = subprocess.run(
            command, check=False, capture_output=True, text=True, timeout=60, cwd=cwd
        )
    except (OSError, ValueError, subprocess.TimeoutExpired):
        return ""
    return done.stdout.strip() if done.returncode == 0 else ""


def released(interpreter: Interpreter) -> datetime:
    """When its version came out."""
    major, minor = (int(part) for part in interpreter.version.split(".")[:2])
    return _RELEASED.get((major, minor), datetime(2000, 1, 1, tzinfo=UTC))


def as_of(date: datetime, interpreter: Interpreter) -> datetime:
    """The day packages may date from at the latest: one after the commit's, or the interpreter's.

    The interpreter's release counts with sixty days for wheels to appear.
    """
    latest = max(date + timedelta(days=1), released(interpreter) + _SETTLING)
    return latest.replace(microsecond=0)
