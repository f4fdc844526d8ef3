"""What the agent of a mined task is told: the words of those who reported or made the change.

The linked issues come first, then the pull request, then the commit; where these say nothing, the
symptom that the failing tests show. A thin text gets the symptom below it. What gives the fix away
is cut from every one of them, and what was cut is recorded.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from regreen.tasks.history.change import Change
from regreen.tasks.tell.describe import Symptom, endless, safest, symptom
from regreen.tasks.tell.fixlines import fix_lines
from regreen.tasks.tell.leaks import changed_paths, leaks
from regreen.tasks.tell.report import read_report
from regreen.tasks.tell.specified import specified
from regreen.tasks.words.cleaning import Origin, Removal, clean, clean_title
from regreen.tasks.words.redact import Hidden, modules_of_tests, redact
from regreen.tasks.words.telling import MIN_WORDS, THIN_WORDS, information
from regreen.tasks.words.texts import PullText

__all__ = ["Source", "Statement", "hidden", "statement"]

Source = Literal["issue", "pull", "commit", "symptom"]
_MOST_MESSAGES = 12
_MOST_CHARACTERS = 20_000
_TEST_NAME = re.compile(r"test|spec|check", re.IGNORECASE)
_SHORT_NAME = 5
_SEEN = re.compile(r"^    (?!the check fails$|something else$)\S", re.MULTILINE)
_ENDLESS = "time limit of one test"


@dataclass(frozen=True, slots=True, kw_only=True)
class Statement:
    """A problem statement and where it comes from."""

    text: str
    """What the agent is told, the paragraph about the interface included."""
    source: Source
    """Whose words it is."""
    supplemented: bool
    """Whether the symptom stands below words that alone say little."""
    issues: int
    """Issues it quotes."""
    removed: tuple[Removal, ...]
    """What was cut."""
    hints: str
    """Discussion before the fix, cut by the same rules; empty when there was none."""
    reviews: str
    """What reviewers said of the fix, cut by the same rules; never part of the text."""

    def cuts(self) -> dict[str, int]:
        """How many cuts of each kind were made."""
        return dict(sorted(Counter(one.kind for one in self.removed).items()))


def statement(
    change: Change,
    pull: PullText | None,
    *,
    patch: str,
    test_patch: str,
    fail_to_pass: Sequence[str],
    messages: Sequence[str],
    library: str,
    interface: str = "",
    sources: Mapping[str, str] | None = None,
) -> Statement:
    """Tell a mined task.

    Args:
        change: the step of the history.
        pull: its pull request, when one is known.
        patch: the gold patch.
        test_patch: the hidden tests.
        fail_to_pass: node ids of the tests that decide it.
        messages: pytest's reports of their failures at the base, for the symptom.
        library: the library's name.
        interface: signatures of names that the tests need and the base lacks.
        sources: texts of the files with tests, to quote code from; the reports alone without.
    """
    rules = hidden(change, pull, patch=patch, test_patch=test_patch, fail_to_pass=fail_to_pass)
    seen = _symptoms(messages, fail_to_pass, sources)
    if interface:  # a name that cannot be imported is told by the interface
        seen = [found for found in seen if found.failing]
    leaky = _leaky(rules, fail_to_pass, _helpers(test_patch, patch, sources or {}))
    shown = (
        safest(seen, name=library, key=change.commit, leaky=leaky, runnable=True) if seen else ""
    )
    shown = shown if "```" in shown or _SEEN.search(shown) else ""
    removed: list[Removal] = []
    source: Source = "symptom"
    issues, supplemented = 0, False
    text = shown or safest([], name=library, key=change.commit, leaky=lambda _: False)
    for origin, parts in _candidates(change, pull):
        told = [_told(one, rules, removed) for one in parts]
        words = "\n\n".join(filter(None, told)) if origin == "issue" else _joined(told)
        words = _shortened(words)
        said = information(words)
        if said >= (MIN_WORDS if shown else 1):
            supplemented = said < THIN_WORDS and bool(shown)
            text = f"{words}\n\n{shown}" if supplemented else words
            source, issues = origin, sum(map(bool, told)) if origin == "issue" else 0
            break
    return Statement(
        text=specified(text.strip("\n") + "\n", interface),
        source=source,
        supplemented=supplemented,
        issues=issues,
        removed=tuple(removed),
        hints=_told(("", pull.hints, "issue"), rules, removed) if pull else "",
        reviews="\n\n".join(_remarks(pull.reviews if pull else (), rules, removed)),
    )


def _symptoms(
    messages: Sequence[str], tests: Sequence[str], sources: Mapping[str, str] | None
) -> list[Symptom]:
    """What the reports show; which test ran into its limit is known when every test has one."""
    paired = len(messages) == len(tests) and all(
        message == _ENDLESS or read_report(message) for message in messages
    )
    names = tests if paired else [""] * len(messages)
    found = [
        endless(name, sources or {}) if message == _ENDLESS else symptom(message, sources)
        for message, name in zip(messages, names, strict=True)
    ]
    return [one for one in found if one]


def hidden(
    change: Change,
    pull: PullText | None,
    *,
    patch: str,
    test_patch: str,
    fail_to_pass: Iterable[str],
) -> Hidden:
    """What a text about a change must not show."""
    named = re.findall(r"^\+\s*(?:async\s+)?(?:def|class)\s+(\w+)", test_patch, re.MULTILINE)
    parts = [
        part for name in fail_to_pass for part in name.partition("[")[0].split("::")[1:] if part
    ]
    names = [one for one in dict.fromkeys((*parts, *named)) if len(one) >= _SHORT_NAME]
    test_paths = [path for path in changed_paths(test_patch) if path.rpartition("/")[2]]
    fix = fix_lines(patch)
    return Hidden(
        fix=fix,
        names=fix.names | fix_lines(test_patch).names,
        commits=(change.commit, change.base, *(pull.commits if pull else ())),
        number=change.number,
        tests=tuple(sorted((n for n in names if _TEST_NAME.search(n)), key=len, reverse=True)),
        test_paths=tuple(test_paths),
        test_modules=modules_of_tests(test_paths),
        source_paths=tuple(path for path in changed_paths(patch) if path not in test_paths),
    )


def _remarks(reviews: Iterable[str], rules: Hidden, removed: list[Removal]) -> list[str]:
    """What was said in reviews, without remarks that say too little once the fix is cut."""
    told = [_told(("", one, "pull"), rules, removed) for one in reviews]
    return list(dict.fromkeys(text for text in told if information(text) >= MIN_WORDS))


_Part = tuple[str, str, Origin]


def _candidates(change: Change, pull: PullText | None) -> list[tuple[Source, list[_Part]]]:
    """Sources in their order, each with its titles and bodies."""
    found: list[tuple[Source, list[_Part]]] = []
    if pull:
        found.append(("issue", [(one.title, one.body, "issue") for one in pull.issues]))
        found.append(("pull", [(pull.title, pull.body, "pull")]))
    own: _Part = (change.subject, change.body, "commit")
    messages = change.messages or (tuple(pull.messages) if pull else ())
    thin = information(f"{change.subject}\n{change.body}") < THIN_WORDS
    found.append(("commit", [own, *(_merged(messages, change.subject) if thin else ())]))
    return found


_ASIDE = re.compile(
    r"^(?:Merge|Revert|fixup!|squash!|Bump)\b|^(?:TST|DOC|CI|MAINT|STY|REL|BLD|tests?|docs?|ci|style"
    r"|chore|build)(?:\(.*\))?:"
    r"|\b(?:doc)?tests?\b|test_\w+|\b(?:coverage|benchmark\w*|docstrings?|comments?|whitespace|typos?"
    r"|lint|flake8|pep-?8|black|isort|travis|authors?|contributors?|change ?log|readme|oops|cleanup"
    r"|clean up|nits?|formatting|thanks|review|conflicts?|wip|spelling|doc fix\w*|rebase"
    r"|code ?style|licen[sc]e|gitignore|manifest|examples?|pull request|docs?|documentation"
    r"|backticks|dev version)\b|\.tox\b",
    re.IGNORECASE,
)


def _merged(messages: Iterable[str], subject: str) -> list[_Part]:
    """Messages of merged commits that say something of what was done, titles that repeat cut."""
    found: list[_Part] = []
    seen = set(_words(subject).split())
    for message in messages:
        first, _, rest = message.strip().partition("\n")
        words = set(_words(first).split())
        title = "" if words <= seen else first
        if _ASIDE.search(first) or not (title or rest.strip()):
            continue
        seen |= words
        if information(f"{title}\n{rest}"):
            found.append((title, rest.strip(), "commit"))
    return found[:_MOST_MESSAGES]


def _joined(texts: Sequence[str]) -> str:
    """Texts below each other, the first as it is, single lines after it as a list."""
    first, *rest = list(dict.fromkeys(filter(None, texts))) or [""]
    lines = [text for text in rest if "\n" not in text]
    listed = "\n".join(f"- {text}" for text in lines) if len(lines) > 1 else "\n".join(lines)
    return "\n\n".join(filter(None, [first, *(t for t in rest if "\n" in t), listed]))


def _words(text: str) -> str:
    """A title for comparison."""
    text = re.sub(r"^\w+(?:\([^)]*\))?:\s|#\d+", "", text.lower())
    return " ".join(re.findall(r"\w+", text))


def _told(part: _Part, rules: Hidden, removed: list[Removal]) -> str:
    """Title and body of one text, cleaned and without leaks."""
    title, body, origin = part
    head = redact(clean_title(title, removed, rules.names), rules, origin, removed)
    head = head if origin == "issue" or information(head) else ""
    text = redact(_bullets(clean(body, origin, removed), origin), rules, origin, removed)
    if text and _words(head) == _words(text.split("\n")[0]):
        return text
    return "\n\n".join(part for part in (head, text) if part)


def _bullets(body: str, origin: Origin) -> str:
    """A body without list items of commits that say nothing, as squashed commits list them."""
    if origin == "issue":
        return body
    kept = [
        line
        for line in body.split("\n")
        if not re.match(r"^\s*[-*]\s", line)
        or line.rstrip().endswith(":")
        or (information(line) and not _ASIDE.search(re.sub(r"^\s*[-*]\s+", "", line)))
    ]
    return "\n".join(kept)


def _shortened(text: str) -> str:
    if len(text) <= _MOST_CHARACTERS:
        return text
    return text[:_MOST_CHARACTERS].rpartition("\n")[0] + "\n\n[...]"


def _helpers(test_patch: str, patch: str, sources: Mapping[str, str]) -> tuple[str, ...]:
    """What files of tests define for themselves and the code does not."""
    form = r"^{}(?:async\s+)?(?:def|class)\s+(\w+)"
    own = re.findall(form.format(r"\+"), test_patch, re.MULTILINE)
    own += [name for text in sources.values() for name in re.findall(form.format(""), text, re.M)]
    public = set(re.findall(r"\w+", patch))
    return tuple(
        name for name in dict.fromkeys(own) if len(name) >= _SHORT_NAME - 1 and name not in public
    )


def _leaky(
    rules: Hidden, fail_to_pass: Iterable[str], helpers: Iterable[str]
) -> Callable[[str], bool]:
    """Whether a symptom gives something away, as for injected tasks."""
    tests, paths = tuple(fail_to_pass), (*rules.source_paths, *rules.test_paths)
    names = (*rules.test_modules, *helpers)

    def leaky(text: str) -> bool:
        return (
            bool(leaks(text, tests=tests, paths=paths, secrets=()))
            or rules.fix.shown_by(text)
            or any(_told_of(name, text) for name in names)
        )

    return leaky


def _told_of(name: str, text: str) -> bool:
    """Whether a text names something that it does not define itself."""
    word = re.escape(name)
    return bool(re.search(rf"\b{word}\b", text)) and not re.search(
        rf"\b(?:def|class) {word}\b", text
    )
