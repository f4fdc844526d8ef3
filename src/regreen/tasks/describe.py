"""Problem statements without a model: what was expected and what came instead.

They quote behaviour from the failing tests' own reports, and name neither test, file nor fix. A
statement that would leak is replaced by a plainer one; the rule is checked on every text, those
written by a model included.
"""

from __future__ import annotations

import ast
import hashlib
import re
import textwrap
from collections.abc import Iterable
from dataclasses import dataclass

__all__ = ["Symptom", "describe", "leaks", "symptom"]

_ENTRY_END = re.compile(r"^(?:_ ?){8,}$")
_LOCATION = re.compile(r"^\S+\.py:\d+: ?\w*$")
_MAX_LINES = 14
_MAX_WIDTH = 400


@dataclass(frozen=True, slots=True)
class Symptom:
    """What one failing test showed."""

    steps: tuple[str, ...]
    """The code that led to the failure, dedented."""
    failing: str
    """The statement that failed."""
    observed: tuple[str, ...]
    """What was seen: the evaluated comparison or the error."""
    error: str
    """Name of an exception that escaped, or empty for a failed comparison."""


def symptom(message: str) -> Symptom | None:
    """Read a pytest failure report; None when it shows no code."""
    entry: list[str] = []
    for line in message.splitlines():
        if _ENTRY_END.match(line):
            break
        entry.append(line)
    errors = [line[1:].strip() for line in message.splitlines() if line.startswith("E ")]
    failing = [line[1:] for line in entry if line.startswith(">")]
    if not errors or not failing:
        return None
    body = [
        " " + line[1:] if line.startswith(">") else line
        for line in entry
        if line.strip() and not line.startswith("E ") and not _LOCATION.match(line)
    ]
    steps, statement = _steps(body, failing[-1])
    error = re.match(
        r"^([A-Za-z_][\w.]*(?:Error|Exception|Warning|Interrupt|Iteration|Exit))\b", errors[0]
    )
    escaped = error.group(1).rpartition(".")[2] if error else ""
    return Symptom(
        steps=tuple(steps),
        failing=statement,
        observed=tuple(_observed(errors)),
        error="" if escaped == "AssertionError" else escaped,
    )


def _steps(body: list[str], failing: str) -> tuple[list[str], str]:
    """The code the failing statement depends on, without the test's own header."""
    lines = textwrap.dedent("\n".join(body)).splitlines()
    starts = (i for i, line in enumerate(lines) if re.match(r"\s*(async )?def \w+", line))
    header = next(starts, None)
    if header is not None:
        while header < len(lines) and not lines[header].rstrip().endswith(":"):
            header += 1
        lines = textwrap.dedent("\n".join(lines[header + 1 :])).splitlines()
    target = failing.strip()
    at = max((i for i, line in enumerate(lines) if line.strip() == target), default=None)
    if at is None:
        return [], target
    statement = _statement(lines[at:])
    return _needed("\n".join(lines[:at]), statement)[-_MAX_LINES:], statement


def _needed(before: str, statement: str) -> list[str]:
    """Statements that bind or change a name the failing one uses, found backwards.

    Code that does not parse alone (the failing line stands inside a block) is kept as it is.
    """
    try:
        earlier, last = ast.parse(before).body, ast.parse(statement)
    except SyntaxError:
        return [line for line in before.splitlines() if line.strip()]
    names = {node.id for node in ast.walk(last) if isinstance(node, ast.Name)}
    kept: list[str] = []
    for node in reversed(earlier):
        used = {part.id for part in ast.walk(node) if isinstance(part, ast.Name)}
        bound = {part.asname or part.name for part in ast.walk(node) if isinstance(part, ast.alias)}
        bound |= {getattr(node, "name", "")}
        if isinstance(node, ast.Assert) or not names & (used | bound):
            continue
        names |= used
        kept.insert(0, ast.get_source_segment(before, node) or "")
    return [line for text in kept for line in text.splitlines()]


def _statement(lines: list[str]) -> str:
    """The whole statement that starts at the first line, when it spans several."""
    for end in range(1, min(len(lines), 12) + 1):
        text = textwrap.dedent("\n".join(lines[:end]))
        try:
            ast.parse(text)
        except SyntaxError:
            continue
        return text
    return lines[0].strip()


def _observed(errors: list[str]) -> list[str]:
    kept = []
    for line in errors:
        if line.startswith(("Full diff", "Use -v", "?", "Omitting")) or not line:
            break
        kept.append(line[:_MAX_WIDTH])
    return kept[:6]


