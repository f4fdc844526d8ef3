"""A shell script as a tree: sequences, pipelines, simple commands with their raw words.

A grammar of our own and not tree-sitter's: that one misreads everyday lines (a heredoc followed by
``2>&1 |`` or by ``;``, a brace list as a command), and a misread line is either a hole or a refusal
of honest work. It never fails: what cannot be read is read as words.
Grammar: POSIX.1-2017, Shell Command Language, 2.10, with the extensions of bash 5.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from regreen.guard.shell.scan import (
    end_of_parens,
    heredoc_body,
    heredoc_word,
    is_arithmetic,
    is_open,
    past,
)

__all__ = ["Block", "Function", "Loop", "Node", "Pipeline", "Redirect", "Simple", "parse"]

MOST_DEPTH = 40
_META = " \t\n;&|<>()"
_REDIRECT = re.compile(r"(\d*|\{\w+\}|&)(<<<|<<-|<<|<>|<&|<|>>|>&|>\||&>>|&>|>)")
_ASSIGNMENT = re.compile(r"[A-Za-z_]\w*(\[[^\]]*\])?\+?=")
_FUNCTION = re.compile(r"([^\s;&|<>()'\"$=`]+)[ \t]*\(\s*\)\s*")
_CLOSERS = frozenset({"then", "elif", "else", "fi", "do", "done", "esac", "}"})
_EXTGLOB = "?*+@!"
_PLAIN = re.compile(r"[A-Za-z{}!]+(?=[\s;&|<>()]|$)")
_BEFORE_COMMENT = ("", " ", "\t", "\n", ";", "&", "|", "(", ")")


@dataclass(frozen=True, slots=True)
class Redirect:
    """One redirection."""

    operator: str
    """``<``, ``>``, ``>>``, ``<<``, ``<<<`` …"""
    target: str
    """Raw word."""
    body: str | None = None
    """Text of a heredoc."""
    literal: bool = False
    """True when the heredoc's end marker is quoted, so nothing in its body is expanded."""


@dataclass(frozen=True, slots=True)
class Simple:
    """A simple command, its words raw."""

    words: tuple[str, ...]
    """Assignments before the program's name included."""
    redirects: tuple[Redirect, ...]
    """In order."""
    text: str
    """As it stands in the script."""


@dataclass(frozen=True, slots=True)
class Pipeline:
    """Commands that feed one another."""

    parts: tuple[Node, ...]
    """In order."""


@dataclass(frozen=True, slots=True)
class Block:
    """Commands one after the other."""

    items: tuple[Node, ...]
    """In order."""
    subshell: bool = False
    """True when directory changes stay inside."""
    conditional: bool = False
    """True when it may not run."""
    redirects: tuple[Redirect, ...] = ()
    """Of the whole block."""
    closed: bool = True
    """False for a script that leaves a quotation or a bracket open, or nests too deeply."""


@dataclass(frozen=True, slots=True)
class Loop:
    """``for`` over words."""

    name: str
    """Variable."""
    words: tuple[str, ...] | None
    """Raw; None for the positional parameters."""
    body: Block
    """What is repeated."""
    redirects: tuple[Redirect, ...] = ()
    """Of the whole loop."""


@dataclass(frozen=True, slots=True)
class Function:
    """A definition."""

    name: str
    """As called."""
    body: Node
    """What a call runs."""


Node = Simple | Pipeline | Block | Loop | Function


def parse(text: str) -> Block:
    """Read a script."""
    reader = _Reader(text)
    items: list[Node] = []
    while not reader.done():
        start = reader.at
        items += reader.block(frozenset()).items
        if reader.at == start:
            reader.at += 1
    return Block(tuple(items), closed=reader.closed)


