"""What a problem statement must not give away, checked by rule on every text.

The rules are blunt on purpose: a statement that is refused costs a plainer one, a statement that
names the fix costs the task.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

__all__ = ["changed_lines", "changed_paths", "fragments", "leaks"]

_DISTINCTIVE = 12
_SHORT_NAME = 4  # a test called "test" must not forbid the word
_FRAME = re.compile(
    r"^(?:(?:return|yield|raise|assert|if|elif|while|not|await|in)\b\s*"
    r"|[\w.\[\], ]+\s[-+*/|&]?=\s+)+"
)
_SOURCE_PATH = re.compile(r"(?<![\w:/.])(?:[\w.-]+/)+[\w-]+\.py\b")


def leaks(
    text: str, *, tests: Iterable[str], paths: Iterable[str], secrets: Iterable[str]
) -> list[str]:
    """What in a statement gives the answer away.

    Args:
        text: the statement.
        tests: node ids of the triggering tests; names of their functions and classes must not
            appear.
        paths: files of the fix and of the tests; neither path nor file name may appear.
        secrets: lines the gold patch adds or removes; a distinctive one must not appear.
    """
    found = [f"test name {name}" for name in _names(tests) if re.search(rf"\b{name}\b", text)]
    found += [f"path {path}" for path in paths if path in text or _names_file(text, path)]
    found += [f"path {path}" for path in dict.fromkeys(_SOURCE_PATH.findall(text))]
    squeezed = _squeezed(text)
    if any(len(line) >= _DISTINCTIVE and line in squeezed for line in map(_squeezed, secrets)):
        found.append("a line of the fix")
    return list(dict.fromkeys(found))


def fragments(text: str, secrets: Iterable[str]) -> list[str]:
    """Distinctive expressions of changed lines that a text quotes without the line around them.

    Args:
        text: the statement.
        secrets: lines the gold patch adds or removes.
    """
    squeezed = _squeezed(text)
    found = []
    for line in secrets:
        bare = _FRAME.sub("", line.partition("#")[0].strip()).rstrip(":, ")
        if len(_squeezed(bare)) >= _DISTINCTIVE and _squeezed(bare) in squeezed:
            found.append(bare)
    return list(dict.fromkeys(found))


def _names(tests: Iterable[str]) -> list[str]:
    """Functions and classes of node ids, parameters cut off."""
    parts = (part for test in tests for part in test.partition("[")[0].split("::")[1:])
    return [re.escape(name) for name in dict.fromkeys(parts) if len(name) > _SHORT_NAME]


def _names_file(text: str, path: str) -> bool:
    name = path.rpartition("/")[2]
    return bool(re.search(rf"(?<![\w/]){re.escape(name)}\b", text))


def _squeezed(text: str) -> str:
    return re.sub(r"\s+", "", text)


def changed_lines(patch: str) -> list[str]:
    """Lines a patch adds or removes, without their marks."""
    found, inside = [], False
    for line in patch.splitlines():
        if line.startswith("@@"):
            inside = True
        elif line.startswith("diff --git "):
            inside = False
        elif inside and line[:1] in ("+", "-"):
            found.append(line[1:])
    return found


def changed_paths(patch: str) -> list[str]:
    """Files a patch names in its headers."""
    pairs = re.findall(r'^diff --git "?a/(.*?)"? "?b/(.*?)"?$', patch, re.MULTILINE)
    return list(dict.fromkeys(name for pair in pairs for name in pair))
