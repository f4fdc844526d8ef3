"""A task row read once for the rules on its quality: words, code, and what its patches touch."""

from __future__ import annotations

import ast
import builtins
import keyword
import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

from regreen.core.task import Task
from regreen.tasks.tell.describe import PHRASES
from regreen.tasks.tell.specified import unspecified
from regreen.tasks.words.passages import Passage, passages
from regreen.tasks.words.telling import information

__all__ = ["Evidence", "added", "defined", "strings"]

_PHRASES = re.compile("|".join(map(re.escape, PHRASES)))
_COMMON = frozenset((*dir(builtins), *keyword.kwlist))


@dataclass(frozen=True)
class Evidence:
    """A row, read once."""

    task: Task
    """The row."""
    issues: int
    """Linked issues that its statement quotes."""

    @cached_property
    def statement(self) -> str:
        """The statement without the paragraph on the interface."""
        return unspecified(self.task.problem_statement)

    @cached_property
    def prose(self) -> str:
        """Its lines that are no code."""
        parts = (part for part in passages(self.statement) if not part.code)
        return "\n".join(line for part in parts for line in part.lines)

    @cached_property
    def has_code(self) -> bool:
        """Whether it shows code or output."""
        return any(part.code for part in passages(self.statement))

    @cached_property
    def own_words(self) -> str:
        """The statement without the phrases that statements made by rules share."""
        text = re.sub(rf"^[\w.-]+: (?={_PHRASES.pattern})", "", self.statement, flags=re.MULTILINE)
        return _PHRASES.sub("", text)

    @cached_property
    def said(self) -> int:
        """Words of it that mean something; code and output that name nothing mean nothing."""
        parts = passages(self.own_words)
        if any(_names_something(part) for part in parts if part.code):
            return information(self.statement)
        return information("\n".join(line for p in parts if not p.code for line in p.lines))

    @cached_property
    def test_lines(self) -> list[str]:
        """Lines that the test patch adds."""
        return added(self.task.test_patch)

    @cached_property
    def functions(self) -> dict[str, bool]:
        """FAIL_TO_PASS test -> whether the test patch adds or changes lines of its function."""
        touched = set(_touched(self.task.test_patch))
        names = {
            test: test.partition("[")[0].rpartition("::")[2] for test in self.task.FAIL_TO_PASS
        }
        return {test: name in touched for test, name in names.items()}

    @cached_property
    def mostly_old(self) -> bool:
        """Whether more than half of several failing tests were there before."""
        total = len(self.functions)
        return total > 1 and 2 * list(self.functions.values()).count(False) > total


def _names_something(part: Passage) -> bool:
    """Whether code or output has a name of its own: neither a word of the language nor built in."""
    text = re.sub(r"'(?:[^'\\\n]|\\.)*'|\"(?:[^\"\\\n]|\\.)*\"|#.*", " ", "\n".join(part.lines))
    if not part.fence and not re.search(r"^\s*(?:>>>|Traceback)", text):
        found = re.findall(r"([^\W\d]\w*)\(|^\s*(?:\w+\.)*([A-Z]\w*)(?::|$)", text, re.MULTILINE)
        names = {name for one in found for name in one if name}
        told = re.search(r"has no attribute|object is not|unexpected keyword", text)
    else:
        names, told = set(re.findall(r"[^\W\d]\w*", text)), None
    return bool(told or names - _COMMON)


def added(patch: str) -> list[str]:
    """Lines a patch adds, without their marks."""
    return [line[1:] for line in patch.splitlines() if line[:1] == "+" and line[:4] != "+++ "]


def _touched(patch: str) -> Iterator[str]:
    """Functions of a patch whose lines it adds to, as far as the patch shows their heads."""
    current = ""
    for line in patch.splitlines():
        if line[:1] == "-" or line.startswith("+++ "):
            continue
        found = re.match(r"(?:@@ .* @@|[+ ])?\s*(?:async\s+)?def\s+(\w+)", line)
        current = found[1] if found else current
        if line[:1] == "+" and current:
            yield current


def defined(patch: str) -> list[str]:
    """Functions and classes that a patch brings, new to all that it shows."""
    form = re.compile(r"^([-+ ])\s*(?:async\s+)?(?:def|class)\s+(\w+)", re.MULTILINE)
    rows = form.findall(patch)
    old = {name for mark, name in rows if mark != "+"}
    new = dict.fromkeys(name for mark, name in rows if mark == "+")
    return [name for name in new if name not in old and not name.startswith("__")]


def strings(line: str) -> list[str]:
    """Texts of string literals on a line."""
    found = re.findall(r"'(?:[^'\\]|\\.)*'|\"(?:[^\"\\]|\\.)*\"", line)
    texts = []
    for literal in found:
        try:
            value = ast.literal_eval(literal)
        except (SyntaxError, ValueError):
            continue
        texts.append(str(value))
    return texts
