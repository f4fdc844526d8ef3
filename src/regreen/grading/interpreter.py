"""Which Python an environment is made for, and what a box must show for it to run.

Both stand in the environment's own ``pyvenv.cfg``, so whoever has the layer knows them. The test
runner needs Python 3.9; for what is older it stays with the running interpreter and only the tests
themselves run in the environment's.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from regreen.sandbox.overlay import merged_file

__all__ = ["EnvironmentPython", "own_python", "shown", "version_of"]

_OLDEST_FOR_RUNNER = (3, 9)
_OLDEST_FOR_TWINS = (3, 5)
_OLDEST_FOR_HASHED_BYTECODE = (3, 7)


@dataclass(frozen=True, slots=True)
class EnvironmentPython:
    """The interpreter an environment was made with."""

    version: tuple[int, ...] = ()
    """For example ``(3, 8, 18)``; empty when the environment does not tell."""
    prefix: Path | None = None
    """Directory it is installed in; None when the environment does not tell."""

    @classmethod
    def of(cls, lowers: Sequence[Path]) -> EnvironmentPython:
        """What the environment in some lowers, topmost first, says of itself."""
        found = merged_file(tuple(lowers), "pyvenv.cfg")
        if found is None:
            return cls()
        lines = found.read_text("utf-8", errors="replace").splitlines()
        rows = dict(re.split(r"\s*=\s*", line.strip(), maxsplit=1) for line in lines if "=" in line)
        version = version_of(rows.get("version_info") or rows.get("version") or "")
        home = Path(rows.get("base-prefix") or Path(rows.get("home", "")).parent)
        return cls(version, home if _holds_python(home, version) else None)

    @property
    def legacy(self) -> bool:
        """Whether it is too old for the test runner, which then runs beside it."""
        return bool(self.version) and self.version < _OLDEST_FOR_RUNNER

    @property
    def perturbs(self) -> tuple[str, ...]:
        """What repeats of a suite may differ in: nothing moves the clock of an old Python."""
        return ("hash_seed", "order") if self.legacy else ("hash_seed", "order", "clock")

    @property
    def takes_twins(self) -> bool:
        """Whether the twins' code, which is written for Python 3, can run in it."""
        return not self.version or self.version >= _OLDEST_FOR_TWINS

    @property
    def hashes_bytecode(self) -> bool:
        """Whether bytecode can be checked against its source's content (PEP 552)."""
        return not self.version or self.version >= _OLDEST_FOR_HASHED_BYTECODE

    @property
    def binds(self) -> tuple[tuple[Path, str], ...]:
        """What a box must show besides the running interpreter and the system's directories."""
        return shown(self.prefix) if self.prefix else ()


def shown(prefix: Path) -> tuple[tuple[Path, str], ...]:
    """The binds of an interpreter: none for what every box shows anyway.

    Args:
        prefix: directory it is installed in.
    """
    usual = (Path(sys.base_prefix), Path("/usr"))
    if any(prefix.is_relative_to(one) for one in usual) or not prefix.is_dir():
        return ()
    return ((prefix, str(prefix)),)


def _holds_python(prefix: Path, version: tuple[int, ...]) -> bool:
    """Whether a directory is an interpreter's and nothing above one.

    The file that names it lies where a build could write, and boxes get to see the directory.
    """
    name = ".".join(str(part) for part in version[:2])
    library = prefix / "lib" / f"python{name}" / "os.py"
    if not prefix.is_absolute() or not library.is_file():
        return False
    return library.resolve().parents[2] == prefix.resolve() != Path("/")


def own_python() -> str:
    """The interpreter that runs us, outside of any environment; every box shows it."""
    return str(getattr(sys, "_base_executable", sys.executable))


def version_of(text: str) -> tuple[int, ...]:
    """The numbers a version begins with: ``2.7.18.final.0`` is ``(2, 7, 18)``."""
    found = re.match(r"\d+(\.\d+){0,2}", text.strip())
    return tuple(int(part) for part in found[0].split(".")) if found else ()
