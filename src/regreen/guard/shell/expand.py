"""A raw word becomes the fields a program is called with.

Order and rules are those of POSIX.1-2017, 2.6, with bash's braces, arrays, ``$'...'`` and
``${name/a/b}``; what a substitution prints is asked of the caller, who may not know.
"""

from __future__ import annotations

import re
from collections.abc import Callable

from regreen.guard.shell.arithmetic import integer
from regreen.guard.shell.braces import expand_braces
from regreen.guard.shell.escapes import unescape
from regreen.guard.shell.scan import (
    end_of_ansi,
    end_of_backticks,
    end_of_braces,
    end_of_double,
    end_of_parens,
    end_of_single,
    is_arithmetic,
)
from regreen.guard.shell.scope import HOLE, Scope

__all__ = ["Expansion"]

_SPLIT = "\ue001"
_EMPTY = "\ue002"
_MASKED = "{},*?[]~ \t\n.\\"
_MASK = {ord(char): 0xE100 + ord(char) for char in _MASKED}
_UNMASK = {0xE100 + ord(char): char for char in _MASKED}
_NAME = re.compile(r"[A-Za-z_]\w*|[0-9]|[@*#?$!_-]")
_PARAMETER = re.compile(r"([!#]?)([A-Za-z_]\w*|\d+|[@*#?$!-])(\[[^\]]*\])?(.*)", re.DOTALL)
_MOST_FIELDS = 256


