"""A value of Python code as far as it is known: its text, its items, where it came from."""

from __future__ import annotations

import ast
import base64
import binascii
import codecs
import shlex
import urllib.parse
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from regreen.guard.shell.scope import HOLE

__all__ = ["Value", "builtin", "method", "plain"]

_LONGEST = 64_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Value:
    """What is known of a value."""

    text: str | None = None
    """Its text, bytes as latin-1; parts that are not known are ``HOLE``."""
    number: int | None = None
    """Its number."""
    items: tuple[Value, ...] = ()
    """Of a list."""
    name: str = ""
    """Dotted name it came from: a module, a function, what a call of it made."""
    strings: tuple[str, ...] = ()
    """Constants that went into it."""

    def texts(self) -> tuple[str, ...]:
        """What stands for it among the arguments of a call."""
        if self.text is not None:
            return (self.text,)
        if self.items:
            return tuple(text for item in self.items for text in item.texts())
        if self.number is not None:
            return (str(self.number),)
        return self.strings or (HOLE,)

    @staticmethod
    def of(items: Sequence[Value]) -> Value:
        """A list."""
        return Value(
            items=tuple(items), strings=tuple(text for item in items for text in item.strings)
        )

    @staticmethod
    def join(glue: str, parts: Sequence[Value]) -> Value:
        """Texts put together."""
        texts = [HOLE if part.text is None else part.text for part in parts]
        if any(part.number is not None for part in parts):
            texts = [
                str(part.number) if part.number is not None else text
                for part, text in zip(parts, texts, strict=True)
            ]
        strings = tuple(text for part in parts for text in part.strings)
        return Value(text=glue.join(texts)[:_LONGEST], strings=strings)

    @staticmethod
    def binary(operator: ast.operator, left: Value, right: Value) -> Value:
        """The value of ``left + right`` and its kin."""
        if isinstance(operator, ast.Add) and (left.items or right.items):
            return Value.of([*left.items, *right.items][:1_000])
        if left.number is not None and right.number is not None:
            return _number(operator, left.number, right.number)
        if isinstance(operator, ast.Add) and (left.text is not None or right.text is not None):
            return Value.join("", [left, right])
        if isinstance(operator, ast.Div) and (left.text is not None or right.text is not None):
            return Value.join("/", [left, right])
        if isinstance(operator, ast.Mod) and left.text is not None:
            return _formatted(left, right.items or (right,))
        return Value(strings=left.strings + right.strings)

    def cut(self, start: int | None, end: int | None, step: int | None) -> Value:
        """A slice."""
        if step == 0:
            return self
        part = slice(start, end, step)
        text = None if self.text is None else self.text[part]
        return Value(text=text, items=self.items[part], strings=self.strings)


def plain(value: object) -> Value:
    """A constant."""
    if isinstance(value, str):
        return Value(text=value, strings=(value,))
    if isinstance(value, bytes):
        text = value.decode("latin-1")
        return Value(text=text, strings=(text,))
    if isinstance(value, int) and not isinstance(value, bool):
        return Value(number=value)
    return Value()


def _number(operator: ast.operator, left: int, right: int) -> Value:
    if isinstance(operator, ast.Add):
        return Value(number=left + right)
    if isinstance(operator, ast.Sub):
        return Value(number=left - right)
    if isinstance(operator, ast.BitXor):
        return Value(number=left ^ right)
    return Value()


def _formatted(form: Value, values: Sequence[Value]) -> Value:
    text = form.text or ""
    for value in values:
        for mark in ("%s", "%d", "%r"):
            if mark in text:
                text = text.replace(mark, "".join(value.texts()), 1)
                break
    return Value(text=text, strings=form.strings)


