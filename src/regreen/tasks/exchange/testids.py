"""Lists of test ids as other projects store them, taken untouched wherever they can be ids.

An id with spaces, brackets, line feeds or non-ASCII letters is an id. What is no test is dropped
with a note, and an id that a log parser has cut cannot be mended, so it is kept and warned about.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import Any

from regreen.core.errors import TaskError

__all__ = ["TestList", "id_list", "is_node_id"]

_PROGRESS = re.compile(r"\[\s*\d+%?\s*\]")
_TIMING = re.compile(r"\s+[(\[]\d+(?:\.\d+)?\s*(?:µs|us|ms|s|secs?|seconds|m|min)[)\]]\Z")


@dataclass(frozen=True, slots=True)
class TestList:
    """One list of a row."""

    __test__ = False

    names: tuple[str, ...]
    """Ids, in their order, each once."""
    warnings: tuple[str, ...]
    """What was dropped, and what looks wrong; see ``Reading.warnings``."""


def id_list(value: Any, column: str, *, timed: bool = False) -> TestList:
    """Read a list of ids: a list, or JSON text of one as the classic SWE-bench sets have it.

    Args:
        value: what the column holds; nothing is an empty list.
        column: its name, for warnings.
        timed: strip a time that a test runner printed after a name, such as ``(0.12s)``.

    Raises:
        TaskError: it is no list of texts.
    """
    found = _decoded(value, column)
    warnings = []
    tests = [name for name in found if name.strip() and not _PROGRESS.fullmatch(name.strip())]
    if len(tests) < len(found):
        warnings.append(f"entries that are no tests dropped: {len(found) - len(tests)} of {column}")
    if timed:
        plain = [_TIMING.sub("", name) for name in tests]
        stripped = sum(a != b for a, b in zip(tests, plain, strict=True))
        if stripped:
            warnings.append(f"times after test names stripped: {stripped} of {column}")
        tests = plain
    unique = list(dict.fromkeys(tests))
    if len(unique) < len(tests):
        warnings.append(f"tests listed twice: {len(tests) - len(unique)} of {column}")
    cut = [name for name in unique if _is_cut(name)]
    if cut:
        warnings.append(f"truncated test ids: {len(cut)} of {column}, first {cut[0]!r}")
    return TestList(tuple(unique), tuple(warnings))


def is_node_id(name: str) -> bool:
    """Whether pytest could have given this id: a Python file, then what is in it."""
    path, _, rest = name.partition("::")
    return path.endswith(".py") and bool(rest)


def _is_cut(name: str) -> bool:
    """Whether a parameter begins and does not end: its id stood in a log and was cut at a space."""
    _, _, inside = name.partition("::")
    return "[" in inside and not inside.endswith("]")


def _decoded(value: Any, column: str) -> list[str]:
    if isinstance(value, str):
        try:
            value = json.loads(value) if value.strip() else []
        except ValueError as exc:
            msg = f"column {column} is no JSON list"
            raise TaskError(msg, where=str(exc)) from exc
    if value is None:
        return []
    if not isinstance(value, list | tuple) or not all(isinstance(name, str) for name in value):
        msg = f"column {column} is no list of test ids"
        raise TaskError(msg, where=type(value).__name__)
    return list(value)
