"""Another value for a literal: near enough to be plausible, never equal to the old one.

A text or a number becomes one that is expected elsewhere in the file, or one of the same form. A
truth value becomes what is no truth value: its opposite is what broken code tends to give.
"""

from __future__ import annotations

import ast
import builtins
import math
import re
import string
from dataclasses import dataclass, replace
from random import Random

from regreen.grading.twins.domain import Values, letters_like, other_number, other_text

__all__ = ["BUILTIN_TYPES", "Manner", "other_exception", "other_literal", "other_type"]

BUILTIN_TYPES = ("int", "str", "list", "dict", "tuple", "set", "bytes", "float", "frozenset")
# of one layout in memory, so that a type that is everything can be all of them
_RARE = (
    "BufferError",
    "EOFError",
    "ReferenceError",
    "StopAsyncIteration",
    "FloatingPointError",
)
_RARE_WARNINGS = ("UnicodeWarning", "BytesWarning", "ImportWarning", "ResourceWarning")
_OPENING = re.compile(r"(?i)^([rbuf]{0,2})('''|\"\"\"|'|\")")
_OWN = re.compile(r"(?:\w+\.)*([A-Z]\w*[a-z]\w*)")
"""How the name of a class is written."""


@dataclass(frozen=True)
class Manner:
    """How values are changed here."""

    seed: str
    """Decides the draws."""
    far: bool = False
    """Numbers move by more than any sensible tolerance."""
    long: bool = False
    """Texts change in more than one place, for searches and patterns."""
    inside: bool = False
    """The text holds places to be filled, and is changed letter by letter."""
    near: Values = ()
    """What is expected in the same column of a table, or in the same test."""
    file: Values = ()
    """What is expected in the same file."""
    taken: Values = ()
    """What stands in the same expected value, so that no set of it is the old set."""

    @property
    def sign(self) -> int:
        """Which way numbers move, so that two changes of one number never cancel."""
        return Random(f"{self.seed}:sign").choice((1, 1, 1, -1))

    def random(self, node: ast.AST) -> Random:
        """The draw that belongs to one place of one text."""
        where = node.__dict__
        return Random(f"{self.seed}:{where['lineno']}:{where['col_offset']}")

    def but(self, *, far: bool = False, long: bool = False) -> Manner:
        """The same seed with wider changes."""
        return replace(self, far=self.far or far, long=self.long or long)


def other_literal(node: ast.Constant, text: str, manner: Manner) -> str | None:
    """Another literal to stand where one stands.

    Args:
        node: The literal.
        text: How it is written.
        manner: How to change it.

    Returns:
        The new text, on as many lines; None when there is none.
    """
    draw = manner.random(node)
    new: str | None = None
    match node.value:
        case bool():
            new = draw.choice(("None", "2", "3"))
        case None:
            new = draw.choice(("0", "1", "False", "True"))
        case int() as value:
            new = _integer(value, text, draw, manner)
        case float() as value:
            new = _real(value, draw, manner)
        case complex():
            new = f"({text} + {draw.randint(2, 5)})"
        case str() | bytes():
            new = _written(node.value, text, draw, manner)
    return new


def _integer(value: int, text: str, draw: Random, manner: Manner) -> str:
    new = None
    if not (manner.far or manner.long):
        new = other_number(value, manner.near, manner.file, manner.taken, draw)
    if new is None:
        new = value + draw.randint(1, 3) + 2 * value + draw.randint(2, 5)
        while new in manner.taken:
            new += 1
    return hex(new) if text.lower().startswith("0x") else str(new)


def _real(value: float, draw: Random, manner: Manner) -> str | None:
    if not math.isfinite(value):
        return "1.5"
    kin = {each for each in manner.near if isinstance(each, float)} - {value, *manner.taken}
    if kin and not manner.far:
        return repr(draw.choice(sorted(kin)))
    new = value + (1.0 + value) * (draw.randint(2, 5) + 0.25)
    if value <= 1 and not (manner.far or manner.long):
        new = (value or 1.0) * draw.choice((0.5, 0.25, 0.75))
    return repr(new) if math.isfinite(new) else "0.25"