def method(
    owner: Value, name: str, values: Sequence[Value], named: Mapping[str, Value]
) -> Value | None:
    """What a method of a known text gives, or a decoder of a known text; None for any other."""
    first = values[0] if values else Value()
    try:
        if owner.text is not None and owner.name != "file":
            return _of_text(owner, name, first, values, named)
        if owner.name == "file" and name in {"read", "readlines"}:
            return Value(text=owner.text, strings=owner.strings)
        return _decoder(f"{owner.name}.{name}", first, values)
    except (ValueError, TypeError, LookupError, binascii.Error, zlib.error):
        return None


def _of_text(
    owner: Value, name: str, first: Value, values: Sequence[Value], named: Mapping[str, Value]
) -> Value | None:
    text = owner.text or ""
    changed: str | None = None
    if name == "join":
        return Value.join(text, first.items)
    if name == "format":
        for place, value in enumerate(values):
            text = text.replace("{}", "".join(value.texts()), 1)
            text = text.replace(f"{{{place}}}", "".join(value.texts()))
        for key, value in named.items():
            text = text.replace(f"{{{key}}}", "".join(value.texts()))
        return Value(text=text, strings=owner.strings)
    if name == "replace" and len(values) > 1 and None not in (first.text, values[1].text):
        changed = text.replace(first.text or "", values[1].text or "")
    elif name in {"lower", "upper", "strip", "swapcase", "title"}:
        changed = str(getattr(text, name)())
    elif name in {"encode", "decode"}:
        changed = codecs.decode(text, "rot13") if first.text in {"rot13", "rot_13"} else text
    elif name == "split":
        return Value.of([plain(part) for part in text.split(first.text)])
    elif name == "read":
        changed = text
    return None if changed is None else Value(text=changed[:_LONGEST], strings=(changed,))


def _decoder(name: str, first: Value, values: Sequence[Value]) -> Value | None:  # noqa: PLR0911
    text = first.text
    if name in {"bytes.fromhex", "bytearray.fromhex", "binascii.unhexlify", "binascii.a2b_hex"}:
        return plain(bytes.fromhex(text)) if text is not None else None
    if name in {"base64.b64decode", "base64.urlsafe_b64decode", "binascii.a2b_base64"}:
        return plain(base64.b64decode(text + "==")) if text is not None else None
    if name in {"base64.b32decode"}:
        return plain(base64.b32decode(text)) if text is not None else None
    if name == "shlex.split" and text is not None:
        return Value.of([plain(part) for part in shlex.split(text)])
    if name == "codecs.decode" and text is not None and len(values) > 1:
        kind = values[1].text or ""
        if kind.startswith("rot"):
            return plain(codecs.decode(text, "rot13"))
        return plain(bytes.fromhex(text)) if kind.startswith("hex") else None
    if name == "zlib.decompress" and text is not None:
        return plain(zlib.decompressobj().decompress(text.encode("latin-1"), _LONGEST))
    if name in {"parse.unquote", "urllib.parse.unquote"} and text is not None:
        return plain(urllib.parse.unquote(text))
    if name in {"urllib.parse.urljoin", "parse.urljoin"} and len(values) > 1:
        return plain(urllib.parse.urljoin(text or "", values[1].text or ""))
    if name in {"os.path.join", "path.join", "posixpath.join"}:
        return Value.join("/", values)
    return None


def builtin(name: str, values: Sequence[Value]) -> Value | None:
    """What ``chr``, ``bytes`` and ``map`` give for known values."""
    first = values[0] if values else Value()
    if name == "chr" and first.number is not None and 0 <= first.number < 0xD800:
        return plain(chr(first.number))
    if name in {"bytes", "bytearray"} and first.items:
        numbers = [item.number for item in first.items]
        return plain("".join(chr((number or 0) & 0xFF) for number in numbers))
    if name == "map" and len(values) > 1 and first.name == "chr":
        return Value.of([builtin("chr", [item]) or Value() for item in values[1].items])
    if name in {"str", "list", "tuple", "reversed", "iter"}:
        if name == "reversed":
            return first.cut(None, None, -1)
        return first if first.text is not None or first.items else None
    return None
