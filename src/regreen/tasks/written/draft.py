"""A draft: broken text as it comes from a model or a merge, before anything is run.

An answer with faults is sent back once with what is wrong; then it is refused, with the first
fault's kind as the reason.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from regreen.inference import ContextOverflow, EndpointTimeout, MalformedAnswer, Message
from regreen.tasks.inject.candidate import Region
from regreen.tasks.language.base import Fault, Function, Language
from regreen.tasks.written import prompts
from regreen.tasks.written.answers import Answers
from regreen.tasks.written.reading import Read, kind_of, read_function

__all__ = ["Draft", "Earlier", "Refusal", "Target", "draft_function", "settled"]

MAX_TOKENS = 8192
Earlier = Mapping[str, Sequence[str]]
"""Path -> texts that earlier drafts made of it."""


@dataclass(frozen=True, slots=True)
class Target:
    """A function to ask about, and for the how-manieth time."""

    path: str
    """Its file."""
    function: Function
    """The function."""
    attempt: int = 0
    """0 for the first answer."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Draft:
    """Broken text that may become a candidate."""

    operator: str
    """What made it: ``lm_rewrite``, ``lm_modify:off_by_one``, ``pr_mirror``."""
    files: Mapping[str, tuple[str, str]]
    """Path -> (healthy text, broken text)."""
    regions: tuple[Region, ...]
    """Where they differ."""


@dataclass(frozen=True, slots=True)
class Refusal:
    """No draft, and why."""

    operator: str
    """What was to make it."""
    reason: str
    """One word for counts."""


async def settled(
    answers: Answers,
    messages: Sequence[Message],
    read: Callable[[str], Read],
    *,
    seed: int,
    final: frozenset[str] = frozenset(),
) -> Read:
    """An answer without faults, or the faults that one repair turn did not mend.

    Args:
        answers: the model.
        messages: the question.
        read: reads an answer.
        seed: of the sampling.
        final: kinds of faults that are not sent back.

    Raises:
        ModelError: the endpoint cannot be reached or refuses to answer at all.
    """
    asked = list(messages)
    found = Read("", (Fault("no_answer", ""),))
    for _ in range(2):
        try:
            got = await answers.complete(asked, seed=seed, max_tokens=MAX_TOKENS)
        except (ContextOverflow, EndpointTimeout, MalformedAnswer) as error:
            return Read("", (Fault("no_answer", error.what),))
        content = str(got.message.get("content") or "")
        found = read(content)
        if got.finish_reason == "length":
            found = Read(found.text, (Fault("cut_off", "the answer breaks off"), *found.faults))
        if not found.faults or {fault.kind for fault in found.faults} & final:
            return found
        asked += prompts.again(content, [fault.says for fault in found.faults])
    return found


async def draft_function(
    by: Literal["rewrite", "modify"],
    target: Target,
    text: str,
    *,
    language: Language,
    answers: Answers,
    earlier: Earlier,
    seed: int,
) -> Draft | Refusal:
    """Ask for one function.

    Args:
        by: anew from its signature and docs, or with one named kind of mistake.
        target: the function.
        text: its file.
        language: of the file.
        answers: the model.
        earlier: what became of the file in earlier drafts; none is made twice.
        seed: of the job.

    Raises:
        ModelError: the endpoint cannot be reached.
    """
    key = (seed, target.path, target.function.name, target.function.line, target.attempt)
    kinds = prompts.offered(*key) if by == "modify" else ()
    named: list[str] = []

    def read(answer: str) -> Read:
        found = read_function(language, target.path, text, target.function, answer)
        named[:] = [kind_of(answer, kinds)]
        faults = list(found.faults)
        if kinds and not named[0]:
            said = f"its first line must be `Kind: ` and one of {', '.join(kinds)}"
            faults.insert(0, Fault("kind", said))
        if not faults and _repeats(language, target.path, found.text, earlier):
            faults.append(Fault("repeated", "this change was proposed before; make another"))
        return Read(found.text, tuple(faults))

    if by == "modify":
        messages = prompts.modify(language, target.path, text, target.function, kinds)
    else:
        messages = prompts.rewrite(language, target.path, text, target.function)
    # who was asked for the right function and gave it is not to be told to change it
    final = frozenset(("unchanged", "repeated")) if by == "rewrite" else frozenset[str]()
    found = await settled(answers, messages, read, seed=_number(key), final=final)
    if found.faults:
        return Refusal(f"lm_{by}", found.faults[0].kind)
    function = target.function
    lines = tuple(range(function.body_line, function.end_line + 1))
    return Draft(
        operator=f"lm_modify:{named[0]}" if by == "modify" else "lm_rewrite",
        files={target.path: (text, found.text)},
        regions=(Region(path=target.path, lines=lines),),
    )


def _repeats(language: Language, path: str, text: str, earlier: Earlier) -> bool:
    return any(
        fault.kind == "unchanged"
        for known in earlier.get(path, ())
        for fault in language.faults(path, known, text)
    )


def _number(key: object) -> int:
    """A sampling seed that any endpoint takes."""
    return int.from_bytes(hashlib.sha256(repr(key).encode()).digest()[:4], "big") >> 1
