"""Which Python a repository is built for, and how early its packages may be dated.

The interpreter is this machine's, shown to boxes at its own path; nothing is downloaded. A package
older than the interpreter cannot be expected to run on it, so no date is earlier than the
interpreter's release, whatever the commit's.
"""

from __future__ import annotations

import json
import os
import platform
import subprocess
import sys
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import uv

from regreen.core.errors import PrerequisiteError

__all__ = ["Interpreter", "as_of", "find_interpreter", "released"]

_RELEASED = {
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
    "print(json.dumps([platform.python_version(), sys.base_prefix, "
    "getattr(sys, '_base_executable', sys.executable)]))"
)


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
        shown = (Path(sys.base_prefix), Path("/usr"))
        if any(self.prefix.is_relative_to(one) for one in shown):
            return ()
        return ((self.prefix, str(self.prefix)),)


def find_interpreter(python: str | None = None) -> Interpreter:
    """The running Python, or the one a version or path names.

    Raises:
        PrerequisiteError: this machine has no such Python.
    """
    if python is None:
        path = Path(getattr(sys, "_base_executable", sys.executable))
        return Interpreter(platform.python_version(), Path(sys.base_prefix), path)
    asked = [uv.find_uv_bin(), "python", "find", "--system", "--no-python-downloads", python]
    found = _output([*asked, "--no-project", "--no-config"])
    answer = _output([found, "-I", "-c", _ASK]) if found else ""
    if not answer:
        what = f"there is no Python {python} on this machine"
        mend = "install it, or give the path of its program"
        raise PrerequisiteError(what, where=python, mend=mend)
    version, prefix, path = json.loads(answer)
    return Interpreter(version, Path(prefix), Path(path))


def _output(command: list[str]) -> str:
    try:
        done = subprocess.run(
            command, check=False, capture_output=True, text=True, timeout=60, env=dict(os.environ)
        )
    except (OSError, subprocess.TimeoutExpired):
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
