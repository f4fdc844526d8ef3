"""The question for an issue about a bug: its diff, its failing tests, two issues to imitate.

What is answered goes through the rules that every statement goes through (`tasks/tell`), so the
diff may be shown: a text that quotes it is refused, and the template stays.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from regreen.core.errors import UsageError
from regreen.core.task import Task
from regreen.grading.patch import text_patch
from regreen.inference import Message
from regreen.tasks.inject.candidate import Candidate, Finding
from regreen.tasks.language.base import Language
from regreen.tasks.tell.retell import STYLE
from regreen.tasks.written.prompts import fence_for

__all__ = ["EXAMPLES", "Evidence", "Example", "evidence_of", "opening", "read_examples"]

_MOST_TESTS = 5
_MOST_TEXT = 6_000


@dataclass(frozen=True, slots=True)
class Example:
    """One issue to imitate."""

    title: str
    """Its title."""
    body: str
    """Its text."""


EXAMPLES = (
    Example(
        "split_words drops the last word when the text ends in a dash",
        "I upgraded and a report of ours lost its last column. Smallest case I found:\n\n"
        '```python\nfrom wordbag import split_words\n\nprint(split_words("red-green-"))\n```\n\n'
        "I get `['red']`. The docs say that empty parts are left out, so I expected "
        "`['red', 'green']`. Without the dash at the end it works.",
    ),
    Example(
        "Totals differ by one day for ranges over new year",
        "`days_between(date(2023, 12, 30), date(2024, 1, 2))` returns 2 here. The same span "
        "inside of one month gives 3, as it should. It does not raise anything, we only noticed "
        "because two invoices did not match.",
    ),
)
"""Two issues of our own, used when none are given."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """What a writer of an issue is shown."""

    bug: str
    """The diff that made the bug."""
    tests: tuple[str, ...]
    """Text of failing tests."""
    output: tuple[str, ...]
    """What they said."""


def evidence_of(
    candidate: Candidate, finding: Finding, tests: Mapping[str, str], language: Language
) -> Evidence:
    """The evidence of a verified candidate.

    Args:
        candidate: the bug.
        finding: which tests fail.
        tests: text of test files, by path.
        language: of the tests.
    """
    bug = "".join(
        text_patch(path, healthy, broken) for path, (healthy, broken) in candidate.files.items()
    )
    sources: dict[str, None] = {}
    for test in finding.fail_to_pass:
        path, _, name = test.partition("[")[0].partition("::")
        text = language.declaration(tests.get(path, ""), name.replace("::", "."))
        if text:
            sources[text] = None
    return Evidence(bug=bug, tests=tuple(sources)[:_MOST_TESTS], output=finding.messages)


def opening(
    task: Task, evidence: Evidence, examples: Sequence[Example] = EXAMPLES
) -> list[Message]:
    """The conversation that asks for an issue.

    Args:
        task: with its template statement.
        evidence: of its bug.
        examples: real issues to imitate.
    """
    shown = "\n\n".join(f"# {one.title}\n\n{one.body.strip()}" for one in examples)
    parts = {
        "The change that broke it, which the reporter does not know": evidence.bug,
        "Tests that fail, which the reporter does not know": "\n\n".join(evidence.tests),
        "What they say": "\n\n".join(evidence.output),
    }
    blocks = []
    for title, text in parts.items():
        if text.strip():
            fence = fence_for(text)
            blocks.append(f"{title}:\n\n{fence}\n{text.strip()[:_MOST_TEXT]}\n{fence}")
    user = "\n\n".join(
        [f"Library: {task.repo}", *blocks, f"An automatic report:\n\n{task.problem_statement}"]
    )
    system = f"{STYLE}\n\nTwo issues whose tone and length to imitate:\n\n{shown}"
    return [{"role": "system", "content": system}, {"role": "user", "content": user}]


def read_examples(path: Path | None) -> tuple[Example, ...]:
    """The issues in a file of JSON lines with ``title`` and ``body``; ours without a file.

    Raises:
        UsageError: it cannot be read, or holds no such row.
    """
    if path is None:
        return EXAMPLES
    try:
        rows = [json.loads(line) for line in path.read_text("utf-8").splitlines() if line.strip()]
        found = tuple(Example(str(row["title"]), str(row["body"])) for row in rows)
    except (OSError, ValueError, KeyError, TypeError) as exc:
        msg = f"the issues cannot be read: {type(exc).__name__}: {exc}"
        mend = "give JSON lines, each an object with title and body"
        raise UsageError(msg, where=str(path), mend=mend) from exc
    if not found:
        msg = "this file holds no issues"
        raise UsageError(msg, where=str(path), mend="give at least one, better two")
    return found[:2]
