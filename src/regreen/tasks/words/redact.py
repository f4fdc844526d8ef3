"""The leak rule for texts that people wrote: code, hashes and links of the fix go, evidence stays.

Where the rule for made-up statements refuses a text, this one cuts: a report by a user is worth
more than its parts that give the answer away. Tracebacks keep their paths, and a reporter's own
code stays unless it holds lines of the fix.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, replace

from regreen.tasks.tell.fixlines import FixLines
from regreen.tasks.words.cleaning import Origin, Removal
from regreen.tasks.words.passages import Passage, join, map_units, passages, sentences, tidy
from regreen.tasks.words.telling import without_telling

__all__ = ["Hidden", "modules_of_tests", "redact"]

_SHOWN = 200
_SHORT_NAME = 5
_AIMLESS = re.compile(
    r"\s*(?:please\s+)?(?:see|cf\.?|refer to|compare)(?:\s+also)?(?:\s+for\s+(?:the\s+|more\s+)?"
    r"(?:details?|information|context|background|reasons?|discussion|rationale))?[\s.:,;]*",
    re.IGNORECASE,
).fullmatch
"""A sentence that has lost what it points at."""
_REFERENCE = r"(?:[\w.-]+/[\w.-]+)?(?:#|GH-|gh-|!)\d+"
_HOST = r"https?://[^\s<>()\[\]]*"
_CHANGE_URL = re.compile(
    rf"{_HOST}/(?:pull|pulls|merge_requests|pull-requests|commit|commits|compare|tree|blob|raw|diff)"
    r"/[^\s<>()\[\]]*|" + _HOST + r"\.(?:patch|diff)\b"
)
_ISSUE_URL = rf"{_HOST}/issues/\d+(?:#\S*)?"
_HASH = re.compile(r"(?<![\w#/&=.%$-])(?=[0-9a-f]*\d)(?=\d*[a-f])[0-9a-f]{7,40}(?![\w/-])")
_DONE = re.compile(
    r"[,;(]?\s*\b(?:which\s+|and\s+)?(?:(?:this|it|that)\s+)?(?:(?:is|was|are|has\s+been|should\s+be"
    r"|will\s+be|got)\s+)?(?:now\s+|already\s+)?(?:fixed|solved|resolved|addressed|implemented"
    r"|closed|merged|done|introduced\s+a\s+fix)\s+(?:in|by|with|via|through|as\s+of)\s+(?:the\s+)?"
    r"(?:(?:pr|pull\s+request|commit|mr|patch|merge\s+request|branch|rev(?:ision)?)s?\s*)?"
    rf"(?:{_REFERENCE}|[0-9a-f]{{7,40}}\b|{_HOST})\)?",
    re.IGNORECASE,
)
_CLOSES = re.compile(
    r"[(\[]?\b(?:(?:clos|fix|resolv|address|complet|implement)(?:es|ed|e|s|ing)?|fixes|refs?|see"
    r"|references|related\s+to|issues?|bug|ticket|part\s+of|follow[- ]?up\s+(?:to|of)|cc|for|re"
    r"|xref|towards|supersedes|replaces|pr|pull\s+request)"
    rf"\s*:?\s*(?:issues?\s+|bugs?\s+|pr\s+)?(?:{_REFERENCE}|{_ISSUE_URL})"
    rf"(?:\s*(?:,|and|&|/)\s*(?:\w+\s+)?(?:{_REFERENCE}|{_ISSUE_URL}))*[)\]]?",
    re.IGNORECASE,
)
_FRAME = re.compile(r'^\s*(?:File "|\S+\.py:\d+:|/\S+\.py:\d+|E\s{2,}|at )')


@dataclass(frozen=True, slots=True, kw_only=True)
class Hidden:
    """What a statement must not show."""

    fix: FixLines
    """The code that the fix adds."""
    commits: tuple[str, ...] = ()
    """Ids of the change's commits, whole."""
    number: int | None = None
    """Number of the pull request."""
    tests: tuple[str, ...] = ()
    """Names of hidden test functions and classes."""
    test_paths: tuple[str, ...] = ()
    """Files of the hidden tests."""
    test_modules: tuple[str, ...] = ()
    """Names of their modules that only tests have."""
    source_paths: tuple[str, ...] = ()
    """Files of the fix."""
    names: frozenset[str] = frozenset()
    """Identifiers that the fix or the tests use, which keep their case."""


