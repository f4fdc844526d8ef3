"""A model's second opinion on the quality of tasks, beside the rules and never instead of them.

It answers in strict JSON and is asked twice at most; without a usable answer the rules stand. Where
it contradicts a rule, the rule's finding stays among the reasons.
"""

from __future__ import annotations

import asyncio
import json
import re
from collections import Counter
from collections.abc import Callable, Iterable
from typing import Annotated, Literal, TypeAlias, get_args

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from regreen.core.errors import ModelError
from regreen.core.task import Quality, Task
from regreen.inference import Message
from regreen.tasks.labels.quality import CODES, rate
from regreen.tasks.tell.retell import Teller

__all__ = ["Opinion", "combined", "judge", "read_opinion"]

_MAX_TOKENS = 2048
_MAX_CHARACTERS = 24_000
_PATIENCE = 3  # failures in a row after which nothing more is asked
_Code: TypeAlias = Literal["B1", "B2", "B3", "B4", "B5", "B6", "B7", "B8", "B9", "B10", "B11"]
assert get_args(_Code) == tuple(CODES)
_Sentence = Annotated[str, Field(max_length=400)]


class Opinion(BaseModel):
    """What a judging model answers; any other key, or a missing one, makes the answer unusable."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    codes: list[_Code]
    """What is wrong; empty for a good task."""
    statement: Literal["clear", "thin", "empty"]
    """Whether it says what is wanted."""
    tests: Literal["aligned", "broad", "coupled"]
    """Whether the tests check that and nothing else."""
    environment: Literal["faithful", "adapted", "partial"]
    """Whether it is the one the change was made for."""
    reasons: dict[_Code, _Sentence]
    """One sentence per code."""


_SYSTEM = """\
You review tasks for a benchmark of programming agents. A task is a problem statement, which is \
all that the agent is told, and hidden tests, which decide. You also see the reference fix.

Answer with one JSON object and nothing else, of this shape:
{"codes": [], "statement": "clear", "tests": "aligned", \
"environment": "faithful", "reasons": {}}

codes: every one that applies, in order, none for a good task.
B1 tests fail or pass for reasons beside the problem; B2 tests need names the statement does not \
give; B3 the problem cannot be understood without a link or a service; B4 the statement allows \
several behaviours and the tests only one; B5 the fix holds generated files or leftovers; B6 \
the tests need knowledge or exact texts that a reader cannot have; B7 the tests stand in the \
file of the fix; B8 one has to see an image; B9 the statement is not in English; B10 the tests \
compare with large text files; B11 several problems in one.
statement: clear, thin or empty. tests: aligned, broad or coupled. environment: faithful, adapted \
or partial; repeat what you are told of it unless the tests contradict it.
reasons: for each code one sentence."""

_USER = """\
# Statement

{statement}

# Reference fix

{patch}

# Hidden tests

{test_patch}

# Tests that must turn from failing to passing

{fail_to_pass}

# Environment

