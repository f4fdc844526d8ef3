"""Tags around raw values as data, and the patterns that find them.

Six templates say what a format's tags look like; the patterns, tolerant of quotes and white space,
are derived from the same templates.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import Literal

from regreen.templates.guard import JOINER, guarded
from regreen.templates.tools import ToolTable

__all__ = ["TagSpec", "Tokens"]

_FIELD = re.compile(r"(\{(?:name|key|string)\})")
_WORD = r"[^<>\n\"']{1,128}?"


@dataclass(frozen=True)
class Tokens:
    """The tags that can occur inside a value of one parameter of one call."""

    pattern: re.Pattern[str]
    """Groups W C P open a wrapper, a call, a parameter; w c p close them; G is a guarded marker."""
    stems: tuple[str, ...]
    """Beginnings of the tags."""
    open_stems: tuple[str, ...]
    """Those of them that are followed by a name, so that a tag may still be growing."""
    chars: str
    """First characters of the tags."""
    growing: re.Pattern[str]
    """Matches the whole of an unfinished tag that has come as far as its name."""


@dataclass(frozen=True)
class TagSpec:
    """Tags around raw values.

    In the templates ``{name}`` is the tool, ``{key}`` the parameter and ``{string}`` the literal
    ``true`` or ``false`` that says whether a value is text or JSON.
    """

    call: tuple[str, str]
    """Opening and closing of a call."""
    param: tuple[str, str]
    """Opening and closing of a parameter; a newline next to the value is framing."""
    wrap: tuple[str, str] = ("", "")
    """Opening and closing around one call, or around all of them when ``grouped``."""
    grouped: bool = False
    """Whether one wrapper holds all calls of a message."""
    between: str = "\n"
    """What stands between two calls."""
    lead: str = "\n\n"
    """White space between text and the first call."""
    literals: Literal["json", "python"] = "json"
    """How a boolean or null is written; reading knows both."""
    inline: bool = False
    """Whether a value of one line is written without the newlines that frame it."""
    stop: str = ""
    """Beginning of a closing tag that clients send as a stop word, so that a text may end there."""

    @cached_property
    def named(self) -> bool:
        """Whether names themselves are tags, so that any tag might be one."""
        openings = (self.call[0].strip(), self.param[0].strip())
        return any(len(_stem(text)) == 1 for text in openings)

    @cached_property
    def open_ended(self) -> bool:
        """Whether a tag is known to be whole only by what follows it."""
        tags = (*self.wrap, *self.call, *self.param)
        return any(tag.strip() and not tag.strip().endswith((">", "}")) for tag in tags)

    @cached_property
    def free_name(self) -> str:
        """Pattern of a name that is a tag of its own: any word but those of the other tags."""
        fixed = re.findall(r"</?([A-Za-z_][\w.-]*)>", "".join((*self.wrap, *self.call)))
        others = rf"(?!(?:{'|'.join(map(re.escape, dict.fromkeys(fixed)))})>)" if fixed else ""
        return others + r"[A-Za-z_][\w.-]{0,127}"

    @cached_property
    def stems(self) -> tuple[str, ...]:
        """Beginnings of every tag, as far as they do not depend on a name."""
        if self.named:
            return ("<",)
        every = (*self.wrap, *self.call, *self.param)
        found = [_stem(template.strip()) for template in every]
        return tuple(dict.fromkeys(stem for stem in found if len(stem) > 2))

    @cached_property
    def flat(self) -> bool:
        """Whether calls are written without any newline."""
        return "\n" not in "".join((*self.wrap, *self.call, *self.param))

    @property
    def framed(self) -> tuple[bool, bool]:
        """Whether a newline in front of a value, and one behind it, belongs to the tags."""
        return self.param[0].endswith("\n"), self.param[1].startswith("\n")

    def opener(self, tools: ToolTable) -> tuple[re.Pattern[str], tuple[str, ...]]:
        """Finds where calls may begin, and guarded markers (group G); with their beginnings."""
        return _opener(self, tuple(tool.name for tool in tools.tools))

    def tokens(self, tools: ToolTable, name: str = "", key: str = "") -> Tokens:
        """The tags to look for inside a value, or between values."""
        names = tuple(tool.name for tool in tools.tools)
        return _tokens(self, names, tuple(tools.keys(name)), name, key)


@lru_cache(maxsize=1024)
def _tokens(
    syntax: TagSpec, names: tuple[str, ...], keys: tuple[str, ...], name: str, key: str
) -> Tokens:
    every_name = tuple(word for word in (*names, name) if word and word not in keys)
    parts: dict[str, tuple[str, tuple[str, ...]]] = {
        "W": (syntax.wrap[0], ()),
        "C": (syntax.call[0], every_name),
        "P": (syntax.param[0], ()),
        "p": (syntax.param[1], (key,) if key else keys),
        "c": (syntax.call[1], (name,) if name else every_name),
        "w": (syntax.wrap[1], ()),
    }
    if not key:  # no value is open: where names are tags, a closing tag is rather the call's
        parts["p"] = parts.pop("p")
    if name and syntax.named and not every_name:  # each tool has a parameter of its own name
        del parts["C"]
    alternatives, stems, growing, unfinished = [], [], [], []
    for group, (template, words) in parts.items():
        text = template.strip()
        if not text:
            continue
        first, rest = _stem(text), _FIELD.split(text)[1:]
        named = len(first) <= 2 and bool(rest)  # the name itself is the tag
        if rest and not (named and words):
            growing.append(first)
            word = r"[\w.-]{0,128}" if named else r"[^<>\n]{0,200}"
            unfinished.append(re.escape(first) + word + _prefix(_inner(rest[-1])))
        stems += [first + word + rest[1] for word in words] if named and words else [first]
        known = words if named else ()
        unknown = syntax.free_name if named else _WORD
        if group == "P":
            odd = [key for key in keys if not re.fullmatch(unknown + ">", key + ">")]
            unknown = "|".join([*map(re.escape, sorted(odd, key=len, reverse=True)), unknown])
            unfinished += [_prefix(first + key + rest[1]) for key in odd]
        pattern = _pattern(text, known, capture=group in "CP", unknown=unknown)
        after = r"(?=[\n<])" if text.endswith("}") else "" if text.endswith(">") else r"(?![\w`])"
        alternatives.append(f"(?P<{group}>{pattern}{after})")
    marks = tuple(dict.fromkeys(stem for stem in stems if stem))
    guards = syntax.stems if syntax.named else marks
    alternatives.append(f"(?P<G>{guarded(guards)})")
    joined = tuple(dict.fromkeys(mark[0] + JOINER for mark in guards))
    unfinished += [re.escape(mark[0]) + JOINER + "+" + _prefix(mark[1:]) for mark in guards]
    return Tokens(
        re.compile(_factored(alternatives, marks)),
        tuple(dict.fromkeys((*marks, *joined))),
        tuple(dict.fromkeys((*growing, *joined))),
        "".join(dict.fromkeys(mark[0] for mark in marks)),
        re.compile("|".join(dict.fromkeys(unfinished))),
    )


@lru_cache(maxsize=256)
def _opener(syntax: TagSpec, names: tuple[str, ...]) -> tuple[re.Pattern[str], tuple[str, ...]]:
    stems = []
    for template in (syntax.wrap[0].strip(), syntax.call[0].strip()):
        first, rest = _stem(template), _FIELD.split(template)[1:]
        named = len(first) == 1 and names
        stems += [first + word + rest[1] for word in names] if named else [first]
    stems = [stem for stem in dict.fromkeys(stems) if stem]
    found = [f"(?P<X>{re.escape(s)}{'(?=[A-Za-z_])' if len(s) == 1 else ''})" for s in stems]
    guards = f"(?P<G>{guarded(syntax.stems)})"
    joined = dict.fromkeys(mark[0] + JOINER for mark in syntax.stems)
    pattern = _factored([*found, guards], syntax.stems).replace("?P<X>", "?:")
    return re.compile(pattern), tuple(dict.fromkeys((*stems, *syntax.stems, *joined)))


def _factored(alternatives: Sequence[str], marks: Sequence[str]) -> str:
    """The alternatives as one pattern; a common first character in front makes searching fast."""
    first = re.escape(marks[0][0])
    if any(mark[0] != marks[0][0] for mark in marks):
        return "|".join(alternatives)
    bare = [
        re.sub(rf"^(\(\?P<\w>(?:\(\?:)?){re.escape(first)}", r"\1", each) for each in alternatives
    ]
    bare[-1] = bare[-1].replace(f"|{first}{JOINER}", f"|{JOINER}")
    return f"{first}(?:{'|'.join(bare)})"


def _stem(template: str) -> str:
    """The part of a tag that is written in one way only: up to its name, space or quote."""
    return re.split(r"[\s\"{]", template, maxsplit=1)[0]


def _inner(template: str) -> str:
    """The tags that follow a name before its parameter's value begins."""
    return template[template.find("<") :] if "<" in template else ""