def modules_of_tests(paths: Iterable[str]) -> tuple[str, ...]:
    """Names of modules at paths, where nothing but a file of tests is called so."""
    form = re.compile(r"(?:^|/)(test_\w+|\w+_tests?)\.py$")
    return tuple(dict.fromkeys(found[1] for path in paths if (found := form.search(path))))


def redact(text: str, hidden: Hidden, origin: Origin, removed: list[Removal]) -> str:
    """A text without what gives the fix or its tests away.

    Args:
        text: cleaned, of one origin.
        hidden: what must not show.
        origin: of pull requests and commits, sentences that tell how it was done go as well.
        removed: told what was cut.
    """
    done: list[Passage] = []
    for part in passages(text):
        if part.code:
            lines = _code(part.lines, hidden, removed)
            kept = replace(part, lines=lines)
            if any(line.strip() for line in lines):
                done.append(kept)
            continue
        done.append(
            replace(
                part,
                lines=map_units(part.lines, lambda unit: _unit(unit, hidden, origin, removed)),
            )
        )
    return tidy(_last_lines(join(done), hidden.fix, removed))


def _code(lines: Iterable[str], hidden: Hidden, removed: list[Removal]) -> tuple[str, ...]:
    """Code or output, without lines of the fix; nothing when most of it is the fix."""
    rows = list(lines)
    leaking = [line for line in rows if hidden.fix.shown_by(line) or hidden.fix.piece(line)]
    removed += [Removal(kind="fix line", text=line.strip()[:_SHOWN]) for line in leaking]
    if not leaking and hidden.fix.quoted("\n".join(rows)):
        removed.append(Removal(kind="fix line", text=" ".join(rows).strip()[:_SHOWN]))
        return ()
    filled = sum(bool(line.strip()) for line in rows)
    if leaking and 2 * len(leaking) >= filled:
        return ()
    kept = [line for line in rows if line not in leaking]
    return tuple(_in_code(line, hidden, removed) for line in kept)


def _in_code(line: str, hidden: Hidden, removed: list[Removal]) -> str:
    line = _cut_names(line, hidden.tests, removed, word="check")
    line = _cut_known_hashes(line, hidden, removed)
    line = _cut(_CHANGE_URL, line, "link", removed, "...")
    line = _cut_paths(line, hidden.test_paths, removed, "example.py", phrase=False)
    line = _cut_names(line, hidden.test_modules, removed, word="check")
    if not _FRAME.match(line):
        line = _cut_paths(line, hidden.source_paths, removed, "module.py", phrase=False)
    return line


def _unit(unit: str, hidden: Hidden, origin: Origin, removed: list[Removal]) -> str:
    text = _without_fix(unit, hidden.fix, removed)
    if origin != "issue":
        text = without_telling(text, removed)
        text = _cut(_CLOSES, text, "reference", removed)
    text = _cut(_DONE, text, "reference", removed)
    text = re.sub(rf"\[([^\]]*)\]\((?={_CHANGE_URL.pattern})[^)]*\)", _linked, text)
    text = _cut(_CHANGE_URL, text, "link", removed)
    if hidden.number is not None:
        own = re.compile(rf"(?:\b(?:PR|pull request|MR)\s*)?(?:#|GH-|!){hidden.number}\b", re.I)
        text = _cut(own, text, "reference", removed)
    text = _cut(_HASH, text, "hash", removed)
    text = _cut_known_hashes(text, hidden, removed)
    if not _FRAME.match(text):
        text = _cut_paths(text, hidden.test_paths, removed, "the tests", phrase=True)
        text = _cut_paths(text, hidden.source_paths, removed, "the module", phrase=True)
    text = _cut_names(text, (*hidden.tests, *hidden.test_modules), removed, word="a test")
    return _mended(text) if text != unit else unit


