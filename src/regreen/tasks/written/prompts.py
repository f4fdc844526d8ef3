"""What a model is asked: a function anew, one kind of mistake, a change undone.

The nine kinds of mistake are those that SWE-smith's `lm_modify` names; three are offered at a time,
so that one favourite does not fill the taskset. Whoever re-implements a function is not told that
mistakes are wanted: natural ones are the bugs.
"""

from __future__ import annotations

import hashlib
import re

from regreen.inference import Message
from regreen.tasks.language.base import Function, Language

__all__ = ["MISTAKES", "again", "fence_for", "mirror", "modify", "offered", "rewrite"]

MISTAKES = {
    "calculation_order": "an operation is applied in the wrong order or precedence",
    "data_transform": "a value is transformed wrongly: sign, rounding, truncation, or a function "
    "that is close to the right one",
    "wrong_variable": "a wrong or outdated variable is used where another of the same kind belongs",
    "edge_case": "an edge case is handled wrongly: empty, None, a single item, a duplicate",
    "bound": "the condition of a branch or loop admits too much or too little",
    "off_by_one": "an index, count or slice is one too high or too low",
    "changed_default": "a default or constant has another value than it should",
    "reordered_steps": "two steps that depend on each other happen in the wrong order",
    "swallowed_exception": "an error is swallowed, or a default is given silently instead",
}
"""Kinds of mistake that `modify` asks for."""

_CONTEXT = 24_000
_HEAD = 3_000
_OFFERED = 3

_EXACT = """\
- Answer with {what} in one fenced block that begins with {fence}{language} and ends with {fence}.
- {keep}
- Write no comments about what you did, and nothing after the block."""

_KEEP = (
    "Give the function whole, with its decorators; its signature and documentation stay exactly "
    "as they are, and nothing else of the file is in the answer."
)


def fence_for(text: str) -> str:
    """A fence that nothing in the text closes."""
    longest = max((len(run) for run in re.findall(r"`+", text)), default=0)
    return "`" * max(3, longest + 1)


def offered(*key: object) -> tuple[str, ...]:
    """The kinds of mistake that one question offers; the same key gives the same."""
    ranked = sorted(
        MISTAKES, key=lambda name: hashlib.sha256(repr((key, name)).encode()).hexdigest()
    )
    return tuple(ranked[:_OFFERED])


def rewrite(language: Language, path: str, text: str, function: Function) -> list[Message]:
    """Ask for a function from its signature, its documentation and its file."""
    fence = fence_for(text)
    blanked = language.blank(text, function)
    exact = _EXACT.format(what="the function", fence=fence, language=language.name, keep=_KEEP)
    system = f"You are a programmer of {language.name} who completes code.\n\n{exact}"
    user = (
        f"The body of `{function.name}` in {path} is missing. Write it, from its name, its "
        f"documentation and how the rest of the file uses it.\n\n"
        f"{fence}{language.name}\n{_around(blanked, function)}\n{fence}"
    )
    return _messages(system, user)


def modify(
    language: Language, path: str, text: str, function: Function, kinds: tuple[str, ...]
) -> list[Message]:
    """Ask for a function with one mistake of the kinds."""
    fence = fence_for(text)
    exact = _EXACT.format(what="the function", fence=fence, language=language.name, keep=_KEEP)
    system = (
        f"You prepare exercises in finding bugs. You are given a function in {language.name} that "
        "works and put one mistake into it, as a programmer could have made it.\n\n"
        "- The mistake changes what the function gives back or does, in a case that a careful test "
        "would look at; the file still loads, and most calls still work.\n"
        "- It is subtle: no misspelt names, no removed features, nothing a linter would report.\n"
        "- The first line of the answer is `Kind: ` and the name of the kind you chose.\n"
        f"{exact}"
    )
    listed = "\n".join(f"- {name}: {MISTAKES[name]}" for name in kinds)
    user = (
        f"Kinds of mistake to choose from:\n{listed}\n\n"
        f"The file {path}:\n\n{fence}{language.name}\n{_around(text, function)}\n{fence}\n\n"
        f"The function `{function.name}`:\n\n"
        f"{fence}{language.name}\n{text[function.start : function.end]}\n{fence}"
    )
    return _messages(system, user)


def mirror(language: Language, path: str, text: str, change: str) -> list[Message]:
    """Ask for a file with an earlier change of it undone."""
    fence = fence_for(text + change)
    exact = _EXACT.format(
        what="the whole file",
        fence=fence,
        language=language.name,
        keep="Everything that the change did not concern stays exactly as it is.",
    )
    system = (
        f"You undo changes in {language.name} code. You are given a file as it is today and a "
        "change that was made to it some time ago; other changes came after it. Give today's file "
        f"as if that one change had never been made.\n\n{exact}"
    )
    user = (
        f"The change to undo:\n\n{fence}diff\n{change.rstrip()}\n{fence}\n\n"
        f"{path} today:\n\n{fence}{language.name}\n{text.rstrip()}\n{fence}"
    )
    return _messages(system, user)


def again(answer: str, faults: list[str]) -> list[Message]:
    """The one chance to mend an answer."""
    said = "\n".join(f"- {fault}" for fault in faults)
    return [
        {"role": "assistant", "content": answer},
        {"role": "user", "content": f"This cannot be used:\n{said}\n\nAnswer again, in the form "
         "asked for, with that mended."},
    ]  # fmt: skip


def _messages(system: str, user: str) -> list[Message]:
    return [{"role": "system", "content": system}, {"role": "user", "content": user}]


def _around(text: str, function: Function) -> str:
    """The file, or its head and the neighbourhood of the function when it is long."""
    if len(text) <= _CONTEXT:
        return text.rstrip()
    side = (_CONTEXT - _HEAD) // 2
    start = text.rfind("\n", 0, max(0, function.start - side)) + 1
    end = text.find("\n", min(len(text), function.start + side))
    head = text[: text.rfind("\n", 0, _HEAD) + 1]
    if start <= len(head):
        head, start = "", 0
    gap = "[...]\n"
    rest = text[start:] if end < 0 else text[start : end + 1] + gap
    return ((head + gap if head else "") + rest).rstrip()
