"""The licence of a tree whose project file states none, from the words of its licence file.

Only texts that say by themselves which licence they are give a name; anything else stays unknown,
because a guess would be worse than none for whoever filters by it.
"""

from __future__ import annotations

import re
from pathlib import Path, PurePosixPath

from regreen.tasks.repo.license import read_license

__all__ = ["is_license", "license_of"]

_NAMES = re.compile(r"(LICEN[CS]E|COPYING|UNLICENSE)([.-].*)?", re.IGNORECASE)
_PROSE = {"", ".txt", ".md", ".rst"}


def is_license(path: str) -> bool:
    """Whether a file is called as the text of a licence is; ``license.py`` is not."""
    name = PurePosixPath(path)
    return bool(_NAMES.fullmatch(name.name)) and name.suffix.lower() in _PROSE


def license_of(tree: Path) -> str:
    """The SPDX name of a tree's licence; empty where its files tell none, or several."""
    found = set()
    for path in sorted(tree.iterdir()):
        if _NAMES.fullmatch(path.name) and path.is_file() and not path.is_symlink():
            found.add(read_license(path.read_bytes().decode("utf-8", "replace")))
    return found.pop() if len(found) == 1 else ""
