"""Problem statements written by a model, checked by rule.

The model rewrites a template, or the words of those who made a real change, the way a user of the
library would report it. The paragraph that names what tests need is kept from it and put back. What
it answers is checked; a text that gives something away is sent back once, and when that does not
help, or the endpoint fails, the rules' text stays: no task is lost, and no text is trusted.
"""

from __future__ import annotations

import asyncio
import re
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from typing import Literal, Protocol

from regreen.core.errors import ModelError
from regreen.core.task import Task
from regreen.inference import Completion, Endpoint, Message
from regreen.tasks.tell.fixlines import fix_lines
from regreen.tasks.tell.leaks import changed_lines, changed_paths, fragments, leaks
from regreen.tasks.tell.specified import specified, unspecified

__all__ = ["STYLE", "Teller", "faults", "retell"]

MAX_CHARACTERS = 6000
_MAX_TOKENS = 4096
_MOST_REVIEW = 4000  # characters
_REAL = ("mined", "built")
_PATIENCE = 3  # failures in a row after which nothing more is asked
Fate = Literal["retold", "refused", "failed"]


class Teller(Protocol):
    """A model to ask, usually a ``ChatClient``."""

    @property
    def endpoint(self) -> Endpoint:
        """Whom it asks."""
        ...

    async def complete(
        self, messages: Sequence[Message], *, max_tokens: int | None = None
    ) -> Completion:
        """One answer.

        Raises:
            ModelError: the endpoint failed.
        """
        ...


STYLE = """\
You write bug reports for open-source libraries, in the voice of someone who uses the library and \
has no access to its source or its tests. You are given an automatic report of wrong behaviour. \
Rewrite it as an issue.

- Begin with a title line. Then say in plain words what you did, what you expected and what came \
instead.
- Keep one runnable example in a ```python fence, with its imports, and the exact values or the \
exact error from the report. Shorten it only where the rest shows the same.
- Describe behaviour only. Do not guess at the cause, name no source file, and propose no change.
- Do not mention tests, test suites or test tools, and do not say that anything was passing or \
failing in them.
- Answer with the issue alone, no remarks about it."""

_STYLE_MINED = """\
You write issues for open-source libraries. You are given what is known of a change that a library \
needs: reports by its users, notes by those who later made the change, or an automatic report. \
Write the issue that should have been filed before: what is wrong or missing, and what is wanted \
instead, so that somebody who has not seen the change can give the library that behaviour.

- Begin with a title line.
- Keep every fact about behaviour: names of the public interface, values, messages, types of \
errors, code that reproduces it, and errors as they were seen. Invent nothing.
- What reviewers of the change asked for may be demands that nobody else wrote down: tell those \
that are about behaviour, and nothing else of what they said.
- Leave out how it was done or might be done, who did it, numbers of issues, and links. Name no \
source file.
- Do not mention tests, test suites or test tools, and do not say that anything was passing or \
failing in them.
- Answer with the issue alone, no remarks about it."""

_USER = """\
Library: {library}

{kind}:

{statement}"""

_AGAIN = """\
This cannot be published: {faults}. Write the issue again without that. Answer with the issue \
alone."""

_FORBIDDEN = (
    (r"\btest[ -]?suites?\b|\b(?:unit|failing|regression|passing) tests?\b", "mentions tests"),
    (r"\btests? (?:that )?(?:fails?|pass(?:es)?|cases?)\b|\btest_\w+", "mentions tests"),
    (r"\bpytest\b|\bunittest\b", "names a test tool"),
    (r"^(?:diff --git |@@ .*@@|\+\+\+ |--- [ab]/)|^```(?:diff|patch)", "contains a diff"),
)