class _Reader:
    def __init__(self, text: str) -> None:
        self.text = text
        self.at = 0
        self.closed = True
        self._depth = 0
        self._after: dict[int, int] = {}

    def done(self) -> bool:
        return self.at >= len(self.text)

    def block(self, closers: frozenset[str], *, conditional: bool = False) -> Block:
        """Commands up to a closing word, a closing parenthesis or ``;;``, which is left."""
        items: list[Node] = []
        while True:
            self._skip_separators()
            if self.done() or self._peek(")") or self._ends_case():
                break
            word = self._keyword()
            if word in closers or (word in _CLOSERS and closers):
                break
            start = self.at
            items.append(self._pipeline())
            if self.at == start:
                self.at += 1
        return Block(tuple(items), conditional=conditional)

    def _pipeline(self) -> Node:
        parts: list[Node] = []
        while True:
            self._skip_prefix()
            found = self._command()
            if found is not None:
                parts.append(found)
            self._skip_blanks()
            if self._peek("|") and not self._peek("||"):
                self.at += 2 if self._peek("|&") else 1
                self._skip_lines()
                continue
            break
        return parts[0] if len(parts) == 1 else Pipeline(tuple(parts))

    def _skip_prefix(self) -> None:
        self._skip_blanks()
        while self._keyword() in {"!", "time", "coproc"}:
            self.at += len(self._keyword())
            self._skip_blanks()
            while self._peek("-p"):
                self.at += 2
                self._skip_blanks()

    def _command(self) -> Node | None:
        if self._depth >= MOST_DEPTH:
            self.at = len(self.text)
            self.closed = False
            return None
        self._depth += 1
        try:
            return self._compound() or self._simple()
        finally:
            self._depth -= 1

    def _compound(self) -> Node | None:  # noqa: PLR0911
        if is_arithmetic(self.text, self.at):
            self.at = end_of_parens(self.text, self.at)
            return Block(())
        if self._peek("("):
            self.at += 1
            inner = self.block(frozenset())
            self._take(")")
            return Block(inner.items, subshell=True, redirects=self._redirects())
        word = self._keyword()
        if word in {"if", "while", "until"}:
            self.at += len(word)
            return self._branches(word)
        if word in {"for", "select"}:
            self.at += len(word)
            return self._loop()
        if word == "case":
            self.at += len(word)
            return self._case()
        if word == "{":
            self.at += 1
            inner = self.block(frozenset({"}"}))
            self._take("}")
            return Block(inner.items, redirects=self._redirects())
        return self._function(word)

    def _branches(self, opener: str) -> Block:
        items: list[Node] = []
        closer = "fi" if opener == "if" else "done"
        first = True
        while not self.done():
            inner = self.block(frozenset({closer}), conditional=not first)
            items.append(inner)
            first = False
            word = self._keyword()
            if word not in _CLOSERS:
                break
            self.at += len(word)
            if word == closer:
                return Block(tuple(items), redirects=self._redirects())
        self.closed = self.closed and not self.done()
        return Block(tuple(items), redirects=self._redirects())

    def _loop(self) -> Node:
        self._skip_blanks()
        if self._peek("(("):
            self.at = end_of_parens(self.text, self.at)
            return self._body("", ())
        name = self._word()
        self._skip_lines()
        words: tuple[str, ...] | None = None
        if self._keyword() == "in":
            self.at += 2
            found = []
            self._skip_blanks()
            while not self.done() and self.text[self.at] not in "\n;&|":
                start = self.at
                found.append(self._word())
                self._skip_blanks()
                if self.at == start:
                    self.at += 1
            words = tuple(found)
        return self._body(name, words)

    def _body(self, name: str, words: tuple[str, ...] | None) -> Node:
        self._skip_separators()
        opener = self._keyword()
        closer = "}" if opener == "{" else "done"
        if opener in {"do", "{"}:
            self.at += len(opener)
        inner = self.block(frozenset({closer}))
        self._take(closer)
        return Loop(name, words, inner, self._redirects())

    def _case(self) -> Block:
        self._skip_blanks()
        subject = self._word()
        self._skip_lines()
        if self._keyword() == "in":
            self.at += 2
        items: list[Node] = [Simple(("case", subject), (), f"case {subject}")]
        while True:
            self._skip_separators()
            if self.done():
                self.closed = False
                break
            if self._keyword() == "esac":
                self.at += 4
                break
            self._take("(")
            while not self.done() and self.text[self.at] not in ")\n":
                self.at = past(self.text, self.at)
            self._take(")")
            items.append(self.block(frozenset({"esac"}), conditional=True))
            while self._peek(";") or self._peek("&"):
                self.at += 1
            if self._peek(")"):
                break
        return Block(tuple(items), redirects=self._redirects())

    def _function(self, word: str) -> Node | None:
        if word == "function":
            self.at += len(word)
            self._skip_blanks()
            name = self._word()
            self._skip_blanks()
            if self._peek("("):
                self.at = end_of_parens(self.text, self.at)
        else:
            found = _FUNCTION.match(self.text, self.at)
            if found is None:
                return None
            name = found[1]
            self.at = found.end()
        self._skip_lines()
        return Function(name, self._command() or Block(()))

    def _simple(self) -> Node | None:
        start = self.at
        words: list[str] = []
        redirects: list[Redirect] = []
        while True:
            self._skip_blanks()
            if self.done():
                break
            if self._redirect(redirects):
                continue
            if self.text[self.at] in _META and not self._process_substitution():
                break
            word = self._word()
            words.append(word)
            if word == "[[" and len(words) == 1:
                words += self._condition()
        if not words and not redirects:
            return None
        return Simple(tuple(words), tuple(redirects), self.text[start : self.at].strip())

    def _condition(self) -> list[str]:
        found: list[str] = []
        while not self.done():
            self._skip_lines()
            if self._peek("]]"):
                self.at += 2
                break
            start = self.at
            found.append(self._word())
            if self.at == start:
                self.at += 1
        return found

    def _redirects(self) -> tuple[Redirect, ...]:
        found: list[Redirect] = []
        self._skip_blanks()
        while self._redirect(found):
            self._skip_blanks()
        return tuple(found)

    def _redirect(self, found: list[Redirect]) -> bool:
        match = _REDIRECT.match(self.text, self.at)
        if match is None or (match[2] in "<>" and self.text[match.end() :][:1] == "("):
            return False
        self.at = match.end()
        if match[2] in {"<<", "<<-"}:
            found.append(self._heredoc(match[2]))
            return True
        self._skip_blanks()
        found.append(Redirect(match[2], self._word()))
        return True

    def _heredoc(self, operator: str) -> Redirect:
        self._skip_blanks()
        raw, self.at = heredoc_word(self.text, self.at)
        newline = self.at
        while newline < len(self.text) and self.text[newline] != "\n":
            newline = past(self.text, newline)
        start = self._after.get(newline, newline + 1)
        body, end = heredoc_body(self.text, start, raw, tabs=operator == "<<-")
        self._after[newline] = end
        return Redirect("<<", raw, body, literal=any(char in raw for char in "'\"\\"))

    def _word(self) -> str:
        start = self.at
        while not self.done():
            char = self.text[self.at]
            if char in "<>" and self._process_substitution():
                self._parens(self.at + 1)
            elif char == "(" and self._glued(start):
                self._parens(self.at)
            elif char in _META:
                break
            else:
                before, self.at = self.at, past(self.text, self.at)
                if self.done() and is_open(self.text, before):
                    self.closed = False
        return self.text[start : self.at]

    def _parens(self, start: int) -> None:
        self.at = end_of_parens(self.text, start)
        self.closed = self.closed and end_of_parens(self.text + " ", start) <= len(self.text)

    def _glued(self, start: int) -> bool:
        """Whether a parenthesis belongs to the word before it: an array or a pattern."""
        word = self.text[start : self.at]
        return bool(_ASSIGNMENT.fullmatch(word)) or word[-1:] in tuple(_EXTGLOB)

    def _process_substitution(self) -> bool:
        return self._peek("<(") or self._peek(">(")

    def _ends_case(self) -> bool:
        return self._peek(";;") or self._peek(";&")

    def _peek(self, text: str) -> bool:
        return self.text.startswith(text, self.at)

    def _take(self, text: str) -> None:
        self._skip_separators()
        if self._peek(text):
            self.at += len(text)
        elif self.done():
            self.closed = False

    def _keyword(self) -> str:
        """The plain word that begins here, or nothing."""
        found = _PLAIN.match(self.text, self.at)
        return found[0] if found else ""

    def _skip_blanks(self) -> None:
        while not self.done():
            if self.text[self.at] in " \t\r":
                self.at += 1
            elif self._peek("\\\n"):
                self.at += 2
            elif self.text[self.at] == "#" and self.text[self.at - 1 : self.at] in _BEFORE_COMMENT:
                newline = self.text.find("\n", self.at)
                self.at = len(self.text) if newline < 0 else newline
            else:
                return

    def _skip_lines(self) -> None:
        self._skip_blanks()
        while self._peek("\n"):
            self.at = self._after.get(self.at, self.at + 1)
            self._skip_blanks()

    def _skip_separators(self) -> None:
        """Skip newlines, ``;``, ``&``, ``&&``, ``||``; ``;;`` is left."""
        while True:
            self._skip_lines()
            if self.done() or self._ends_case() or self.text[self.at] not in ";&|":
                return
            if _REDIRECT.match(self.text, self.at):
                return
            self.at += 1