def _written(value: str | bytes, text: str, draw: Random, manner: Manner) -> str | None:
    if not (manner.long or manner.inside or "\n" in text):
        known = _other(value, text, draw, manner)
        if known is not None:
            return known
    places = _letters(text)
    draw.shuffle(places)
    own = [] if manner.long else [_text(value), *_texts(value, manner.near)]
    for place in places[:8]:
        old = text[place]
        new = draw.choice(letters_like(old, own) or letters_like(old, _like(old)))
        changed = text[:place] + new + text[place + 1 :]
        if manner.long or (len(places) < 3 and draw.random() < 0.5):
            extra = "".join(draw.choice(_like(new)) for _ in range(3))
            changed = text[:place] + new + extra + text[place + 1 :]
        if _differs(changed, value, manner.taken):
            return changed
    extra = "".join(draw.choice(string.ascii_lowercase) for _ in range(3 if manner.long else 2))
    quote = 3 if text.endswith(('"""', "'''")) else 1
    changed = text[:-quote] + extra + text[-quote:]
    return changed if _differs(changed, value) else None


def _other(value: str | bytes, text: str, draw: Random, manner: Manner) -> str | None:
    near, file, taken = (_texts(value, each) for each in (manner.near, manner.file, manner.taken))
    new = other_text(_text(value), near, file, set(taken), draw)
    opening = _OPENING.match(text)
    if new is None or opening is None:
        return None
    quote = opening[2]
    plain = new.isprintable() and new.isascii() and quote[0] not in new and "\\" not in new
    made = repr(new) if not plain else f"{quote}{new}{quote}"
    if isinstance(value, bytes):
        made = f"b{made}" if plain else repr(new.encode("latin-1"))
    return made if _differs(made, value, manner.taken) else None


def _text(value: str | bytes) -> str:
    return value if isinstance(value, str) else value.decode("latin-1")


def _texts(like: str | bytes, values: Values) -> list[str]:
    """The values of a text's type, as text."""
    return [_text(each) for each in values if isinstance(each, type(like))]


def _letters(text: str) -> list[int]:
    """Places of letters that are themselves in a string's text; digits where it has no letters."""
    opening = _OPENING.match(text)
    if opening is None:
        return []
    inside = range(opening.end(), len(text) - len(opening[2]))
    plain = [
        place
        for place in inside
        if text[place].isascii() and text[place].isalnum() and not _bound(text, place)
    ]
    return [place for place in plain if text[place].isalpha()] or plain


def _bound(text: str, place: int) -> bool:
    before = text[max(0, place - 10) : place]
    return bool(re.search(r"(\\[A-Za-z0-9{]?\w*|%\S?|\{[^}]*)$", before))


def _like(letter: str) -> str:
    if letter.isdigit():
        return "123456789"
    return string.ascii_lowercase if letter.islower() else string.ascii_uppercase


def _differs(text: str, value: str | bytes, taken: Values = ()) -> bool:
    try:
        new = ast.literal_eval(f"({text})")
    except (SyntaxError, ValueError):
        return False
    return type(new) is type(value) and bool(new != value) and new not in taken


def other_type(name: str, draw: Random) -> str:
    """The name of another built-in type, neither above nor below."""
    old = getattr(builtins, name)
    fitting = [
        other
        for other in BUILTIN_TYPES
        if not issubclass(getattr(builtins, other), old)
        and not issubclass(old, getattr(builtins, other))
    ]
    return draw.choice(fitting)


def other_exception(written: str, draw: Random, *, warns: bool = False) -> str:
    """An expression for exceptions, or warnings, that do not catch the one written.

    A library's own type may answer for everything by its metaclass; a type below it answers as it
    does, and catches nothing that is raised honestly.
    """
    old = getattr(builtins, written, None)
    fitting = [
        name
        for name in (_RARE_WARNINGS if warns else _RARE)
        if name not in written
        and not (isinstance(old, type) and _related(old, getattr(builtins, name)))
    ]
    other = draw.choice(fitting)
    own = old is None and _OWN.fullmatch(written)
    return f'(type("{own[1]}", ({written},), {{}}), {other})' if own else other


def _related(old: type, new: type) -> bool:
    return issubclass(old, new) or (
        issubclass(new, old) and old not in {Exception, BaseException, Warning}
    )