{environment}"""

_AGAIN = "This is not usable: {fault}. Answer with the JSON object alone."


async def judge(
    tasks: Iterable[Task],
    client: Teller,
    *,
    workers: int = 8,
    note: Callable[[str], None] = lambda _: None,
) -> list[Task]:
    """Have a model judge tasks.

    Args:
        tasks: with or without a quality by rules; one without is judged by rules first.
        client: the model.
        workers: tasks in work at once.
        note: told how many were judged, and why others were not.

    Returns:
        The tasks in their order, each with a quality; by rules alone where no answer was usable.
    """
    slots = asyncio.Semaphore(workers)
    lost: list[str] = []

    async def one(task: Task) -> tuple[Task, str]:
        rules = task.quality if task.quality and not task.quality.judge else rate(task)
        async with slots:
            if len(lost) >= _PATIENCE:
                return _with(task, rules), lost[-1]
            try:
                opinion, fault = await _asked(task, rules, client)
            except ModelError as exc:
                lost.append(exc.what)
                return _with(task, rules), exc.what
        lost.clear()
        if opinion is None:
            return _with(task, rules), fault
        return _with(task, combined(rules, opinion, judge=client.endpoint.model)), ""

    done = await asyncio.gather(*map(one, tasks))
    failed = Counter(fault for _, fault in done if fault)
    note(f"{len(done) - failed.total()} of {len(done)} tasks judged by {client.endpoint.model}")
    for reason, count in failed.most_common(3):
        note(f"  {count} x by rules alone: {reason}")
    return [task for task, _ in done]


def combined(rules: Quality, opinion: Opinion, *, judge: str) -> Quality:
    """The model's opinion, with what the rules had found against it among the reasons.

    Args:
        rules: quality by rules.
        opinion: the model's answer.
        judge: the model's name.
    """
    codes = tuple(code for code in CODES if code in opinion.codes)
    told = {code: opinion.reasons.get(code, "") for code in codes}
    reasons = [f"{code} {CODES[code]}: {why or 'no reason given'}" for code, why in told.items()]
    reasons += [
        f"the rules alone: {reason}"
        for reason in rules.reasons
        if reason.partition(" ")[0] not in codes
    ]
    for name in ("statement", "tests", "environment"):
        mine, theirs = getattr(rules, name), getattr(opinion, name)
        if mine and mine != theirs:
            reasons.append(f"the rules alone: {name} {mine}")
    return Quality(
        code=codes[0] if codes else "A",
        codes=codes,
        statement=opinion.statement,
        tests=opinion.tests,
        environment=opinion.environment,
        reasons=tuple(reasons),
        judge=judge,
    )


def read_opinion(text: str) -> Opinion:
    """Read an answer: one JSON object, perhaps after reasoning and in a fence.

    Raises:
        ValueError: it is anything else.
    """
    text = re.sub(r"\A\s*<think>.*?</think>", "", text, flags=re.DOTALL).strip()
    fenced = re.fullmatch(r"```(?:json)?\n(.*)\n```", text, re.DOTALL)
    try:
        return Opinion.model_validate_json(fenced[1] if fenced else text)
    except ValidationError as exc:
        first = exc.errors()[0]
        place = ".".join(str(part) for part in first["loc"]) or "answer"
        msg = f"{place}: {first['msg']}"
        raise ValueError(msg) from exc


async def _asked(task: Task, rules: Quality, client: Teller) -> tuple[Opinion | None, str]:
    """The model's opinion, or None and why there is none."""
    messages: list[Message] = [
        {"role": "system", "content": _SYSTEM},
        {"role": "user", "content": _question(task, rules)},
    ]
    fault = ""
    for _ in range(2):
        completion = await client.complete(messages, max_tokens=_MAX_TOKENS)
        text = str(completion.message.get("content") or "")
        try:
            return read_opinion(text), ""
        except ValueError as exc:
            fault = str(exc)
        again = _AGAIN.format(fault=fault)
        messages += [{"role": "assistant", "content": text}, {"role": "user", "content": again}]
    return None, f"the answer is not usable: {re.sub(r'[0-9]+', 'N', fault)}"


def _question(task: Task, rules: Quality) -> str:
    built = task.environment
    environment = {
        "label by rules": rules.environment,
        "python": built.python if built else "",
        "rung": built.rung if built else "",
    }
    return _USER.format(
        statement=_clipped(task.problem_statement),
        patch=_clipped(task.patch),
        test_patch=_clipped(task.test_patch),
        fail_to_pass=_clipped("\n".join(task.FAIL_TO_PASS)),
        environment=json.dumps(environment),
    )


def _clipped(text: str) -> str:
    if len(text) <= _MAX_CHARACTERS:
        return text
    return f"{text[:_MAX_CHARACTERS]}\n[{len(text) - _MAX_CHARACTERS} characters left out]"


def _with(task: Task, quality: Quality) -> Task:
    return task.model_copy(update={"quality": quality})