class Expansion:
    """Expands words.

    Args:
        scope: the variables.
        substitute: what the commands in a text print, or None.
        attach: runs a process substitution and names the file that holds its output.
    """

    def __init__(
        self,
        scope: Scope,
        substitute: Callable[[str], str | None],
        attach: Callable[[str], str],
    ) -> None:
        self._scope = scope
        self._substitute = substitute
        self._attach = attach

    def fields(self, raw: str) -> list[str]:
        """The fields of a word."""
        found: list[str] = []
        for alternative in expand_braces(self._marked(raw)):
            for part in alternative.split(_SPLIT):
                text = part.replace(_EMPTY, "").translate(_UNMASK)
                if text or _EMPTY in part:
                    found.append(_home(text) if part[:1] == "~" else text)
        return found[:_MOST_FIELDS]

    def text(self, raw: str) -> str:
        """A word that is not split: the right side of an assignment, a redirection's target."""
        text = self._marked(raw, split=False).replace(_SPLIT, " ").replace(_EMPTY, "")
        return _home(text.translate(_UNMASK))

    def body(self, text: str) -> str:
        """The body of a heredoc."""
        return self._double(text, heredoc=True).replace(_SPLIT, " ").translate(_UNMASK)

    def _marked(self, raw: str, *, split: bool = True) -> str:
        out: list[str] = []
        at = 0
        while at < len(raw):
            char, two = raw[at], raw[at : at + 2]
            if char == "\\":
                out.append(raw[at + 1 : at + 2].replace("\n", "").translate(_MASK))
                at += 2
            elif char == "'":
                end = end_of_single(raw, at)
                out.append(_inside(raw[at:end], "'").translate(_MASK) + _EMPTY)
                at = end
            elif two == "$'":
                end = end_of_ansi(raw, at + 1)
                out.append(unescape(_inside(raw[at + 1 : end], "'")).translate(_MASK) + _EMPTY)
                at = end
            elif char == '"' or two == '$"':
                at += char == "$"
                end = end_of_double(raw, at)
                out.append(self._double(_inside(raw[at:end], '"')) + _EMPTY)
                at = end
            elif two in {"<(", ">("}:
                end = end_of_parens(raw, at + 1)
                out.append(self._attach(_inside(raw[at + 1 : end], "()")))
                at = end
            elif char in "$`":
                values, at = self._dollar(raw, at)
                text = _SPLIT.join(values)
                out.append(self._split(text) if split else text.translate(_MASK))
            else:
                out.append(char)
                at += 1
        return "".join(out)

    def _split(self, text: str) -> str:
        """Mark where an unquoted expansion is split into fields."""
        marks = "".join(self._scope.values("IFS")).replace(HOLE, "")
        return re.sub(f"[{re.escape(marks)}]+", _SPLIT, text) if marks else text

    def _double(self, inner: str, *, heredoc: bool = False) -> str:
        out: list[str] = []
        at = 0
        escapable = "$`\\\n" if heredoc else '$`"\\\n'
        while at < len(inner):
            char = inner[at]
            if char == "\\" and inner[at + 1 : at + 2] in tuple(escapable):
                out.append("" if inner[at + 1] == "\n" else inner[at + 1].translate(_MASK))
                at += 2
            elif char in "$`":
                at_sign = inner.startswith(("$@", "${@}"), at) or bool(_ALL.match(inner, at))
                values, at = self._dollar(inner, at)
                masked = [value.translate(_MASK) for value in values]
                out.append((_SPLIT if at_sign else _MASKED_BLANK).join(masked))
            else:
                out.append(char.translate(_MASK))
                at += 1
        return "".join(out)

    def _dollar(self, raw: str, at: int) -> tuple[tuple[str, ...], int]:
        """The values of the expansion at ``at`` and where it ends."""
        if raw[at] == "`":
            end = end_of_backticks(raw, at)
            inner = re.sub(r"\\([$`\\])", r"\1", _inside(raw[at:end], "`"))
            return (self._printed(inner),), end
        if raw[at : at + 1] == "$" and is_arithmetic(raw, at + 1):
            end = end_of_parens(raw, at + 1)
            return (self._arithmetic(raw[at + 3 : end - 2]),), end
        if raw.startswith("$(", at):
            end = end_of_parens(raw, at + 1)
            return (self._printed(_inside(raw[at + 1 : end], "()")),), end
        if raw.startswith("${", at):
            end = end_of_braces(raw, at + 1)
            return self._parameter(_inside(raw[at + 1 : end], "{}")), end
        name = _NAME.match(raw, at + 1)
        if name is None:
            return ("$",), at + 1
        return self._scope.values(name[0]), name.end()

    def _printed(self, script: str) -> str:
        printed = self._substitute(script)
        return HOLE if printed is None else printed.rstrip("\n")

    def _arithmetic(self, text: str) -> str:
        known = re.sub(r"\$?\b([A-Za-z_]\w*)\b", lambda m: " ".join(self._scope.values(m[1])), text)
        return HOLE if HOLE in known else integer(known.strip())

    def _parameter(self, inner: str) -> tuple[str, ...]:
        found = _PARAMETER.fullmatch(inner)
        if found is None:
            return (HOLE,)
        sign, name, index, rest = found.groups()
        values = self._scope.values(name)
        if index and index not in {"[@]", "[*]"}:
            place = index[1:-1]
            if place.lstrip("-").isdigit():
                wanted = int(place)
                values = values[wanted : wanted + 1] if wanted >= 0 else values[wanted:][:1]
            else:
                values = self._scope.values(f"{name}[{place}]")
        if sign == "#":
            return (str(len(values) if index else len("".join(values))),)
        if sign == "!" and not index:
            values = self._scope.values("".join(values))
        return self._operated(values, rest) if rest else values

    def _operated(self, values: tuple[str, ...], rest: str) -> tuple[str, ...]:
        """Apply ``:-word``, ``/a/b``, ``#a``, ``:1:2``, ``^^`` and their kin."""
        unknown = not values or values == (HOLE,)
        word = re.match(r":?([-=+?])(.*)", rest, re.DOTALL)
        if word:
            if word[1] == "+":
                return () if unknown else (self.text(word[2]),)
            return (self.text(word[2]),) if unknown or not "".join(values) else values
        return tuple(self._changed(value, rest) for value in values)

    def _changed(self, value: str, rest: str) -> str:
        if cut := re.fullmatch(r":\s*(-?\d+)(?::\s*(-?\d+))?", rest):
            start = int(cut[1])
            tail = value[start:]
            return tail if cut[2] is None else tail[: int(cut[2])]
        if rest[0] in "^,":
            change = str.upper if rest[0] == "^" else str.lower
            return change(value) if rest[1:2] == rest[0] else change(value[:1]) + value[1:]
        if rest[0] in "#%":
            return _trimmed(
                value, rest[0], self.text(rest.lstrip(rest[0])), rest[:2] == rest[0] * 2
            )
        if rest[0] == "/":
            every = rest[1:2] == "/"
            pattern, _, new = rest[2 if every else 1 :].partition("/")
            return re.sub(
                _glob(self.text(pattern)),
                lambda _: self.text(new),
                value,
                count=0 if every else 1,
            )
        return HOLE if rest[0] == "@" and rest[1:] not in {"Q", "E"} else value


_ALL = re.compile(r"\$\{[A-Za-z_]\w*\[@\]\}")
_MASKED_BLANK = " ".translate(_MASK)


def _inside(text: str, marks: str) -> str:
    """A quoted piece without its marks, also when the closing one is missing."""
    return text[1:-1] if len(text) > 1 and text[-1] == marks[-1] else text[1:]


def _home(text: str) -> str:
    return "/root" + text[1:] if text == "~" or text.startswith("~/") else text


def _glob(pattern: str) -> str:
    """A shell pattern as a regular expression."""
    return re.escape(pattern).replace(r"\*", ".*").replace(r"\?", ".")


def _trimmed(value: str, side: str, pattern: str, longest: bool) -> str:
    regex = re.compile(_glob(pattern), re.DOTALL)
    cuts = range(len(value) + 1)
    if side == "#":
        for cut in reversed(cuts) if longest else cuts:
            if regex.fullmatch(value[:cut]):
                return value[cut:]
    else:
        for cut in cuts if longest else reversed(cuts):
            if regex.fullmatch(value[cut:]):
                return value[:cut]
    return value
