"""The licence of a tree whose project file states none, from the words of its licence file.

Only texts that say by themselves which licence they are give a name; anything else stays unknown,
because a guess would be worse than none for whoever filters by it.
"""

from __future__ import annotations

import re
from pathlib import Path, PurePosixPath

__all__ = ["is_license", "license_of", "read_license"]

_BEGINNING = 2500
_NAMES = re.compile(r"(LICEN[CS]E|COPYING|UNLICENSE)([.-].*)?", re.IGNORECASE)
_PROSE = {"", ".txt", ".md", ".rst"}
_BSD = r"redistribution and use in source and binary forms"
_WORDS: tuple[tuple[str, str], ...] = (
    ("MPL-2.0", r"mozilla public license,? version 2\.0"),
    ("AGPL-3.0", r"gnu affero general public license.{0,40}version 3"),
    ("LGPL-3.0", r"gnu lesser general public license.{0,40}version 3"),
    ("LGPL-2.1", r"gnu lesser general public license.{0,40}version 2\.1"),
    ("GPL-3.0", r"gnu general public license.{0,40}version 3"),
    ("GPL-2.0", r"gnu general public license.{0,40}version 2"),
    ("Apache-2.0", r"apache license.{0,40}version 2\.0"),
    (
        "BSD-3-Clause",
        r"redistribution and use in source and binary forms.*(?:neither the name|names? of)",
    ),
    ("BSD-2-Clause", r"redistribution and use in source and binary forms"),
    ("MIT", r"permission is hereby granted, free of charge, to any person obtaining a copy"),
    ("ISC", r"permission to use, copy, modify,? and(?:/or)? distribute this software"),
    ("Unlicense", r"this is free and unencumbered software"),
    ("CC0-1.0", r"cc0 1\.0 universal"),
)
"""SPDX name and the words that tell it, in lower case; the first that is there decides."""


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


def read_license(text: str) -> str:
    """The SPDX name of a licence's text; empty where it is none of the common ones."""
    words = " ".join(text.lower().split())[:_BEGINNING]  # further on they name one another
    return next((name for name, said in _WORDS if re.search(said, words)), "")