def _linked(found: re.Match[str]) -> str:
    """The words of a link, unless they are its address or a number."""
    return "" if re.match(r"https?:|#\d+$|[0-9a-f]{7,}$", found[1].strip("` ")) else found[1]


def _without_fix(unit: str, fix: FixLines, removed: list[Removal]) -> str:
    """A paragraph without the sentences that quote the fix."""
    kept = []
    for sentence in sentences(unit):
        spans = [span for _, span in re.findall(r"(`+)(.+?)\1", sentence, re.DOTALL)]
        if fix.shown_by(sentence) or any(fix.piece(span) or fix.quoted(span) for span in spans):
            removed.append(Removal(kind="fix line", text=" ".join(sentence.split())[:_SHOWN]))
            continue
        kept.append(sentence)
    return "".join(kept)


def _last_lines(text: str, fix: FixLines, removed: list[Removal]) -> str:
    """Without what shows the fix only across lines or passages."""
    while hit := fix.first(text):
        start = text.rfind("\n", 0, hit[0]) + 1
        end = text.find("\n", hit[1])
        end = len(text) if end < 0 else end
        removed.append(Removal(kind="fix line", text=text[start:end][:_SHOWN]))
        text = text[:start] + text[end:].lstrip("\n")
    return text


def _cut_known_hashes(text: str, hidden: Hidden, removed: list[Removal]) -> str:
    known = [re.escape(one[:7]) for one in hidden.commits if len(one) >= _SHORT_NAME]
    if not known:
        return text
    pattern = re.compile(rf"(?<![\w#])(?:{'|'.join(known)})[0-9a-f]*(?!\w)")
    return _cut(pattern, text, "hash", removed)


def _cut_names(text: str, names: Iterable[str], removed: list[Removal], *, word: str) -> str:
    for name in names:
        pattern = re.compile(rf"`?(?<![\w.])(?:\w+\.)*{re.escape(name)}\b(?:\(\))?`?")
        plain = re.compile(rf"\b{re.escape(name)}\b")
        text = _cut(plain if word == "check" else pattern, text, "test name", removed, word)
    return text


def _cut_paths(
    text: str, paths: Iterable[str], removed: list[Removal], word: str, *, phrase: bool
) -> str:
    for path in paths:
        base = re.escape(path.rpartition("/")[2])
        named = rf"[`\"']?(?<![\w./-])(?:[\w.-]*/)*{base}(?::\d+)?(?![\w/])[`\"']?"
        if phrase:
            led = rf"\s+(?:in|of|from|at|inside|within)\s+(?:the\s+)?(?:file\s+)?{named}"
            text = _cut(re.compile(led), text, "path", removed)
        text = _cut(re.compile(named), text, "path", removed, word)
    return text


def _cut(
    pattern: re.Pattern[str], text: str, kind: str, removed: list[Removal], by: str = ""
) -> str:
    hits = [hit[0].strip() for hit in pattern.finditer(text)]
    removed += [Removal(kind=kind, text=hit[:_SHOWN]) for hit in hits if hit]
    return pattern.sub(by, text) if hits else text


def _mended(text: str) -> str:
    """A paragraph after cuts: no empty brackets, no doubled spaces, nothing that says nothing."""
    text = re.sub(r"[(\[]\s*(?:see|cf\.?|in|by|via|,|and)?\s*[)\]](?!\()", "", text)
    text = re.sub(r"(?<!`)``(?!`)", "", text)
    text = re.sub(r"(?<=\S)[ \t]{2,}", " ", text)
    text = re.sub(r"[ \t]+([.,;:!?])(?=\s|$)", r"\1", text)
    text = re.sub(r"(?:^|(?<=[.!?]))[ \t]*[.,;:]+(?=\s|$)", "", text).strip(" \t")
    text = "".join(one for one in sentences(text) if not _AIMLESS(one)).rstrip(" \t")
    text = re.sub(r"\s+[-:,;(]+$", "", text)
    text = re.sub(r"(?:,?\s+(?:see|in|at|by|from|via|cf|says))+(?=\W*$)", "", text)
    return text if re.search(r"[^\W\d_]{2}", text) else ""
