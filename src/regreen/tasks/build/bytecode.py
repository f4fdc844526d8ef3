"""Bytecode that a box has written, kept as a layer.

What collecting a suite imports is what its tests import, nearly always; compiling all the rest of
an environment costs more than installing it (type checkers and their stubs are most of many).
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Sequence
from pathlib import Path

from regreen.tasks.build.settle import SETTLED_TIME

__all__ = ["keep_environment", "keep_tree"]

_OLD, _FLAGGED = 4, 8
"""Where the header tells its source's time: before Python 3.7, and since (PEP 552)."""
_UNCHECKED = b"\1\0\0\0" + bytes(8)
"""Flags and hash of bytecode that is taken as it is (PEP 552); the hash is then never looked at."""


def keep_tree(upper: Path, target: Path) -> None:
    """Copy what was compiled of a tree; Python checks it against its source at every import.

    Args:
        upper: what a box has written.
        target: empty directory that receives the bytecode.
    """
    for folder in upper.rglob("__pycache__"):
        shutil.copytree(folder, target / folder.relative_to(upper), dirs_exist_ok=True)


def keep_environment(upper: Path, env: Path, target: Path) -> None:
    """Copy what was compiled of an environment, if its source is still the same.

    The environment is to be settled, which sets the times of its files; what is checked by them is
    written anew, what knows a better way (Python 3.7) is not checked any more.

    Args:
        upper: what a box has written over the environment.
        env: the environment, before it is settled.
        target: empty directory that receives the bytecode.
    """
    for place in (env, upper):
        for folder, _, files in os.walk(place):
            for name in files:
                path = Path(folder, name)
                relative = path.relative_to(place)
                source = _source((upper, env), relative) if name.endswith(".pyc") else None
                if source and path.is_file() and not path.is_symlink():
                    data = _settled(path.read_bytes(), source, rewritten="pytest" in name.lower())
                    if data:
                        (target / relative).parent.mkdir(parents=True, exist_ok=True)
                        (target / relative).write_bytes(data)


def _source(places: Sequence[Path], compiled: Path) -> Path | None:
    """Where the source of ``package/__pycache__/module.cpython-311.pyc`` lies."""
    folder = compiled.parent
    folder = folder.parent if folder.name == "__pycache__" else folder
    relative = folder / f"{compiled.name.partition('.')[0]}.py"
    return next((one / relative for one in places if (one / relative).is_file()), None)


def _settled(data: bytes, source: Path, *, rewritten: bool) -> bytes:
    """Bytecode that will be taken for a source with the settled time; empty if it is of another.

    Args:
        data: as it was written.
        source: what it was made of.
        rewritten: whether it is pytest's, which looks at times alone.
    """
    info = source.stat()
    time, size = (int(one).to_bytes(4, "little") for one in (info.st_mtime, info.st_size))
    at = next((one for one in (_OLD, _FLAGGED) if data[one : one + 4] == time), None)
    if at is None or (at == _FLAGGED and data[at + 4 : at + 8] != size):
        return b""
    if at == _FLAGGED and not rewritten:
        return data[:4] + _UNCHECKED + data[4 + len(_UNCHECKED) :]
    return data[:at] + SETTLED_TIME.to_bytes(4, "little") + data[at + 4 :]
