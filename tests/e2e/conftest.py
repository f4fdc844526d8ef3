"""The real command, run as a person runs it, on small repositories."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import pytest

CALC = """\
def add(a, b):
    return a + b


def clamp(value, low, high):
    if value < low:
        return low
    if value > high:
        return high
    return value


def mean(values):
    if not values:
        return 0
    total = 0
    for value in values:
        total += value
    return total / len(values)


def largest(values):
    best = None
    for value in values:
        if best is None or value > best:
            best = value
    return best
"""
TESTS = """\
import calc


def test_add():
    assert calc.add(2, 3) == 5


def test_clamp_low():
    assert calc.clamp(-1, 0, 9) == 0


def test_clamp_high():
    assert calc.clamp(10, 0, 9) == 9


def test_clamp_inside():
    assert calc.clamp(5, 0, 9) == 5


def test_mean():
    assert calc.mean([1, 2, 6]) == 3


def test_mean_of_nothing():
    assert calc.mean([]) == 0


def test_largest():
    assert calc.largest([3, 9, 2]) == 9
"""


@dataclass(frozen=True)
class Command:
    """``python -m regreen`` with a home of its own, perhaps behind a command that confines it."""

    home: Path
    prefix: tuple[str, ...] = ()
    env: Mapping[str, str] = field(default_factory=dict)

    def argv(self, *arguments: str | Path) -> list[str]:
        return [*self.prefix, sys.executable, "-m", "regreen", *map(str, arguments)]

    def environ(self) -> dict[str, str]:
        return {**os.environ, "REGREEN_HOME": str(self.home), "CI": "true", **self.env}

    def __call__(self, *arguments: str | Path) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            self.argv(*arguments),
            env=self.environ(),
            capture_output=True,
            text=True,
            timeout=300,
            check=False,
        )

    def start(self, *arguments: str | Path) -> subprocess.Popen[str]:
        return subprocess.Popen(
            self.argv(*arguments),
            env=self.environ(),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
        )

    def inject(self, source: Path, out: Path, *more: str) -> subprocess.CompletedProcess[str]:
        return self("tasks", "inject", source, "--installed", "-n", "4", "-o", out, *more)

    def refused(self, code: int, *arguments: str | Path) -> str:
        """What the three lines say of a command that must end with ``code`` and no result."""
        done = self(*arguments)
        assert done.returncode == code, done.stderr
        assert done.stdout == ""
        assert "Traceback" not in done.stderr
        lines = done.stderr.rstrip().splitlines()[-3:]
        assert [line.split(":")[0].strip() for line in lines] == ["error", "where", "mend"], lines
        assert all(line.partition(":")[2].strip() for line in lines), lines
        return "\n".join(lines)


def write(root: Path, files: Mapping[str, str | bytes]) -> Path:
    for name, content in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return root


@pytest.fixture
def source(tmp_path: Path) -> Callable[..., Path]:
    """Makes a small healthy repository with some files put on top, or without the healthy part."""

    def make(files: Mapping[str, str | bytes] | None = None, *, healthy: bool = True) -> Path:
        base = {"calc.py": CALC, "tests/test_calc.py": TESTS} if healthy else {}
        root = tmp_path / "source"
        root.mkdir()
        return write(root, {**base, **(files or {})})

    return make


@pytest.fixture(scope="session")
def regreen(tmp_path_factory: pytest.TempPathFactory) -> Command:
    return Command(tmp_path_factory.mktemp("e2e") / "home")


@dataclass(frozen=True)
class Made:
    """A taskset from a job nobody disturbed."""

    source: Path
    tasks: Path


@pytest.fixture(scope="session")
def made(regreen: Command, tmp_path_factory: pytest.TempPathFactory) -> Made:
    root = tmp_path_factory.mktemp("made")
    repository = write(root / "calc", {"calc.py": CALC, "tests/test_calc.py": TESTS})
    done = regreen.inject(repository, root / "tasks.jsonl", "-j", "1")
    assert done.returncode == 0, done.stderr
    return Made(repository, root / "tasks.jsonl")