_OPENINGS = (
    "The following does not behave as it should.",
    "I get a wrong result here:",
    "Something is off with this code:",
    "This used to work and now does not:",
    "Unexpected behaviour, reproduced below.",
    "The code below gives the wrong answer.",
    "We hit this in production and could reduce it to a few lines:",
)
_EXPECTED = (
    "Expected to hold:",
    "What should be true:",
    "This should be the case:",
    "It should hold that:",
)
_GOT = ("What happens instead:", "Observed:", "Actual result:", "What I see:")
_RAISES = ("It fails with:", "An exception escapes:", "Instead it raises:")
_CLOSINGS = (
    "Please find the cause and repair it without changing what works.",
    "The behaviour should be restored; everything else must stay as it is.",
    "Please fix the library so that this holds again.",
)


def _choice(options: tuple[str, ...], key: str) -> str:
    return options[hashlib.sha256(key.encode()).digest()[0] % len(options)]


def describe(symptoms: Iterable[Symptom], *, name: str, key: str, quote_steps: bool = True) -> str:
    """A problem statement from at most three symptoms.

    Args:
        symptoms: of the failing tests.
        name: the library's name.
        key: decides the wording; the same key gives the same text.
        quote_steps: False leaves the code before the failing statement out.
    """
    chosen = _distinct(symptoms)[:3]
    parts = [f"{name}: " + _choice(_OPENINGS, key + "o")]
    for index, item in enumerate(chosen):
        code = [*(item.steps if quote_steps else ()), item.failing]
        if item.error:
            parts.append(_fence("\n".join(code)))
            parts.append(
                _choice(_RAISES, key + f"r{index}") + "\n" + _fence("\n".join(item.observed))
            )
            continue
        if quote_steps and item.steps:
            parts.append(_fence("\n".join(item.steps)))
        parts.append(
            _choice(_EXPECTED, key + f"e{index}") + "\n" + _fence(_condition(item.failing))
        )
        parts.append(
            _choice(_GOT, key + f"g{index}") + "\n" + _fence("\n".join(_plain(item.observed)))
        )
    if not chosen:
        parts.append("A part of the library's documented behaviour no longer holds.")
    parts.append(_choice(_CLOSINGS, key + "c"))
    return "\n\n".join(parts) + "\n"


def _distinct(symptoms: Iterable[Symptom]) -> list[Symptom]:
    seen: dict[tuple[str, tuple[str, ...]], Symptom] = {}
    for item in symptoms:
        seen.setdefault((item.failing, item.observed), item)
    # short reproductions first: they say more with less
    return sorted(
        seen.values(), key=lambda item: (len(item.steps), len(item.failing), item.failing)
    )


def _condition(statement: str) -> str:
    return re.sub(r"^assert\s+", "", statement)


def _plain(observed: tuple[str, ...]) -> list[str]:
    rows = []
    for line in observed:
        text = re.sub(r"^(?:AssertionError: )?assert\s+", "", line)
        text = re.sub(r"^\+\s+(?:where|and)\s+", "where ", text)
        rows.append(re.sub(r"^AssertionError(?:: )?", "", text) or "the check fails")
    return rows


def _fence(text: str) -> str:
    return f"```python\n{text}\n```"


def leaks(
    text: str, *, tests: Iterable[str], paths: Iterable[str], secrets: Iterable[str]
) -> list[str]:
    """What in a statement gives the answer away.

    Args:
        text: the statement.
        tests: node ids of the triggering tests; their function names must not appear.
        paths: files of the fix and of the tests; neither path nor file name may appear.
        secrets: lines the gold patch adds; a distinctive one must not appear.
    """
    functions = [test.rpartition("::")[2].partition("[")[0] for test in tests]
    found = [
        f"test name {name}" for name in functions if re.search(rf"\b{re.escape(name)}\b", text)
    ]
    found += [f"path {path}" for path in paths if path in text or _names_file(text, path)]
    squeezed = re.sub(r"\s+", "", text)
    distinctive = (line for line in secrets if len(line.strip()) >= 12)
    if any(re.sub(r"\s+", "", line) in squeezed for line in distinctive):
        found.append("a line of the fix")
    return found


def _names_file(text: str, path: str) -> bool:
    name = path.rpartition("/")[2]
    return bool(re.search(rf"(?<![\w/]){re.escape(name)}\b", text))
