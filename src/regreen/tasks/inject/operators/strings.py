"""Faults of text: a neighbour method, another format, another word, a pattern that is off."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from itertools import pairwise
from typing import ClassVar

import libcst as cst

from regreen.tasks.inject.operators.base import Change
from regreen.tasks.inject.operators.edits import replace
from regreen.tasks.inject.operators.view import FileView
from regreen.tasks.inject.operators.zones import dotted

__all__ = ["WrongFormat", "WrongRegex", "WrongStringMethod", "WrongText"]

_METHODS: dict[str, tuple[str, float]] = {
    "strip": ("rstrip", 0.5),
    "lstrip": ("rstrip", 0.85),
    "rstrip": ("lstrip", 0.85),
    "lower": ("upper", 0.9),
    "upper": ("lower", 0.9),
    "startswith": ("endswith", 0.9),
    "endswith": ("startswith", 0.9),
    "find": ("rfind", 0.45),
    "rfind": ("find", 0.6),
    "rindex": ("index", 0.6),
    "partition": ("rpartition", 0.65),
    "rpartition": ("partition", 0.65),
    "ljust": ("rjust", 0.9),
    "rjust": ("ljust", 0.9),
    "center": ("ljust", 0.8),
    "title": ("capitalize", 0.7),
    "capitalize": ("title", 0.7),
    "swapcase": ("lower", 0.8),
    "isdigit": ("isalpha", 0.9),
    "isalpha": ("isdigit", 0.9),
    "isalnum": ("isalpha", 0.6),
    "isspace": ("isalnum", 0.85),
    "isupper": ("islower", 0.9),
    "islower": ("isupper", 0.9),
    "removeprefix": ("removesuffix", 0.9),
    "removesuffix": ("removeprefix", 0.9),
    "splitlines": ("split", 0.65),
    "zfill": ("ljust", 0.85),
}
_SEPARATORS = {
    ", ": ",",
    ",": ", ",
    " ": "",
    "": " ",
    "\\n": " ",
    "-": "_",
    "_": "-",
    ".": "_",
    "/": "-",
    ":": "=",
    "=": ":",
    ": ": ":",
    ";": ",",
    "\\t": " ",
    "&": ";",
}
_RE_FUNCTIONS = re.compile(r"re\.(compile|match|search|fullmatch|sub|subn|split|findall|finditer)")
_PATTERN_FAULTS = (
    (re.compile(r"\$$"), "", "$ lost"),
    (re.compile(r"^\^"), "", "^ lost"),
    (re.compile(r"(?<=[)\]\w.])\+(?!\?)"), "*", "+ became *"),
    (re.compile(r"(?<=[)\]\w.])\*\?"), "*", "*? became *"),
    (re.compile(r"(?<=[)\]\w.])\*(?!\?)"), "+", "* became +"),
    (re.compile(r"\[\^"), "[", "[^ became ["),
    (re.compile(r"\\d"), r"\\w", r"\d became \w"),
    (re.compile(r"\\S"), r"\\s", r"\S became \s"),
    (re.compile(r"\\w"), r"\\d", r"\w became \d"),
    (re.compile(r"(?<=[)\]])\?(?!\?)"), "", "? lost"),
)
_ROLES: dict[type[cst.CSTNode], str] = {
    cst.Comparison: "compared",
    cst.ComparisonTarget: "compared",
    cst.Index: "key",
    cst.Return: "part",
    cst.BinaryOperation: "part",
    cst.Assign: "part",
}
# anchors that the function sets itself
_IMPLIED = frozenset((("match", "^ lost"), ("fullmatch", "^ lost"), ("fullmatch", "$ lost")))
_RE_METHODS = {"match": "search", "fullmatch": "match", "search": "match"}
_MODES = frozenset(("r", "w", "rb", "wb", "a", "utf-8", "utf8", "ascii", "strict", "replace"))


class WrongStringMethod:
    """A call of a string method that has a neighbour, such as strip and rstrip.

    ``split`` and ``rsplit`` only differ, and are only exchanged, where a limit is given.
    """

    id: ClassVar[str] = "wrong_string_method"
    family: ClassVar[str] = "string"
    summary: ClassVar[str] = "a neighbour of the string method is called"
    nodes: ClassVar[tuple[type[cst.CSTNode], ...]] = (cst.Call,)

    def changes(self, node: cst.CSTNode, view: FileView) -> Iterator[Change]:
        """One change per call."""
        assert isinstance(node, cst.Call)
        if not isinstance(node.func, cst.Attribute):
            return
        name = node.func.attr.value
        new, weight = _METHODS.get(name, ("", 0.0))
        if name in ("split", "rsplit") and dotted(node.func.value) != "re":
            limited = len(node.args) == 2
            new, weight = ("rsplit" if name == "split" else "split", 0.7) if limited else ("", 0)
            if name == "split" and not node.args:
                new, weight = "splitlines", 0.75
        if new:
            yield replace(view, node.func.attr, new, f"{name} became {new}", weight)


class WrongFormat:
    """A replacement field with a conversion or a format, or two fields of one f-string.

    Texts of exceptions and log calls stay.
    """

    id: ClassVar[str] = "wrong_format"
    family: ClassVar[str] = "string"
    summary: ClassVar[str] = "a value is formatted another way"
    nodes: ClassVar[tuple[type[cst.CSTNode], ...]] = (
        cst.FormattedStringExpression,
        cst.FormattedString,
        cst.SimpleString,
    )

    def changes(self, node: cst.CSTNode, view: FileView) -> Iterator[Change]:
        """The changes of one field, of two neighbours, or of a template."""
        if _is_message(node, view):
            return
        if isinstance(node, cst.FormattedStringExpression):
            yield from self._field(node, view)
        elif isinstance(node, cst.FormattedString):
            fields = [p for p in node.parts if isinstance(p, cst.FormattedStringExpression)]
            for left, right in pairwise(fields):
                (start, a), (b, end) = view.span(left), view.span(right)
                text = view.code[b:end] + view.code[a:b] + view.code[start:a]
                yield Change(start, end, text, "two fields exchanged", 0.75)
        elif isinstance(node, cst.SimpleString):
            yield from self._template(node, view)

    def _field(self, node: cst.FormattedStringExpression, view: FileView) -> Iterator[Change]:
        end = view.span(node)[1]
        expression_end = view.outer(node.expression)[1]
        tail = view.code[expression_end:end]
        if node.conversion is not None:
            cut = tail.find(f"!{node.conversion}")
            if cut >= 0:
                at = expression_end + cut
                yield Change(at, at + 2, "", f"!{node.conversion} lost", 0.55)
        colon = tail.find(":")
        if node.format_spec and colon >= 0 and "{" not in tail:
            spec = tail[colon:-1]
            at = expression_end + colon
            for new, note in _specs(spec):
                yield Change(at, at + len(spec), new, note, 0.8)

    def _template(self, node: cst.SimpleString, view: FileView) -> Iterator[Change]:
        parent = view.parent(node)
        is_percent = isinstance(parent, cst.BinaryOperation) and isinstance(
            parent.operator, cst.Modulo
        )
        is_format = isinstance(parent, cst.Attribute) and parent.attr.value == "format"
        pairs = (("%r", "%s"), ("%s", "%r"), ("%d", "%x")) if is_percent else ()
        if is_format:
            pairs = (("{!r}", "{}"), ("{0}", "{1}"), ("{}", "{!r}"))
        for old, new in pairs:
            if old in node.value:
                text = node.value.replace(old, new, 1)
                if (old, new) == ("{0}", "{1}") and "{1}" not in node.value:
                    continue
                yield replace(view, node, text, f"{old} became {new}", 0.6)
                return


def _is_message(node: cst.CSTNode, view: FileView) -> bool:
    """Whether a text belongs to an exception class, where it is shown and not used."""
    owners = (n for n in view.ancestors(node) if isinstance(n, cst.ClassDef))
    return any(n.name.value.endswith(("Error", "Exception", "Warning")) for n in owners)


def _specs(spec: str) -> Iterator[tuple[str, str]]:
    """Format specifications near one that is written out."""
    number = re.search(r"(?<=\.)\d+", spec)
    if number:
        value = int(number.group())
        near = value - 1 if value > 1 else value + 1
        new = spec[: number.start()] + str(near) + spec[number.end() :]
        yield new, f"{spec} became {new}"
    for old, other in (("<", ">"), (">", "<"), ("x", "d"), ("02", "2"), ("X", "x")):
        if old in spec:
            new = spec.replace(old, other, 1)
            yield new, f"{spec} became {new}"
            return


class WrongText:
    """A short string that decides something: a key, a compared word, a separator, a part.

    Another string of the same function that is used the same way, else a neighbour separator;
    messages, modes and encodings stay.
    """

    id: ClassVar[str] = "wrong_text"
    family: ClassVar[str] = "string"
    summary: ClassVar[str] = "another string is used"
    nodes: ClassVar[tuple[type[cst.CSTNode], ...]] = (cst.SimpleString,)

    def changes(self, node: cst.CSTNode, view: FileView) -> Iterator[Change]:
        """One change per string."""
        assert isinstance(node, cst.SimpleString)
        role = "" if _is_message(node, view) else _role(node, view)
        if not role or "\n" in node.value or len(node.raw_value) > 24:
            return
        new = self._other(node, role, view)
        if new is None and node.prefix == "" and node.raw_value in _SEPARATORS:
            new = f"{node.quote}{_SEPARATORS[node.raw_value]}{node.quote}"
        if new is not None and new != node.value:
            weight = 0.85 if node.raw_value.strip() else 0.6
            yield replace(view, node, new, f"{node.value} became {new}", weight)

    def _other(self, node: cst.SimpleString, role: str, view: FileView) -> str | None:
        function = view.function(node)
        if function is None or node.raw_value in _MODES or not node.raw_value.isidentifier():
            return None
        for other in view.own(function):
            if not isinstance(other, cst.SimpleString) or other.prefix != node.prefix:
                continue
            if other.raw_value == node.raw_value or not other.raw_value.isidentifier():
                continue
            if _role(other, view) == role and other.raw_value not in _MODES:
                return f"{node.quote}{other.raw_value}{node.quote}"
        return None


def _role(node: cst.SimpleString, view: FileView) -> str:
    """What a string is used for, empty where a change would go unnoticed."""
    parent = view.parent(node)
    role = _ROLES.get(type(parent or node), "")
    match parent:
        case cst.DictElement(key=key):
            role = "key" if key is node else "value"
        case cst.Attribute(attr=attr):
            role = "separator" if attr.value == "join" else ""
        case cst.Arg():
            call = view.parent(parent)
            name = view.text(call.func) if isinstance(call, cst.Call) else ""
            role = "" if _RE_FUNCTIONS.fullmatch(name) else f"passed:{name}"
    return role


class WrongRegex:
    """A pattern given to a function of ``re``, or the choice of match, search and fullmatch.

    At most two faults per pattern, and only those the pattern language accepts.
    """

    id: ClassVar[str] = "wrong_regex"
    family: ClassVar[str] = "string"
    summary: ClassVar[str] = "a pattern matches more or less"
    nodes: ClassVar[tuple[type[cst.CSTNode], ...]] = (cst.Call,)

    def changes(self, node: cst.CSTNode, view: FileView) -> Iterator[Change]:
        """At most three changes per call."""
        assert isinstance(node, cst.Call)
        if not isinstance(node.func, cst.Attribute):
            return
        name = node.func.attr.value
        base = dotted(node.func.value).lower()
        looks_like = base == "re" or "re" in base.split("_") or "regex" in base or "pattern" in base
        if name in _RE_METHODS and looks_like:
            new = _RE_METHODS[name]
            yield replace(view, node.func.attr, new, f"{name} became {new}", 0.6)
        if not _RE_FUNCTIONS.fullmatch(dotted(node.func)) or not node.args:
            return
        pattern = node.args[0].value
        if isinstance(pattern, cst.SimpleString):
            yield from self._pattern(pattern, name, view)

    def _pattern(self, node: cst.SimpleString, name: str, view: FileView) -> Iterator[Change]:
        made = 0
        body = node.raw_value
        for fault, new, note in _PATTERN_FAULTS:
            changed = fault.sub(new, body, count=1)
            text = f"{node.prefix}{node.quote}{changed}{node.quote}"
            if (name, note) in _IMPLIED or changed == body or not changed or not _compiles(text):
                continue
            yield replace(view, node, text, f"in a pattern, {note}", 0.55)
            made += 1
            if made == 2:
                return


def _compiles(literal: str) -> bool:
    try:
        re.compile(ast.literal_eval(literal))
    except (re.error, SyntaxError, ValueError, TypeError):
        return False
    return True