def faults(text: str, task: Task) -> list[str]:
    """Why a text cannot be the statement of a task; empty when it can."""
    if not text.strip():
        return ["it is empty"]
    # What the rules let through once is no fault of the model.
    allowed = task.problem_statement
    found = _given_away(text, task)
    if task.source in _REAL:
        known = _given_away(allowed, task)
        found = [one for one in found if one not in known]
        fix = fix_lines(task.patch)
        if fix.shown_by(text) or (fix.quoted_in(text) and not fix.quoted_in(allowed)):
            found.append("a line of the fix")
    found += [
        what
        for pattern, what in _FORBIDDEN
        if (hit := re.search(pattern, text, re.IGNORECASE | re.MULTILINE)) and hit[0] not in allowed
    ]
    if set(fragments(text, changed_lines(task.patch))) - set(
        fragments(allowed, changed_lines(task.patch))
    ):
        found.append("an expression of the fix")
    if len(text) > max(MAX_CHARACTERS, len(allowed)):
        found.append(f"it is longer than {MAX_CHARACTERS} characters")
    return list(dict.fromkeys(found))


def _given_away(text: str, task: Task) -> list[str]:
    """What a text says of tests, files and lines; of a real change, old lines are no secret."""
    return leaks(
        text,
        tests=task.FAIL_TO_PASS,
        paths=[*changed_paths(task.patch), *changed_paths(task.test_patch)],
        secrets=() if task.source in _REAL else changed_lines(task.patch),
    )


async def retell(
    tasks: Iterable[Task],
    client: Teller,
    *,
    workers: int = 8,
    note: Callable[[str], None] = lambda _: None,
    opening: Callable[[Task], list[Message]] | None = None,
) -> list[Task]:
    """Have a model write the statements of tasks.

    Args:
        tasks: with the statements that rules made.
        client: the model.
        workers: tasks in work at once.
        note: told how many texts were taken, refused for what they gave away, or never came.
        opening: the conversation that asks for a task's text; one with the rules' when None.

    Returns:
        The tasks in their order; those whose text was not taken are unchanged.
    """
    slots = asyncio.Semaphore(workers)
    lost: list[str] = []

    async def one(task: Task) -> tuple[Task, Fate, str]:
        async with slots:
            if len(lost) >= _PATIENCE:
                return task, "failed", lost[-1]
            made = await _retold(task, client, (opening or _opening)(task))
            lost[:] = [*lost, made[2]] if made[1] == "failed" else []
            return made

    results = await asyncio.gather(*map(one, tasks))
    fates = Counter(fate for _, fate, _ in results)
    note(
        f"{fates['retold']} of {len(results)} statements written by {client.endpoint.model}; "
        f"{fates['refused']} gave something away and {fates['failed']} never came: "
        "the rules' texts stay"
    )
    for reason, count in Counter(why for _, _, why in results if why).most_common(3):
        note(f"  {count} x {reason}")
    return [task for task, _, _ in results]


def _opening(task: Task) -> list[Message]:
    mined = task.source in _REAL
    kind = "What is known" if mined else "Automatic report"
    text = unspecified(task.problem_statement)
    if mined and task.review_text:
        text = f"{text}\n\nSaid in reviews:\n\n{task.review_text[:_MOST_REVIEW]}"
    user = _USER.format(library=task.repo, kind=kind, statement=text)
    style = _STYLE_MINED if mined else STYLE
    return [{"role": "system", "content": style}, {"role": "user", "content": user}]


async def _retold(task: Task, client: Teller, messages: list[Message]) -> tuple[Task, Fate, str]:
    """The task with its new statement, or as it was, and why."""
    found: list[str] = []
    for _ in range(2):
        try:
            completion = await client.complete(messages, max_tokens=_MAX_TOKENS)
        except ModelError as exc:
            return task, "failed", exc.what
        text = _cleaned(str(completion.message.get("content") or ""))
        found = faults(text, task)
        if completion.finish_reason == "length":
            found.append("it breaks off")
        if not found:
            whole = specified(text, task.interface)
            return task.model_copy(update={"problem_statement": whole}), "retold", ""
        again = _AGAIN.format(faults="; ".join(found))
        messages += [{"role": "assistant", "content": text}, {"role": "user", "content": again}]
    return task, "refused", re.sub(r"^(test name|path) .*", r"\1", found[0])


def _cleaned(text: str) -> str:
    """The answer without reasoning, and without a fence around all of it."""
    text = re.sub(r"\A\s*<think>.*?</think>", "", text, flags=re.DOTALL).strip()
    whole = re.fullmatch(r"```(?:markdown|md|text)\n(.*)\n```", text, re.DOTALL)
    return (whole[1].strip() if whole else text) + "\n" if text else ""
