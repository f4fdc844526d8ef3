"""A model's answer, read strictly: one fenced block that changes what it may and nothing else."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

from regreen.core.errors import UsageError
from regreen.tasks.language.base import Fault, Function, Language

__all__ = ["Read", "kind_of", "read_file", "read_function"]

_BLOCK = re.compile(r"^(`{3,})[^\n`]*\n(.*?)^\1[ \t]*$", re.MULTILINE | re.DOTALL)
_ANYWHERE = re.compile(
    r"(?<![a-z])bugs?(?![a-z])|(?<![a-z])buggy|intentional|deliberate|\bmutant\b|sabotag", re.I
)
_IN_COMMENTS = re.compile(
    r"\bwrong|incorrect|off[- ]by[- ]one|mistake|\bsubtl|should (?:be|have|use)|\boops|\bfixme\b"
    r"|\bbroken|\bfaulty|\bflaw|\bdefect|\berror (?:introduced|here)|\bforg[eo]t|\boriginal|"
    r"\bchanged (?:from|to)|\bmodified|\bno longer|\binstead of|\bKind:",
    re.I,
)


@dataclass(frozen=True, slots=True)
class Read:
    """What an answer came to."""

    text: str
    """The file with the answer put in; meaningless when there are faults."""
    faults: tuple[Fault, ...] = ()
    """Why it cannot be used."""


def kind_of(answer: str, allowed: Iterable[str]) -> str:
    """The kind of mistake an answer names in its first line; empty for none of those allowed."""
    found = re.match(r"\s*\W*Kind\W+(\w+)", _said(answer), re.IGNORECASE)
    named = found[1].lower() if found else ""
    return named if named in allowed else ""


def read_function(
    language: Language, path: str, text: str, function: Function, answer: str
) -> Read:
    """The file with a function exchanged for the answer's.

    Args:
        language: of the file.
        path: names the file.
        text: its healthy text.
        function: as listed from that text.
        answer: what the model wrote.
    """
    block = _block(answer)
    if isinstance(block, Fault):
        return Read("", (block,))
    body = _indented(block, like=text[function.start : function.end])
    if "\r\n" in text:
        body = body.replace("\n", "\r\n")
    made = text[: function.start] + body + text[function.end :]
    try:
        listed = {one.start: one for one in language.functions(path, made)}
    except UsageError as error:
        return Read(made, (Fault("unreadable", error.what),))
    found = listed.get(function.start)
    faults: list[Fault] = []
    if found is None or found.name != function.name:
        faults.append(Fault("shape", f"the answer is not the function {function.name}"))
    else:
        if found.end != function.start + len(body):
            faults.append(Fault("shape", "the answer holds more than the function"))
        if found.signature != function.signature:
            faults.append(Fault("signature", "the signature or a decorator differs"))
        if found.docs != function.docs:
            faults.append(Fault("docs", "the documentation differs"))
    faults += _telling(language, text, made)
    return Read(made, (*faults, *language.faults(path, text, made)))


def read_file(language: Language, path: str, text: str, old: str, answer: str) -> Read:
    """The file an answer gives whole.

    Args:
        language: of the file.
        path: names it.
        text: its healthy text.
        old: what it was before the change that is undone; nothing in it tells.
        answer: what the model wrote.
    """
    block = _block(answer)
    if isinstance(block, Fault):
        return Read("", (block,))
    made = block.rstrip("\n") + "\n" * text.endswith("\n")
    if "\r\n" in text:
        made = made.replace("\n", "\r\n")
    faults = _telling(language, text + "\n" + old, made)
    return Read(made, (*faults, *language.faults(path, text, made)))


def _said(answer: str) -> str:
    """The answer without reasoning, with plain line ends."""
    text = re.sub(r"\A\s*<think>.*?</think>", "", answer, flags=re.DOTALL)
    return text.replace("\r\n", "\n").strip() + "\n"


def _block(answer: str) -> str | Fault:
    blocks = [found[2] for found in _BLOCK.finditer(_said(answer))]
    if len(blocks) != 1:
        return Fault("fence", f"it holds {len(blocks)} fenced blocks and must hold one")
    if not blocks[0].strip():
        return Fault("fence", "the fenced block is empty")
    return blocks[0]


def _indented(block: str, *, like: str) -> str:
    """The block moved as a whole so that its first line begins where the function's does."""
    block = block.strip("\n").rstrip()
    wanted = re.match(r"[ \t]*", like)
    given = re.match(r"[ \t]*", block)
    assert wanted is not None
    assert given is not None
    if wanted[0] == given[0]:
        return block
    lines = [line.removeprefix(given[0]) for line in block.split("\n")]
    return "\n".join(wanted[0] + line if line.strip() else line for line in lines)


def _telling(language: Language, before: str, after: str) -> list[Fault]:
    """Words that give a mistake away, in lines that were not there before."""
    old = Counter(line.strip() for line in before.splitlines())
    new = Counter(line.strip() for line in after.splitlines())
    for line in new - old:
        found = _ANYWHERE.search(line)
        comment = re.search(language.comment, line)
        if found is None and comment is not None:
            found = _IN_COMMENTS.search(comment[1])
        if found is not None:
            return [Fault("telling", f"{found[0]!r} gives it away: {line[:80]}")]
    return []
