"""Problem statements without a model: what was expected and what came instead.

They quote behaviour from the failing tests' own reports, as a script a reader can run without
them, and name neither test, file nor fix. Only the code is in fences marked as Python, so that
whoever runs a statement's code runs nothing else.
"""

from __future__ import annotations

import hashlib
import re
import textwrap
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import PurePosixPath

from regreen.tasks.tell.report import Report, last_words, read_report
from regreen.tasks.tell.reproduce import Script, reduce_test

__all__ = ["Symptom", "describe", "safest", "symptom"]

_MOST = 3
_MOST_LINES = 30


@dataclass(frozen=True, slots=True, kw_only=True)
class Symptom:
    """What one failing test showed."""

    steps: tuple[str, ...] = ()
    """Lines of code that lead to the failure."""
    failing: str
    """The statement that failed; for a condition, the expression that should hold."""
    condition: bool = False
    """Whether ``failing`` is an expression that should hold."""
    observed: tuple[str, ...] = ()
    """What was seen: the evaluated comparison or the error."""
    error: str = ""
    """Name of an exception that escaped, or empty for a failed expectation."""
    complete: bool = False
    """Whether the code can be run as it is quoted."""
    names: tuple[str, ...] = ()
    """What the code imports from the library."""


def symptom(message: str, sources: Mapping[str, str] | None = None) -> Symptom | None:
    """Read a failure text; None when it says nothing.

    Args:
        message: pytest's report, whole or its end.
        sources: texts of the files with tests. A report that begins in none of them has lost its
            beginning, and its code is not to be quoted. Without any, the report alone counts.
    """
    report = read_report(message)
    if report is None or (sources is not None and report.path not in sources):
        seen = tuple(last_words(message))
        return Symptom(failing="", observed=seen, error="error") if seen else None
    error = "" if report.own and report.exception in ("AssertionError", "Failed") else (
        report.exception
    )  # fmt: skip
    script = _script(report, sources or {})
    if script is None:
        lines = report.code.splitlines()
        failing = lines[report.at - 1].strip() if 0 < report.at <= len(lines) else ""
        return Symptom(failing=failing, observed=report.observed, error=error) if failing else None
    return Symptom(
        steps=script.steps,
        failing=script.failing,
        condition=script.condition,
        observed=report.observed,
        error=error,
        complete=script.complete,
        names=script.names,
    )


def _script(report: Report, sources: Mapping[str, str]) -> Script | None:
    source = sources.get(report.path)
    if source is not None:
        made = reduce_test(
            source,
            report.line,
            path=report.path,
            arguments=report.arguments,
            inheriting=_heir(report, sources),
        )
        if made is not None:
            return made
    return reduce_test(report.code, report.at, arguments=report.arguments)


def _heir(report: Report, sources: Mapping[str, str]) -> str:
    """Text of the file with the class that ran, when it inherited the test from another file."""
    named = re.match(r"<(?:\w+\.)*(\w+)\.(\w+) ", report.arguments.get("self", ""))
    if named is None or PurePosixPath(report.path).stem == named[1]:
        return ""
    files = (text for path, text in sources.items() if PurePosixPath(path).stem == named[1])
    return next((text for text in files if f"class {named[2]}" in text), "")


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


def describe(symptoms: Iterable[Symptom], *, name: str, key: str) -> str:
    """A problem statement from at most three symptoms, those a reader can run before others.

    Args:
        symptoms: of the failing tests.
        name: the library's name.
        key: decides the wording; the same key gives the same text.
    """
    chosen = _chosen(symptoms)
    parts = [f"{name}: " + _choice(_OPENINGS, key + "o")]
    for index, item in enumerate(chosen):
        parts += _paragraphs(item, f"{key}{index}")
    if not chosen:
        parts = [f"{name}: A part of the library's documented behaviour no longer holds."]
    parts.append(_choice(_CLOSINGS, key + "c"))
    return "\n\n".join(parts) + "\n"


def _paragraphs(item: Symptom, key: str) -> list[str]:
    if not item.failing:
        parts = []
    elif not item.condition or item.error:
        failing = f"assert {item.failing}" if item.condition else item.failing
        parts = [_fence("\n".join([*item.steps, failing]))]
    else:
        parts = [_fence("\n".join(item.steps))] if item.steps else []
        parts.append(_choice(_EXPECTED, key + "e") + "\n" + _fence(item.failing))
    lines = item.observed if item.error else _plain(item.observed)
    lead = _choice(_RAISES, key + "r") if item.error else _choice(_GOT, key + "g")
    return [*parts, lead + "\n\n" + textwrap.indent("\n".join(lines), "    ")]


def safest(
    symptoms: Sequence[Symptom], *, name: str, key: str, leaky: Callable[[str], bool]
) -> str:
    """The fullest statement that gives nothing away.

    Symptoms that leak are left out; when all do, their code before the failing statement is, then
    all code, until only the names of what misbehaves are left.

    Args:
        symptoms: of the failing tests.
        name: the library's name.
        key: decides the wording.
        leaky: whether a text gives something away.
    """
    bare = [replace(item, steps=(), complete=False) for item in symptoms]
    silent = [replace(item, observed=("something else",), error="") for item in symptoms]
    for variants in (symptoms, silent, bare):
        safe = [one for one in variants if not leaky(describe([one], name=name, key=key))]
        text = describe(safe, name=name, key=key)
        if safe and not leaky(text):
            return text
    called = list(dict.fromkeys(part for item in symptoms for part in item.names))
    lines = (
        f"{name}: {', '.join(f'`{part}`' for part in called[:4])} no longer behave as documented."
    )
    text = f"{lines}\n\n{_choice(_CLOSINGS, key + 'c')}\n"
    return text if called and not leaky(text) else describe([], name=name, key=key)


def _chosen(symptoms: Iterable[Symptom]) -> list[Symptom]:
    """Different symptoms, those that can be run and say more with less first."""
    seen: dict[tuple[str, tuple[str, ...]], Symptom] = {}
    for item in symptoms:
        seen.setdefault((item.failing, item.observed), item)
    ordered = sorted(
        seen.values(),
        key=lambda item: (not item.complete, len(item.steps), len(item.failing), item.failing),
    )
    runnable = [item for item in ordered if item.complete]
    chosen: list[Symptom] = []
    for item in (runnable or ordered)[:_MOST]:
        if chosen and sum(len(one.steps) for one in (*chosen, item)) > _MOST_LINES:
            break
        chosen.append(item)
    return chosen


_NOT_RAISED = re.compile(
    r"^(?:Failed: )?DID NOT RAISE (?:<class ')?(?:[\w.]*\.)?(\w+)(?:'>)?$"
    r"|^(\w+) not raised(?: by .*)?$"
)


def _plain(observed: Iterable[str]) -> list[str]:
    """What was seen, in words that do not mention assertions."""
    rows = []
    for line in observed:
        text = re.sub(r"^(?:AssertionError: ?)?(?:assert\s+)?", "", line)
        text = _NOT_RAISED.sub(lambda found: f"no {found[1] or found[2]} is raised", text)
        text = "" if text == "AssertionError" else text
        if re.match(r"\+\s+(?:where|and)\s.*<", text):
            continue  # the object's own text adds nothing to the code above
        rows.append(re.sub(r"^\+\s+(?:where|and)\s+", "where ", text))
    kept = [row for row in rows if row]
    return kept or ["the check fails"]


def _fence(text: str) -> str:
    return f"```python\n{text}\n```"
