"""Another value for a literal: near enough to be plausible, never equal to the old one.

Numbers of one text all move the same way, so that a set or a sum of them moves too. A truth value
becomes something that is no truth value: its opposite is what broken code tends to give.
"""

from __future__ import annotations

import ast
import builtins
import math
import re
import string
from random import Random

__all__ = ["BUILTIN_TYPES", "Manner", "other_exception", "other_literal", "other_type"]

BUILTIN_TYPES = ("int", "str", "list", "dict", "tuple", "set", "bytes", "float", "frozenset")
_RARE = (
    "BufferError",
    "EOFError",
    "ReferenceError",
    "StopAsyncIteration",
    "ChildProcessError",
    "FloatingPointError",
    "InterruptedError",
)
_RARE_WARNINGS = ("UnicodeWarning", "BytesWarning", "ImportWarning", "ResourceWarning")
_OPENING = re.compile(r"(?i)^([rbuf]{0,2})('''|\"\"\"|'|\")")


class Manner:
    """How values are changed here."""

    def __init__(self, seed: str, *, far: bool = False, long: bool = False) -> None:
        self.seed = seed
        self.far = far
        """Numbers move by more than any sensible tolerance."""
        self.long = long
        """Texts change in more than one place, for searches and patterns."""
        self.sign: int = Random(f"{seed}:sign").choice((1, 1, 1, -1))
        """Which way numbers move, so that two changes of one number never cancel."""

    def random(self, node: ast.AST) -> Random:
        """The draw that belongs to one place of one text."""
        where = node.__dict__
        return Random(f"{self.seed}:{where['lineno']}:{where['col_offset']}")

    def but(self, *, far: bool = False, long: bool = False) -> Manner:
        """The same seed with wider changes."""
        return Manner(self.seed, far=self.far or far, long=self.long or long)


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
    step = draw.randint(1, 3)
    if manner.far or abs(value) > 10**6:
        step += 2 * abs(value) + draw.randint(2, 5)
    new = value + manner.sign * step
    written = hex(new) if text.lower().startswith("0x") and new >= 0 else str(new)
    return written if new >= 0 else f"({written})"


def _real(value: float, draw: Random, manner: Manner) -> str | None:
    if not math.isfinite(value):
        return "1.5"
    new = value + manner.sign * (1.0 + abs(value)) * (draw.randint(2, 5) + 0.25)
    if not math.isfinite(new):
        return "0.25"
    return repr(new) if new >= 0 else f"({new!r})"


def _written(value: str | bytes, text: str, draw: Random, manner: Manner) -> str | None:
    places = _letters(text)
    draw.shuffle(places)
    for place in places[:8]:
        old = text[place]
        new = draw.choice([letter for letter in _like(old) if letter.lower() != old.lower()])
        changed = text[:place] + new + text[place + 1 :]
        if manner.long or (len(places) < 3 and draw.random() < 0.5):
            extra = "".join(draw.choice(_like(new)) for _ in range(3))
            changed = text[:place] + new + extra + text[place + 1 :]
        if _differs(changed, value):
            return changed
    extra = "".join(draw.choice(string.ascii_lowercase) for _ in range(3 if manner.long else 2))
    quote = 3 if text.endswith(('"""', "'''")) else 1
    changed = text[:-quote] + extra + text[-quote:]
    return changed if _differs(changed, value) else None


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


def _differs(text: str, value: str | bytes) -> bool:
    try:
        new = ast.literal_eval(f"({text})")
    except (SyntaxError, ValueError):
        return False
    return type(new) is type(value) and bool(new != value)


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
    """The name of a built-in exception, or warning, that does not catch the one written."""
    old = getattr(builtins, written, None)
    fitting = [
        name
        for name in (_RARE_WARNINGS if warns else _RARE)
        if name not in written
        and not (isinstance(old, type) and issubclass(old, getattr(builtins, name)))
    ]
    return draw.choice(fitting)