def _prefix(text: str) -> str:
    """Pattern of any beginning of ``text``, the empty one and the whole included."""
    pattern = ""
    for char in reversed(text):
        part = r"\s*" if char.isspace() else re.escape(char)
        pattern = f"(?:{part}{pattern})?"
    return pattern


def _pattern(template: str, words: Sequence[str], *, capture: bool, unknown: str) -> str:
    pieces = []
    for piece in _FIELD.split(template):
        if piece == "{string}":
            pieces.append(r"(?P<string>[^<>\n\"']*?)")
        elif _FIELD.fullmatch(piece):
            known = "|".join(re.escape(word) for word in dict.fromkeys(words))
            mark = f"?P<{piece[1:-1]}>" if capture else "?:"
            quote = "[\"']?" if pieces and pieces[-1].endswith("=") else ""
            pieces.append(f"{quote}({mark}{known or unknown}){quote}")
        else:
            loose = re.sub(r">\s*<", "><", piece).split("><")
            text = r">\s*<".join(_literal(part) for part in loose)
            pieces.append(text)
    return "".join(pieces)


def _literal(text: str) -> str:
    found = []
    for part in re.split(r"(\s+)", text):
        if part.isspace():
            found.append(r"[ \t]+" if part == " " else r"\s+")
        else:
            found.append(re.escape(part).replace('"', "[\"']?"))
    return "".join(found)
