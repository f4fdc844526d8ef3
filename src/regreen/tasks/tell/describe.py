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

from regreen.tasks.tell.names import unbound
from regreen.tasks.tell.report import Report, last_words, read_report
from regreen.tasks.tell.reproduce import Script, reduce_test, whole_test

__all__ = ["PHRASES", "Symptom", "describe", "endless", "safest", "symptom"]

_MOST = 3
_MOST_LINES = 30
_WORD = re.compile(r"[^\W\d]\w*")


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
    hangs: bool = False
    """Whether it never came to an end."""


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
    seen = tuple(_without_module(line, report.path) for line in report.observed)
    script = _script(report, sources or {})
    if script is None:
        lines = report.code.splitlines()
        failing = lines[report.at - 1].strip() if 0 < report.at <= len(lines) else ""
        return Symptom(failing=failing, observed=seen, error=error) if failing else None
    return Symptom(
        steps=script.steps,
        failing=script.failing,
        condition=script.condition,
        observed=seen,
        error=error,
        complete=script.complete,
        names=script.names,
    )


def _without_module(line: str, path: str) -> str:
    """What was seen, where objects are of the file of tests itself, without that file's name."""
    stem = PurePosixPath(path).stem
    if not re.fullmatch(r"test_\w+|\w+_tests?", stem):
        return line
    return re.sub(rf"\b(?:\w+\.)*{re.escape(stem)}\.(?=\w)", "", line)


def endless(test: str, sources: Mapping[str, str]) -> Symptom:
    """The symptom of a test that ran into its time limit, with all of its code where it is known.

    Args:
        test: its node id; empty when unknown.
        sources: texts of the files with tests.
    """
    path, _, names = test.partition("::")
    source = sources.get(path)
    script = whole_test(source, names, path=path) if source else None
    seen = ("this does not come back",) if script else ("a call does not come back",)
    if script is None:
        return Symptom(failing="", observed=seen, hangs=True)
    failing = f"assert {script.failing}" if script.condition else script.failing
    return Symptom(
        steps=script.steps,
        failing=failing,
        observed=seen,
        complete=script.complete,
        names=script.names,
        hangs=True,
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
_NO_CODE = (
    "The following does not behave as it should.",
    "This used to work and now does not.",
    "A result is not what it should be.",
)
_CLOSINGS = (
    "Please find the cause and repair it without changing what works.",
    "The behaviour should be restored; everything else must stay as it is.",
    "Please fix the library so that this holds again.",
)


PHRASES = (*_OPENINGS, *_NO_CODE, *_EXPECTED, *_GOT, *_RAISES, *_CLOSINGS)
"""What every statement may say, and what says nothing of the one at hand."""


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
    openings = _OPENINGS if any(item.failing for item in chosen) else _NO_CODE
    parts = [f"{name}: " + _choice(openings, key + "o")]
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
    symptoms: Sequence[Symptom],
    *,
    name: str,
    key: str,
    leaky: Callable[[str], bool],
    runnable: bool = False,
) -> str:
    """The fullest statement that gives nothing away.

    Symptoms that leak are left out; when all do, their code before the failing statement is, then
    all code, until only the names of what misbehaves are left.

    Args:
        symptoms: of the failing tests.
        name: the library's name.
        key: decides the wording.
        leaky: whether a text gives something away.
        runnable: whether to quote only code that has every name it needs.
    """
    bare = [replace(item, steps=(), complete=False) for item in symptoms]
    silent = [
        item if item.hangs else replace(item, observed=("something else",), error="")
        for item in symptoms
    ]
    for variants in (symptoms, silent, bare):
        told = [found for one in variants if (found := _explained(one))] if runnable else variants
        safe = [one for one in told if not leaky(describe([one], name=name, key=key))]
        text = describe(safe, name=name, key=key)
        if safe and not leaky(text):
            return text
    called = list(dict.fromkeys(part for item in symptoms for part in item.names))
    lines = (
        f"{name}: {', '.join(f'`{part}`' for part in called[:4])} no longer behave as documented."
    )
    text = f"{lines}\n\n{_choice(_CLOSINGS, key + 'c')}\n"
    return text if called and not leaky(text) else describe([], name=name, key=key)


def _explained(item: Symptom) -> Symptom | None:
    """The symptom, without its code when that needs a name it does not have; None if none is left.

    What was seen stays, but for the calls by such a name that led to it.
    """
    missing = unbound("\n".join([*item.steps, item.failing]))
    if not missing:
        return item
    seen = [
        line
        for line in item.observed
        if not (re.match(r"\+?\s*(?:where|and)\s", line) and missing & set(_WORD.findall(line)))
    ]
    if not seen:
        return None
    return replace(item, steps=(), failing="", condition=False, complete=False, observed=(*seen,))


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
